"""A gateway with live channels, a device that sends to it, and a network between it and its clients that fails."""

from __future__ import annotations

import json
import shutil
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jwt
import pytest
from node_wheel import PROGRAM
from tests.rig.certificates import Authority
from tests.rig.daemon import lacking
from tests.rig.forked import Nursery
from tests.rig.told import Program, of
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint, TCP4ServerEndpoint, connectProtocol
from twisted.internet.protocol import connectionDone
from twisted.protocols.basic import LineReceiver
from twisted.protocols.portforward import ProxyFactory, ProxyServer
from twisted.python.failure import Failure
from twisted.trial.unittest import TestCase

from lineside.demo.children import LINESIDE

KEY = "0123456789abcdef0123456789abcdef"
ROOT = Path(__file__).parents[2]
PACKAGES = ROOT / "frontend/node_modules"
CONFIGURATION = """
[journal]
path = "journal.db"

[targets.erp]
type = "frappe"
url = "http://127.0.0.1:9"
api_key = "key"
api_secret = "secret"

[sources.gate]
type = "lines"
listen = "tcp:0:interface=127.0.0.1"
dedupe = "n"

[sources.pages]
type = "http"

# The ERP is away: what waits for it would be in the gateway's memory.
[routes.checkin]
sources = ["pages"]
doctype = "Employee Checkin"
document = {{ employee = "{{{{ n }}}}" }}

[http]
listen = "tcp:{port}:interface=127.0.0.1"
{tls}

[live]
jwt_key = "{key}"
allowed_origins = [{origins}]
recovery_limit = {limit}
max_queued = {room}

[channels.pub]
publish = ["viewer", "operator"]
presence = true
"""


def token(user: str, seconds: float = 3600, **claims: Any) -> str:
    """Make a viewer's token that is good for so many seconds."""
    return jwt.encode({"sub": user, "exp": int(time.time() + seconds), "meta": {"role": "viewer"}, **claims}, KEY)


class Device(LineReceiver):
    """Sends numbered lines, and again those whose answer was lost."""

    delimiter = b"\n"
    transport: Any

    def __init__(self, acknowledged: dict[int, int]) -> None:
        self.acknowledged = acknowledged
        self.unanswered: list[int] = []
        self._waiting: Deferred[None] | None = None
        self.gone: Deferred[None] = Deferred()

    def send(self, numbers: Sequence[int], filling: str = "") -> None:
        """Send lines; their answers are awaited by `answered`."""
        self.unanswered.extend(numbers)
        lines = [json.dumps({"n": number, "filling": filling}).encode() for number in numbers]
        self.transport.write(b"".join(line + b"\n" for line in lines))

    async def answered(self, left: int = 0) -> None:
        """Return when no more than so many lines are unanswered, or the connection is lost."""
        while len(self.unanswered) > left and not self.gone.called:
            self._waiting = Deferred()
            await self._waiting

    def lineReceived(self, line: bytes) -> None:
        """Take an answer."""
        word, sequence = line.split()[:2]
        assert word == b"OK", line
        self.acknowledged[self.unanswered.pop(0)] = int(sequence)
        self._tell()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Tell who waits."""
        self.gone.callback(None)
        self._tell()

    def _tell(self) -> None:
        waiting, self._waiting = self._waiting, None
        if waiting is not None:
            waiting.callback(None)


class Network(ProxyFactory):
    """The way of clients to the gateway: it can be cut, and it can swallow all that is sent."""

    noisy = False

    def __init__(self, port: int) -> None:
        super().__init__("127.0.0.1", port)
        self.protocol = Way
        self.ways: set[Way] = set()
        self.swallows = False

    def cut(self) -> None:
        """End all connections at once, on both sides."""
        for way in list(self.ways):
            way.cut()


class Way(ProxyServer):
    """One client's way."""

    factory: Network
    transport: Any

    def connectionMade(self) -> None:
        self.factory.ways.add(self)
        super().connectionMade()
        self.clientProtocolFactory.noisy = False

    def dataReceived(self, data: bytes) -> None:
        if not self.factory.swallows:
            super().dataReceived(data)

    def setPeer(self, peer: Any) -> None:
        super().setPeer(peer)
        forward = peer.dataReceived

        def received(data: bytes) -> None:
            if not self.factory.swallows:
                forward(data)

        peer.dataReceived = received

    def cut(self) -> None:
        self.transport.abortConnection()
        peer: Any = self.peer
        if peer is not None:
            peer.transport.abortConnection()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.factory.ways.discard(self)
        super().connectionLost(reason)


class LiveCase(TestCase):
    """Has ``self.gateway`` and the ``self.device``; clients are started by `client`."""

    timeout = 170
    program: str
    """``javascript`` or ``python``."""
    limit = 400
    """The most that a client is sent when it comes back."""
    origins = ""
    """Further sites whose pages may connect, as in a list of TOML."""
    room = 1_048_576
    """Bytes that may wait for a client."""
    secure = False
    """Whether clients come over TLS."""
    more = ""
    """Further tables of the configuration."""
    forks = True
    """Whether the nursery starts the gateway: not in a network of one's own, for the nursery's is another."""

    @pytest.fixture(autouse=True)
    def own_directory(self, tmp_path: Path, nursery: Nursery) -> None:
        self.directory, self.nursery = tmp_path, nursery

    async def setUp(self) -> None:  # type: ignore[override]
        from twisted.internet import reactor  # noqa: PLC0415, TID251 (processes and sockets are real)

        self.reactor: Any = reactor
        self.acknowledged: dict[int, int] = {}
        """Sequences by number."""
        self._clients: list[Program] = []
        self.port = 0
        """The gateway's for clients, once it was started."""
        self.authority = Authority(self.directory)
        self._shown = self.authority.sign("127.0.0.1")
        await self.start_gateway()
        self.network = Network(self.port)
        scheme = "wss" if self.secure else "ws"
        self.direct = f"{scheme}://127.0.0.1:{self.port}/connection/websocket"
        listening: Any = await TCP4ServerEndpoint(reactor, 0, interface="127.0.0.1").listen(self.network)
        self.url = f"{scheme}://127.0.0.1:{listening.getHost().port}/connection/websocket"
        self.addCleanup(self._end, listening)

    async def start_gateway(self) -> None:
        """Start the gateway, at the address that it had before; the device calls it."""
        configuration = self.directory / "lineside.toml"
        configuration.write_text(
            CONFIGURATION.format(
                port=self.port, tls=self._tls(), key=KEY, limit=self.limit, origins=self.origins, room=self.room
            )
            + self.more
        )
        self.gateway = self.lineside("run", "--log-format", "json")
        web = await self.gateway.heard("http.listening")
        self.port = int(web["address"].rpartition(":")[2])
        lines = await self.gateway.heard("source.listening")
        await self.gateway.heard("gateway.ready")
        self.device_port = int(lines["address"].rpartition(":")[2])
        self.device = Device(self.acknowledged)
        await connectProtocol(TCP4ClientEndpoint(self.reactor, "127.0.0.1", self.device_port), self.device)

    def lineside(self, *arguments: str) -> Program:
        """Start ``lineside``."""
        if not self.forks:
            return Program(self.reactor, [sys.executable, *LINESIDE, *arguments], self.directory)
        spawn = self.nursery.spawn(self.reactor)
        return Program(self.reactor, ["lineside", *arguments], self.directory, spawn=spawn)

    async def kill_gateway(self) -> None:
        """End the gateway as a power cut would, and start it anew on the same journal."""
        await self.gateway.end("KILL")
        await self.device.gone
        unanswered = self.device.unanswered
        await self.start_gateway()
        self.device.send(unanswered)

    async def client(self, *tokens: str, url: str | None = None) -> Program:
        """Start a client that has these tokens, one after the other."""
        options = json.dumps({"url": url or self.url, "tokens": list(tokens or [token("anna")])})
        if self.program == "python":
            command = [sys.executable, str(Path(__file__).parent / "live_client.py"), options]
        else:
            command = [node(), str(Path(__file__).parent / "live_client.mjs"), options, f"{PACKAGES}/"]
        return await self.started(command)

    async def started(self, command: Sequence[str]) -> Program:
        """Start a program that trusts the gateway's certificate, and ends with the test."""
        trusted = str(self.authority.path)
        environ = {"NODE_EXTRA_CA_CERTS": trusted, "SSL_CERT_FILE": trusted} if self.secure else {}
        client = Program(self.reactor, command, self.directory, environ)
        self._clients.append(client)
        await client.heard("started")
        return client

    async def follower(self, channel: str = "events:gate", url: str | None = None) -> Program:
        """Start a client that is subscribed, and has told nothing yet."""
        client = await self.client(url=url)
        await client.do("connect")
        await client.do("subscribe", channel=channel)
        await client.heard("subscribed", channel=channel)
        client.said.clear()
        return client

    async def got_all(self, client: Program, channel: str = "events:gate") -> None:
        """Each event that was acknowledged came once, in order, as it was sent."""
        expected = sorted((seq, number) for number, seq in self.acknowledged.items())
        await client.until(
            f"{len(expected)} publications",
            lambda: len(of(client.said, "publication", channel=channel)) >= len(expected),
        )
        got = [
            (each["offset"], each["data"]["event"]["n"]) for each in of(client.said, "publication", channel=channel)
        ]
        self.assertEqual(expected, got)

    def always_recovered(self, client: Program) -> int:
        """Whenever it came back nothing was missing; returns how often that was."""
        returns = of(client.said, "subscribed")
        self.assertEqual([True] * len(returns), [each["recovered"] for each in returns])
        return len(returns)

    def _tls(self) -> str:
        if not self.secure:
            return ""
        certificate, key = self._shown.certificate, self._shown.key
        return f'tls = "page"\n\n[tls.page]\ncertificate = "{certificate}"\nkey = "{key}"'

    async def _end(self, listening: Any) -> None:
        for client in self._clients:
            client.signal("CONT")
            await client.end()
        self.network.cut()
        self.device.transport.abortConnection()
        await listening.stopListening()
        await self.gateway.end()
        await self.device.gone
        for way in list(self.network.ways):
            way.cut()


def node() -> str:
    """Return the program of Node.js, where it and the packages are there; skip the test otherwise."""
    if not all((PACKAGES / name).exists() for name in ("centrifuge", "ws")):
        lacking("the packages for Node.js are not installed (make dashboard)")
    fetched = sorted((ROOT / ".tools").glob(f"node-*/{PROGRAM}"))
    found = shutil.which("node") or (str(fetched[-1]) if fetched else None)
    if found is None:
        lacking("there is no Node.js (make dashboard)")
    return str(found)
