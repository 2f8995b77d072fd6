"""The Frappe target against the stand-in: a site prepared, deliveries made, and a storm of faults survived."""

from __future__ import annotations

from collections import Counter
from collections.abc import Coroutine
from pathlib import Path
from random import Random
from typing import Any, TypeVar

import msgspec
from treq.testing import RequestTraversalAgent
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from lineside.edges.frappe.client import FrappeClient
from lineside.edges.frappe.prepare import Prepared, prepare
from lineside.edges.frappe.target import FrappeTarget
from lineside.model.event import delivery_id
from lineside.model.outcome import Blocked, Delivered, Refused
from lineside.model.ports import Delivery, Ready
from lineside.standin.authentication import Credentials
from lineside.standin.doctypes import read_library
from lineside.standin.documents import memory_documents
from lineside.standin.faults import FaultKnobs
from lineside.standin.site import make_site

T = TypeVar("T")
FIELD = "lineside_id"
LAB = Path(__file__).parents[1] / "data" / "lab-doctypes.json"
FAULTS = (
    "error_after_commit",
    "error_before_commit",
    "hang",
    "hang_before",
    "deadlock",
    "lock_wait",
    "cut",
    "wrong_content_type",
    "bad_gateway",
)


def todo(number: int, *, redelivered: bool = False) -> Delivery:
    """Return one of many deliveries."""
    identity = delivery_id(f"epoch-{number}", "todo")
    return Delivery(identity, "insert", "ToDo", {"description": f"number {number}"}, redelivered)


def order(number: int) -> Delivery:
    """Return one of many documents with rows that are submitted."""
    rows = [{"sku": "A", "qty": number}, {"sku": "B", "qty": 1}]
    identity = delivery_id(f"epoch-{number}", "order")
    return Delivery(identity, "insert", "Lab Order", {"order_id": f"SO-{number}", "items": rows}, submit=True)


class StandIn(SynchronousTestCase):
    def setUp(self) -> None:
        self.begin()

    def begin(self) -> None:
        """Have a new site, and a target that leads there."""
        self.clock = Clock()
        self.documents = memory_documents(read_library(LAB), time_zone="Asia/Kolkata", random=Random(1))
        self.faults = FaultKnobs(Random(2))
        credentials = Credentials("key", "secret")
        site = make_site(self.clock, self.documents, self.faults, credentials)
        self.agent = RequestTraversalAgent(site.resource)
        self.client = self.connect()
        self.target = FrappeTarget(self.client)

    def connect(self, secret: str = "secret") -> FrappeClient:
        return FrappeClient(self.clock, "http://erp.example", "key", secret, agent=self.agent)

    def eventually(self, coroutine: Coroutine[Deferred[Any], Any, T]) -> T:
        """Return a coroutine's result, letting as much time pass as it waits for."""
        result = Deferred.fromCoroutine(coroutine)
        while not result.called and (waiting := self.clock.getDelayedCalls()):
            self.clock.advance(min(call.getTime() for call in waiting) - self.clock.seconds())
        return self.successResultOf(result)

    def prepare(self, *doctypes: str) -> list[Prepared]:
        return self.eventually(prepare(self.client, doctypes, FIELD))

    def stored(self, doctype: str = "ToDo") -> Counter[str]:
        return Counter(self.column(doctype, FIELD))

    def column(self, doctype: str, field: str) -> list[Any]:
        asked = {"fields": [field], "limit_page_length": 0}
        rows = self.successResultOf(self.documents.read(lambda records: records.list(doctype, asked)))
        return [row[field] for row in rows]

    def test_a_site_is_prepared_once_and_then_takes_deliveries(self) -> None:
        """Blocked before, prepared, delivered after; preparing again changes nothing."""
        self.assertEqual(self.eventually(self.target.probe()), Ready("Asia/Kolkata"))
        [outcome] = self.eventually(self.target.deliver([todo(1)]))
        self.assertEqual(outcome, Blocked(f"ToDo has no field {FIELD}", "run lineside erp prepare"))
        self.assertEqual(self.prepare("ToDo"), [Prepared("ToDo", created=True)])
        self.assertEqual(self.prepare("ToDo"), [Prepared("ToDo", created=False)])
        [outcome] = self.eventually(self.target.deliver([todo(1)]))
        self.assertIsInstance(outcome, Delivered)
        self.assertEqual(self.stored(), {todo(1).id: 1})

    def test_a_repeat_is_found_and_a_blind_repeat_is_refused_by_the_index(self) -> None:
        """With or without the mark of a repeat, the same id makes no second document."""
        self.prepare("ToDo")
        [first] = self.eventually(self.target.deliver([todo(1)]))
        assert isinstance(first, Delivered)
        again = Delivered(first.name, found=True)
        self.assertEqual(self.eventually(self.target.deliver([todo(1, redelivered=True)])), [again])
        self.assertEqual(self.eventually(self.target.deliver([todo(1)])), [again])
        self.assertEqual(self.stored(), {todo(1).id: 1})

    def test_a_document_that_frappe_refuses_comes_back_with_its_words(self) -> None:
        """A missing field is the record's fault, in Frappe's own words."""
        self.prepare("ToDo")
        [outcome] = self.eventually(self.target.deliver([Delivery(todo(1).id, "insert", "ToDo", {})]))
        assert isinstance(outcome, Refused)
        self.assertEqual(outcome.code, "MandatoryError")
        self.assertIn("Description", outcome.reason)

    def test_an_unknown_doctype_and_a_wrong_key_wait_for_a_person(self) -> None:
        """Neither is a fault of the record."""
        [outcome] = self.eventually(self.target.deliver([Delivery(todo(1).id, "insert", "To Do", {})]))
        assert isinstance(outcome, Blocked)
        self.assertEqual(outcome.remedy, "check the route's doctype")
        stranger = FrappeTarget(self.connect("wrong"))
        self.assertIsInstance(self.eventually(stranger.probe()), Blocked)

    def survive(self, faults: dict[str, float]) -> Counter[str]:
        """Deliver until all is delivered, a few at a time, while the site fails so; return what happened."""
        self.begin()
        self.prepare("ToDo", "Lab Order")
        pending = {
            delivery.id: delivery
            for number in range(40)
            for delivery in (todo(number), todo(number + 1000), *([order(number)] if number < 15 else []))
        }
        wanted = dict.fromkeys(pending, 1)
        kinds: Counter[str] = Counter()
        self.faults.turn(faults)
        while pending:
            some = list(pending.values())[:12]
            outcomes = self.eventually(self.target.deliver(some))
            kinds.update("found" if getattr(each, "found", False) else type(each).__name__ for each in outcomes)
            for delivery, outcome in zip(some, outcomes, strict=True):
                del pending[delivery.id]
                if not isinstance(outcome, Delivered):
                    pending[delivery.id] = msgspec.structs.replace(delivery, redelivered=True)
        self.assertEqual(self.stored() + self.stored("Lab Order"), wanted, faults)
        self.assertEqual(set(self.column("Lab Order", "docstatus")), {1}, faults)
        self.assertEqual(kinds["Delivered"] + kinds["found"], len(wanted))
        self.assertFalse(kinds.keys() & {"Refused", "Blocked"}, (faults, kinds))
        return kinds

    def test_no_storm_of_faults_loses_or_doubles_a_document(self) -> None:
        """All faults at once, over batches, submissions with rows, and two routes into one DocType."""
        kinds = self.survive(dict.fromkeys(FAULTS, 0.1))
        self.assertEqual(set(kinds), {"Delivered", "found", "Retry", "TargetDown"})

    def test_each_fault_alone_loses_and_doubles_nothing(self) -> None:
        """Whatever the site does to a third of its requests, each delivery becomes one document."""
        for fault in FAULTS:
            kinds = self.survive({fault: 0.3})
            self.assertNotEqual(set(kinds), {"Delivered"}, fault)
