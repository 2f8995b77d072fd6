"""The target over TLS on real sockets: whom the gateway speaks to, and what it says of those it does not."""

from __future__ import annotations

from pathlib import Path
from random import Random
from typing import Any, cast

import pytest
from OpenSSL import SSL
from tests.rig.certificates import Authority, Identity, day
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint, connectProtocol
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.ssl import DefaultOpenSSLContextFactory
from twisted.internet.tcp import Server as TCPServer
from twisted.trial.unittest import TestCase
from twisted.web.resource import Resource
from twisted.web.server import Site

from lineside.assemble.build import Gateway
from lineside.assemble.config import load
from lineside.assemble.edges import frappe_client
from lineside.assemble.lifecycle import System
from lineside.assemble.soundings import Sounding, sound
from lineside.edges.frappe.client import FrappeClient
from lineside.edges.frappe.outcomes import classify_insert
from lineside.edges.frappe.prepare import prepare
from lineside.edges.frappe.reply import Unreachable
from lineside.model.outcome import TargetDown
from lineside.standin.authentication import Credentials
from lineside.standin.faults import FaultKnobs, Faults
from lineside.standin.server import Service, StandinServer
from lineside.standin.tls import read_identity

SECRETS = {"KEY": "key", "SECRET": "secret"}
CONFIGURATION = """
[targets.erp]
type = "frappe"
url = "URL"
api_key = { env = "KEY" }
api_secret = { env = "SECRET" }

[sources.gate]
type = "lines"
listen = "tcp:0:interface=127.0.0.1"

[routes.todo]
doctype = "ToDo"
document = { description = "{{ text }}" }
"""


class Counting(Resource):
    """Counts requests, whatever they ask for."""

    isLeaf = True  # noqa: N815
    requests = 0

    def render(self, _request: object) -> bytes:
        self.requests += 1
        return b"{}"


class Says(Protocol):
    """Answers the first bytes with some of its own, perhaps none, and closes."""

    words = b""

    def dataReceived(self, data: bytes) -> None:
        assert isinstance(self.transport, TCPServer)
        self.transport.write(self.words)
        self.transport.loseConnection()


class PlainHttp(Says):
    words = b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n"


class Old(DefaultOpenSSLContextFactory):
    """A server of former times, which ends at TLS 1.1."""

    def cacheContext(self) -> None:
        super().cacheContext()
        assert self._context is not None
        self._context.set_cipher_list(b"ALL:@SECLEVEL=0")
        self._context.set_max_proto_version(SSL.TLS1_1_VERSION)


class Answer(Protocol):
    """A device that sends one line; ``answer`` fires with what it is told."""

    def __init__(self, line: bytes) -> None:
        self.answer: Deferred[bytes] = Deferred()
        self._line = line

    def connectionMade(self) -> None:
        assert self.transport is not None
        self.transport.write(self._line)

    def dataReceived(self, data: bytes) -> None:
        assert self.transport is not None
        self.transport.loseConnection()
        self.answer.callback(data)


class Tls(TestCase):
    timeout = 60

    @pytest.fixture(autouse=True)
    def own_directory(self, tmp_path: Path) -> None:
        self.directory = tmp_path

    def setUp(self) -> None:
        from twisted.internet import reactor  # noqa: PLC0415, TID251 (the sockets are real)

        self.reactor = cast(Any, reactor)
        self.ca = Authority(self.directory)
        self.served = Counting()

    def serve(self, identity: Identity, kind: type[DefaultOpenSSLContextFactory] | None = None) -> int:
        """Listen with a certificate; returns the port."""
        context = (
            read_identity(identity.certificate, identity.key)
            if kind is None
            else kind(str(identity.key), str(identity.certificate), sslmethod=SSL.TLS_METHOD)
        )
        port = self.reactor.listenSSL(0, Site(self.served), context, interface="127.0.0.1")
        self.addCleanup(port.stopListening)
        return int(port.getHost().port)

    def listen(self, protocol: type[Protocol]) -> int:
        """Listen without TLS; returns the port."""
        port = self.reactor.listenTCP(0, Factory.forProtocol(protocol), interface="127.0.0.1")
        self.addCleanup(port.stopListening)
        return int(port.getHost().port)

    def configure(self, port: int, *, host: str = "localhost", ca: Path | None = None) -> None:
        text = CONFIGURATION.replace("URL", f"https://{host}:{port}")
        if ca is not None:
            text = text.replace("api_key =", f'ca = "{ca.name}"\napi_key =')
        path = self.directory / "lineside.toml"
        path.write_text(text)
        self.settings = load(path, SECRETS)

    def client(self) -> FrappeClient:
        client = frappe_client(self.reactor, self.settings.sites["erp"])
        self.addCleanup(lambda: Deferred.fromCoroutine(client.close()))
        return client

    async def check(self) -> Sounding:
        """Ask as ``lineside check --connect`` does."""
        return await sound(self.client(), self.settings, "erp")

    async def assertTurnsAway(self, reason: str, port: int, *, host: str = "localhost", ca: bool = True) -> None:
        """Check that no request goes out, that this is a target which is down, and that the reason is told."""
        self.configure(port, host=host, ca=self.ca.path if ca else None)
        unreachable = await self.client().ask("POST", "/api/resource/ToDo", body=b"{}")
        assert isinstance(unreachable, Unreachable)
        self.assertEqual((unreachable.sent, unreachable.lasting, unreachable.reason), (False, True, reason))
        self.assertEqual(classify_insert(unreachable), TargetDown(reason, sent=False, lasting=True))
        sounding = await self.check()
        self.assertEqual((sounding.found, sounding.problems), ([], [f"targets.erp: {reason}"]))
        self.assertEqual(self.served.requests, 0)


class Trust(Tls):
    """Whose certificates count."""

    async def test_the_given_ca_vouches_for_a_host_and_for_an_address(self) -> None:
        """The request gets through, by the name and by the address that the certificate holds."""
        port = self.serve(self.ca.sign("localhost", "127.0.0.1"))
        for host in ("localhost", "127.0.0.1"):
            self.configure(port, host=host, ca=self.ca.path)
            reply = await self.client().request("GET", "/")
            self.assertEqual((reply.status, reply.body), (200, b"{}"))

    async def test_a_ca_between_may_be_shown_by_the_site(self) -> None:
        """The root is enough, where the site shows the way to it."""
        between = Authority(self.directory, "Line CA", above=self.ca)
        port = self.serve(between.sign("localhost", chain=[between]))
        self.configure(port, ca=self.ca.path)
        self.assertEqual((await self.client().request("GET", "/")).status, 200)

    async def test_without_a_ca_of_ones_own_the_platforms_count(self) -> None:
        """A private CA is none of them; the message says what to set."""
        port = self.serve(self.ca.sign("localhost"))
        reason = "the certificate of localhost is not signed by a CA that we trust; set the target's ca"
        await self.assertTurnsAway(reason, port, ca=False)

    async def test_another_ca_than_the_given_one(self) -> None:
        """Nor does the right name help."""
        port = self.serve(Authority(self.directory, "Other CA").sign("localhost"))
        await self.assertTurnsAway(
            "the certificate of localhost is not signed by the CA in the target's ca; "
            "give the target's ca the CA which signed it",
            port,
        )

    async def test_another_host(self) -> None:
        """A certificate of the right CA counts for the names in it alone."""
        port = self.serve(self.ca.sign("erp.example", "192.0.2.7"))
        for host in ("localhost", "127.0.0.1"):
            reason = f"the certificate of {host} is for erp.example, 192.0.2.7; check the target's url"
            await self.assertTurnsAway(reason, port, host=host)

    async def test_a_certificate_for_no_host_at_all(self) -> None:
        """The right CA does not make up for the name: the subject is not one (RFC 9525, 2)."""
        port = self.serve(self.ca.sign())
        await self.assertTurnsAway(
            "the certificate of localhost names no host in its subjectAltName; give the site one that does", port
        )

    async def test_a_certificate_that_is_over_or_has_not_begun(self) -> None:
        """Each says since or until when."""
        port = self.serve(self.ca.sign("localhost", begins=-3, ends=-1))
        await self.assertTurnsAway(f"the certificate of localhost expired on {day(-1)}; renew it at the site", port)
        port = self.serve(self.ca.sign("localhost", begins=1, ends=2))
        self.configure(port, ca=self.ca.path)
        [problem] = (await self.check()).problems
        self.assertRegex(problem, f"is not valid before {day(1)} .* UTC; check the clocks$")

    async def test_a_certificate_that_is_none_of_a_server(self) -> None:
        """One that is for clients only."""
        port = self.serve(self.ca.sign("localhost", for_clients=True))
        await self.assertTurnsAway(
            "the certificate of localhost is not one of a server; give the site one that is", port
        )


class NoTls(Tls):
    """Servers that speak no TLS, or none that is good enough."""

    async def test_a_port_that_speaks_plain_http(self) -> None:
        """The address is wrong."""
        port = self.listen(PlainHttp)
        await self.assertTurnsAway(f"localhost does not speak TLS on port {port}; check the target's url", port)

    async def test_a_server_of_former_times(self) -> None:
        """TLS 1.2 is the least."""
        port = self.serve(self.ca.sign("localhost"), Old)
        await self.assertTurnsAway("localhost speaks no TLS 1.2 or later; renew the site's web server", port)

    async def test_a_connection_that_is_closed_before_tls_is_agreed(self) -> None:
        """Nothing was sent; but it may pass, as when a proxy restarts, so no remedy is claimed."""
        self.configure(self.listen(Says), ca=self.ca.path)
        unreachable = await self.client().ask("POST", "/api/resource/ToDo", body=b"{}")
        assert isinstance(unreachable, Unreachable)
        self.assertEqual((unreachable.sent, unreachable.lasting), (False, False))
        self.assertEqual(unreachable.reason, "localhost closed the connection before TLS was agreed")


class Delivery(Tls):
    """A whole gateway and an ERP that serves https."""

    async def test_a_line_becomes_a_document_over_tls(self) -> None:
        """From the device's line to the ERP's row; the CA in the configuration is the only one trusted."""
        identity = self.ca.sign("localhost")
        erp = StandinServer(
            self.reactor,
            Service(
                self.directory / "erp.db",
                Credentials("key", "secret"),
                tls=read_identity(identity.certificate, identity.key),
            ),
            FaultKnobs(Random(1), Faults()),
        )
        await erp.start()
        self.addCleanup(lambda: Deferred.fromCoroutine(erp.stop()))
        self.assertTrue(erp.url.startswith("https://127.0.0.1:"))
        self.configure(int(erp.url.rpartition(":")[2]), ca=self.ca.path)
        client = self.client()
        await prepare(client, ["ToDo"], "lineside_id")
        self.assertEqual((await self.check()).problems, [])

        gateway = Gateway(self.reactor, self.settings)
        system = System(gateway.stages)
        await system.start()
        self.addCleanup(lambda: Deferred.fromCoroutine(system.stop()))
        listening = int(gateway.sources[0].address.rpartition(":")[2])
        delivered: Deferred[None] = Deferred()
        settle = gateway.deliveries.couriers[0].consumer.settle

        async def settled(done: Any) -> None:
            await settle(done)
            if done and not delivered.called:
                delivered.callback(None)

        gateway.deliveries.couriers[0].consumer.settle = settled  # type: ignore[method-assign]
        device = Answer(b'{"text": "over TLS"}\n')
        await connectProtocol(TCP4ClientEndpoint(self.reactor, "127.0.0.1", listening), device)
        self.assertTrue((await device.answer).startswith(b"OK "))
        await delivered
        await system.stop()
        reply = await client.request("GET", '/api/resource/ToDo?fields=["description"]'.replace('"', "%22"))
        self.assertEqual(reply.body.count(b"over TLS"), 1)
