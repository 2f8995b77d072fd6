"""The stand-in's faults through its site: what the client sees, and what became of the document."""

from __future__ import annotations

from random import Random
from typing import Any

import msgspec
from treq.testing import StubTreq
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from lineside.standin.authentication import Credentials
from lineside.standin.documents import memory_documents
from lineside.standin.faults import FaultKnobs, Faults
from lineside.standin.site import make_site

KEY = {"Authorization": "token key:secret"}
NONE = {**msgspec.structs.asdict(Faults()), "unauthorized": 0.0, "forbidden": 0.0}


class FaultTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.documents = memory_documents(random=Random(1))
        self.knobs = FaultKnobs(Random(1))
        self.downs: list[float] = []
        site = make_site(
            self.clock, self.documents, self.knobs, Credentials("key", "secret"), go_down=self.downs.append
        )
        self.client: Any = StubTreq(site.resource)

    def send(self, verb: str, path: str, document: object = None, **more: Any) -> Deferred[Any]:
        given = {} if document is None else {"json": document}
        pending: Deferred[Any] = self.client.request(
            verb, f"http://erp.example{path}", **{"headers": KEY, **given, **more}
        )
        self.client.flush()
        return pending

    def ask(self, verb: str, path: str, document: object = None, **more: Any) -> tuple[int, Any]:
        response = self.successResultOf(self.send(verb, path, document, **more))
        return response.code, self.successResultOf(response.json())

    def post_todo(self, **fields: object) -> Deferred[Any]:
        return self.send("POST", "/api/resource/ToDo", {"description": "x", **fields})

    def stored(self) -> int:
        return self.successResultOf(self.documents.read(lambda records: records.count("ToDo", {})))

    def turn(self, **changes: object) -> tuple[int, Any]:
        return self.ask("POST", "/_standin/faults", changes)


class Commits(FaultTests):
    def test_an_error_after_the_commit_leaves_the_document(self) -> None:
        """An HTML page that says nothing, and the document is there."""
        self.turn(error_after_commit=1)
        response = self.successResultOf(self.post_todo())
        self.assertEqual((response.code, response.headers.getRawHeaders("Content-Type")), (500, ["text/html"]))
        self.assertEqual(self.stored(), 1)

    def test_an_error_before_the_commit_leaves_nothing(self) -> None:
        """JSON: MariaDB went away, or undid the transaction for another one's sake."""
        for fault, kind in (("error_before_commit", "OperationalError"), ("deadlock", "QueryDeadlockError")):
            self.turn(**{"error_before_commit": 0, fault: 1})
            response = self.successResultOf(self.post_todo())
            self.assertEqual(response.code, 500)
            self.assertEqual(self.successResultOf(response.json())["exc_type"], kind)
        self.assertEqual(self.stored(), 0)

    def test_a_hang_leaves_the_document_and_never_answers(self) -> None:
        """The client's own patience ends it."""
        self.turn(hang=1)
        pending = self.post_todo()
        self.clock.advance(3600)
        self.client.flush()
        self.assertNoResult(pending)
        self.assertEqual(self.stored(), 1)

    def test_a_hang_before_does_nothing_and_never_answers(self) -> None:
        """Reads hang too."""
        self.turn(hang_before=1)
        self.assertNoResult(self.post_todo())
        self.assertNoResult(self.send("GET", "/api/resource/ToDo"))
        self.assertEqual(self.stored(), 0)

    def test_reads_and_refusals_are_answered_as_ever(self) -> None:
        """The faults of a commit strike only where something was committed."""
        self.turn(error_after_commit=1, error_before_commit=1, hang=1)
        self.assertEqual(self.ask("GET", "/api/resource/ToDo"), (200, {"data": []}))
        self.assertEqual(self.ask("POST", "/api/method/frappe.client.get_list", {"doctype": "ToDo"})[0], 200)
        self.assertEqual(self.successResultOf(self.post_todo(description="")).code, 417)

    def test_latency_delays_the_work_itself(self) -> None:
        """A client that gives up early has its document all the same, a little later."""
        self.turn(latency=2, jitter=1)
        pending = self.post_todo()
        self.clock.advance(1.9)
        self.assertEqual(self.stored(), 0)
        self.clock.advance(1.1)
        self.client.flush()
        self.assertEqual((self.stored(), self.successResultOf(pending).code), (1, 200))

    def test_a_client_that_leaves_undoes_nothing(self) -> None:
        """Nothing is written to a connection that is gone."""
        self.turn(latency=2)
        pending = self.post_todo()
        pending.cancel()
        self.client.flush()
        self.failureResultOf(pending)
        self.clock.advance(2)
        self.assertEqual(self.stored(), 1)
        self.assertEqual(self.ask("GET", "/_standin/stats")[1], {"requests": 1, "by_status": {}, "unanswered": 1})


class Control(FaultTests):
    def test_faults_are_shown_and_turned_one_by_one(self) -> None:
        """What is not named stays."""
        self.assertEqual(self.ask("GET", "/_standin/faults"), (200, NONE))
        self.assertEqual(self.turn(hang=0.5), (200, {**NONE, "hang": 0.5}))
        self.assertEqual(self.turn(latency=1), (200, {**NONE, "hang": 0.5, "latency": 1.0}))

    def test_nonsense_is_told_in_one_line_and_changes_nothing(self) -> None:
        """400 with the reason."""
        for changes in ({"hang": 2}, {"hnag": 0.1}, {"down": -1}, {"down": "long"}):
            status, told = self.turn(**changes)
            self.assertEqual((status, list(told)), (400, ["error"]))
            self.assertNotIn("\n", told["error"])
        self.assertEqual(self.ask("POST", "/_standin/faults", data=b"{")[0], 400)
        self.assertEqual(self.ask("GET", "/_standin/faults"), (200, NONE))
        self.assertEqual(self.downs, [])

    def test_the_port_goes_down_after_the_answer(self) -> None:
        """Who asked for it hears that it was understood."""
        self.assertEqual(self.turn(down=5), (200, NONE))
        self.assertEqual(self.downs, [])
        self.clock.advance(0)
        self.assertEqual(self.downs, [5.0])

    def test_only_the_key_opens_the_control(self) -> None:
        """403 without, 401 with a wrong one."""
        for path in ("/_standin/faults", "/_standin/stats"):
            self.assertEqual(self.ask("GET", path, headers={})[0], 403)
            self.assertEqual(self.ask("GET", path, headers={"Authorization": "token key:x"})[0], 401)
        self.assertEqual(self.ask("POST", "/_standin/faults", {"hang": 1}, headers={})[0], 403)
        self.assertEqual(self.knobs.faults.hang, 0)

    def test_requests_are_counted_by_status(self) -> None:
        """Those of the API, not those of the control."""
        self.post_todo()
        self.ask("GET", "/api/resource/ToDo/none")
        self.ask("GET", "/api/method/ping")
        self.assertEqual(
            self.ask("GET", "/_standin/stats"),
            (200, {"requests": 3, "by_status": {"200": 2, "404": 1}, "unanswered": 0}),
        )
