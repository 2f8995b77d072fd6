"""How we log in at a host (RFC 4252), and the channels that we have then."""

from __future__ import annotations

from typing import Any, Protocol

from twisted.conch.ssh.common import NS, getNS
from twisted.conch.ssh.connection import SSHConnection
from twisted.conch.ssh.keys import Key
from twisted.conch.ssh.service import SSHService
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime

from lineside.edges.ssh.client.algorithms import Algorithms
from lineside.edges.ssh.quiet import QUIET

# Conch's module that has them installs a reactor.
MSG_USERAUTH_REQUEST, MSG_USERAUTH_INFO_RESPONSE = 50, 61
MOST_PROMPTS = 8


KEEPALIVE = 30.0
"""Seconds between two questions whether the host is still there."""
MISSED = 3
"""Questions without an answer after which it is not."""


class Channels(SSHConnection):
    """The connection's channels. The host opens none to us."""

    _log = QUIET
    transport: Any

    def __init__(self) -> None:
        super().__init__()
        self._clock: IReactorTime | None = None
        self._asking: IDelayedCall | None = None
        self._unanswered = 0

    def watch(self, clock: IReactorTime) -> None:
        """Ask now and then whether the host is there, and cut the connection when it is not."""
        self._clock = clock
        self._asking = clock.callLater(KEEPALIVE, self._ask)

    def serviceStopped(self) -> None:
        """End the channels."""
        if self._asking is not None and self._asking.active():
            self._asking.cancel()
        super().serviceStopped()

    def packetReceived(self, messageNum: int, packet: bytes) -> Any:
        """Take a message, which is a sign of life."""
        self._unanswered = 0
        return super().packetReceived(messageNum, packet)

    def ssh_CHANNEL_OPEN_CONFIRMATION(self, packet: bytes) -> None:
        """Take a channel for open."""
        self._is_opening(packet)
        super().ssh_CHANNEL_OPEN_CONFIRMATION(packet)

    def ssh_CHANNEL_OPEN_FAILURE(self, packet: bytes) -> None:
        """Take a channel for refused."""
        self._is_opening(packet)
        super().ssh_CHANNEL_OPEN_FAILURE(packet)

    def _is_opening(self, packet: bytes) -> None:
        """End the connection where the channel is open already: conch would forget it, and never tell its end."""
        if int.from_bytes(packet[:4], "big") in self.localToRemoteChannel:
            raise ValueError("a second answer to one question")

    def adjustWindow(self, channel: Any, bytesToAdd: int) -> None:
        """Let the host send more, unless the channel is held: it does this itself when it is let go."""
        if not getattr(channel, "held", False):
            super().adjustWindow(channel, bytesToAdd)

    def sendClose(self, channel: Any) -> None:
        """Close a channel from our side, by which a command's begins to wait for the host's."""
        super().sendClose(channel)
        sent = getattr(channel, "close_sent", None)
        if sent is not None:
            sent()

    def _ask(self) -> None:
        assert self._clock is not None
        if self._unanswered >= MISSED:
            self.transport.give_up_on(f"the host has not answered for {KEEPALIVE * MISSED:.0f} s")
            return
        self._unanswered += 1
        answered: Deferred[Any] | None = self.sendGlobalRequest(b"keepalive@openssh.com", b"", wantReply=1)
        if answered is not None:
            # Either answer shows that somebody is there.
            answered.addErrback(lambda _: None)
        self._asking = self._clock.callLater(KEEPALIVE, self._ask)


class Proofs(Protocol):
    """By what we show who we are."""

    @property
    def algorithms(self) -> Algorithms:
        """What may be agreed on."""
        ...

    @property
    def key(self) -> Key | None:
        """Our key."""
        ...

    @property
    def password(self) -> str | None:
        """Our password."""
        ...


class Login(SSHService):
    """Shows our key, or else our password, each once; the password only by a sealed connection to a known host."""

    name = b"ssh-userauth"
    protocolMessages = {51: "MSG_FAILURE", 52: "MSG_SUCCESS", 53: "MSG_BANNER", 60: "MSG_INFO_REQUEST"}  # noqa: N815, RUF012
    _log = QUIET
    transport: Any

    def __init__(self, user: str, proofs: Proofs, channels: Channels) -> None:
        self._user = user.encode()
        self._channels = channels
        self._password = proofs.password
        self._asking = False
        key = proofs.key
        self._ways: list[tuple[bytes, Key | None, bytes]] = []
        if key is not None:
            kinds = proofs.algorithms.rsa if key.type() == "RSA" else [key.sshType()]
            self._ways += [(b"publickey", key, kind) for kind in kinds]
        if proofs.password is not None:
            self._ways += [(b"password", None, b""), (b"keyboard-interactive", None, b"")]

    def serviceStarted(self) -> None:
        """Show the first proof."""
        self._next(None)

    def ssh_FAILURE(self, packet: bytes) -> None:
        """Show the next one that the host would look at."""
        self._next(getNS(packet)[0].split(b","))

    def _next(self, taken: list[bytes] | None) -> None:
        self._asking = False
        while self._ways:
            way, key, kind = self._ways.pop(0)
            if taken is not None and way not in taken:
                continue
            head = NS(self._user) + NS(b"ssh-connection") + NS(way)
            if way == b"publickey":
                assert key is not None
                head += b"\x01" + NS(kind) + NS(key.public().blob())
                signed = NS(self.transport.sessionID) + bytes((MSG_USERAUTH_REQUEST,)) + head
                self.transport.sendPacket(MSG_USERAUTH_REQUEST, head + NS(key.sign(signed, kind)))
            elif way == b"password":
                self.transport.sendPacket(MSG_USERAUTH_REQUEST, head + b"\0" + NS((self._password or "").encode()))
            else:
                self._asking = True
                self.transport.sendPacket(MSG_USERAUTH_REQUEST, head + NS(b"") + NS(b""))
            return
        self.transport.refused_login(
            "" if taken is None else "it takes " + b", ".join(taken).decode("ascii", "replace")
        )

    def ssh_INFO_REQUEST(self, packet: bytes) -> None:
        """Answer with the password where the host asks for one thing in secret, once; else with nothing."""
        if not self._asking:
            self.transport.refused_login("it asks for a new password")
            return
        _, _, _, rest = getNS(packet, 3)
        count = int.from_bytes(rest[:4], "big")
        if count > MOST_PROMPTS:
            self.transport.refused_login(f"it asks {count} things")
            return
        answers = [b""] * count
        if count == 1 and self._password is not None and rest.endswith(b"\0"):
            answers = [self._password.encode()]
            self._password = None
        self.transport.sendPacket(MSG_USERAUTH_INFO_RESPONSE, count.to_bytes(4, "big") + b"".join(map(NS, answers)))

    def ssh_SUCCESS(self, packet: bytes) -> None:
        """Go on to the channels."""
        self.transport.setService(self._channels)

    def ssh_BANNER(self, packet: bytes) -> None:
        """Let what the host tells people pass."""
