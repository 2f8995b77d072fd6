"""Clients of the HTTP edge, in memory: real connections and requests over a transport that a test holds."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

from tests.rig.http_client import ClientTransport, NoTokens, get, post, read_answers
from twisted.internet.address import IPv4Address
from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.internet.error import ConnectionDone
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from lineside.edges.http.bodies import ENOUGH
from lineside.edges.http.channel import LEAST_RATE, LINGER, SILENCE, PatientChannel
from lineside.edges.http.identification import Identification
from lineside.edges.http.part import HttpPart
from lineside.edges.http.request import AT_ONCE, LEFT_UNREAD
from lineside.edges.http.site import TAKEN_WHOLE, Desk, GatewaySite
from lineside.model.errors import JournalFull, LinesideError, NotFound
from lineside.operations.web import JSON, Answer, Call, Endpoint, Problem
from lineside.security.identity import Identity

MAX_BODY = 1000
LOCAL = "127.0.0.1"
AWAY = "192.0.2.7"


class SiteCase(SynchronousTestCase):
    """A site with a few endpoints."""

    max_connections = 3

    def setUp(self) -> None:
        self.clock = Clock()
        self.calls: list[Call] = []
        self.waiting: list[Deferred[Answer]] = []
        self.cancelled: list[str] = []
        self.pieces: list[bytes] = []
        self.tokens = NoTokens()
        self.start()

    def start(self) -> None:
        """Serve anew, with the tokens that there are now."""
        self.desk = Desk(self.endpoints(), Identification(self.tokens), max_body=MAX_BODY)
        self.site = GatewaySite(self.desk, self.clock, max_connections=self.max_connections)

    def endpoints(self) -> list[Endpoint]:
        takes = {JSON: Any}
        return [
            Endpoint("GET", "/plain", "plain", "Plain", None, self.plain),
            Endpoint("GET", "/things/{id}", "thing", "A thing", "read", self.thing),
            Endpoint("GET", "/later", "later", "Later", None, self.later),
            Endpoint("GET", "/flood", "flood", "Very much", None, self.flood),
            Endpoint("GET", "/large", "large", "Large", None, lambda _: Answer(200, b"x" * (3 * AT_ONCE))),
            Endpoint("GET", "/broken", "broken", "Broken", None, self.broken),
            Endpoint("GET", "/refused", "refused", "Refused", None, self.refused),
            Endpoint("GET", "/two-lines", "two", "Two", None, lambda _: Answer(headers=(("A", "b\r\nc: d"),))),
            Endpoint("POST", "/whole", "whole", "Whole", None, self.plain, takes=takes),
            Endpoint("POST", "/whole-later", "whole_later", "Whole", None, self.later, takes=takes),
            Endpoint("POST", "/stream", "stream", "Stream", None, self.stream, takes=takes, stream=True),
            Endpoint("POST", "/deaf", "deaf", "Reads nothing", None, self.plain, takes=takes, stream=True),
            Endpoint("POST", "/locked", "locked", "Locked", "operate", self.plain, takes=takes),
        ]

    def plain(self, call: Call) -> Answer:
        self.calls.append(call)
        return Answer(200, call.body or b"hello", "text/plain")

    async def thing(self, call: Call) -> Answer:
        if call.path["id"] == "missing":
            raise NotFound("there is no such thing")
        return Answer(200, json.dumps({"id": call.path["id"]}).encode())

    async def later(self, call: Call) -> Answer:
        self.calls.append(call)
        answer: Deferred[Answer] = Deferred()
        self.waiting.append(answer)
        try:
            return await answer
        except CancelledError:
            self.cancelled.append("later")
            raise

    def flood(self, call: Call) -> Answer:
        async def pieces() -> AsyncIterator[bytes]:
            try:
                for number in range(1000):
                    self.pieces.append(b"%d" % number)
                    yield b"%d\n" % number
            finally:
                self.cancelled.append("flood")

        return Answer(200, pieces(), "text/plain")

    async def broken(self, call: Call) -> Answer:
        raise ConnectionRefusedError("secret detail")

    async def refused(self, call: Call) -> Answer:
        raise {
            "full": JournalFull("the journal is full"),
            "wish": LinesideError("it cannot be done"),
            "problem": Problem(429, "too fast", headers={"Retry-After": "7"}, limit=3),
        }[call.headers["x-kind"]]

    async def stream(self, call: Call) -> Answer:
        self.calls.append(call)
        if call.stream is None:
            return Answer(200, b"whole %d" % len(call.body), "text/plain")
        size = 0
        try:
            async for piece in call.stream:
                size += len(piece)
                if piece.startswith(b"wait"):
                    wait: Deferred[Answer] = Deferred()
                    self.waiting.append(wait)
                    await wait
                if piece.startswith(b"no more"):
                    raise Problem(422, "enough")
        except CancelledError:
            self.cancelled.append("stream")
            raise
        return Answer(200, b"streamed %d" % size, "text/plain")

    def connect(self, host: str = LOCAL) -> tuple[PatientChannel, ClientTransport]:
        connection = self.site.buildProtocol(IPv4Address("TCP", host, 40000))
        assert connection is not None
        transport = ClientTransport(host)
        connection.makeConnection(transport)
        return connection, transport

    def leave(self, connection: PatientChannel) -> None:
        connection.connectionLost(Failure(ConnectionDone()))

    def ask(self, data: bytes, host: str = LOCAL) -> list[tuple[int, dict[str, str], bytes]]:
        """Send bytes over a connection of their own; return the answers that came."""
        connection, transport = self.connect(host)
        connection.dataReceived(data)
        answers = read_answers(transport.value())
        self.leave(connection)
        return answers


class Answers(SiteCase):
    """What a request is answered."""

    def test_a_get_is_answered_with_its_body(self) -> None:
        """Status, length, type and body are there, and nothing may be guessed from the body."""
        [(status, headers, body)] = self.ask(get("/plain"))
        self.assertEqual((200, b"hello"), (status, body))
        self.assertEqual("text/plain", headers["Content-Type"])
        self.assertEqual("nosniff", headers["X-Content-Type-Options"])
        self.assertIn("Date", headers)
        self.assertNotIn("Connection", headers)

    def test_a_head_is_a_get_without_its_body(self) -> None:
        """The length is the GET's, and the next answer follows at once."""
        connection, transport = self.connect()
        connection.dataReceived(get("/plain", method="HEAD") + get("/plain"))
        first, _, second = transport.value().partition(b"\r\n\r\n")
        self.assertIn(b"Content-Length: 5", first)
        [(status, _, body)] = read_answers(second)
        self.assertEqual((200, b"hello"), (status, body))
        self.leave(connection)

    def test_a_head_of_a_stream_runs_none(self) -> None:
        """Nothing is made of which nothing is sent."""
        [(status, headers, _)] = read_answers(self.sent(get("/flood", method="HEAD")), heads_only=True)
        self.assertEqual(200, status)
        self.assertEqual([], self.pieces)
        self.assertNotIn("Content-Length", headers)

    def sent(self, data: bytes) -> bytes:
        connection, transport = self.connect()
        connection.dataReceived(data)
        self.leave(connection)
        value: bytes = transport.value()
        return value

    def test_pipelined_requests_are_answered_in_their_order(self) -> None:
        """Also where the first takes longer than those behind it."""
        connection, transport = self.connect()
        connection.dataReceived(get("/later") + get("/plain") + get("/things/7"))
        self.assertEqual(b"", transport.value())
        self.waiting[0].callback(Answer(200, b"first", "text/plain"))
        self.assertEqual([b"first", b"hello", b'{"id": "7"}'], [body for _, _, body in answers_of(transport)])
        self.assertFalse(transport.disconnecting)
        self.leave(connection)

    def test_many_tiny_requests_at_once_are_all_answered(self) -> None:
        """Their number is no depth of calls."""
        answers = self.ask(get("/plain") * 3000)
        self.assertEqual(3000, len(answers))

    def test_requests_that_come_byte_by_byte_are_the_same(self) -> None:
        """How the network cuts a request means nothing."""
        connection, transport = self.connect()
        for byte in get("/plain") + post("/whole", b"[1, 2]") + get("/plain"):
            connection.dataReceived(bytes([byte]))
        self.assertEqual([b"hello", b"[1, 2]", b"hello"], [body for _, _, body in answers_of(transport)])
        self.leave(connection)

    def test_an_http_1_0_client_gets_its_answer_and_the_end(self) -> None:
        """It knows no chunks: of a stream the connection's end is the end."""
        connection, transport = self.connect()
        connection.dataReceived(get("/flood").replace(b"HTTP/1.1", b"HTTP/1.0"))
        head, _, body = transport.value().partition(b"\r\n\r\n")
        self.assertIn(b"Connection: close", head)
        self.assertTrue(body.endswith(b"\n999\n"))
        self.assertTrue(transport.disconnecting)
        self.leave(connection)

    def test_a_client_that_wants_the_end_gets_it(self) -> None:
        """`Connection: close` is obeyed, and said."""
        connection, transport = self.connect()
        connection.dataReceived(get("/plain", "Connection: close") + get("/plain"))
        [(_, headers, _)] = answers_of(transport)
        self.assertEqual("close", headers["Connection"])
        self.assertTrue(transport.disconnecting)
        self.leave(connection)

    def test_a_target_may_be_a_whole_address(self) -> None:
        """Such as proxies send (RFC 9112, section 3.2.2); its host goes before the header."""
        [(status, _, _)] = self.ask(get("http://localhost/things/7"))
        self.assertEqual(200, status)
        [(status, _, _)] = self.ask(get("http://elsewhere.example/things/7"))
        self.assertEqual(401, status)

    def test_an_answer_that_the_client_has_is_not_sent_again(self) -> None:
        """The ETag of what was read before gets 304, without a body and without a length."""
        [(_, headers, _)] = self.ask(get("/things/7"))
        tag = headers["ETag"]
        [(status, headers, _)] = self.ask(get("/things/7", f"If-None-Match: {tag}"))
        self.assertEqual(304, status)
        self.assertEqual(tag, headers["ETag"])
        self.assertNotIn("Content-Length", headers)
        self.assertNotIn("Content-Type", headers)
        [(status, _, _)] = self.ask(get("/things/8", f"If-None-Match: {tag}"))
        self.assertEqual(200, status)


def answers_of(transport: ClientTransport) -> list[tuple[int, dict[str, str], bytes]]:
    """Take the answers off a transport."""
    answers = read_answers(transport.value())
    transport.clear()
    return answers


class Refusals(SiteCase):
    """What is told where there is nothing to answer."""

    def problem(self, data: bytes, host: str = LOCAL) -> tuple[int, dict[str, str], dict[str, Any]]:
        [(status, headers, body)] = self.ask(data, host)
        self.assertEqual("application/problem+json", headers["Content-Type"])
        problem: dict[str, Any] = json.loads(body)
        self.assertEqual(status, problem["status"])
        return status, headers, problem

    def test_what_is_not_there(self) -> None:
        """A wrong path, a wrong method, an unknown parameter: each is told as a problem."""
        self.assertEqual(404, self.problem(get("/nowhere"))[0])
        self.assertEqual(404, self.problem(get("*", method="OPTIONS"))[0])
        status, headers, _ = self.problem(post("/plain", b"{}"))
        self.assertEqual((405, "GET, HEAD"), (status, headers["Allow"]))
        status, _, problem = self.problem(get("/plain?colour=red"))
        self.assertEqual((400, "unknown parameter 'colour'; there are: none"), (status, problem["detail"]))

    def test_errors_become_statuses(self) -> None:
        """Each kind of error has its own, and what the gateway cannot take now may be sent again."""
        self.assertEqual(404, self.problem(get("/things/missing"))[0])
        status, headers, _ = self.problem(get("/refused", "X-Kind: full"))
        self.assertEqual((503, "5"), (status, headers["Retry-After"]))
        self.assertEqual(409, self.problem(get("/refused", "X-Kind: wish"))[0])
        status, headers, problem = self.problem(get("/refused", "X-Kind: problem"))
        self.assertEqual((429, "7", 3), (status, headers["Retry-After"], problem["limit"]))

    def test_a_failure_is_told_without_its_secrets(self) -> None:
        """The client learns that it failed, the log why; the connection goes on."""
        connection, transport = self.connect()
        connection.dataReceived(get("/broken") + get("/plain"))
        first, second = answers_of(transport)
        self.assertEqual((500, 200), (first[0], second[0]))
        self.assertNotIn(b"secret", first[2])
        [logged] = self.flushLoggedErrors(ConnectionRefusedError)
        self.assertEqual("secret detail", str(logged.value))
        self.leave(connection)

    def test_a_header_is_one_line(self) -> None:
        """What an endpoint takes from elsewhere cannot add headers."""
        connection, transport = self.connect()
        with self.assertRaises(ValueError):
            connection.dataReceived(get("/two-lines"))
        self.assertEqual(b"", transport.value())
        self.leave(connection)

    def test_what_is_no_http_is_told_so(self) -> None:
        """Nonsense, a head that is too large, strange lengths: each gets 400 and the end."""
        for nonsense in (
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n",
            b"GET /plain\r\n\r\n",
            b"GET /plain HTTP/1.1\r\nNo colon\r\n\r\n",
            b"GET /" + b"x" * 20_000 + b" HTTP/1.1\r\n\r\n",
            get("/plain", *[f"X-{number}: 1" for number in range(101)]),
            get("/plain", *[f"X-{number}: {'x' * 10_000}" for number in range(4)]),
            get("/whole", "Content-Length: -1", method="POST"),
            get("/whole", "Content-Length: " + "9" * 5000, method="POST"),
            get("/whole", "Content-Length: 5", "Content-Length: 6", method="POST"),
            get("/whole", "Content-Length: 5", "Transfer-Encoding: chunked", method="POST"),
            get("/whole", "Transfer-Encoding: gzip", method="POST"),
        ):
            connection, transport = self.connect()
            connection.dataReceived(nonsense)
            [(status, headers, _)] = answers_of(transport)
            self.assertEqual((400, "close"), (status, headers["Connection"]), nonsense[:60])
            self.assertTrue(transport.disconnecting)
            self.leave(connection)

    def test_chunks_that_make_no_sense_are_refused(self) -> None:
        """Whether or not somebody reads them already."""
        for path in ("/whole", "/stream"):
            connection, transport = self.connect()
            head = get(path, "Content-Type: application/json", "Transfer-Encoding: chunked", method="POST")
            connection.dataReceived(head + b"5\r\nhello\r\n")
            connection.dataReceived(b"many\r\n")
            [(status, _, _)] = answers_of(transport)
            self.assertEqual(400, status)
            self.assertTrue(transport.disconnecting)
            self.leave(connection)
        self.assertEqual(["stream"], self.cancelled)


class Identities(SiteCase):
    """Who is let in."""

    def status(self, data: bytes, host: str = LOCAL) -> int:
        [(status, _, _)] = self.ask(data, host)
        return status

    def test_without_a_token_this_machine_looks_and_changes_nothing(self) -> None:
        """Others are asked for a token, and so is who comes through a proxy or by a strange name."""
        self.assertEqual(200, self.status(get("/things/7")))
        self.assertEqual(403, self.status(post("/locked", b"{}")))
        self.assertEqual(401, self.status(get("/things/7"), AWAY))
        self.assertEqual(401, self.status(get("/things/7", "X-Forwarded-For: 192.0.2.7")))
        self.assertEqual(401, self.status(get("/things/7", host="rebound.example")))

    def test_with_a_token_everybody_needs_one(self) -> None:
        """Its role says what its holder may; a wrong one is refused even where none is needed."""
        self.tokens = NoTokens(good=Identity("board", "viewer"), better=Identity("op", "operator"))
        self.start()
        self.assertEqual(401, self.status(get("/things/7")))
        self.assertEqual(200, self.status(get("/things/7", "Authorization: Bearer good"), AWAY))
        self.assertEqual(403, self.status(post("/locked", b"{}", "Authorization: Bearer good")))
        self.assertEqual(200, self.status(post("/locked", b"{}", "Authorization: Bearer better")))
        self.assertEqual(401, self.status(get("/plain", "Authorization: Bearer bad")))

    def test_an_endpoint_learns_who_asks_and_from_where(self) -> None:
        """For what it checks by itself."""
        self.ask(get("/plain"))
        self.ask(get("/plain"), AWAY)
        self.ask(get("/plain", host="rebound.example"))
        self.assertEqual([True, False, False], [call.local for call in self.calls])
        self.assertEqual([LOCAL, AWAY, LOCAL], [call.peer for call in self.calls])
        self.assertEqual("localhost:8080", self.calls[0].headers["host"])
        self.assertEqual({"host"}, set(self.calls[0].headers))


class Bodies(SiteCase):
    """What clients send, whole and as it comes."""

    def test_a_body_is_taken_whole_up_to_its_limit(self) -> None:
        """A longer one is refused by its head, or when it comes to light."""
        [(status, _, body)] = self.ask(post("/whole", b"x" * MAX_BODY))
        self.assertEqual((200, b"x" * MAX_BODY), (status, body))
        [(status, _, _)] = self.ask(post("/whole", b"x" * (MAX_BODY + 1)))
        self.assertEqual(413, status)
        head = get("/whole", "Content-Type: application/json", "Transfer-Encoding: chunked", method="POST")
        [(status, _, _)] = self.ask(head + chunk(b"x" * MAX_BODY) + chunk(b"x") + chunk(b""))
        self.assertEqual(413, status)

    def test_chunks_are_one_body(self) -> None:
        """And the next request follows the last of them."""
        head = get("/whole", "Content-Type: application/json", "Transfer-Encoding: chunked", method="POST")
        first, second = self.ask(head + chunk(b"ab") + chunk(b"c") + chunk(b"") + get("/plain"))
        self.assertEqual((b"abc", b"hello"), (first[2], second[2]))

    def test_another_content_type_is_refused(self) -> None:
        """A page of another site may send text and forms without being asked first, and nothing else."""
        for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""):
            [(status, headers, _)] = self.ask(
                get("/whole", f"Content-Type: {kind}", "Content-Length: 2", method="POST") + b"{}"
            )
            self.assertEqual((415, JSON), (status, headers["Accept-Post"]))

    def test_a_refused_client_that_sends_on_gets_its_answer(self) -> None:
        """What it still sends passes, and the connection is good for the next request."""
        connection, transport = self.connect()
        body = b"x" * (MAX_BODY + 1)
        connection.dataReceived(post("/whole", body)[: -len(body)])
        self.assertEqual([413], [status for status, _, _ in answers_of(transport)])
        connection.dataReceived(body + get("/plain"))
        self.assertEqual([200], [status for status, _, _ in answers_of(transport)])
        self.leave(connection)

    def test_a_refused_client_that_sends_without_end_is_cut_off(self) -> None:
        """As much as it may have sent before it reads is passed over, and no more."""
        connection, transport = self.connect()
        connection.dataReceived(get("/whole", f"Content-Length: {10 * LEFT_UNREAD}", method="POST"))
        self.assertEqual([415], [status for status, _, _ in answers_of(transport)])
        connection.dataReceived(b"x" * LEFT_UNREAD)
        self.assertFalse(transport.aborted)
        connection.dataReceived(b"x")
        self.assertTrue(transport.aborted)
        self.leave(connection)

    def test_a_client_that_asks_first_is_told_to_go_on(self) -> None:
        """`Expect: 100-continue` is answered when the head was found good, before the body is there."""
        connection, transport = self.connect()
        request = post("/whole", b"[]", "Expect: 100-continue")
        connection.dataReceived(request[:-2])
        self.assertEqual(b"HTTP/1.1 100 Continue\r\n\r\n", transport.value())
        transport.clear()
        connection.dataReceived(request[-2:])
        self.assertEqual([b"[]"], [body for _, _, body in answers_of(transport)])
        self.leave(connection)

    def test_a_client_that_asks_first_and_is_refused_sends_nothing(self) -> None:
        """It gets the refusal alone, and the end: whether a body follows nobody could tell."""
        for path in ("/whole", "/deaf"):
            connection, transport = self.connect()
            size = MAX_BODY + 1 if path == "/whole" else TAKEN_WHOLE + 1
            connection.dataReceived(post(path, b"x" * size, "Expect: 100-continue")[:-size])
            [(_, headers, _)] = answers_of(transport)
            self.assertEqual("close", headers["Connection"])
            self.assertTrue(transport.disconnecting)
            self.leave(connection)

    def test_a_small_body_needs_no_stream(self) -> None:
        """An endpoint that takes streams gets it whole, which is quicker; a larger one as it comes."""
        [(_, _, body)] = self.ask(post("/stream", b"x" * TAKEN_WHOLE))
        self.assertEqual(b"whole %d" % TAKEN_WHOLE, body)
        [(_, _, body)] = self.ask(post("/stream", b"x" * (TAKEN_WHOLE + 1)))
        self.assertEqual(b"streamed %d" % (TAKEN_WHOLE + 1), body)

    def stream_head(self, size: int = 10 * ENOUGH) -> bytes:
        return get("/stream", "Content-Type: application/json", f"Content-Length: {size}", method="POST")

    def test_a_stream_is_read_no_faster_than_its_reader(self) -> None:
        """When enough waits the connection is left alone, and read on when the reader has taken it."""
        connection, transport = self.connect()
        connection.dataReceived(self.stream_head())
        connection.dataReceived(b"wait")
        self.assertTrue(transport.reading)
        connection.dataReceived(b"x" * ENOUGH)
        self.assertFalse(transport.reading)
        self.clock.advance(10 * SILENCE)
        self.assertFalse(transport.disconnecting)
        self.waiting[0].callback(Answer())
        self.assertTrue(transport.reading)
        connection.dataReceived(b"x" * (9 * ENOUGH - 4))
        self.assertEqual([b"streamed %d" % (10 * ENOUGH)], [body for _, _, body in answers_of(transport)])
        self.leave(connection)

    def test_an_answer_that_drains_reads_no_held_body(self) -> None:
        """Back-pressure of one direction is not undone by the other's."""
        connection, transport = self.connect()
        connection.dataReceived(self.stream_head() + b"wait")
        connection.dataReceived(b"x" * ENOUGH)
        transport.fill()
        transport.drain()
        self.assertFalse(transport.reading)
        self.leave(connection)

    def test_a_reader_that_gives_up_lets_the_rest_pass(self) -> None:
        """Even where the connection was held when it did; the next request is answered."""
        connection, transport = self.connect()
        size = 3 * ENOUGH
        connection.dataReceived(self.stream_head(size) + b"wait")
        connection.dataReceived(b"no more" + b"x" * ENOUGH)
        self.assertFalse(transport.reading)
        self.waiting[0].callback(Answer())
        self.assertEqual([422], [status for status, _, _ in answers_of(transport)])
        self.assertTrue(transport.reading)
        connection.dataReceived(b"x" * (size - 11 - ENOUGH) + get("/plain"))
        self.assertEqual([200], [status for status, _, _ in answers_of(transport)])
        self.leave(connection)


def chunk(data: bytes) -> bytes:
    """Write a chunk; the empty one is the last."""
    return b"%x\r\n%b\r\n" % (len(data), data)


class Patience(SiteCase):
    """Who is waited for, and for how long."""

    def advance(self, seconds: float) -> None:
        self.clock.pump([1.0] * round(seconds))

    def test_a_silent_connection_is_closed(self) -> None:
        """Before its first request, and after an answer."""
        connection, transport = self.connect()
        self.advance(SILENCE - 2)
        connection.dataReceived(get("/plain"))
        self.advance(SILENCE - 2)
        self.assertFalse(transport.disconnecting)
        self.advance(3)
        self.assertTrue(transport.disconnecting)
        self.assertEqual(1, len(answers_of(transport)))
        self.leave(connection)

    def test_a_head_that_trickles_in_is_given_up(self) -> None:
        """A byte now and then moves nothing (slowloris); it is told 408, and the connection ends."""
        connection, transport = self.connect()
        for byte in get("/plain")[:40]:
            connection.dataReceived(bytes([byte]))
            self.advance(2)
            if transport.disconnecting:
                break
        [(status, headers, _)] = answers_of(transport)
        self.assertEqual((408, "close"), (status, headers["Connection"]))
        self.assertTrue(transport.disconnecting)
        self.advance(LINGER + 1)
        self.assertTrue(transport.aborted)
        self.leave(connection)

    def test_who_has_its_answer_leaves(self) -> None:
        """TLS ends when both sides say so, and a client that never does is cut all the same."""
        connection, transport = self.connect()
        connection.dataReceived(b"GET /plain HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        self.assertTrue(transport.disconnecting)
        self.assertFalse(transport.aborted)
        self.advance(SILENCE + LINGER + 3)
        self.assertTrue(transport.aborted)
        self.leave(connection)

    def test_a_body_has_its_own_time(self) -> None:
        """A connection that was quiet for long is not cut in the middle of its next request."""
        connection, transport = self.connect()
        self.advance(SILENCE - 2)
        request = post("/whole", b"[]")
        connection.dataReceived(request[:-2])
        self.advance(SILENCE - 2)
        connection.dataReceived(request[-2:])
        self.assertEqual([200], [status for status, _, _ in answers_of(transport)])
        self.leave(connection)

    def test_a_body_must_come_at_the_least_rate(self) -> None:
        """At that rate it may take for hours; at half of it, it is given up, and its reader with it."""
        for rate, ends in ((LEAST_RATE + 20, False), (LEAST_RATE // 2, True)):
            connection, transport = self.connect()
            size = f"Content-Length: {100 * ENOUGH}"
            connection.dataReceived(get("/stream", "Content-Type: application/json", size, method="POST"))
            for _ in range(200):
                if not transport.disconnecting:
                    connection.dataReceived(b"x" * rate)
                    self.advance(1)
            self.assertEqual(ends, transport.disconnecting)
            self.assertEqual([408] * ends, [status for status, _, _ in answers_of(transport)])
            self.leave(connection)

    def test_an_answer_may_take_its_time(self) -> None:
        """Who waits for the gateway is never at fault."""
        connection, transport = self.connect()
        connection.dataReceived(get("/later"))
        self.advance(100 * SILENCE)
        self.assertFalse(transport.disconnecting)
        self.waiting[0].callback(Answer(200, b"at last", "text/plain"))
        self.assertEqual([b"at last"], [body for _, _, body in answers_of(transport)])
        self.leave(connection)

    def test_a_held_body_that_is_there_starts_no_clock(self) -> None:
        """The reader takes the last of it, and then its own time."""
        connection, transport = self.connect()
        size = f"Content-Length: {2 * ENOUGH}"
        connection.dataReceived(get("/stream", "Content-Type: application/json", size, method="POST"))
        connection.dataReceived(b"wait")
        connection.dataReceived(b"x" * ENOUGH)
        connection.dataReceived(b"wait" + b"x" * (ENOUGH - 8))
        self.waiting[0].callback(Answer())
        self.advance(3 * SILENCE)
        self.assertFalse(transport.disconnecting)
        self.waiting[1].callback(Answer())
        self.assertEqual([200], [status for status, _, _ in answers_of(transport)])
        self.leave(connection)

    def test_a_stream_is_made_no_faster_than_it_is_taken(self) -> None:
        """While the client takes nothing, no piece more is made; then it goes on to the end."""
        connection, transport = self.connect()

        def fill_once() -> None:
            if len(self.pieces) == 10:
                transport.fill()

        transport.on_write = fill_once
        connection.dataReceived(get("/flood"))
        self.assertEqual(10, len(self.pieces))
        self.advance(SILENCE - 2)
        transport.drain()
        self.assertEqual(1000, len(self.pieces))
        [(_, _, body)] = answers_of(transport)
        self.assertTrue(body.endswith(b"\n999\n"))
        self.leave(connection)

    def test_a_reader_who_takes_nothing_is_cut_off(self) -> None:
        """From a stream, and from one large answer; who takes it piece by piece has his time for each."""
        for path in ("/flood", "/large"):
            connection, transport = self.connect()
            transport.on_write = transport.fill
            connection.dataReceived(get(path))
            self.advance(SILENCE - 2)
            self.assertFalse(transport.aborted)
            transport.drain()
            self.advance(SILENCE - 2)
            self.assertFalse(transport.aborted)
            self.advance(3)
            self.assertTrue(transport.aborted)
            self.leave(connection)
        self.assertEqual(["flood"], self.cancelled)

    def test_a_large_answer_comes_whole(self) -> None:
        """With its length, and the next one after it."""
        first, second = self.ask(get("/large") + get("/plain"))
        self.assertEqual((3 * AT_ONCE, b"hello"), (len(first[2]), second[2]))
        self.assertEqual(str(3 * AT_ONCE), first[1]["Content-Length"])


class Leaving(SiteCase):
    """Clients that go, and a gateway that does."""

    def test_work_for_who_left_is_cancelled(self) -> None:
        """Be it an answer, a stream that is read or one that is sent."""
        for request in (get("/later"), post("/stream", b"x" * (2 * TAKEN_WHOLE))[:-1]):
            connection, transport = self.connect()
            connection.dataReceived(request)
            self.leave(connection)
            self.assertEqual(b"", transport.value())
        self.assertEqual(["later", "stream"], self.cancelled)
        self.assertEqual(0, len(self.desk.answering))

    def test_a_client_that_closes_its_side_gets_what_is_answered(self) -> None:
        """The answer to what changes something comes; then the connection ends."""
        connection, transport = self.connect()
        connection.dataReceived(post("/whole-later", b"[]"))
        connection.readConnectionLost()
        self.assertFalse(transport.disconnecting)
        self.waiting[0].callback(Answer(200, b"done", "text/plain"))
        self.assertEqual([b"done"], [body for _, _, body in answers_of(transport)])
        self.assertTrue(transport.disconnecting)
        self.leave(connection)

    def test_a_client_that_closes_its_side_early_is_let_go(self) -> None:
        """In the middle of a head or a body nothing can come of it; of a question nothing is changed."""
        for request in (b"GET /pl", post("/whole", b"[1]")[:-1], get("/later")):
            connection, transport = self.connect()
            connection.dataReceived(request)
            connection.readConnectionLost()
            self.assertTrue(transport.disconnecting)
            self.leave(connection)
        self.assertEqual(["later"], self.cancelled)

    def test_what_is_under_way_when_the_gateway_stops_is_told(self) -> None:
        """Who waits hears that it is to come again later."""
        connection, transport = self.connect()
        connection.dataReceived(get("/later"))
        self.desk.answering.cancel()
        [(status, headers, _)] = answers_of(transport)
        self.assertEqual((503, "5"), (status, headers["Retry-After"]))
        self.assertTrue(transport.disconnecting)
        self.leave(connection)

    def test_who_is_silent_makes_room(self) -> None:
        """Whoever opens connections and asks nothing, or takes long to ask, shuts out nobody."""
        silent = []
        for _ in range(self.max_connections):
            silent.append(self.connect(AWAY))
            self.clock.advance(1)
        silent[0][0].dataReceived(get("/plain"))
        silent[1][0].dataReceived(b"POST /whole HTTP/1.1\r\nHost: localhost\r\nContent-Len")
        connection, transport = self.connect()
        self.assertEqual([False, True, False], [each.disconnecting for _, each in silent])
        self.assertEqual(408, answers_of(silent[1][1])[0][0])
        self.assertEqual(self.max_connections, len(self.site.connections))
        connection.dataReceived(get("/plain"))
        self.assertEqual(200, answers_of(transport)[0][0])
        for each in (connection, *(each for each, _ in silent)):
            self.leave(each)

    def test_no_more_connections_than_allowed(self) -> None:
        """Further ones are closed where all are worked on, which is told now and then; who leaves makes room."""
        connections = [self.connect()[0] for _ in range(self.max_connections)]
        for connection in connections:
            connection.dataReceived(get("/later"))
        warnings: list[dict[str, Any]] = []
        self.patch(GatewaySite, "log", None)
        from lineside.edges.http import site  # noqa: PLC0415

        self.patch(site.log, "observer", warnings.append)
        for _ in range(3):
            self.assertIsNone(self.site.buildProtocol(IPv4Address("TCP", AWAY, 1)))
        self.assertEqual(["http.busy"], [event["log_format"] for event in warnings])
        self.leave(connections.pop())
        connections.append(self.connect()[0])
        for connection in connections:
            self.leave(connection)

    def test_strangers_bodies_take_little_room(self) -> None:
        """However many send some at a time: who has said who they are finds room, and so does the next stranger."""
        self.tokens = NoTokens(anna=Identity("anna", "admin"))
        self.start()
        self.patch(self.site, "strangers_room", 1500)
        head = get("/whole", "Content-Type: application/json", f"Content-Length: {MAX_BODY}", method="POST")
        first, _ = self.connect(AWAY)
        first.dataReceived(head + b"1" * 900)
        second, refused = self.connect(AWAY)
        second.dataReceived(head + b"1" * 900)
        [(status, headers, _)] = answers_of(refused)
        self.assertEqual((503, "5"), (status, headers["Retry-After"]))
        self.assertEqual(900, self.site.strangers_hold)
        known, transport = self.connect(AWAY)
        known.dataReceived(post("/whole", b"1" * 900, "Authorization: Bearer anna"))
        self.assertEqual(200, answers_of(transport)[0][0])
        first.dataReceived(b"1" * 100 + head + b"1" * 900)
        for connection in (first, second):
            self.leave(connection)
        last, transport = self.connect(AWAY)
        last.dataReceived(post("/whole", b"1" * 900))
        self.assertEqual(200, answers_of(transport)[0][0])
        self.leave(last)
        self.assertEqual(0, self.site.strangers_hold)

    def test_a_site_without_connections_has_no_timer(self) -> None:
        """Nothing is left behind when it stops."""
        connection, _ = self.connect()
        self.assertEqual(1, len(self.clock.getDelayedCalls()))
        self.leave(connection)
        self.assertEqual([], self.clock.getDelayedCalls())


class PlayedPort:
    """Listens to nobody; connections are made by the test."""

    def listen(self, site: Any) -> Deferred[Any]:
        return succeed(self)

    def stopListening(self) -> None:
        """Nobody comes any more."""

    def getHost(self) -> IPv4Address:
        return IPv4Address("TCP", LOCAL, 8080)


class Stopping(SiteCase):
    """A gateway that stops."""

    def start(self) -> None:
        super().start()
        port: Any = PlayedPort()
        self.part = HttpPart(port, "8080", self.desk, self.clock, max_connections=self.max_connections)
        self.successResultOf(Deferred.fromCoroutine(self.part.start()))
        self.site = self.part._site

    def endpoints(self) -> list[Endpoint]:
        return [Endpoint("GET", "/commit", "commit", "Carried out in any case", None, self.commit)]

    async def commit(self, call: Call) -> Answer:
        self.calls.append(call)
        told: Deferred[Answer] = Deferred(lambda _: told.callback(Answer(200, b"done")))
        self.waiting.append(told)
        return await told

    def test_no_further_request_is_begun(self) -> None:
        """Clients that ask without a pause, each answer a new question, do not keep it from stopping."""
        connection, transport = self.connect()
        connection.dataReceived(get("/commit") * 3)
        ended = Deferred.fromCoroutine(self.part.stop())
        for _ in range(3):
            if self.waiting and not self.waiting[-1].called:
                self.waiting[-1].callback(Answer(200, b"done"))
        self.successResultOf(ended)
        self.assertEqual(1, len(self.calls))
        [(status, headers, _)] = read_answers(transport.value())
        self.assertEqual((200, "close"), (status, headers["Connection"]))
        self.assertTrue(transport.disconnecting)

    def test_who_asks_nothing_is_let_go_at_once(self) -> None:
        """Also in the middle of a request's head."""
        _, idle = self.connect()
        connection, begun = self.connect()
        connection.dataReceived(b"GET /com")
        self.successResultOf(Deferred.fromCoroutine(self.part.stop()))
        self.assertTrue(idle.disconnecting and begun.disconnecting)
        self.assertEqual((b"", b""), (idle.value(), begun.value()))
