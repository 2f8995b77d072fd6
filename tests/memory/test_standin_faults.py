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
        counted = {"requests": 1, "by_status": {}, "unanswered": 1, "cut": 0}
        self.assertEqual(self.ask("GET", "/_standin/stats")[1], counted)


class OnTheWay(FaultTests):
    def test_an_answer_is_cut_in_the_middle(self) -> None:
        """What was asked for is done; the client gets half a body, and the end of the connection."""
        self.turn(cut=1)
        response = self.successResultOf(self.post_todo())
        self.assertEqual(response.code, 200)
        self.failureResultOf(response.content())
        self.assertEqual(self.stored(), 1)

    def test_an_answer_comes_byte_by_byte(self) -> None:
        """Headers first; the whole takes as long as its bytes."""
        self.turn(byte_delay=1)
        pending = self.send("GET", "/api/method/ping")
        self.client.flush()
        content = self.successResultOf(pending).content()
        for _ in range(len(b'{"message":"pong"}') - 1):
            self.assertNoResult(content)
            self.clock.advance(1)
            self.client.flush()
        self.assertEqual(self.successResultOf(content), b'{"message":"pong"}')

    def test_json_comes_under_a_wrong_name(self) -> None:
        """Only the content type is wrong."""
        self.turn(wrong_content_type=1)
        response = self.successResultOf(self.post_todo())
        self.assertEqual(response.headers.getRawHeaders("Content-Type"), ["text/html"])
        self.assertIn("data", self.successResultOf(response.json()))

    def test_a_proxy_answers_for_what_is_not_there(self) -> None:
        """502 as a page, and nothing is done."""
        self.turn(bad_gateway=1)
        response = self.successResultOf(self.post_todo())
        self.assertEqual((response.code, response.headers.getRawHeaders("Content-Type")), (502, ["text/html"]))
        self.assertEqual(self.stored(), 0)


class Waiting(FaultTests):
    def test_a_change_waits_for_a_row_and_is_undone(self) -> None:
        """QueryTimeoutError after the wait; reads do not wait."""
        self.turn(lock_wait=1, lock_wait_seconds=50)
        self.assertEqual(self.ask("GET", "/api/resource/ToDo")[0], 200)
        pending = self.post_todo()
        self.clock.advance(49.9)
        self.client.flush()
        self.assertNoResult(pending)
        self.clock.advance(0.1)
        self.client.flush()
        response = self.successResultOf(pending)
        self.assertEqual(self.successResultOf(response.json())["exc_type"], "QueryTimeoutError")
        self.assertEqual(self.stored(), 0)

    def test_more_requests_than_workers_wait_in_line(self) -> None:
        """Latency grows with what is under way: eight requests to four workers of 20 ms take two turns."""
        self.turn(workers=4, service_time=0.02)
        answered: list[object] = []
        for _ in range(9):
            self.send("GET", "/api/method/ping").addCallback(answered.append)
        for done in (4, 8, 9):
            self.clock.advance(0.02)
            self.client.flush()
            self.assertEqual(len(answered), done)

    def test_everybody_is_refused_for_a_while(self) -> None:
        """401 or 403 for whoever shows a key; the guest's ping goes on."""
        for fault, status, kind in (
            ("unauthorized", 401, "AuthenticationError"),
            ("forbidden", 403, "PermissionError"),
        ):
            self.turn(**{fault: 5})
            self.assertEqual(self.ask("GET", "/_standin/faults")[1][fault], 5.0)
            refused = self.ask("GET", "/api/resource/ToDo")
            self.assertEqual((refused[0], refused[1]["exc_type"]), (status, kind))
            self.assertEqual(self.ask("GET", "/api/method/ping", headers={})[0], 200)
            self.clock.advance(5)
            self.assertEqual(self.ask("GET", "/api/resource/ToDo")[0], 200)


class Control(FaultTests):
    def test_faults_are_shown_and_turned_one_by_one(self) -> None:
        """What is not named stays."""
        self.assertEqual(self.ask("GET", "/_standin/faults"), (200, NONE))
        self.assertEqual(self.turn(hang=0.5), (200, {**NONE, "hang": 0.5}))
        self.assertEqual(self.turn(latency=1), (200, {**NONE, "hang": 0.5, "latency": 1.0}))

    def test_nonsense_is_told_in_one_line_and_changes_nothing(self) -> None:
        """400 with the reason."""
        for changes in (
            {"hang": 2},
            {"hnag": 0.1},
            {"down": -1},
            {"down": "long"},
            {"forbidden": -1},
            {"workers": 1.5},
        ):
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
            (200, {"requests": 3, "by_status": {"200": 2, "404": 1}, "unanswered": 0, "cut": 0}),
        )
