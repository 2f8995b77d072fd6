"""The SSH server in memory, with conch's client at the other end of it."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from twisted.conch.ssh.common import NS
from twisted.conch.ssh.keys import Key
from twisted.conch.ssh.service import SSHService
from twisted.conch.ssh.transport import SSHClientTransport
from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport

from lineside.edges.ssh.channels import Programs
from lineside.edges.ssh.door import Limits, SshDoor
from lineside.edges.ssh.hostkeys import HostKeys
from lineside.edges.ssh.logins import Logins, User, Visitor
from lineside.edges.ssh.transport import GuardedTransport
from lineside.security.audit import Act
from lineside.security.identity import Identity

OPS = Key(Ed25519PrivateKey.generate())
HOST = Key(Ed25519PrivateKey.generate())
ADDRESS = IPv4Address("TCP", "192.0.2.7", 50_000)
BANNER = b"SSH-2.0-peer\r\n"


def packet(payload: bytes) -> bytes:
    """Return a packet as it is before there are keys."""
    padding = 8 - (5 + len(payload)) % 8
    padding += 8 if padding < 4 else 0
    return struct.pack(">LB", 1 + len(payload) + padding, padding) + payload + bytes(padding)


def kexinit(kex: bytes = b"curve25519-sha256") -> bytes:
    """Return a client's KEXINIT."""
    lists = [kex, b"ssh-ed25519", *[b"aes128-ctr"] * 2, *[b"hmac-sha2-256"] * 2, *[b"none"] * 2, b"", b""]
    return b"\x14" + bytes(16) + b"".join(map(NS, lists)) + bytes(5)


class Pipe(StringTransport):
    """One end of a connection."""

    def __init__(self) -> None:
        super().__init__(peerAddress=ADDRESS)
        self.aborted = False

    def abortConnection(self) -> None:
        self.aborted = self.disconnecting = True


class Client(SSHClientTransport):
    """Conch's client, as far as its keys."""

    def __init__(self) -> None:
        self.secure: Deferred[None] = Deferred()
        self.told: list[bytes] = []

    def verifyHostKey(self, hostKey: bytes, fingerprint: str) -> Deferred[bool]:
        return succeed(True)

    def connectionSecure(self) -> None:
        if not self.secure.called:
            self.secure.callback(None)

    def receiveError(self, reasonCode: int, description: bytes) -> None:
        self.told.append(description)


class Heard(SSHService):
    """The client's side of every service: keeps what comes."""

    name = b"ssh-userauth"

    def __init__(self) -> None:
        self.came: list[tuple[int, bytes]] = []

    def packetReceived(self, messageNum: int, packet: bytes) -> None:
        self.came.append((messageNum, packet))


class Visit:
    """A server and a client that is connected to it."""

    def __init__(
        self,
        client: Client | None = None,
        programs: Callable[[Visitor], Programs] = lambda _: Programs(),
        limits: Limits | None = None,
    ) -> None:
        self.clock = Clock()
        self.acts: list[Act] = []
        self.failed: list[str] = []
        users = {"ops": User("ops", Identity("ops", "operator"), frozenset([OPS.public().blob()]))}
        self.door = SshDoor(
            self.clock,
            HostKeys({b"ssh-ed25519": HOST}, [b"ssh-ed25519"]),
            Logins(users, lambda work: succeed(work())),
            programs,
            limits or Limits(),
            record=self.acts.append,
            failed_login=self.failed.append,
        )
        self.pipe, self.server = self.connect()
        self.client = client or Client()
        self.other = Pipe()
        self.heard = Heard()
        self.client.makeConnection(self.other)
        self._sent = [0, 0]

    def connect(self) -> tuple[Pipe, GuardedTransport]:
        """Return a further connection."""
        server: Any = self.door.buildProtocol(ADDRESS)
        pipe = Pipe()
        server.makeConnection(pipe)
        return pipe, server

    def pump(self) -> None:
        """Let both sides talk until they are silent."""
        while True:
            near, far = self.pipe.value()[self._sent[0] :], self.other.value()[self._sent[1] :]
            self._sent = [self._sent[0] + len(near), self._sent[1] + len(far)]
            if not near and not far:
                return
            if near:
                self.client.dataReceived(near)
            if far:
                self.server.dataReceived(far)

    def log_in(self, name: bytes = b"ops", key: Key = OPS) -> None:
        """Prove to be somebody."""
        self.pump()
        self.client.requestService(self.heard)
        self.pump()
        self.log_in_again(name, key)

    def log_in_again(self, name: bytes = b"ops", key: Key = OPS) -> None:
        """Try once more, on the same connection."""
        asked = NS(name) + NS(b"ssh-connection") + NS(b"publickey") + b"\1"
        asked += NS(b"ssh-ed25519") + NS(key.public().blob())
        assert self.client.sessionID is not None
        self.client.sendPacket(50, asked + NS(key.sign(NS(self.client.sessionID) + b"\x32" + asked)))
        self.pump()
