"""The ERP as tasks ask it: a call waits while the site is away, and a write is never made twice on suspicion."""

from __future__ import annotations

from collections.abc import Coroutine
from random import Random
from typing import Any

from tests.rig.frappe_case import Delivering
from tests.rig.played_frappe import Answer, cut, hang, page, refused, told
from twisted.internet.defer import CancelledError, Deferred, fail
from twisted.internet.error import ConnectError
from twisted.web.http_headers import Headers
from twisted.web.iweb import IAgent, IBodyProducer, IResponse
from zope.interface import implementer

from lineside.delivery.gate import Gate
from lineside.edges.frappe.reads import REPEATS
from lineside.edges.frappe.taskcalls import TaskErp
from lineside.tasks.erp import (
    ErpConflict,
    ErpDenied,
    ErpError,
    ErpFailed,
    ErpNotFound,
    ErpRefused,
    ErpSilent,
    ErpUnsure,
)


def says(value: Any, envelope: str = "message") -> Answer:
    return lambda request: told(request, 200, {envelope: value})


def says_no(status: int, exc_type: str, message: str) -> Answer:
    return lambda request: refused(request, status, exc_type, message)


class Asking(Delivering):
    def setUp(self) -> None:
        super().setUp()
        self.gate = Gate("erp", self.target, self.clock, Random(1), concurrency=4)
        self.erp = TaskErp(self.client, self.gate, Random(1))

    def begin(self, call: Coroutine[Deferred[Any], Any, Any]) -> Deferred[Any]:
        return Deferred.fromCoroutine(call)

    def calls(self, kind: str = "recount") -> int:
        return self.site.asked.count(kind)

    def wait(self, call: Deferred[Any], seconds: int) -> None:
        """Let so much time pass in which nothing comes back."""
        for _ in range(seconds):
            self.assertNoResult(call)
            self.clock.advance(1.0)


class Calls(Asking):
    """What is asked, and what comes back."""

    def test_gets_a_document(self) -> None:
        """One GET of the document's own address."""
        self.site.fault("look-up", says({"name": "SO/1", "items": [{"qty": 2}]}, "data"))
        self.assertEqual({"name": "SO/1", "items": [{"qty": 2}]}, self.now(self.erp.get("Sales Order", "SO/1")))
        self.assertEqual(b"/api/resource/Sales%20Order/SO%2F1", self.site.seen[-1].uri)

    def test_lists_documents(self) -> None:
        """The list is asked for by POST, since filters may be longer than a request line."""
        self.site.documents = [{"name": "A", "qty": 1}, {"name": "B", "qty": 9}]
        found = self.now(self.erp.get_list("Bin", fields=["name", "qty"], filters=[["name", "=", "B"]], limit=5))
        self.assertEqual([{"name": "B", "qty": 9}], found)
        self.assertEqual("POST", self.site.seen[-1].method.decode())
        self.assertEqual(
            {
                "doctype": "Bin",
                "fields": ["name", "qty"],
                "filters": [["name", "=", "B"]],
                "limit_page_length": 5,
            },
            self.site.bodies[-1],
        )

    def test_calls_a_method(self) -> None:
        """A method gets its arguments as JSON, and one that answers nothing returns None."""
        self.site.fault("recount", says([1, 2]))
        self.assertEqual([1, 2], self.now(self.erp.call("plant.api.recount", {"bin": "B-1"})))
        self.assertEqual({"bin": "B-1"}, self.site.bodies[-1])
        self.site.fault("recount", lambda request: told(request, 200, {}))
        self.assertIsNone(self.now(self.erp.call("plant.api.recount")))

    def test_refuses_arguments_that_json_cannot_hold(self) -> None:
        """A NaN would arrive as something else: it is not sent."""
        self.failureResultOf(self.begin(self.erp.call("plant.api.recount", {"qty": float("nan")})), ValueError)
        self.assertEqual(0, self.calls())

    def test_leaves_half_of_the_connections_to_deliveries(self) -> None:
        """Of four connections tasks take two; a third call waits for one of them to end."""
        self.site.fault("recount", hang, times=3)
        waiting = [self.begin(self.erp.call("plant.api.recount", safe=True)) for _ in range(3)]
        self.assertEqual(2, self.calls())
        waiting[0].cancel()
        self.agent.flush()
        self.assertEqual(3, self.calls())
        for call in waiting:
            call.cancel()
            self.failureResultOf(call, CancelledError)


class Away(Asking):
    """The site does not answer at present."""

    def test_waits_as_long_as_it_is_told(self) -> None:
        """After a 429 nothing is asked until the time that it names is over; then the call goes on by itself."""
        self.site.fault("recount", page(429, Retry_After="7"))
        self.site.fault("recount", says("done"))
        call = self.begin(self.erp.call("plant.api.recount"))
        self.wait(call, 6)
        self.assertEqual(1, self.calls())
        self.clock.advance(1.0)
        self.assertEqual(("done", 2), (self.successResultOf(call), self.calls()))

    def test_a_rate_limit_stops_no_delivery(self) -> None:
        """A 429 may be one method's own: the gate of all deliveries stays open."""
        self.site.fault("recount", page(429, Retry_After="7"))
        call = self.begin(self.erp.call("plant.api.recount"))
        self.assertTrue(self.gate.ready)
        call.cancel()
        self.failureResultOf(call, CancelledError)

    def test_waits_out_maintenance(self) -> None:
        """A 503 closes the gate, whose probes tell when the site is back: the call is made again then, and once."""
        self.now(self.gate.passed())
        self.site.fault("recount", says_no(503, "SessionStopped", "Updating"))
        self.site.fault("get_logged_user", page(503), times=3)
        self.site.fault("recount", says("done"))
        call = self.begin(self.erp.call("plant.api.recount"))
        self.assertFalse(self.gate.ready)
        self.wait(call, 2)
        self.assertEqual(1, self.calls())
        self.clock.pump([1.0] * 60)
        self.assertEqual(("done", 2), (self.successResultOf(call), self.calls()))
        self.assertTrue(self.gate.ready)

    def test_waits_where_no_connection_is_made(self) -> None:
        """What cannot have reached the site is sent again, a write too."""
        agent = Unplugged(self.agent)
        erp = TaskErp(self.connect(agent), self.gate, Random(1))
        self.now(self.gate.passed())
        self.site.fault("recount", says("done"))
        call = self.begin(erp.call("plant.api.recount"))
        self.wait(call, 1)
        agent.plugged = True
        self.clock.pump([1.0] * 5)
        self.assertEqual(("done", 1), (self.successResultOf(call), self.calls()))

    def test_waits_while_a_person_has_paused_the_target(self) -> None:
        """Nothing goes to a target that is paused, and it goes on when it is resumed."""
        self.gate.paused = True
        self.site.fault("recount", says("done"))
        call = self.begin(self.erp.call("plant.api.recount"))
        self.wait(call, 5)
        self.assertEqual(0, self.calls())
        self.gate.paused = False
        self.clock.advance(1.0)
        self.assertEqual("done", self.successResultOf(call))

    def test_asks_for_ever_where_a_proxy_has_nobody_behind_it(self) -> None:
        """A question that a restarting site answers by 502 waits until it is back."""
        self.site.fault("get_list", page(502), times=8)
        call = self.begin(self.erp.get_list("Bin", filters=[]))
        self.clock.pump([1.0] * 60)
        self.assertEqual([], self.successResultOf(call))
        self.assertEqual(9, self.calls("get_list"))


class Lost(Asking):
    """An answer that did not come."""

    def test_a_write_is_not_made_again(self) -> None:
        """Whether a cut connection or a proxy's 502 hides it: nobody knows, and the error says so."""
        answers: list[Answer] = [cut, page(502), page(504), lambda request: told(request, 200, ["?"])]
        for answer in answers:
            self.site.fault("recount", answer)
            error = self.failureResultOf(self.begin(self.erp.call("plant.api.recount"))).value
            self.assertIsInstance(error, ErpUnsure)
            self.assertIn("nobody knows whether it was carried out", str(error))
        self.assertEqual(len(answers), self.calls())

    def test_a_write_without_an_answer_in_time_is_unsure(self) -> None:
        """A site that hangs is not waited for beyond the client's time-out."""
        self.site.fault("recount", hang)
        call = self.begin(self.erp.call("plant.api.recount"))
        self.clock.advance(30.0)
        self.failureResultOf(call, ErpUnsure)

    def test_a_question_is_asked_again(self) -> None:
        """A read, and a call that says it is safe, are repeated at once."""
        self.site.fault("get_list", cut)
        self.assertEqual([], self.now(self.erp.get_list("Bin", filters=[])))
        self.site.fault("recount", cut, times=2)
        self.site.fault("recount", says(3))
        self.assertEqual(3, self.now(self.erp.call("plant.api.recount", safe=True)))

    def test_a_question_is_given_up_in_the_end(self) -> None:
        """A site that answers others, and never this, is not asked for ever."""
        for answer in (cut, page(504)):
            self.site.fault("recount", answer, times=REPEATS + 1)
            self.failureResultOf(self.begin(self.erp.call("plant.api.recount", safe=True)), ErpSilent)
            self.assertEqual([], self.site.faults)


class Refusals(Asking):
    """What the ERP says no to: each has a name that `retry.on` may list, and the ERP's own words."""

    def refused(self, answer: Answer) -> ErpError:
        self.site.fault("recount", answer)
        before = self.calls()
        error = self.failureResultOf(self.begin(self.erp.call("plant.api.recount"))).value
        self.assertIsInstance(error, ErpError)
        self.assertEqual(before + 1, self.calls(), "a refusal is an answer: it is not asked again")
        assert isinstance(error, ErpError)
        return error

    def test_has_a_name_for_each(self) -> None:
        """The class tells what it is, the text says it in the ERP's words, and the ERP's own class is kept."""
        for status, exc_type, message, kind in (
            (404, "DoesNotExistError", "Bin B-1 not found", ErpNotFound),
            (417, "ValidationError", "Failed to get method for command plant.api.recount", ErpNotFound),
            (417, "LinkValidationError", "Could not find Item: X", ErpRefused),
            (409, "DuplicateEntryError", "B-1 is there", ErpConflict),
            (417, "TimestampMismatchError", "has been modified", ErpConflict),
            (500, "QueryDeadlockError", "deadlock", ErpConflict),
            (500, "ZeroDivisionError", "division by zero", ErpFailed),
        ):
            error = self.refused(says_no(status, exc_type, message))
            self.assertIs(kind, type(error))
            self.assertEqual(exc_type, error.code)
            self.assertIn(message, str(error))

    def test_says_what_to_do_where_the_key_is_wrong(self) -> None:
        """401 and 403 need a person: the text ends with the remedy."""
        error = self.refused(says_no(403, "PermissionError", "No permission for Bin"))
        self.assertIs(ErpDenied, type(error))
        self.assertIn("No permission for Bin", str(error))
        self.assertIn("give the API user the permission", str(error))
        error = self.refused(says_no(401, "AuthenticationError", ""))
        self.assertIs(ErpDenied, type(error))
        self.assertIn("check the target's api_key and api_secret", str(error))

    def test_a_page_of_somebody_else_is_no_missing_document(self) -> None:
        """A proxy's 404 says that the address is wrong."""
        self.site.fault("look-up", page(404))
        error = self.failureResultOf(self.begin(self.erp.get("Bin", "B-1"))).value
        self.assertIsInstance(error, ErpError)
        self.assertIn("check the target's url and site", str(error))


@implementer(IAgent)
class Unplugged:
    """An agent that connects to nothing until it is plugged in."""

    def __init__(self, agent: IAgent) -> None:
        self._agent = agent
        self.plugged = False

    def request(
        self,
        method: bytes,
        uri: bytes,
        headers: Headers | None = None,
        bodyProducer: IBodyProducer | None = None,
    ) -> Deferred[IResponse]:
        if not self.plugged:
            return fail(ConnectError())
        answer: Deferred[IResponse] = self._agent.request(method, uri, headers, bodyProducer)
        return answer


class Cancelling(Asking):
    """A run that is cancelled."""

    def test_ends_a_rest(self) -> None:
        """Whoever waits for the site's return waits no more, and nothing is asked afterwards."""
        self.site.fault("recount", page(429, Retry_After="7"))
        call = self.begin(self.erp.call("plant.api.recount"))
        call.cancel()
        self.failureResultOf(call, CancelledError)
        self.clock.pump([1.0] * 10)
        self.assertEqual(1, self.calls())

    def test_gives_its_place_back(self) -> None:
        """Calls that were cancelled hold no connection: as many others go through afterwards."""
        self.site.fault("recount", hang, times=4)
        for _ in range(4):
            call = self.begin(self.erp.call("plant.api.recount"))
            call.cancel()
            self.failureResultOf(call, CancelledError)
        self.site.fault("recount", says(1), times=4)
        self.assertEqual([1] * 4, [self.now(self.erp.call("plant.api.recount")) for _ in range(4)])
