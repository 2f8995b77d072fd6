"""One address floods, and a good client beside it is served throughout: each edge, in memory."""

from __future__ import annotations

from typing import Any

from tests.memory.test_http_site import SiteCase
from tests.memory.test_lines_edge import LinesCase
from tests.rig.http_client import ClientTransport, NoTokens, get, read_answers
from twisted.internet.address import IPv4Address
from twisted.trial.unittest import SynchronousTestCase

from lineside.edges.http.identification import Identification
from lineside.edges.http.refusing import HEARS, REFUSING, Refusing
from lineside.edges.http.site import Desk, GatewaySite
from lineside.security import turnstile
from lineside.security.identity import Identity
from lineside.security.limits import FREE, Rate
from lineside.security.turnstile import CONNECTIONS, FAILURES, IDENTITY, REQUESTS, SAY_EVERY, Bounds, Turnstile

FLOOD, GOOD, TRUSTED = "192.0.2.66", "192.0.2.7", "10.0.0.9"
BOUNDS = Bounds(("10.0.0.0/8",), 2, Rate(3, 1.0), Rate(4, 1.0))


class HttpLimits(SiteCase):
    """What HTTP clients are held to."""

    max_connections = 100

    def start(self) -> None:
        """Serve with limits."""
        self.warnings: list[dict[str, Any]] = []
        self.patch(turnstile.log, "observer", self.warnings.append)
        self.tokens = NoTokens(good=Identity("mill", "admin"), other=Identity("press", "admin"))
        self.turnstile = Turnstile(BOUNDS, self.clock)
        waits = Identification(self.tokens, wait=lambda peer: self.turnstile.failed("http", peer))
        self.desk = Desk(self.endpoints(), waits, turnstile=self.turnstile)
        share = self.turnstile.share("http", self.max_connections)
        self.site = GatewaySite(self.desk, self.clock, max_connections=self.max_connections, share=share)

    def status(self, path: str, host: str, token: str | None = None) -> tuple[int, str | None]:
        """Ask once; return the status and after how long to come again."""
        headers = [] if token is None else [f"Authorization: Bearer {token}"]
        [(status, answer, _)] = self.ask(get(path, *headers), host)
        return status, answer.get("Retry-After")

    def test_requests_of_one_address_have_a_rate(self) -> None:
        """A flood of pages that are there, and of ones that are not, is answered 429; others are not touched."""
        self.assertEqual([200, 404, 200], [self.status(p, FLOOD)[0] for p in ("/plain", "/none", "/plain")])
        for path in ("/plain", "/none") * 20:
            self.assertEqual((429, "1"), self.status(path, FLOOD))
        self.assertEqual((200, None), self.status("/plain", GOOD))
        self.assertEqual([200] * 20, [self.status("/plain", TRUSTED)[0] for _ in range(20)])
        self.assertEqual(40, self.turnstile.refused[REQUESTS, "http"])
        self.clock.advance(1)
        self.assertEqual((200, None), self.status("/plain", FLOOD))

    def test_an_identity_has_a_rate_wherever_it_comes_from(self) -> None:
        """It is the token's, not the address's: neither many addresses help it, nor does it harm its neighbour."""
        hosts = [FLOOD, GOOD, TRUSTED, "127.0.0.1"]
        self.assertEqual([200] * 4, [self.status("/things/a", host, "good")[0] for host in hosts])
        self.assertEqual((429, "1"), self.status("/things/a", GOOD, "good"))
        self.assertEqual((200, None), self.status("/things/a", FLOOD, "other"))
        self.assertEqual(1, self.turnstile.refused[IDENTITY, "http"])

    def test_who_guesses_waits_and_a_valid_token_beside_it_does_not(self) -> None:
        """401 at first, then 429 with ever longer waits; behind the same address the good client is served."""
        seen = []
        for _ in range(FREE + 1):
            seen.append(self.status("/things/a", FLOOD, "guessed")[0])
            self.clock.advance(0.5)
        self.assertEqual([401] * (FREE + 1), seen)
        self.assertEqual((429, "1"), self.status("/things/a", FLOOD, "guessed"))
        self.assertEqual((200, None), self.status("/things/a", FLOOD, "good"))
        self.clock.advance(1)
        self.assertEqual(401, self.status("/things/a", FLOOD, "guessed")[0])
        self.assertEqual((429, "2"), self.status("/things/a", FLOOD, "guessed"))
        self.assertEqual(401, self.status("/things/a", GOOD, "guessed")[0])
        self.assertEqual(2, self.turnstile.refused[FAILURES, "http"])

    def turned_away(self) -> tuple[Refusing, ClientTransport]:
        """Connect once more than one may."""
        connection = self.site.buildProtocol(IPv4Address("TCP", FLOOD, 1))
        assert isinstance(connection, Refusing)
        transport = ClientTransport(FLOOD)
        connection.makeConnection(transport)
        return connection, transport

    def test_connections_of_one_address_are_few(self) -> None:
        """A further one is told so, in HTTP, and cut where it does not go; who leaves makes room."""
        held = [self.connect(FLOOD)[0] for _ in range(2)]
        connection, transport = self.turned_away()
        [(status, headers, _)] = read_answers(transport.value())
        self.assertEqual((429, "5"), (status, headers["Retry-After"]))
        connection.dataReceived(get("/plain"))
        self.clock.advance(HEARS)
        self.assertTrue(transport.aborted)
        connection.connectionLost()
        self.assertEqual([200] * 3, [self.ask(get("/plain"), GOOD)[0][0]] * 3)
        trusted = [self.connect(TRUSTED)[0] for _ in range(10)]
        self.leave(held.pop())
        held.append(self.connect(FLOOD)[0])
        for each in held + trusted:
            self.leave(each)

    def test_only_some_are_told(self) -> None:
        """Of a flood of connections few get an answer at a time; the others are closed at once."""
        held = [self.connect(FLOOD)[0] for _ in range(2)]
        told = [self.turned_away()[0] for _ in range(REFUSING)]
        self.assertIsNone(self.site.buildProtocol(IPv4Address("TCP", FLOOD, 1)))
        told.pop().connectionLost()
        told.append(self.turned_away()[0])
        for refused in told:
            refused.connectionLost()
        for each in held:
            self.leave(each)

    def test_the_log_says_it_now_and_then(self) -> None:
        """One line with what to do, however many are refused; the next one tells of how many there were."""
        for _ in range(53):
            self.status("/plain", FLOOD)
        self.clock.advance(SAY_EVERY)
        for _ in range(4):
            self.status("/plain", FLOOD)
        lines = [(each["limit"], each["caller"], each["more"]) for each in self.warnings]
        self.assertEqual([(REQUESTS, FLOOD, 0), (REQUESTS, FLOOD, 49)], lines)
        self.assertIn("[limits]", self.warnings[0]["remedy"])


class LineLimits(LinesCase):
    """What devices are held to."""

    def test_devices_of_one_address_leave_room_for_others(self) -> None:
        """A further one is told `ERR busy`; one that is connected is answered, and who leaves makes room."""
        counted = Turnstile(Bounds(connections=1), self.clock)
        self.intake.share = counted.share("sources.gate", self.limits.max_connections)
        connection, transport = self.device()
        _, refused = self.device()
        self.assertEqual(["ERR busy too many connections"], self.answers(refused))
        self.say(connection, b'{"n":1}\n')
        self.assertEqual(["OK 1"], self.answers(transport))
        self.assertEqual(1, counted.refused[CONNECTIONS, "sources.gate"])
        connection.connectionLost()
        again, transport = self.device()
        self.say(again, b'{"n":2}\n')
        self.assertEqual(["OK 2"], self.answers(transport))


class Descriptors(SynchronousTestCase):
    """Where the process may open few files."""

    def test_a_share_shrinks_with_its_listener(self) -> None:
        """An address gets no more than its part of what the listener itself gets."""
        share = Turnstile(Bounds(connections=100), None).share("sources.gate", 1000)  # type: ignore[arg-type]
        share.lower(16)
        for _ in range(14):
            share.enter(GOOD)
        self.assertEqual(14, share._places.most)
