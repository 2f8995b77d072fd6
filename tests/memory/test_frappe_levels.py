"""Permission levels: a value that Frappe would drop in silence is not sent, and one that it changed is told."""

from __future__ import annotations

from collections.abc import Coroutine
from random import Random
from typing import Any, TypeVar

from treq.testing import RequestTraversalAgent
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from lineside.edges.frappe.client import FrappeClient
from lineside.edges.frappe.comparison import AGAIN_SECONDS
from lineside.edges.frappe.meta import REFRESH_SECONDS, STALE_SECONDS
from lineside.edges.frappe.prepare import prepare
from lineside.edges.frappe.target import FrappeTarget
from lineside.model.event import delivery_id
from lineside.model.outcome import Blocked, Delivered, Outcome
from lineside.model.ports import Delivery
from lineside.standin import methods
from lineside.standin.authentication import Credentials
from lineside.standin.documents import memory_documents
from lineside.standin.employees import seed_employees
from lineside.standin.faults import FaultKnobs
from lineside.standin.site import make_site
from lineside.standin.users import seed_user

T = TypeVar("T")
GATEWAY = "gateway@example.com"
DOCTYPE = "Employee Checkin"
ROLES = "frappe.core.doctype.user.user.get_roles"


def checkin(minute: int, **facts: Any) -> Delivery:
    """Return one of many scans of one badge."""
    document = {"employee": "HR-EMP-00001", "time": f"2026-03-02 06:{minute:02}:30", "log_type": "IN"}
    identity = delivery_id(f"e-{minute}", "checkin")
    return Delivery(identity, "insert", DOCTYPE, {**document, **facts})


class Gateway(SynchronousTestCase):
    """A prepared site, and a gateway whose user has a role that may write no time."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.documents = memory_documents(random=Random(1))
        self.successResultOf(self.documents.write(lambda records: seed_employees(records, 1, "Administrator")))
        self.become("Employee")
        knobs = FaultKnobs(Random(2))
        site = make_site(self.clock, self.documents, knobs, Credentials("key", "secret", GATEWAY))
        agent = RequestTraversalAgent(site.resource)
        self.client = FrappeClient(self.clock, "http://erp.example", "key", "secret", agent=agent)
        self.now(prepare(self.client, [DOCTYPE, "ToDo"], "lineside_id"))
        self.target = FrappeTarget(self.client)

    def become(self, *roles: str) -> None:
        self.successResultOf(self.documents.write(lambda records: seed_user(records, GATEWAY, roles)))

    def now(self, coroutine: Coroutine[Deferred[Any], Any, T]) -> T:
        return self.successResultOf(Deferred.fromCoroutine(coroutine))

    def deliver(self, *batch: Delivery) -> list[Outcome]:
        return self.now(self.target.deliver(list(batch)))

    def stored(self, doctype: str = DOCTYPE) -> list[dict[str, Any]]:
        asked = {"fields": ["*"], "limit_page_length": 0, "order_by": "creation asc"}
        rows: list[dict[str, Any]] = self.successResultOf(
            self.documents.read(lambda records: records.list(doctype, asked))
        )
        return rows

    def keep_roles_secret(self) -> None:
        """Have a site that does not tell the user's roles."""
        method = methods.METHODS[ROLES]
        self.addCleanup(methods.METHODS.__setitem__, ROLES, method)
        del methods.METHODS[ROLES]


class Beforehand(Gateway):
    def test_a_route_whose_value_would_be_dropped_waits(self) -> None:
        """The field, its level and who may write it are named; nothing is stored with the wrong time."""
        [outcome] = self.deliver(checkin(1))
        assert isinstance(outcome, Blocked), outcome
        self.assertIn("Employee Checkin.time is permission level 1", outcome.reason)
        self.assertIn(
            "write at level 1 of Employee Checkin (as HR Manager, HR User, System Manager may)", outcome.remedy
        )
        self.assertEqual(self.stored(), [])

    def test_a_batch_waits_as_a_whole(self) -> None:
        """What goes together is of one DocType, and one user sends it."""
        outcomes = self.deliver(*(checkin(minute) for minute in range(5)))
        self.assertEqual({type(outcome) for outcome in outcomes}, {Blocked})
        self.assertEqual(self.stored(), [])

    def test_once_the_role_is_given_it_goes_on_by_itself(self) -> None:
        """The roles are asked for anew before a document is held back: no restart is needed."""
        [outcome] = self.deliver(checkin(1))
        self.assertIsInstance(outcome, Blocked)
        self.become("Employee", "HR User")
        self.clock.advance(STALE_SECONDS)
        [outcome] = self.deliver(checkin(1))
        self.assertEqual(outcome, Delivered(self.stored()[0]["name"]))
        self.assertEqual(self.stored()[0]["time"], "2026-03-02 06:01:30")

    def test_a_role_that_is_taken_is_noticed(self) -> None:
        """What was good holds for an hour; until then the answers tell."""
        self.become("HR User")
        self.deliver(checkin(1))
        self.become("Employee")
        [outcome] = self.deliver(checkin(2))
        assert isinstance(outcome, Delivered), outcome
        self.assertEqual([altered.field for altered in outcome.altered], ["time"])
        self.clock.advance(REFRESH_SECONDS)
        [outcome] = self.deliver(checkin(3))
        self.assertIsInstance(outcome, Blocked)

    def test_fields_of_level_0_need_no_such_role(self) -> None:
        """A document without the field is sent; so is one that leaves it empty, and wants its default."""
        for delivery in (checkin(1, time=None), Delivery("2" * 32, "insert", "ToDo", {"description": "x"})):
            [outcome] = self.deliver(delivery)
            self.assertIsInstance(outcome, Delivered)

    def test_an_update_is_held_to_the_same(self) -> None:
        """Its document would keep the value it had."""
        self.become("HR User")
        [made] = self.deliver(checkin(1))
        assert isinstance(made, Delivered)
        self.become("Employee")
        target = FrappeTarget(self.client)
        match = {"name": made.name}
        [late] = self.now(target.deliver([Delivery("3" * 32, "update", DOCTYPE, {"time": None}, match=match)]))
        self.assertIsInstance(late, Blocked)
        [other] = self.now(target.deliver([Delivery("4" * 32, "update", DOCTYPE, {"device_id": "b"}, match=match)]))
        self.assertEqual(other, Delivered(made.name))
        self.assertEqual(self.stored()[0]["time"], "2026-03-02 06:01:30")

    def test_administrator_may_write_everything(self) -> None:
        """No role says so."""
        knobs = FaultKnobs(Random(2))
        site = make_site(self.clock, self.documents, knobs, Credentials("key", "secret"))
        agent = RequestTraversalAgent(site.resource)
        target = FrappeTarget(FrappeClient(self.clock, "http://erp.example", "key", "secret", agent=agent))
        [outcome] = self.now(target.deliver([checkin(1)]))
        self.assertEqual(outcome, Delivered(self.stored()[0]["name"]))


class Afterwards(Gateway):
    """A site that does not tell the roles of its users."""

    def setUp(self) -> None:
        super().setUp()
        self.keep_roles_secret()

    def test_a_document_that_was_altered_is_delivered_and_told_of(self) -> None:
        """Sending it again would make a second one; a person must act."""
        [outcome] = self.deliver(checkin(1))
        assert isinstance(outcome, Delivered), outcome
        [altered] = outcome.altered
        self.assertEqual(altered.field, "time")
        self.assertIn("permission to write at level 1", altered.remedy)
        self.assertEqual(len(self.stored()), 1)

    def test_of_a_batch_one_document_goes_by_itself_and_speaks_for_the_rest(self) -> None:
        """Its answer is compared; so is that of another one ten minutes later, and none between."""
        for minute, told in ((0, 1), (10, 0), (20, 1)):
            outcomes = self.deliver(*(checkin(minute + each) for each in range(5)))
            altered = [outcome for outcome in outcomes if isinstance(outcome, Delivered) and outcome.altered]
            self.assertEqual((len(outcomes), len(altered)), (5, told))
            if minute:
                self.clock.advance(AGAIN_SECONDS)
        self.assertEqual(len(self.stored()), 15)

    def test_an_update_is_compared_too(self) -> None:
        """The document keeps the value it had, and another field of the same update is no concern."""
        [made] = self.deliver(checkin(1))
        assert isinstance(made, Delivered)
        fields = {"time": "2026-03-02 07:00:00", "device_id": "gate"}
        [outcome] = self.deliver(Delivery("3" * 32, "update", DOCTYPE, fields, match={"name": made.name}))
        assert isinstance(outcome, Delivered), outcome
        self.assertEqual([altered.field for altered in outcome.altered], ["time"])

    def test_a_right_document_raises_no_alarm(self) -> None:
        """A role that may write the level is enough; nothing needs to be known of it."""
        self.become("HR User")
        outcomes = self.deliver(*(checkin(each) for each in range(6)))
        self.assertEqual([outcome.altered for outcome in outcomes if isinstance(outcome, Delivered)], [()] * 6)
