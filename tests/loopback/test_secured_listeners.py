"""Listeners with TLS, on real sockets and with OpenSSL's own client: what is offered, and who is turned away."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast

import pytest
import tls_scanner
from cryptography import x509
from OpenSSL import SSL
from tests.rig.certificates import Authority, Identity
from tests.rig.daemon import lacking
from tests.rig.openssl_client import s_client
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import HostnameEndpoint, TCP4ClientEndpoint, wrapClientTLS
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IOpenSSLClientConnectionCreator
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.ssl import Certificate, optionsForClientTLS
from twisted.internet.task import deferLater
from twisted.internet.utils import getProcessOutputAndValue
from twisted.logger import capturedLogs
from twisted.protocols.basic import LineReceiver
from twisted.protocols.tls import TLSMemoryBIOProtocol
from twisted.python.failure import Failure
from twisted.trial.unittest import TestCase
from zope.interface import implementer

from lineside.assemble.build import Gateway
from lineside.assemble.config import load
from lineside.assemble.descriptors import HANDSHAKES
from lineside.assemble.lifecycle import System
from lineside.edges.lines import session, stream
from lineside.model.event import Record

P = TypeVar("P", bound=Protocol)

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

[sources.gate]
type = "lines"
listen = "tcp:0:interface=127.0.0.1"
tls = ["plant", "office"]
GATE

[http]
listen = "tcp:0:interface=127.0.0.1"
tls = "plant"

[live]
"""
REFUSED = "no peer certificate available"
"""What OpenSSL's client says where no handshake was done."""
SUITES = {
    "TLSv1.3": {"TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256", "TLS_AES_128_GCM_SHA256"},
    "TLSv1.2": {"ECDHE-ECDSA-AES256-GCM-SHA384", "ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-ECDSA-CHACHA20-POLY1305"},
}
"""All that is promised, to a certificate with an EC key."""


class Secured(TestCase):
    """A gateway whose listeners have TLS."""

    timeout = 120
    gate = ""

    @pytest.fixture(autouse=True)
    def own_directory(self, tmp_path: Path) -> None:
        self.directory = tmp_path

    async def prepare(self) -> None:
        from twisted.internet import reactor  # noqa: PLC0415, TID251 (the sockets are real)

        if shutil.which("openssl") is None:
            lacking("openssl is not installed")
        self.reactor = cast(Any, reactor)
        self.ca = Authority(self.directory)
        self.plant = self.ca.sign("gateway.plant", "127.0.0.1", name="gateway", begins=-1, ends=365)
        self.office = self.ca.sign("gateway.office", "*.shop.plant", name="office", begins=-1, ends=365)
        self.records: list[Record] = []
        await self.begin()

    def setUp(self) -> Any:
        return Deferred.fromCoroutine(self.prepare())

    async def begin(self) -> None:
        path = self.directory / "lineside.toml"
        text = CONFIGURATION.replace("CONTROL", str(self.directory / "c")).replace("GATE", self.gate)
        for name, identity in (("plant", self.plant), ("office", self.office)):
            text += f'[tls.{name}]\ncertificate = "{identity.certificate}"\nkey = "{identity.key}"\n'
        path.write_text(text.replace("CA_PATH", str(self.ca.path)))
        self.gateway = Gateway(self.reactor, load(path, {}))
        system = System(self.gateway.stages)
        self.addCleanup(lambda: Deferred.fromCoroutine(system.stop()))
        await system.start()
        store: Any = self.gateway.stages[0][0]
        store.journal.on_commit(self.records.extend)
        assert self.gateway.http is not None
        self.web = int(self.gateway.http.part.address.rpartition(":")[2])
        self.lines = int(self.gateway.sources[0].address.rpartition(":")[2])

    def ask(self, port: int, *options: str, says: bytes = b"", until: bytes | None = None) -> Deferred[str]:
        talk = [] if until is None else [(says, until)]
        return s_client(self.reactor, port, *options, talk=talk)

    def line(self, *options: str, says: bytes = b'{"kg": 1}\n', until: bytes = b"OK ") -> Deferred[str]:
        return self.ask(self.lines, "-CAfile", str(self.ca.path), *options, says=says, until=until)


class WhoIsLetIn(Secured):
    """Where devices must show a certificate."""

    gate = 'ca = "CA_PATH"\ncrl = "CRL_PATH"\ndevice = "reader"\nown_device_only = true'

    async def begin(self) -> None:
        self.scanner = self.device("scanner-3")
        self.lost = self.device("lost")
        self.gate = self.gate.replace("CRL_PATH", str(self.ca.revoke(self.lost)))
        await super().begin()

    def device(self, name: str, *addresses: str, ca: Authority | None = None, ends: float = 1) -> Identity:
        return (ca or self.ca).sign(*addresses, name=name, for_clients=True, begins=-3, ends=ends)

    def as_device(
        self, identity: Identity, *options: str, says: bytes = b'{"kg": 1}\n', until: bytes = b"OK "
    ) -> Deferred[str]:
        shown = ("-cert", str(identity.certificate), "-key", str(identity.key))
        return self.line(*shown, *options, says=says, until=until)

    async def test_a_device_is_known_by_its_certificate(self) -> None:
        """Its name is that of its events, in both versions."""
        for version in ("-tls1_2", "-tls1_3"):
            self.assertIn("OK ", await self.as_device(self.scanner, version))
        self.assertEqual(["scanner-3"] * 2, [each.event.device for each in self.records])

    async def test_who_is_refused(self) -> None:
        """In the handshake, with the alert that says why (RFC 8446, section 6.2), and in our log in words."""
        stranger = self.device("scanner-3", ca=Authority(self.directory, "Other CA"))
        cases: list[tuple[Identity, str, str]] = [
            (stranger, "unknown ca", "the certificate of scanner-3 is signed by another CA"),
            (self.device("old", ends=-1), "certificate expired", "the certificate of old has expired"),
            (self.lost, "certificate revoked", "the certificate of lost is revoked"),
            (
                self.device("shelf-1", "lineside://shelf/shelf-1"),
                # OpenSSL has none for what is not its own finding.
                "internal error",
                "the certificate of shelf-1 is for the source shelf",
            ),
        ]
        for version in ("-tls1_2", "-tls1_3"):
            for identity, alert, reason in cases:
                self.assertEqual(reason, await self.refused(alert, version, identity))
        self.assertEqual("it showed no certificate", await self.refused("certificate required", "-tls1_3"))
        self.assertEqual("it showed no certificate", await self.refused("handshake failure", "-tls1_2"))
        self.assertEqual([], self.records)

    async def refused(self, alert: str, version: str, identity: Identity | None = None) -> str:
        arrivals_said(self.gateway).clear()
        with capturedLogs() as logged:
            if identity is None:
                said = await self.line(version, until=b"alert")
            else:
                said = await self.as_device(identity, version, until=b"alert")
        self.assertIn(f"alert {alert}", said)
        self.assertNotIn("OK ", said)
        [told] = [each for each in logged if each["log_format"] == "tls.refused"]
        self.assertEqual(("sources.gate", "127.0.0.1"), (told["listener"], told["peer"]))
        return str(told["reason"])

    async def test_bound_to_this_source(self) -> None:
        """A certificate for this source is good here, under the name that it has here."""
        device = self.device("anything", "lineside://shelf/other", "lineside://gate/dock%20scale")
        self.assertIn("OK ", await self.as_device(device))
        self.assertEqual(["dock scale"], [each.event.device for each in self.records])

    async def test_one_that_speaks_for_another(self) -> None:
        """Its line is kept as a dead letter under its own name, has no key, and is told so."""
        said = await self.as_device(self.scanner, says=b'{"reader": "scanner-4"}\n', until=b"ERR ")
        self.assertIn("ERR forged it names another device than the sender's certificate", said)
        await self.as_device(self.scanner, says=b'{"reader": "scanner-3"}\n')
        forged, own = (each.event for each in self.records)
        self.assertEqual(("scanner-3", b"", b'{"reader": "scanner-4"}'), (forged.device, forged.body, forged.raw))
        self.assertEqual(("scanner-3", None), (own.device, own.error))

    async def test_revoked_while_it_runs(self) -> None:
        """A new list is read without a restart: who stands on it is turned away from then on."""
        self.assertIn("OK ", await self.as_device(self.scanner))
        self.ca.revoke(self.lost, self.scanner)
        assert self.gateway.certificates is not None
        await self.gateway.certificates.look()
        self.assertEqual(
            "the certificate of scanner-3 is revoked",
            await self.refused("certificate revoked", "-tls1_3", self.scanner),
        )


def arrivals_said(gateway: Gateway) -> dict[str, float]:
    """Return when the gate's listener said what; emptied, it says all of it again."""
    source: Any = gateway.sources[0]
    said: dict[str, float] = source._port.port.factory.wrappedFactory._said
    return said


class WhatIsOffered(Secured):
    """To each who connects."""

    async def test_a_line_is_acknowledged(self) -> None:
        """Over both versions, to a client that trusts our CA and looks for the gateway's name."""
        for version in ("-tls1_2", "-tls1_3"):
            said = await self.line(version, "-verify_return_error", "-verify_hostname", "gateway.plant")
            self.assertIn("Verification: OK", said)
            self.assertIn("OK ", said)
        self.assertEqual([b'{"kg": 1}'] * 2, [each.event.body for each in self.records])

    async def test_http(self) -> None:
        """Requests are answered, and HTTP/1.1 is what was agreed on."""
        request = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
        said = await self.ask(self.web, "-alpn", "h2,http/1.1", says=request, until=b"HTTP/1.1 200")
        self.assertIn("ALPN protocol: http/1.1", said)
        self.assertIn("HTTP/1.1 200", said)

    async def test_live_channels(self) -> None:
        """WebSocket rides on HTTP's listener: a client is greeted over TLS as without."""
        head = (
            b"GET /connection/websocket HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n"
            b"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
            b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        )
        said = b'{"id":1,"connect":{}}'
        # A client's frame is masked; this mask changes nothing.
        frame = bytes((0x81, 0x80 | len(said), 0, 0, 0, 0)) + said
        talk = [(head, b"HTTP/1.1 101"), (frame, b'"client"')]
        told = await s_client(self.reactor, self.web, talk=talk)
        self.assertIn("HTTP/1.1 101", told)
        self.assertIn('{"id":1,"connect":{"client":', told)

    async def test_another_protocol(self) -> None:
        """Who speaks only others to HTTP's listener is told so (RFC 7301); devices speak none that has a name."""
        self.assertIn("alert no application protocol", await self.ask(self.web, "-alpn", "smtp"))
        said = await self.line("-alpn", "smtp")
        self.assertIn("No ALPN negotiated", said)

    async def test_old_versions(self) -> None:
        """There are none before TLS 1.2."""
        for port in (self.lines, self.web):
            for version in ("-tls1", "-tls1_1"):
                said = await self.ask(port, version, "-cipher", "ALL:@SECLEVEL=0")
                self.assertIn("alert protocol version", said)
                self.assertIn(REFUSED, said)

    async def test_ciphers(self) -> None:
        """Those that are promised, and no others: ephemeral keys, and encryption that authenticates."""
        for port in (self.lines, self.web):
            for suite in SUITES["TLSv1.2"]:
                self.assertIn(f"Cipher is {suite}", await self.ask(port, "-tls1_2", "-cipher", suite))
            for suite in SUITES["TLSv1.3"]:
                said = await self.ask(port, "-tls1_3", "-ciphersuites", suite)
                self.assertIn(f"Cipher is {suite}", said)
            rest = "ALL:COMPLEMENTOFALL:@SECLEVEL=0:!eNULL:" + ":".join(f"!{suite}" for suite in SUITES["TLSv1.2"])
            said = await self.ask(port, "-tls1_2", "-cipher", rest)
            self.assertIn("alert handshake failure", said)

    async def test_no_second_handshake(self) -> None:
        """A client that begins one is refused, and nothing is compressed or resumed."""
        said = await self.line("-tls1_2", says=b"R\n", until=b"no renegotiation")
        self.assertIn("no renegotiation", said)
        self.assertIn("Compression: NONE", said)
        said = await self.ask(self.lines, "-tls1_2", "-reconnect")
        self.assertEqual((6, 0), (said.count("New, TLSv1.2"), said.count("Reused")))
        session = self.directory / "session"
        await self.line("-tls1_3", "-sess_out", str(session))
        self.assertTrue(session.exists())
        said = await self.line("-tls1_3", "-sess_in", str(session))
        self.assertEqual((1, 0), (said.count("New, TLSv1.3"), said.count("Reused")))

    async def test_new_keys(self) -> None:
        """A client that changes the keys, and asks for it too (RFC 8446, section 4.6.3), is answered under them."""
        line = b'{"kg": 1}\n'
        talk = [(line, b"OK 1"), (b"K\n", b"KEYUPDATE"), (line, b"OK 2")]
        said = await s_client(self.reactor, self.lines, "-tls1_3", "-CAfile", str(self.ca.path), talk=talk)
        self.assertIn("OK 2", said)
        self.assertEqual([line.strip()] * 2, [each.event.body for each in self.records])

    async def test_certificates_by_name(self) -> None:
        """Each who asks for a name is shown its certificate; who asks for none, or another one, the first."""
        for name, shown in (
            ("gateway.plant", "gateway"),
            ("gateway.office", "office"),
            ("GATEWAY.office", "office"),
            ("till-1.shop.plant", "office"),
            ("a.till-1.shop.plant", "gateway"),
            ("unknown.plant", "gateway"),
            (None, "gateway"),
        ):
            said = await self.ask(self.lines, *(["-noservername"] if name is None else ["-servername", name]))
            self.assertIn(f"subject=CN = {shown}\n", said, name)

    async def test_who_speaks_no_tls(self) -> None:
        """They get nothing but the end, and the log says so; nothing of it is an event."""
        gone: Deferred[None] = Deferred()

        class Plain(Protocol):
            def connectionMade(self) -> None:
                assert self.transport is not None
                self.transport.write(b'{"kg": 1}\n')

            def connectionLost(self, reason: Failure = connectionDone) -> None:
                gone.callback(None)

        with capturedLogs() as logged:
            endpoint = TCP4ClientEndpoint(self.reactor, "127.0.0.1", self.lines)
            await endpoint.connect(Factory.forProtocol(Plain))
            await gone
        [told] = [each for each in logged if each["log_format"] == "tls.failed"]
        self.assertEqual(("sources.gate", "127.0.0.1"), (told["listener"], told["peer"]))
        self.assertEqual("it does not speak TLS", told["reason"])
        self.assertEqual([], self.records)

    async def test_a_silent_client_has_no_place(self) -> None:
        """Hundreds that have connected and begun no handshake are none of the source's connections, nor HTTP's."""
        for port in (self.lines, self.web):
            endpoint = TCP4ClientEndpoint(self.reactor, "127.0.0.1", port)
            for _ in range(HANDSHAKES + 50):
                silent = await endpoint.connect(Factory.forProtocol(Protocol))
                self.addCleanup(cast(Any, silent).transport.abortConnection)
        self.assertIn("OK ", await self.line())
        request = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
        self.assertIn("HTTP/1.1 200", await self.ask(self.web, says=request, until=b"HTTP/1.1 200"))
        status = next(each for each in self.gateway._source_status() if each.id == "gate")
        self.assertLessEqual(status.connections, 1)

    async def test_the_metric(self) -> None:
        """For how long each certificate is good is one of the gateway's numbers."""
        request = b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
        said = await self.ask(self.web, says=request, until=b"lineside_uptime_seconds ")
        name = "lineside_certificate_expires_seconds"
        left = {
            each: float(line.rpartition(" ")[2])
            for line in said.splitlines()
            for each in ("tls.plant", "tls.office")
            if line.startswith(f'{name}{{certificate="{each}"}} ')
        }
        self.assertEqual({"tls.plant", "tls.office"}, left.keys())
        for seconds in left.values():
            self.assertTrue(365 * 86_400 - 600 < seconds <= 365 * 86_400)


class Scanned(Secured):
    """What sslyze finds at each kind of listener."""

    gate = 'ca = "CA_PATH"'
    weak = ("ssl_2_0", "ssl_3_0", "tls_1_0", "tls_1_1")
    asked = ("reneg", "resum", "compression", "heartbleed", "openssl_ccs", "robot", "fallback", "early_data")

    async def scan(self, port: int, *options: str) -> dict[str, Any]:
        """Return what it found, by what it looked for."""
        if not tls_scanner.is_there():
            lacking("sslyze is not installed; tools/tls_scanner.py does it")
        versions = ("sslv2", "sslv3", "tlsv1", "tlsv1_1", "tlsv1_2", "tlsv1_3")
        told = self.directory / f"{port}.json"
        arguments = ["--quiet", "--mozilla_config=disable", f"--json_out={told}", *options, f"127.0.0.1:{port}"]
        arguments += [f"--{each}" for each in (*versions, *self.asked)]
        said = await getProcessOutputAndValue(
            str(tls_scanner.PROGRAM), arguments, env=dict(os.environ), reactor=self.reactor
        )
        self.assertEqual(0, said[2], said)
        [scanned] = json.loads(told.read_text(encoding="utf-8"))["server_scan_results"]
        found = {name: each for name, each in scanned["scan_result"].items() if each["status"] != "NOT_SCHEDULED"}
        self.assertEqual({"COMPLETED"}, {each["status"] for each in found.values()})
        return {name: each["result"] for name, each in found.items()}

    async def test_nothing_weak(self) -> None:
        """No version, cipher, renegotiation, compression or resumption, with a client's certificate and without."""
        device = self.ca.sign(name="scanner-3", for_clients=True)
        shown = (f"--cert={device.certificate}", f"--key={device.key}")
        for port, options in ((self.web, ()), (self.lines, shown)):
            found = await self.scan(port, *options)
            for version in self.weak:
                self.assertFalse(found[f"{version}_cipher_suites"]["is_tls_version_supported"])
            for version, name in (("tls_1_2", "TLSv1.2"), ("tls_1_3", "TLSv1.3")):
                accepted = found[f"{version}_cipher_suites"]["accepted_cipher_suites"]
                self.assertEqual(SUITES[name], {each["cipher_suite"]["openssl_name"] for each in accepted})
            again = found["session_renegotiation"]
            self.assertTrue(again["supports_secure_renegotiation"])
            self.assertFalse(again["is_vulnerable_to_client_renegotiation_dos"])
            self.assertEqual(0, again["client_renegotiations_success_count"])
            resumed = found["session_resumption"]
            self.assertEqual("NOT_SUPPORTED", resumed["session_id_resumption_result"])
            self.assertEqual("NOT_SUPPORTED", resumed["tls_ticket_resumption_result"])
            self.assertFalse(found["tls_compression"]["supports_compression"])
            self.assertFalse(found["tls_1_3_early_data"]["supports_early_data"])
            self.assertFalse(found["heartbleed"]["is_vulnerable_to_heartbleed"])
            self.assertFalse(found["openssl_ccs_injection"]["is_vulnerable_to_ccs_injection"])
            self.assertTrue(found["tls_fallback_scsv"]["supports_fallback_scsv"])
            self.assertEqual("NOT_VULNERABLE_RSA_NOT_SUPPORTED", found["robot"]["robot_result"])


class Talker(LineReceiver):
    """A device that sends its next line as soon as the one before is acknowledged, as long as it is to."""

    delimiter = b"\n"

    def __init__(self, name: str) -> None:
        self.name = name
        self.acknowledged = 0
        self.lost: Failure | None = None
        self.done: Deferred[None] | None = None
        self.shown = 0
        """The serial number of the certificate that it was shown."""

    def connectionMade(self) -> None:
        self.say()

    def say(self) -> None:
        self.sendLine(b'{"from": "%s", "n": %d}' % (self.name.encode(), self.acknowledged))

    def lineReceived(self, line: bytes) -> None:
        assert line.startswith(b"OK "), line
        self.acknowledged += 1
        if self.acknowledged == 1:
            transport: Any = self.transport
            self.shown = transport.getPeerCertificate().to_cryptography().serial_number
        if self.done is None:
            self.say()
        else:
            self.done.callback(None)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.lost = reason


class Burst(LineReceiver):
    """Says all of its lines at once; where it is deaf it reads on after its first answers only when it is told."""

    delimiter = b"\n"

    def __init__(self, lines: int, *, deaf: bool = False) -> None:
        self.answers: list[bytes] = []
        self.over: Deferred[None] = Deferred()
        self.lost: Deferred[None] = Deferred()
        self._lines = lines
        self._deaf = deaf

    def connectionMade(self) -> None:
        assert self.transport is not None
        self.transport.write(b"".join(b'{"n":%d}\n' % number for number in range(self._lines)))

    def lineReceived(self, line: bytes) -> None:
        self.answers.append(line)
        if self._deaf:
            self._deaf = False
            self.pauseProducing()
        if len(self.answers) == self._lines:
            self.over.callback(None)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.lost.callback(None)


class Talk(Secured):
    """What the gateway promises of lines holds over TLS as it does without."""

    gate = "max_in_flight = 64\nmax_connections = 2"
    lines_sent = 20_000

    async def connect(self, device: P) -> P:
        trust = Certificate.loadPEM(self.ca.pem)
        plain = HostnameEndpoint(self.reactor, "127.0.0.1", self.lines)
        secured = wrapClientTLS(optionsForClientTLS("gateway.plant", trustRoot=trust), plain)
        await secured.connect(Factory.forProtocol(lambda: device))
        transport: Any = device.transport
        self.addCleanup(lambda: transport.abortConnection() if transport.connected else None)
        return device

    async def test_many_lines_at_once(self) -> None:
        """Far more than may be in flight: each is acknowledged, in order."""
        device = await self.connect(Burst(self.lines_sent))
        await device.over
        self.assertEqual([b'{"n":%d}' % number for number in range(self.lines_sent)], self.bodies())
        self.assertEqual([b"OK %d" % record.seq for record in self.records], device.answers)

    async def test_a_device_that_does_not_read(self) -> None:
        """Nothing more is read from it than its answers have room for; when it reads, it gets all of them."""
        device = await self.connect(Burst(10 * self.lines_sent, deaf=True))
        [session] = await self.sessions()
        # The system would hold all the answers there are.
        session._link.transport.transport.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 8192)
        while "answers" not in session._held_by:
            await deferLater(self.reactor, 0.01)
        await deferLater(self.reactor, 0.2)
        self.assertLess(len(self.records), 10 * self.lines_sent)
        device.resumeProducing()
        await device.over
        self.assertEqual(10 * self.lines_sent, len(self.records))
        self.assertEqual({b"OK"}, {answer[:2] for answer in device.answers})

    async def test_no_room(self) -> None:
        """Who is too many is told so, over TLS, and none of its lines is taken."""
        for _ in range(2):
            await self.connect(Burst(1))
        await self.sessions(2)
        device = await self.connect(Burst(3))
        await device.lost
        self.assertEqual([b"ERR busy too many connections"], device.answers)

    async def test_who_does_not_leave(self) -> None:
        """Who is too many and never ends TLS is cut after some seconds: no device holds more than its places."""
        for _ in range(2):
            await self.connect(Burst(1))
        await self.sessions(2)
        self.patch(stream, "LINGER", 0.2)
        gone: Deferred[None] = Deferred()

        class Socket(Protocol):
            """TCP that is left open, whatever TLS says over it."""

            def connectionLost(self, reason: Failure = connectionDone) -> None:
                gone.callback(None)

        plain = Socket()
        await TCP4ClientEndpoint(self.reactor, "127.0.0.1", self.lines).connect(Factory.forProtocol(lambda: plain))
        context = SSL.Context(SSL.TLS_METHOD)
        device = SSL.Connection(context)
        device.set_connect_state()
        heard = b""
        plain.dataReceived = device.bio_write  # type: ignore[method-assign,assignment]
        while not heard:
            with contextlib.suppress(SSL.WantReadError):
                heard = device.recv(100)
            with contextlib.suppress(SSL.WantReadError):
                cast(Any, plain.transport).write(device.bio_read(65_536))
            await deferLater(self.reactor, 0.01)
        self.assertEqual(b"ERR busy too many connections\n", heard)
        await gone

    async def sessions(self, count: int = 1) -> list[Any]:
        found = self.gateway.sources[0].intake.sessions
        while len(found) < count:
            await deferLater(self.reactor, 0.01)
        return list(found)

    def bodies(self) -> list[bytes]:
        return [record.event.body for record in self.records]


class Renewal(Secured):
    """Certificates whose files are replaced while devices send."""

    async def connect(self, name: str) -> Talker:
        trust = Certificate.loadPEM(self.ca.pem)
        plain = HostnameEndpoint(self.reactor, "127.0.0.1", self.lines)
        secured = wrapClientTLS(optionsForClientTLS("gateway.plant", trustRoot=trust), plain)
        talker = Talker(name)
        await secured.connect(Factory.forProtocol(lambda: talker))
        transport: Any = talker.transport
        self.addCleanup(lambda: None if talker.lost else transport.abortConnection())
        return talker

    def replace(self, identity: Identity) -> int:
        """Put a new certificate and key where the old ones are, each at once; return its serial number."""
        for new, old in ((identity.certificate, self.plant.certificate), (identity.key, self.plant.key)):
            new.replace(old)
        found = x509.load_pem_x509_certificate(self.plant.certificate.read_bytes())
        return found.serial_number

    async def until(self, condition: Callable[[], bool]) -> None:
        while not condition():
            await deferLater(self.reactor, 0.01)

    async def all_go_on(self, talkers: list[Talker]) -> None:
        before = [each.acknowledged for each in talkers]
        await self.until(lambda: all(now.acknowledged > n for now, n in zip(talkers, before, strict=True)))

    async def test_under_load(self) -> None:
        """Of 200 devices none loses its connection or a line in ten reloads, one of them of a broken file."""
        assert self.gateway.certificates is not None
        look = self.gateway.certificates.look
        # The looks are the test's.
        await self.gateway.certificates.stop()
        talkers = [await self.connect(f"device-{number}") for number in range(200)]
        await self.until(lambda: all(each.acknowledged for each in talkers))
        shown = {each.shown for each in talkers}
        self.assertEqual(1, len(shown))
        newcomers = []
        with capturedLogs() as logged:
            for reload in range(10):
                if reload == 4:
                    kept = self.plant.certificate.read_bytes()
                    self.plant.certificate.write_bytes(kept[: len(kept) // 2])
                    await look()
                    self.assertEqual([], [each for each in logged if each["log_format"] == "certificate.kept"])
                else:
                    serial = self.replace(self.ca.sign("gateway.plant", "127.0.0.1", begins=-1, ends=365))
                await look()
                newcomers.append(await self.connect(f"newcomer-{reload}"))
                await self.until(lambda: newcomers[-1].acknowledged > 0)
                self.assertEqual(serial, newcomers[-1].shown)
                await self.all_go_on(talkers)
        [broken] = [each for each in logged if each["log_format"] == "certificate.kept"]
        self.assertEqual(f"{self.plant.certificate} holds no certificate in PEM", broken["reason"])
        self.assertEqual(9, len([each for each in logged if each["log_format"] == "certificate.reloaded"]))
        for each in (*talkers, *newcomers):
            each.done = Deferred()
        for each in (*talkers, *newcomers):
            await cast(Any, each.done)
        self.assertEqual([], [each.lost for each in (*talkers, *newcomers) if each.lost is not None])
        sent = sorted(
            b'{"from": "%s", "n": %d}' % (each.name.encode(), number)
            for each in (*talkers, *newcomers)
            for number in range(each.acknowledged)
        )
        self.assertEqual(sent, sorted(record.event.body for record in self.records))

    async def test_answers_before_the_end(self) -> None:
        """When the gateway stops, each line that was received is answered before TLS is ended."""
        talker = await self.connect("device")
        await self.until(lambda: talker.acknowledged > 0)
        stopping = Deferred.fromCoroutine(self.gateway.sources[0].stop())
        await self.until(lambda: talker.lost is not None)
        await stopping
        assert talker.lost is not None
        self.assertTrue(talker.lost.check(ConnectionDone), talker.lost)
        bodies = [record.event.body for record in self.records]
        self.assertEqual(talker.acknowledged, len(bodies))


class Revocable(Talker):
    """A device that takes note of what else it is told than that its line is stored."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.told: list[bytes] = []

    def lineReceived(self, line: bytes) -> None:
        if line.startswith(b"OK "):
            super().lineReceived(line)
        else:
            self.told.append(line)


@implementer(IOpenSSLClientConnectionCreator)
class Showing:
    """Makes the client's side of connections that show a certificate."""

    def __init__(self, identity: Identity) -> None:
        self._context = SSL.Context(SSL.TLS_CLIENT_METHOD)
        self._context.use_certificate_chain_file(str(identity.certificate))
        self._context.use_privatekey_file(str(identity.key))

    def clientConnectionForTLS(self, tlsProtocol: TLSMemoryBIOProtocol) -> SSL.Connection:
        connection = SSL.Connection(self._context)
        connection.set_connect_state()
        return connection


class TurnedOut(Secured):
    """A certificate that is revoked ends the connections that were opened with it, and no others."""

    gate = 'ca = "CA_PATH"\ncrl = "CRL_PATH"'

    async def begin(self) -> None:
        self.devices = {name: self.ca.sign(name=name, for_clients=True) for name in ("lost", "stolen", "scale")}
        self.crl = self.ca.revoke(self.devices["lost"])
        self.gate = self.gate.replace("CRL_PATH", str(self.crl))
        await super().begin()

    async def connect(self, device: P, name: str) -> P:
        identity = self.devices[name]
        plain = HostnameEndpoint(self.reactor, "127.0.0.1", self.lines)
        await wrapClientTLS(cast(Any, Showing(identity)), plain).connect(Factory.forProtocol(lambda: device))
        transport: Any = device.transport
        self.addCleanup(lambda: transport.abortConnection() if transport.connected else None)
        return device

    async def until(self, condition: Callable[[], bool]) -> None:
        while not condition():
            await deferLater(self.reactor, 0.01)

    async def revoke(self, *names: str) -> list[dict[str, Any]]:
        """Revoke certificates, have the gateway look at the list, and return whom it says that it turned out."""
        self.ca.revoke(self.devices["lost"], *(self.devices[name] for name in names))
        assert self.gateway.certificates is not None
        with capturedLogs() as logged:
            await self.gateway.certificates.look()
        return [each for each in logged if each["log_format"] == "tls.turned_out"]

    async def test_amid_its_lines(self) -> None:
        """What it sent before is stored and answered, then it is told why. Others lose nothing."""
        stolen = [await self.connect(Revocable("stolen"), "stolen") for _ in range(3)]
        others = [await self.connect(Revocable("scale"), "scale") for _ in range(3)]
        everyone = [*stolen, *others]
        await self.until(lambda: all(each.acknowledged > 5 for each in everyone))
        said = await self.revoke("stolen")
        self.assertEqual(
            [("sources.gate", "stolen", "127.0.0.1")] * 3,
            [(each["listener"], each["certificate"], each["peer"]) for each in said],
        )
        serial = x509.load_pem_x509_certificate(self.devices["stolen"].certificate.read_bytes()).serial_number
        self.assertEqual({f"{serial:x}"}, {each["serial"] for each in said})
        await self.until(lambda: all(each.lost is not None for each in stolen))
        heard = [each.acknowledged for each in others]
        await self.until(lambda: all(each.acknowledged > last for each, last in zip(others, heard, strict=True)))
        for each in others:
            each.done = Deferred()
        for each in others:
            await cast(Any, each.done)
        self.assertEqual([[b"ERR busy its certificate is revoked"]] * 3, [each.told for each in stolen])
        self.assertEqual([None] * 3, [each.lost for each in others])
        sent = sorted(
            b'{"from": "%s", "n": %d}' % (each.name.encode(), number)
            for each in everyone
            for number in range(each.acknowledged)
        )
        self.assertEqual(sent, sorted(record.event.body for record in self.records))

    async def test_one_that_stays(self) -> None:
        """Who reads nothing and does not hang up either is cut."""
        self.patch(session, "TURNED_OUT", 0.2)
        deaf = await self.connect(Burst(50_000, deaf=True), "stolen")
        await self.until(lambda: len(deaf.answers) > 0)
        self.assertEqual(1, len(await self.revoke("stolen")))
        source: Any = self.gateway.sources[0]
        await self.until(lambda: not source.intake.sessions)

    async def test_amid_its_handshake(self) -> None:
        """It was begun with the list before, and could be ended with that: it is cut."""
        knocking = await TCP4ClientEndpoint(self.reactor, "127.0.0.1", self.lines).connect(
            Factory.forProtocol(Knocking)
        )
        source: Any = self.gateway.sources[0]
        arrivals = source._port.port.factory.wrappedFactory
        await self.until(lambda: len(arrivals) == 1)
        self.assertEqual([], await self.revoke("stolen"))
        self.assertEqual(0, len(arrivals))
        await cast(Any, knocking).lost

    async def test_a_list_that_is_broken(self) -> None:
        """It turns out nobody: what was read before stays."""
        device = await self.connect(Revocable("scale"), "scale")
        self.ca.revoke(self.devices["stolen"], self.devices["scale"])
        self.crl.write_bytes(self.crl.read_bytes()[:40])
        assert self.gateway.certificates is not None
        for _ in range(3):
            await self.gateway.certificates.look()
        heard = device.acknowledged
        await self.until(lambda: device.acknowledged > heard)


class Knocking(Protocol):
    """Connects, and begins no handshake."""

    def __init__(self) -> None:
        self.lost: Deferred[None] = Deferred()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.lost.callback(None)


class Limited(Secured):
    """One address may have two connections, over TLS as without."""

    gate = '[limits]\ntrusted = ["10.0.0.1/32"]\nconnections = 2'

    async def hold(self, port: int, taken: Callable[[], int]) -> None:
        trust = Certificate.loadPEM(self.ca.pem)
        options = optionsForClientTLS("gateway.plant", trustRoot=trust)
        for _ in range(2):
            plain = HostnameEndpoint(self.reactor, "127.0.0.1", port)
            held = await wrapClientTLS(options, plain).connect(Factory.forProtocol(Knocking))
            self.addCleanup(cast(Any, held).transport.abortConnection)
        while taken() < 2:
            await deferLater(self.reactor, 0.01)

    async def test_who_is_one_too_many_over_http(self) -> None:
        """It is told 429, and when to come again, inside TLS; another address is served."""
        assert self.gateway.http is not None
        site: Any = self.gateway.http.part
        await self.hold(self.web, lambda: len(site._site.connections))
        request = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
        said = await self.ask(self.web, says=request, until=b'many connections"}')
        self.assertIn("HTTP/1.1 429 Too Many Requests\r\n", said)
        self.assertIn("Retry-After: 5", said)
        other = await self.ask(self.web, "-bind", "127.0.0.7", says=request, until=b"HTTP/1.1 ")
        self.assertIn("HTTP/1.1 200", other)

    async def test_a_device_that_is_one_too_many(self) -> None:
        """It is told so as without TLS."""
        source: Any = self.gateway.sources[0]
        await self.hold(self.lines, lambda: len(source.intake.sessions))
        self.assertIn("ERR busy too many connections", await self.line(until=b"ERR busy"))
        self.assertIn("OK ", await self.line("-bind", "127.0.0.7"))


class FromElsewhere(Secured):
    """Who comes from no network that `allow` names."""

    gate = 'allow = ["127.0.0.7/32"]'

    async def test_it_has_no_handshake(self) -> None:
        """It is cut before OpenSSL has any work with it; who may come is served."""
        said = await self.line(until=b"never")
        self.assertIn(REFUSED, said)
        self.assertIn("OK ", await self.line("-bind", "127.0.0.7"))
        source: Any = self.gateway.sources[0]
        self.assertEqual(0, len(source._port.port.factory.wrappedFactory))
        self.assertEqual(1, self.gateway.turnstile.refused["allow", "sources.gate"])
