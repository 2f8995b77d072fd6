"""The Frappe client on real sockets: what reaches the server, what cannot have, and that nothing goes twice."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.address import IPv4Address
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IAddress
from twisted.trial.unittest import TestCase
from twisted.web.http import HTTPChannel, Request
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Site

from lineside.edges.frappe.client import FrappeClient
from lineside.edges.frappe.reply import Unreachable

OK = b'{"data": {"name": "DOC-1"}}'


class Served(Resource):
    """Answers every request by the test's function, and remembers it."""

    isLeaf = True  # noqa: N815

    def __init__(self, answer: Callable[[Request], bytes | int]) -> None:
        super().__init__()
        self.answer = answer
        self.requests: list[Request] = []

    def render(self, request: Request) -> bytes | int:
        self.requests.append(request)
        return self.answer(request)


class CountingSite(Site):
    """A Site that counts its connections, all and open."""

    def __init__(self, resource: Resource) -> None:
        super().__init__(resource)
        self.connections = 0
        self.all_closed: Deferred[None] = Deferred()
        self._open = 0

    def buildProtocol(self, addr: IAddress | None) -> Any:
        channel: HTTPChannel = super().buildProtocol(addr)
        self.connections += 1
        self._open += 1
        lost = channel.connectionLost

        def connection_lost(reason: Any) -> None:
            lost(reason)
            self._open -= 1
            if self._open == 0:
                self.all_closed.callback(None)

        channel.connectionLost = connection_lost  # type: ignore[method-assign]
        return channel


class Sockets(TestCase):
    timeout = 20

    def setUp(self) -> None:
        from twisted.internet import reactor  # noqa: PLC0415, TID251

        self.reactor: Any = reactor

    def serve(self, answer: Callable[[Request], bytes | int]) -> int:
        """Listen on a free port; returns it."""
        self.served = Served(answer)
        self.site = CountingSite(self.served)
        port = self.reactor.listenTCP(0, self.site, interface="127.0.0.1")
        self.addCleanup(port.stopListening)
        host = port.getHost()
        assert isinstance(host, IPv4Address)
        return host.port

    def client(self, port: int, host: str = "127.0.0.1") -> FrappeClient:
        client = FrappeClient(self.reactor, f"http://{host}:{port}", "key", "secret", timeout=10.0)
        self.addCleanup(lambda: Deferred.fromCoroutine(client.close()))
        return client

    async def unreachable(self, client: FrappeClient, body: bytes | None = None) -> Unreachable:
        answer = await client.ask("POST", "/api/resource/ToDo", body=body)
        assert isinstance(answer, Unreachable)
        return answer

    async def test_a_port_where_nobody_listens_was_not_reached(self) -> None:
        """Connection refused means not sent."""
        port = self.reactor.listenTCP(0, Site(Resource()), interface="127.0.0.1")
        number = port.getHost().port
        await port.stopListening()
        unreachable = await self.unreachable(self.client(number), b"{}")
        self.assertFalse(unreachable.sent)
        self.assertIn("refused", unreachable.reason)

    async def test_a_name_that_nobody_knows_was_not_reached(self) -> None:
        """A name that does not resolve means not sent (RFC 6761: .invalid never does)."""
        unreachable = await self.unreachable(self.client(8000, host="erp.invalid"), b"{}")
        self.assertFalse(unreachable.sent)
        self.assertIn("DNS", unreachable.reason)

    async def test_a_post_on_a_kept_connection_that_breaks_is_sent_once(self) -> None:
        """The second request finds its connection closed under it; it is reported, never repeated."""

        def answer_then_cut(request: Request) -> bytes | int:
            if len(self.served.requests) == 1:
                return OK
            request.loseConnection()
            return NOT_DONE_YET

        client = self.client(self.serve(answer_then_cut))
        reply = await client.request("POST", "/api/resource/ToDo", body=b"{}")
        self.assertEqual((reply.status, reply.body), (200, OK))
        unreachable = await self.unreachable(client, b"{}")
        self.assertTrue(unreachable.sent)
        self.assertEqual(len(self.served.requests), 2)
        self.assertEqual(self.site.connections, 1)

    async def test_connections_are_kept_and_closed_at_the_end(self) -> None:
        """Requests one after the other share a connection, which close() ends."""
        client = self.client(self.serve(lambda _: OK))
        for _ in range(3):
            await client.request("GET", "/api/method/ping")
        self.assertEqual(self.site.connections, 1)
        await client.close()
        await self.site.all_closed

    async def test_no_redirect_is_followed_and_no_cookie_kept(self) -> None:
        """A cookie would win over the key, and a redirected POST would become a GET."""

        def redirect(request: Request) -> bytes:
            request.setResponseCode(302)
            request.setHeader(b"Location", b"/elsewhere")
            request.addCookie(b"sid", b"Guest")
            return b""

        client = self.client(self.serve(redirect))
        for _ in range(2):
            reply = await client.request("POST", "/api/resource/ToDo", body=b"{}")
            self.assertEqual((reply.status, reply.headers["location"]), (302, "/elsewhere"))
        self.assertEqual([request.getCookie(b"sid") for request in self.served.requests], [None, None])

    async def test_giving_up_closes_the_socket(self) -> None:
        """A cancelled request is gone for the server too."""
        arrived: Deferred[None] = Deferred()

        def hang(_request: Request) -> int:
            arrived.callback(None)
            return NOT_DONE_YET

        client = self.client(self.serve(hang))
        asking = Deferred.fromCoroutine(client.request("GET", "/"))
        await arrived
        asking.cancel()
        await self.assertFailure(asking, CancelledError)
        await self.site.all_closed
