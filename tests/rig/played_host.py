"""A host that speaks SSH, played in memory: the gateway's own server side, with commands of the test's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from twisted.conch.ssh.keys import Key
from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred, succeed
from twisted.internet.error import ConnectionAborted, ConnectionDone, ConnectionLost
from twisted.internet.interfaces import IProtocol, IProtocolFactory, IStreamClientEndpoint
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from zope.interface import implementer

from lineside.edges.ssh.channels import Programs, Session
from lineside.edges.ssh.client.algorithms import MODERN
from lineside.edges.ssh.client.hosts import KnownHost
from lineside.edges.ssh.client.transport import Visit
from lineside.edges.ssh.door import Limits, SshDoor
from lineside.edges.ssh.hostkeys import HostKeys
from lineside.edges.ssh.logins import Logins, User
from lineside.security.identity import Identity

OURS = Key(Ed25519PrivateKey.generate())
HOST = Key(Ed25519PrivateKey.generate())
ADDRESS = IPv4Address("TCP", "192.0.2.9", 22)


class Wire(StringTransport):
    """One end of a connection. What is written waits until the test lets it through."""

    other: Wire
    protocol: Any

    def __init__(self, clock: Clock) -> None:
        super().__init__(peerAddress=ADDRESS)
        self.over = False
        self._clock = clock

    def loseConnection(self) -> None:
        super().loseConnection()

    def abortConnection(self) -> None:
        self.disconnecting = True
        self._clock.callLater(0, self.end, ConnectionAborted())

    def end(self, how: Exception) -> None:
        """Tell the protocol that it is over."""
        if not self.over:
            self.over = True
            self.protocol.connectionLost(Failure(how))

    def pass_on(self) -> bool:
        """Let through what was written; whether there was anything."""
        data = self.value()
        self.clear()
        if data and not self.other.over:
            self.other.protocol.dataReceived(data)
        elif self.disconnecting and not self.over:
            self.end(ConnectionDone())
            self.other.end(ConnectionDone())
            return True
        return bool(data)


class Run:
    """One run of a command on the host: a `lineside.edges.ssh.channels.Program`."""

    def __init__(self, session: Session, line: str, said: str, *, ends: bool) -> None:
        self.session = session
        self.line = line
        self.heard = b""
        self.stopped = False
        self.say = session.say
        self.complain = session.complain
        if said:
            session.say(said)
        if ends:
            session.finish(0)

    def received(self, data: bytes) -> None:
        self.heard += data

    def ended(self) -> None:
        self.session.finish(0)

    def drained(self) -> None:
        """Nothing waits."""

    def resized(self) -> None:
        """It has no terminal."""

    def stop(self) -> None:
        self.stopped = True


@implementer(IStreamClientEndpoint)
class PlayedHost:
    """Where the host is. Nothing goes over a wire until the test says so.

    Attributes:
        runs: its commands, the latest last.
        said: what each run writes before anybody is told that it runs.
        ends: each run ends before that, too.
        away: nobody answers a call.
        commands: whether it runs any.
        run: begins one.

    """

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.runs: list[Run] = []
        self.wires: list[tuple[Wire, Wire]] = []
        """The gateway's ends and the host's."""
        self.said = ""
        self.ends = self.away = False
        self.commands = True
        self.run: Callable[[Session, str], Any] = self._run
        users = {"ops": User("ops", Identity("ops", "operator"), frozenset([OURS.public().blob()]))}
        self.door = SshDoor(
            clock,
            HostKeys({b"ssh-ed25519": HOST}, [b"ssh-ed25519"]),
            Logins(users, lambda work: succeed(work())),
            lambda _: Programs(command=cast(Any, self.run) if self.commands else None),
            Limits(),
        )

    def visit(self, **changed: Any) -> Visit:
        """Return a visit that is welcome."""
        known = KnownHost("scale:22", frozenset({HOST.public().blob()}))
        told: dict[str, Any] = {"host": known, "user": "ops", "algorithms": MODERN, "key": OURS} | changed
        return Visit(**told)

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        """Connect."""
        if self.away:
            return Deferred()
        client = cast(Any, protocolFactory.buildProtocol(ADDRESS))
        near, far = Wire(self.clock), Wire(self.clock)
        near.other, far.other = far, near
        near.protocol, far.protocol = client, cast(Any, self.door.buildProtocol(ADDRESS))
        self.wires.append((near, far))
        far.protocol.makeConnection(far)
        client.makeConnection(near)
        return succeed(client)

    def flush(self, until: Callable[[], bool] = lambda: False) -> None:
        """Let both sides talk until they are silent."""
        while not until():
            there = [wire for pair in self.wires for wire in pair if not wire.over]
            moved = [wire.pass_on() for wire in there]
            self.clock.advance(0)
            if not any(moved):
                return

    def cut(self) -> None:
        """Break the latest connection, with all that is under way."""
        for wire in self.wires[-1]:
            wire.end(ConnectionLost())

    def _run(self, session: Session, line: str) -> Run:
        run = Run(session, line, self.said, ends=self.ends)
        self.runs.append(run)
        return run
