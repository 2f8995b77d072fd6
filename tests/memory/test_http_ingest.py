"""Programs that post events, in memory: real requests, a real journal, a disk as slow as a test wants."""

from __future__ import annotations

import gzip
import json
import sqlite3
from pathlib import Path
from typing import Any

from tests.rig.http_client import ClientTransport, NoTokens, get, post, read_answers
from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from lineside.edges.http.channel import PatientChannel
from lineside.edges.http.commits import Commits
from lineside.edges.http.identification import Identification
from lineside.edges.http.ingest import MOST_REJECTED, NDJSON, TOGETHER, Ingest, IngestLimits, unknown_source
from lineside.edges.http.site import TAKEN_WHOLE, Desk, GatewaySite
from lineside.journal import deadletters
from lineside.journal.watched import WatchedJournal
from lineside.model.errors import CommitInDoubt
from lineside.model.event import NO_SEQ, Record
from lineside.model.traffic import Traffic
from lineside.operations.web import Answer, Endpoint
from lineside.security.identity import Identity
from lineside.testing.journals import JournalOnFile
from lineside.wire.jsonl import JsonLines

LOCAL = "127.0.0.1"
AWAY = "192.0.2.7"
TERMINAL = Identity("terminal", "device", frozenset({"gate"}))
SENDER = "Authorization: Bearer terminal"


class IngestCase(SynchronousTestCase):
    """A site with one source."""

    limits = IngestLimits(max_event=100, max_events=20_000, max_body=4_000_000, max_requests=2)
    anonymous = False
    dedupe: str | None = None

    def setUp(self) -> None:
        self.file = JournalOnFile(Path(self.mktemp()), lambda: 1)
        self.addCleanup(self.file.close)
        self.clock = Clock()
        self.start()

    def start(self) -> None:
        """Serve anew, as a process that starts."""
        self.traffic = Traffic(0.0)
        self.journal = WatchedJournal(self.file.journal, self.traffic, self.clock, lambda: 1)
        self.commits = Commits("gate", self.journal, self.file.journal)
        self.commits.on_batch = self.journal.came
        decoder = JsonLines(self.dedupe, None)
        self.ingest = Ingest("gate", decoder, self.commits, self.clock, self.limits, anonymous=self.anonymous)
        tokens = NoTokens(
            terminal=TERMINAL,
            other=Identity("other", "device", frozenset({"shelf"})),
            board=Identity("board", "viewer"),
            mender=Identity("mender", "operator"),
        )
        looked = Endpoint("GET", "/api/v1/events/{seq}", "show", "An event", None, lambda call: Answer(200, b"1"))
        endpoints = [self.ingest.endpoint(), unknown_source(lambda name: f"there is no source {name}"), looked]
        self.desk = Desk(endpoints, Identification(tokens))
        self.site = GatewaySite(self.desk, self.clock)

    def connect(self, host: str = LOCAL) -> tuple[PatientChannel, ClientTransport]:
        connection = self.site.buildProtocol(IPv4Address("TCP", host, 40000))
        transport = ClientTransport(host)
        connection.makeConnection(transport)
        return connection, transport

    def leave(self, connection: PatientChannel) -> None:
        connection.connectionLost(Failure(ConnectionDone()))

    def send(
        self,
        body: bytes,
        *headers: str,
        host: str = LOCAL,
        path: str = "/api/v1/events/gate",
        lines: bool = False,
        token: str | None = SENDER,
    ) -> tuple[int, Any]:
        """Post a body over a connection of its own; return the status and what is told."""
        connection, transport = self.connect(host)
        kind = NDJSON if lines else "application/json"
        given = [f"Content-Type: {kind}", f"Content-Length: {len(body)}", *headers, *([token] if token else [])]
        connection.dataReceived(get(path, *given, method="POST") + body)
        while not transport.value() and self.clock.getDelayedCalls():
            self.clock.advance(0)
            if all(call.getTime() > self.clock.seconds() for call in self.clock.getDelayedCalls()):
                break
        [(status, self.headers, told)] = read_answers(transport.value())
        self.leave(connection)
        return status, json.loads(told)

    def records(self) -> list[Record]:
        page = self.successResultOf(Deferred.fromCoroutine(self.file.journal.read(NO_SEQ, limit=100_000)))
        return page.records

    def bodies(self) -> list[bytes]:
        return [record.event.body for record in self.records()]


class Events(IngestCase):
    """What becomes of a body."""

    def test_one_object_is_one_event(self) -> None:
        """It is stored as it was written, its device is the token's, and the answer has its sequence."""
        status, told = self.send(b'{"code": "00123"}')
        self.assertEqual((status, told), (202, {"sequences": [1], "repeated": [], "rejected": []}))
        [record] = self.records()
        self.assertEqual(
            (record.source, record.event.body, record.event.device), ("gate", b'{"code": "00123"}', "terminal")
        )
        self.assertEqual((self.commits.received, self.ingest.under_way), (1, 0))
        self.assertEqual([(device.name, device.peer) for device in self.traffic.newest()], [("terminal", LOCAL)])

    def test_an_array_and_lines_are_many(self) -> None:
        """Each item is an event, in order."""
        self.assertEqual(self.send(b' [{"a": 1},\n {"a": 2}]')[1]["sequences"], [1, 2])
        self.assertEqual(self.send(b'{"a": 3}\r\n\n{"a": 4}', lines=True)[1]["sequences"], [3, 4])
        self.assertEqual(self.bodies(), [b'{"a": 1}', b'{"a": 2}', b'{"a": 3}', b'{"a": 4}'])
        self.assertEqual(self.send(b"[]"), (202, {"sequences": [], "repeated": [], "rejected": []}))

    def test_a_packed_body_is_unpacked(self) -> None:
        """Of either kind; what is no gzip, or another packing, is refused."""
        packed = gzip.compress(b'{"a": 1}\n{"a": 2}\n')
        self.assertEqual(self.send(packed, "Content-Encoding: gzip", lines=True)[1]["sequences"], [1, 2])
        status, told = self.send(b'{"a": 1}', "Content-Encoding: gzip")
        self.assertEqual((status, told["stored"]), (422, 0))
        self.assertEqual(self.send(packed[:-4], "Content-Encoding: gzip", lines=True)[0], 422)
        self.assertEqual(self.send(b"{}", "Content-Encoding: br")[0], 415)
        self.assertEqual(self.headers["Accept-Encoding"], "gzip")
        self.assertEqual(len(self.records()), 2)

    def test_each_bad_item_is_named_and_kept(self) -> None:
        """The others are events all the same; a bad one is a dead letter with its bytes."""
        large = b'{"a": "' + b"x" * 200 + b'"}'
        status, told = self.send(b'[{"a": 1}, 5, {"a": nope}, ' + large + b', {"a": 2}]')
        self.assertEqual((status, told["sequences"]), (202, [1, 2, 3, 4, 5]))
        self.assertEqual(
            [(each["index"], each["sequence"], each["code"]) for each in told["rejected"]],
            [(1, 2, "json"), (2, 3, "json"), (3, 4, "too-long")],
        )
        self.assertEqual(told["rejected"][0]["reason"], "expected an object, got a number")
        self.assertEqual([record.event.raw for record in self.records()][1:4], [b"5", b'{"a": nope}', large[:100]])
        letters = self.successResultOf(self.file.database.read(deadletters.count))
        self.assertEqual((letters, self.commits.undecodable), (3, 3))

    def test_a_request_of_which_nothing_makes_an_event_is_refused(self) -> None:
        """And kept: 422 says what is wrong, 413 that it is too large."""
        status, told = self.send(b'{"a": nope}')
        self.assertEqual((status, told["sequences"], told["stored"]), (422, [1], 1))
        self.assertIn("kept as a dead letter", told["detail"])
        self.assertEqual(self.send(b'{"a": "' + b"x" * 200 + b'"}')[0], 413)
        self.assertEqual(self.send(b"[1, 2]")[1]["title"], "Unprocessable Entity")
        self.assertEqual([record.event.error is None for record in self.records()], [False] * 4)

    def test_a_body_without_clear_items_stores_nothing(self) -> None:
        """Cut off, with commas too many, or empty."""
        for body in (b'[{"a": 1}', b'[{"a": 1},]', b"", b"  "):
            status, told = self.send(body)
            self.assertEqual((status, told["stored"]), (422, 0), body)
        self.assertEqual(self.records(), [])

    def test_a_body_of_rubbish_does_not_fill_the_journal(self) -> None:
        """After a thousand bad items the rest is not taken."""
        status, told = self.send(b"x\n" * (MOST_REJECTED + 1), lines=True)
        self.assertEqual((status, told["stored"], self.records()), (422, 0, []))
        self.assertIn("beginning with item 0", told["detail"])


class LongBodies(IngestCase):
    """Bodies that are taken as they come."""

    def head(self, size: int) -> bytes:
        return get(
            "/api/v1/events/gate", f"Content-Type: {NDJSON}", f"Content-Length: {size}", SENDER, method="POST"
        )

    def test_parts_are_stored_as_they_come_and_answered_at_the_end(self) -> None:
        """Nothing is answered before all is on disk, and while the disk is behind nothing more is read."""
        line = b'{"text": "' + b"x" * 80 + b'"}\n'
        body = line * (3 * TOGETHER // len(line))
        connection, transport = self.connect()
        connection.dataReceived(self.head(len(body)) + body[: TOGETHER + len(line)])
        self.assertGreater(len(self.records()), 1000)
        self.file.writer.held = True
        rest = body[TOGETHER + len(line) :]
        for at in range(0, len(rest), 65_536):
            connection.dataReceived(rest[at : at + 65_536])
        self.assertEqual((transport.reading, transport.value()), (False, b""))
        self.file.writer.release()
        self.assertTrue(transport.reading)
        [(status, _, told)] = read_answers(transport.value())
        count = 3 * TOGETHER // len(line)
        self.assertEqual((status, json.loads(told)["sequences"]), (202, list(range(1, count + 1))))
        self.assertEqual(len(self.records()), count)
        self.leave(connection)

    def test_a_body_has_a_limit_also_when_it_is_unpacked(self) -> None:
        """A declared length is refused with the head; a bomb as soon as it is too much, and others have turns."""
        connection, transport = self.connect()
        connection.dataReceived(self.head(5_000_000))
        [(status, _, _)] = read_answers(transport.value())
        self.assertEqual(status, 413)
        self.leave(connection)
        status, told = self.send(gzip.compress(b" " * 40_000_000), "Content-Encoding: gzip", lines=True)
        self.assertEqual((status, told["stored"]), (413, 0))

    def test_what_is_packed_into_nothing_has_an_end(self) -> None:
        """Members of gzip that hold no byte are no way around the limit."""
        connection, transport = self.connect()
        sent = 0
        head = ("Content-Type: application/json", "Content-Encoding: gzip", "Transfer-Encoding: chunked", SENDER)
        connection.dataReceived(get("/api/v1/events/gate", *head, method="POST"))
        piece = gzip.compress(b"") * 3000
        while not transport.value():
            connection.dataReceived(b"%x\r\n%s\r\n" % (len(piece), piece))
            self.clock.advance(0)
            sent += len(piece)
            self.assertLess(sent, self.limits.max_body + 2 * len(piece))
        self.assertTrue(transport.value().startswith(b"HTTP/1.1 413 "))
        self.leave(connection)

    def test_there_are_no_more_items_than_allowed(self) -> None:
        """The answer says how many of them are stored."""
        status, told = self.send(b"{}\n" * 20_001, lines=True)
        self.assertEqual((status, told["stored"]), (413, 0))
        self.assertEqual(self.send(b"{}\n" * 20_000, lines=True)[0], 202)

    def test_who_leaves_in_the_middle_has_stored_what_was_committed(self) -> None:
        """The rest is not taken, and nothing goes on for them."""
        connection, _ = self.connect()
        connection.dataReceived(self.head(TAKEN_WHOLE * 10) + b'{"a": 1}\n' * (TAKEN_WHOLE // 8))
        stored = len(self.records())
        self.assertGreater(stored, 0)
        self.leave(connection)
        self.assertEqual((len(self.records()), self.ingest.under_way, len(self.desk.answering)), (stored, 0, 0))


class Repeats(IngestCase):
    """The same request again."""

    def test_a_repeated_request_stores_nothing_twice(self) -> None:
        """It gets its first sequences again, also from a gateway that was started anew, bad items included."""
        body = b'[{"a": 1}, {"a": 1}, 7]'
        first = self.send(body, "Idempotency-Key: k1")[1]
        self.send(b'{"b": 1}')
        self.file.restart()
        self.start()
        status, again = self.send(body, "Idempotency-Key: k1")
        self.assertEqual((status, again["sequences"], again["repeated"]), (202, [1, 2, 3], [0, 1, 2]))
        self.assertEqual(again["rejected"], first["rejected"])
        self.assertEqual(len(self.records()), 4)
        self.assertEqual(self.send(body, "Idempotency-Key: k2")[1]["sequences"], [5, 6, 7])

    def test_a_lone_event_may_be_repeated(self) -> None:
        """As most requests have one."""
        self.send(b'{"a": 1}', "Idempotency-Key: k1")
        self.assertEqual(
            self.send(b'{"a": 1}', "Idempotency-Key: k1"),
            (202, {"sequences": [1], "repeated": [0], "rejected": []}),
        )

    def test_a_request_that_was_cut_off_goes_on_where_it_was(self) -> None:
        """What was stored of it is not stored again, and the rest is."""
        self.send(b'{"a": 1}\n', "Idempotency-Key: k1", lines=True)
        told = self.send(b'{"a": 1}\n{"a": 2}\n', "Idempotency-Key: k1", lines=True)[1]
        self.assertEqual((told["sequences"], told["repeated"]), ([1, 2], [0]))

    def test_the_same_values_written_otherwise_are_the_same(self) -> None:
        """A client may write its objects anew for a second attempt."""
        self.send(b'{"a": 1, "b": [2]}', "Idempotency-Key: k1")
        self.assertEqual(self.send(b'{"b":[2],"a":1}', "Idempotency-Key: k1")[0], 202)

    def test_a_key_that_came_with_something_else_is_refused(self) -> None:
        """Otherwise an event would be taken for another, and lost in silence."""
        self.send(b'{"a": 1}', "Idempotency-Key: k1")
        status, told = self.send(b'{"a": 2}', "Idempotency-Key: k1")
        self.assertEqual((status, told["index"], told["sequence"], told["stored"]), (409, 0, 1, 0))
        self.assertEqual(self.bodies(), [b'{"a": 1}'])
        self.assertEqual(self.send(b"7", "Idempotency-Key: k1")[0], 409)

    def test_of_a_request_with_anothers_key_nothing_is_stored(self) -> None:
        """Nor its items that would be new: they come again with the next key, and would be there twice."""
        self.send(b'[{"a": 1}]', "Idempotency-Key: k1")
        status, told = self.send(b'[{"a": 2}, {"a": 3}]', "Idempotency-Key: k1")
        self.assertEqual((status, told["index"], told["stored"]), (409, 0, 0))
        self.assertEqual(self.bodies(), [b'{"a": 1}'])
        status, told = self.send(b'[{"a": 1}, {"a": 3}, {"a": 4}]', "Idempotency-Key: k1")
        self.assertEqual((status, told["sequences"], told["repeated"]), (202, [1, 2, 3], [0]))

    def test_two_requests_with_one_key_at_the_same_moment(self) -> None:
        """Are carried out one after the other: of the second nothing is stored."""
        self.file.writer.held = True
        asked = []
        for body in (b'[{"a": 1}, {"a": 2}]', b'[{"a": 3}, {"a": 2}, {"a": 4}]'):
            connection, transport = self.connect()
            asked.append(transport)
            connection.dataReceived(post("/api/v1/events/gate", body, SENDER, "Idempotency-Key: k1"))
            self.addCleanup(self.leave, connection)
        self.file.writer.release()
        self.assertEqual([202, 409], [read_answers(each.value())[0][0] for each in asked])
        self.assertEqual(self.bodies(), [b'{"a": 1}', b'{"a": 2}'])

    def test_two_senders_with_one_key_lose_nothing(self) -> None:
        """Both say the same, but each of its own device: the second is told, not taken for the first."""
        self.send(b'{"a": 1}', "Idempotency-Key: k1")
        status, told = self.send(b'{"a": 1}', "Idempotency-Key: k1", token="Authorization: Bearer mender")
        self.assertEqual((status, told["stored"]), (409, 0))

    def test_numbers_of_any_length_are_compared(self) -> None:
        """Also those that no computer word holds."""
        self.send(b'{"a": 123456789012345678901234567890}', "Idempotency-Key: k1")
        self.assertEqual(self.send(b'{"a":123456789012345678901234567890}', "Idempotency-Key: k1")[0], 202)
        self.assertEqual(self.send(b'{"a":123456789012345678901234567891}', "Idempotency-Key: k1")[0], 409)

    def test_a_key_has_a_form(self) -> None:
        """Visible characters, 255 at most."""
        for wrong in ("", "two words", "x" * 256, "é"):
            self.assertEqual(self.send(b"{}", f"Idempotency-Key: {wrong}")[0], 400, wrong)


class KeysOfEvents(IngestCase):
    """Events with keys of their own."""

    dedupe = "id"

    def test_an_events_own_key_goes_before_the_requests(self) -> None:
        """A known event is a repeat whatever request it comes with; the others have the request's key."""
        self.send(b'{"id": "x"}')
        told = self.send(b'[{"id": "x"}, {"n": 1}]', "Idempotency-Key: k1")[1]
        self.assertEqual((told["sequences"], told["repeated"]), ([1, 2], [0]))
        told = self.send(b'[{"id": "x"}, {"n": 1}]', "Idempotency-Key: k1")[1]
        self.assertEqual((told["sequences"], told["repeated"]), ([1, 2], [0, 1]))
        self.assertEqual(self.records()[0].event.key, "x")


class Senders(IngestCase):
    """Who may send."""

    def test_a_token_must_be_for_this_source(self) -> None:
        """401 without one, 403 with one that is for others or may only look."""
        for token, status in ((None, 401), ("other", 403), ("board", 403), ("mender", 202), ("terminal", 202)):
            given = None if token is None else f"Authorization: Bearer {token}"
            self.assertEqual(self.send(b"{}", token=given)[0], status, token)
        self.assertEqual([record.event.device for record in self.records()], ["mender", "terminal"])

    def test_another_source_is_told(self) -> None:
        """And what may be read at the same place stays there."""
        self.assertEqual(self.send(b"{}", path="/api/v1/events/gaet")[0], 404)
        self.assertEqual(self.send(b"{}", path="/api/v1/events/gaet", token=None)[0], 401)
        connection, transport = self.connect()
        connection.dataReceived(get("/api/v1/events/7"))
        connection.dataReceived(get("/api/v1/events/7", method="PUT"))
        connection.dataReceived(get("/api/v1/events/gate"))
        answers = read_answers(transport.value())
        told = [(status, headers.get("Allow")) for status, headers, _ in answers]
        self.assertEqual(told, [(200, None), (405, "GET, HEAD"), (405, "POST")])
        self.leave(connection)

    def test_another_kind_of_body_is_refused(self) -> None:
        """A page of another site can send forms and text unasked, and neither is taken."""
        connection, transport = self.connect()
        connection.dataReceived(
            post("/api/v1/events/gate", b"{}", SENDER).replace(b"application/json", b"text/plain")
        )
        [(status, headers, _)] = read_answers(transport.value())
        self.assertEqual((status, headers["Accept-Post"]), (415, f"application/json, {NDJSON}"))
        self.leave(connection)


class Anonymous(IngestCase):
    """A source that needs no token at this machine."""

    anonymous = True

    def test_at_this_machine_no_token_is_needed(self) -> None:
        """Elsewhere, and through a proxy, one is; a token that may not send still may not."""
        self.assertEqual(self.send(b"{}", token=None)[0], 202)
        self.assertEqual(self.send(b"{}", token=None, host=AWAY)[0], 401)
        self.assertEqual(self.send(b"{}", "X-Forwarded-For: 192.0.2.1", token=None)[0], 401)
        self.assertEqual(self.send(b"{}", token="Authorization: Bearer other", host=AWAY)[0], 403)
        self.assertEqual(self.send(b"{}", host=AWAY)[0], 202)
        self.assertEqual([record.event.device for record in self.records()], [LOCAL, "terminal"])


class BadTimes(IngestCase):
    """A journal that stores nothing at present."""

    def test_a_paused_source_says_when_to_come_back(self) -> None:
        """503 with Retry-After, and nothing is stored."""
        self.journal.pause(True)
        status, told = self.send(b"{}")
        self.assertEqual((status, self.headers["Retry-After"], told["stored"]), (503, "5", 0))
        self.assertIn("the source is paused", told["detail"])
        self.journal.pause(False)
        self.assertEqual(self.send(b"{}")[0], 202)

    def test_a_disk_that_refuses_is_told_and_logged_once(self) -> None:
        """Senders come again; the status says why until it works again."""
        append = self.journal.append_batches

        async def refuse(source: str, batches: Any, **more: Any) -> Any:
            raise sqlite3.OperationalError("disk I/O error")

        self.patch(self.journal, "append_batches", refuse)
        self.assertEqual([self.send(b"{}")[0] for _ in range(2)], [503, 503])
        self.assertEqual(self.commits.problem, "cannot store: disk I/O error")
        self.patch(self.journal, "append_batches", append)
        self.assertEqual((self.send(b"{}")[0], self.commits.problem), (202, None))

    def test_of_a_commit_in_doubt_nobody_is_told_that_it_failed(self) -> None:
        """500 says that nobody knows, and how it is safe to send it again."""

        async def doubt(source: str, batches: Any, **more: Any) -> Any:
            raise CommitInDoubt("in the middle of a commit")

        self.patch(self.journal, "append_batches", doubt)
        status, told = self.send(b"{}")
        self.assertEqual(status, 500)
        self.assertIn("nobody knows", told["detail"])

    def test_too_many_requests_at_a_time_are_told(self) -> None:
        """429 with Retry-After, until others are through."""
        self.file.writer.held = True
        connections = []
        for _ in range(2):
            connection, transport = self.connect()
            connection.dataReceived(post("/api/v1/events/gate", b"{}", SENDER))
            connections.append((connection, transport))
        self.assertEqual((self.send(b"{}")[0], self.headers["Retry-After"]), (429, "1"))
        self.file.writer.release()
        for connection, transport in connections:
            self.assertEqual(read_answers(transport.value())[0][0], 202)
            self.leave(connection)
        self.assertEqual(self.send(b"{}")[0], 202)

    def test_one_sender_shuts_out_no_other(self) -> None:
        """Who has nothing under way is let in, however many requests another one keeps open."""
        slow = [self.connect()[0] for _ in range(2)]
        for connection in slow:
            connection.dataReceived(
                get(
                    "/api/v1/events/gate",
                    f"Content-Type: {NDJSON}",
                    "Content-Length: 100000",
                    SENDER,
                    method="POST",
                )
            )
        self.assertEqual(self.send(b"{}")[0], 429)
        self.assertEqual(self.send(b"{}", token="Authorization: Bearer mender")[0], 202)
        for connection in slow:
            self.leave(connection)
        self.assertEqual(self.send(b"{}")[0], 202)

    def test_a_gateway_that_stops_takes_nothing_more(self) -> None:
        """Of a body that is not all there the part that waits for the disk is stored; the rest is sent again."""
        body = b'{"a": 1}\n' * (TAKEN_WHOLE // 4)
        head = get(
            "/api/v1/events/gate", f"Content-Type: {NDJSON}", "Content-Length: 900000", SENDER, method="POST"
        )
        self.file.writer.held = True
        connection, transport = self.connect()
        connection.dataReceived(head + body)
        self.desk.answering.cancel()
        self.assertEqual(transport.value(), b"")
        self.file.writer.release()
        [(status, headers, _)] = read_answers(transport.value())
        self.assertEqual((status, headers["Retry-After"], headers["Connection"]), (503, "5", "close"))
        self.assertGreater(len(self.records()), 1000)
        self.leave(connection)

    def test_a_gateway_that_stops_tells_of_what_was_committed(self) -> None:
        """A request is cancelled while it waits for the disk: it is answered by what becomes of it."""
        self.file.writer.held = True
        connection, transport = self.connect()
        connection.dataReceived(post("/api/v1/events/gate", b"{}", SENDER))
        self.desk.answering.cancel()
        self.assertEqual(transport.value(), b"")
        self.file.writer.release()
        self.assertEqual(read_answers(transport.value())[0][0], 202)
        self.leave(connection)
