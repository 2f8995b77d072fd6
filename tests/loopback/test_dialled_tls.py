"""Devices that are dialled with TLS, on real sockets: whom the gateway listens to, and what it says of others."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import pytest
from tests.rig.certificates import Authority, Identity, day
from twisted.internet.defer import Deferred
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.ssl import Certificate, CertificateOptions, trustRootFromCertificates
from twisted.logger import capturedLogs
from twisted.trial.unittest import TestCase

from lineside.assemble.build import Gateway
from lineside.assemble.config import load
from lineside.assemble.devicesoundings import sound_device
from lineside.assemble.lifecycle import System
from lineside.assemble.settings import Settings
from lineside.model.errors import LinesideError
from lineside.model.event import Record
from lineside.security.keypairs import read_key_pair

CONFIGURATION = """
[journal]
control = "CONTROL"

[targets.erp]
type = "frappe"
url = "http://127.0.0.1:9"
api_key = "none"
api_secret = "none"

[routes.note]
doctype = "ToDo"
document = { description = "{{ payload }}" }

[sources.scale]
type = "lines"
connect = "CONNECT"
"""


class Scale(Protocol):
    """Says one line to each caller."""

    def connectionMade(self) -> None:
        assert self.transport is not None
        self.transport.write(b'{"kg": 12.5}\n')


class Plain(Protocol):
    """A device that speaks no TLS: it hangs up on what it does not understand."""

    def dataReceived(self, data: bytes) -> None:
        assert self.transport is not None
        self.transport.write(b"ERROR 17\r\n")
        self.transport.loseConnection()


class DialledTls(TestCase):
    """One device that shows a certificate, and a gateway that dials it."""

    timeout = 60

    @pytest.fixture(autouse=True)
    def own_directory(self, tmp_path: Path) -> None:
        self.directory = tmp_path

    def setUp(self) -> None:
        from twisted.internet import reactor  # noqa: PLC0415, TID251 (the sockets are real)

        self.reactor = cast(Any, reactor)
        self.ca = Authority(self.directory)

    def device(self, identity: Identity, clients: Authority | None = None) -> int:
        """Listen as a device; with ``clients`` only to those whom it signed. Returns the port."""
        context = CertificateOptions(
            **read_key_pair(identity.certificate, identity.key).options,
            trustRoot=None if clients is None else trustRootFromCertificates([Certificate.loadPEM(clients.pem)]),
        )
        port = self.reactor.listenSSL(0, Factory.forProtocol(Scale), context, interface="127.0.0.1")
        self.addCleanup(port.stopListening)
        return int(port.getHost().port)

    def settings(self, port: int, *, host: str = "localhost", ca: Authority | None, more: str = "") -> Settings:
        path = self.directory / "lineside.toml"
        text = CONFIGURATION.replace("CONNECT", f"tls:{host}:{port}{more}")
        text = text.replace("CONTROL", str(self.directory / "c"))
        path.write_text(text + ("" if ca is None else f'ca = "{ca.path}"\n'))
        return load(path, {})

    async def sounded(
        self, port: int, *, host: str = "localhost", ca: Authority | None, more: str = ""
    ) -> list[str]:
        """Dial once, as `lineside check --connect` does; returns what is wrong."""
        source = self.settings(port, host=host, ca=ca, more=more).lines["scale"]
        sounding = await sound_device(self.reactor, "scale", source)
        self.assertEqual(bool(sounding.found), not sounding.warnings)
        head = f"sources.scale.connect: tls:{host}:{port}{more}: "
        return [warning.removeprefix(head) for warning in sounding.warnings]

    async def test_the_right_device(self) -> None:
        """Its certificate is of our CA and names it, by name or by address: its lines are events."""
        port = self.device(self.ca.sign("localhost", "127.0.0.1"))
        for host in ("localhost", "127.0.0.1"):
            self.assertEqual([], await self.sounded(port, host=host, ca=self.ca))
        gateway = Gateway(self.reactor, self.settings(port, ca=self.ca))
        system = System(gateway.stages)
        self.addCleanup(lambda: Deferred.fromCoroutine(system.stop()))
        arrived: Deferred[Record] = Deferred()
        await system.start()
        store: Any = gateway.stages[0][0]
        store.journal.on_commit(lambda records: arrived.callback(records[0]))
        self.assertEqual(b'{"kg": 12.5}', (await arrived).event.body)

    async def test_another_device(self) -> None:
        """A certificate for another host, or for none, is not the device's, whoever signed it."""
        port = self.device(self.ca.sign("press.plant"))
        self.assertEqual(
            ["the certificate of localhost is for press.plant; check the source's connect"],
            await self.sounded(port, ca=self.ca),
        )
        port = self.device(self.ca.sign())
        self.assertEqual(
            [
                "the certificate of localhost names no host in its subjectAltName; give the device one that does",
            ],
            await self.sounded(port, ca=self.ca),
        )

    async def test_an_unknown_authority(self) -> None:
        """What nobody whom we trust signed, with a CA of our own and without."""
        port = self.device(Authority(self.directory, "Other CA").sign("localhost"))
        self.assertEqual(
            [
                (
                    "the certificate of localhost is not signed by the CA in the source's ca; give the source's ca "
                    "the CA which signed it"
                )
            ],
            await self.sounded(port, ca=self.ca),
        )
        self.assertEqual(
            ["the certificate of localhost is not signed by a CA that we trust; set the source's ca"],
            await self.sounded(port, ca=None),
        )

    async def test_an_old_certificate(self) -> None:
        """The date is told."""
        port = self.device(self.ca.sign("localhost", begins=-3, ends=-1))
        self.assertEqual(
            [f"the certificate of localhost expired on {day(-1)}; renew it at the device"],
            await self.sounded(port, ca=self.ca),
        )

    async def test_a_device_without_tls(self) -> None:
        """It is told as that, not as bytes that make no sense."""
        listening = self.reactor.listenTCP(0, Factory.forProtocol(Plain), interface="127.0.0.1")
        self.addCleanup(listening.stopListening)
        port = listening.getHost().port
        self.assertEqual(
            [f"localhost does not speak TLS on port {port}; check the source's connect"],
            await self.sounded(port, ca=self.ca),
        )

    async def test_a_device_that_says_nothing(self) -> None:
        """The time to connect is that up to the end of the handshake."""
        silent = self.reactor.listenTCP(0, Factory.forProtocol(Protocol), interface="127.0.0.1")
        self.addCleanup(silent.stopListening)
        warnings = await self.sounded(silent.getHost().port, ca=self.ca, more=":timeout=1")
        self.assertEqual(["it does not answer; is it switched on, and can this machine reach it?"], warnings)

    async def test_never_said_to_be_connected(self) -> None:
        """A gateway that turns a device away says so once, and in no moment that it is connected."""
        port = self.device(self.ca.sign("press.plant"))
        gateway = Gateway(self.reactor, self.settings(port, ca=self.ca))
        system = System(gateway.stages)
        self.addCleanup(lambda: Deferred.fromCoroutine(system.stop()))
        told: Deferred[None] = Deferred()
        with capturedLogs() as logged:
            await system.start()
            source: Any = gateway.sources[0]
            while "press.plant" not in source.problem:
                turn: Deferred[None] = Deferred()
                self.reactor.callLater(0.01, turn.callback, None)
                await turn
            told.callback(None)
        events = [each["log_format"] for each in logged if each.get("source") == "scale"]
        self.assertEqual(["lines.unreachable"], events)

    async def test_a_device_that_asks_who_we_are(self) -> None:
        """It is shown the certificate that the endpoint names, whose files are named where they cannot be read."""
        port = self.device(self.ca.sign("localhost"), clients=self.ca)
        ours = self.ca.sign("gateway.plant", for_clients=True)
        shown = f":certificate={ours.certificate}:privateKey={ours.key}"
        self.assertEqual([], await self.sounded(port, ca=self.ca, more=shown))
        missing = self.settings(port, ca=self.ca, more=":certificate=/missing.pem")
        with self.assertRaises(LinesideError) as caught:
            Gateway(self.reactor, missing)
        self.assertIn("cannot read /missing.pem: No such file or directory", str(caught.exception))
