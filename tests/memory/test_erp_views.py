"""The ERP as devices and pages may see it: a stand-in behind, the HTTP services in front."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.rig.http_client import read_answers
from tests.rig.standin_site import SiteTests
from treq.testing import RequestTraversalAgent
from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure

from lineside.edges.frappe.client import FrappeClient
from lineside.edges.frappe.viewendpoints import AGAIN, view_endpoints
from lineside.edges.frappe.views import ErpView, View
from lineside.edges.http.identification import Identification
from lineside.edges.http.site import Desk, GatewaySite
from lineside.security.identity import Identity

TOKENS = {"v": Identity("board", "viewer"), "d": Identity("scanner-1", "device")}
GROUPS = View(
    "companies",
    "Company",
    ("name", "abbr", "default_currency"),
    (("abbr", "!=", "HID"),),
    frozenset({"abbr"}),
    "name asc",
    limit=3,
    ttl=10.0,
    stale_if_error=60.0,
)


class ViewTests(SiteTests):
    """One view, and what it asks of the ERP."""

    view = GROUPS

    def setUp(self) -> None:
        super().setUp()
        self.asked: list[str] = []
        self.held: list[Deferred[None]] | None = None
        self.agent = RequestTraversalAgent(self.site)
        client = FrappeClient(self.clock, "http://site.example:8000", "key", "secret", agent=self)  # type: ignore[arg-type]
        self.erp_view = ErpView(self.view, client)
        self.gateway = GatewaySite(Desk(view_endpoints([self.erp_view]), Identification(self)), self.clock)
        for number in range(4):
            self.company(f"Works {number}", f"W{number}")
        self.company("Hidden", "HID")

    any = True

    def identify(self, text: str) -> Identity | None:
        return TOKENS.get(text)

    def company(self, name: str, abbr: str) -> None:
        document = {"company_name": name, "abbr": abbr, "default_currency": "EUR", "country": "Germany"}
        self.assertEqual(200, self.ask("POST", "/api/resource/Company", document).status)

    def request(self, method: bytes, uri: bytes, headers: Any = None, body: Any = None) -> Any:
        """Carry a request of the view's client to the stand-in; while ``held`` is a list, once it is let go."""
        self.asked.append(uri.decode())
        if self.held is None:
            answer = self.agent.request(method, uri, headers, body)
            self.agent.flush()
            return answer
        held: Deferred[None] = Deferred()
        self.held.append(held)
        return held.addCallback(lambda _: self.agent.request(method, uri, headers, body))

    def let_go(self) -> None:
        held, self.held = self.held or [], None
        for each in held:
            each.callback(None)
        self.agent.flush()

    def open(self, path: str, token: str | None = "v", more: str = "") -> tuple[Any, StringTransport]:
        connection = self.gateway.buildProtocol(IPv4Address("TCP", "10.0.0.9", 40000))
        transport = StringTransport(peerAddress=IPv4Address("TCP", "10.0.0.9", 40000))
        connection.makeConnection(transport)
        authorization = "" if token is None else f"Authorization: Bearer {token}\r\n"
        head = f"GET /api/v1/erp/{path} HTTP/1.1\r\nHost: gateway\r\n{authorization}{more}\r\n"
        connection.dataReceived(head.encode())
        return connection, transport

    def get(self, path: str, token: str | None = "v", more: str = "") -> tuple[int, dict[str, str], Any]:
        connection, transport = self.open(path, token, more)
        [(status, headers, body)] = read_answers(transport.value())
        connection.connectionLost(Failure(ConnectionDone()))
        return status, headers, json.loads(body) if body else None

    def abbrs(self, path: str) -> list[str]:
        return [row["abbr"] for row in self.get(path)[2]["data"]]


class Seeing(ViewTests):
    """What is shown, and to whom."""

    def test_the_fields_that_are_named(self) -> None:
        """And no others, of as many documents as one answer has."""
        status, headers, body = self.get("Company")
        self.assertEqual((200, "0"), (status, headers["Age"]))
        self.assertEqual({"stale": False, "data": body["data"]}, body)
        self.assertEqual(3, len(body["data"]))
        self.assertEqual({"name", "abbr", "default_currency"}, set(body["data"][0]))

    def test_pages(self) -> None:
        """By start and limit; a limit above the view's is refused."""
        everything = [*self.abbrs("Company?limit=2"), *self.abbrs("Company?limit=2&start=2")]
        self.assertEqual(4, len(set(everything)))
        for query in ("limit=4", "limit=0", "start=-1", "limit=x", "limit=9999999999999"):
            self.assertEqual(400, self.get(f"Company?{query}")[0], query)

    def test_by_value(self) -> None:
        """Only by the fields that are named."""
        self.assertEqual(["W2"], self.abbrs("Company?abbr=W2"))
        self.assertEqual(400, self.get("Company?country=Germany")[0])

    def test_one_document(self) -> None:
        """By its name; one past the view's filters is not there."""
        self.assertEqual("W1", self.get("Company/Works%201")[2]["data"]["abbr"])
        for name in ("Hidden", "Nothing"):
            self.assertEqual(404, self.get(f"Company/{name}")[0], name)

    def test_values_are_values(self) -> None:
        """Whatever is asked for, it reaches the ERP as the value of that one filter."""
        for text in ('W1"],["name","like","%', "%", "W%", "W1' or '1'='1", "\u00e9"):
            asked = len(self.asked)
            status, _, body = self.get("Company?abbr=" + "".join(f"%{byte:02X}" for byte in text.encode()))
            self.assertEqual((200, []), (status, body["data"]), text)
            query = parse_qs(urlsplit(self.asked[asked]).query)
            self.assertEqual([["abbr", "!=", "HID"], ["abbr", "=", text]], json.loads(query["filters"][0]))
        self.assertEqual(400, self.get("Company?abbr=" + "x" * 141)[0])

    def test_who_may_see_it(self) -> None:
        """Who may read; devices only where the view says so, and nobody without a token."""
        self.assertEqual([200, 403, 401, 401], [self.get("Company", token)[0] for token in ("v", "d", None, "x")])
        self.assertEqual(404, self.get("User")[0])

    def test_an_answer_that_is_known(self) -> None:
        """Is not sent again."""
        tag = self.get("Company")[1]["ETag"]
        self.assertEqual(304, self.get("Company", more=f"If-None-Match: {tag}\r\n")[0])


class Asking(ViewTests):
    """How often the ERP is asked."""

    def test_for_a_while_once(self) -> None:
        """Then anew."""
        for _ in range(3):
            self.get("Company")
        self.clock.advance(9)
        self.assertEqual(("9", 1), (self.get("Company")[1]["Age"], len(self.asked)))
        self.clock.advance(1)
        self.assertEqual(("0", 2), (self.get("Company")[1]["Age"], len(self.asked)))

    def test_a_hundred_equal_requests_at_once(self) -> None:
        """They are one of the ERP's, and all get its answer."""
        self.held = []
        opened = [self.open("Company") for _ in range(100)]
        self.assertEqual(1, len(self.asked))
        self.let_go()
        for connection, transport in opened:
            [(status, _, body)] = read_answers(transport.value())
            self.assertEqual((200, 3), (status, len(json.loads(body)["data"])))
            connection.connectionLost(Failure(ConnectionDone()))

    def test_who_hangs_up(self) -> None:
        """Takes the answer from nobody else; once all have, the ERP is asked no more."""
        self.held = []
        (first, _), (second, transport) = self.open("Company"), self.open("Company")
        first.connectionLost(Failure(ConnectionDone()))
        self.let_go()
        self.assertEqual(200, read_answers(transport.value())[0][0])
        second.connectionLost(Failure(ConnectionDone()))
        self.held = []
        third, _ = self.open("Company?abbr=W1")
        (held,) = self.held
        third.connectionLost(Failure(ConnectionDone()))
        self.assertTrue(held.called, "cancelled")
        self.assertEqual({}, self.erp_view._flights)
        self.held = None
        self.assertEqual(200, self.get("Company?abbr=W1")[0])


class AnErpThatIsAway(ViewTests):
    """What is told meanwhile."""

    def away(self, away: bool) -> None:
        self.faults.turn({"bad_gateway": float(away)})

    def look(self, path: str = "Company") -> tuple[int, dict[str, str], Any]:
        """Ask while the ERP is away, through the pauses of who asks it again."""
        connection, transport = self.open(path)
        for _ in range(50):
            self.agent.flush()
            self.clock.advance(0.5)
        [(status, headers, body)] = read_answers(transport.value())
        connection.connectionLost(Failure(ConnectionDone()))
        return status, headers, json.loads(body)

    def test_what_it_said_last(self) -> None:
        """For a while, and marked; then that it is away. Once it answers again all is as before."""
        self.get("Company")
        self.away(True)
        self.clock.advance(11)
        status, headers, body = self.look()
        self.assertEqual((200, True, 3), (status, body["stale"], len(body["data"])))
        self.assertGreaterEqual(int(headers["Age"]), 11)
        self.clock.advance(60)
        status, headers, _ = self.look()
        self.assertEqual((503, str(AGAIN)), (status, headers["Retry-After"]))
        self.away(False)
        self.assertEqual((200, False), (self.get("Company")[0], self.get("Company")[2]["stale"]))

    def test_what_was_never_asked(self) -> None:
        """There is nothing to tell."""
        self.away(True)
        self.assertEqual(503, self.look()[0])
