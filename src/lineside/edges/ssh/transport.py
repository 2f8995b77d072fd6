"""One SSH connection of a client: conch's server side, with modern algorithms only, strict and bounded.

What conch lacks is here and in `sealed`: new keys after much data or a long time, and an end for clients that are
silent or do not read.
"""

from __future__ import annotations

from typing import Any

from twisted.conch.ssh.common import NS, getNS
from twisted.conch.ssh.transport import (
    DISCONNECT_PROTOCOL_ERROR,
    DISCONNECT_SERVICE_NOT_AVAILABLE,
    MSG_DISCONNECT,
    MSG_SERVICE_ACCEPT,
    SSHServerTransport,
)
from twisted.internet.interfaces import IDelayedCall, IPushProducer, IReactorTime
from twisted.internet.protocol import connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer

from lineside.edges.ssh.packets import CIPHERS, MACS, BadPacket, Keys
from lineside.edges.ssh.sealed import EXCHANGE, STRICT_CLIENT, STRICT_SERVER, ProtocolError, SealedTransport

KEY_EXCHANGES = [
    b"mlkem768x25519-sha256",
    b"curve25519-sha256",
    b"curve25519-sha256@libssh.org",
]
"""Those of conch's without SHA-1, NIST's curves, and finite fields, which cryptography is about to give up."""
LONGEST_BANNER = 255
"""Bytes of a client's version line (RFC 4253, section 4.2)."""
REKEY_SECONDS = 3_600.0
"""After so long there are new keys (RFC 4253, section 9)."""
PATIENCE = 60.0
"""Seconds that a new key exchange may take."""
GOING = 5.0
"""Seconds that a client has to take the word that it is turned away."""
READ = 256 << 10
"""Bytes that are read at a time from who has logged in: more would make everybody else wait."""
_INIT = 30
"""By which a client begins each of `KEY_EXCHANGES`."""


@implementer(IPushProducer)
class GuardedTransport(SealedTransport, SSHServerTransport):
    """A client's connection. What is malformed, or out of its order, ends it.

    Args:
        clock: ends what takes too long; must follow a monotonic clock.
        patience: seconds until the client must have logged in.

    """

    supportedCiphers = list(CIPHERS)  # noqa: N815, RUF012 (conch's names)
    supportedMACs = list(MACS)  # noqa: N815, RUF012
    supportedKeyExchanges = KEY_EXCHANGES  # noqa: N815
    factory: Any

    def __init__(self, clock: IReactorTime, patience: float) -> None:
        super().__init__(KEY_EXCHANGES, STRICT_SERVER)
        self.clock = clock
        self.congested = False
        """The client does not read what is sent."""
        self.known = False
        """The client has logged in."""
        self.peer = ""
        """The client's address."""
        self._patience = patience
        self._timers: dict[str, IDelayedCall] = {}

    def connectionMade(self) -> None:
        """Say who we are, and what we speak."""
        host = self.transport.getPeer()
        self.peer = str(getattr(host, "host", "") or "unix")
        self._timers["login"] = self.clock.callLater(self._patience, self._late)
        self.transport.registerProducer(self, True)
        self._send_promptly()
        self.transport.write(self.ourVersionString + b"\r\n")
        self.sendKexInit()

    def logged_in(self) -> None:
        """Let the client stay."""
        self.known = True
        # Twisted's 64 KiB are two packets of a file.
        self.transport.bufferSize = READ
        self._stop("login")

    def _broken(self, wrong: Exception) -> None:
        known = isinstance(wrong, BadPacket | ProtocolError)
        self._refuse(str(wrong) if known else "a malformed message")

    def _version(self) -> bool:
        end = self._received.find(b"\n")
        if end < 0 or end > LONGEST_BANNER:
            if len(self._received) > LONGEST_BANNER:
                raise ProtocolError("no version came")
            return False
        line = self._received[:end].rstrip(b"\r")
        if not line.startswith((b"SSH-2.0-", b"SSH-1.99-")):
            raise ProtocolError("no version of SSH 2 came")
        self._received = self._received[end + 1 :]
        self.otherVersionString = line
        self.gotVersion = True
        return True

    def dispatchMessage(self, messageNum: int, payload: bytes) -> None:
        """Hold a message to its place, and give it on."""
        if messageNum in EXCHANGE and messageNum != _INIT:
            # The other numbers are of exchanges with groups to choose, which conch would begin all the same.
            raise ProtocolError("no such key exchange is under way")
        super().dispatchMessage(messageNum, payload)

    def sendKexInit(self) -> None:
        """Begin a key exchange, or answer the client's beginning."""
        super().sendKexInit()
        if self.sessionID is not None:
            self._timers["rekey"] = self.clock.callLater(PATIENCE, self._late)

    def ssh_KEXINIT(self, packet: bytes) -> None:
        """Choose the algorithms."""
        if self._exchange != "none":
            raise ProtocolError("a key exchange is under way")
        super().ssh_KEXINIT(packet)
        if self._ended:
            return
        self._agree_on_strictness(getNS(packet[16:])[0].split(b","), STRICT_CLIENT)
        chosen = self.nextEncryptions
        self.nextEncryptions = Keys(chosen.outCipType, chosen.inCipType, chosen.outMACType, chosen.inMACType)
        self._exchange = "begun"

    def _newKeys(self) -> None:
        self._stop("rekey")
        self._stop("age")
        self._timers["age"] = self.clock.callLater(REKEY_SECONDS, self._renew)
        # What waited for the keys may be so much that the next exchange begins at once.
        super()._newKeys()

    def ssh_SERVICE_REQUEST(self, packet: bytes) -> None:
        """Let the client log in; that is the one service to be asked for, once."""
        service = getNS(packet)[0]
        if service != b"ssh-userauth" or self.service is not None:
            self.sendDisconnect(DISCONNECT_SERVICE_NOT_AVAILABLE, b"there is no such service now")
            return
        self.sendPacket(MSG_SERVICE_ACCEPT, NS(service))
        self.setService(self.factory.authentication(self))

    def ssh_EXT_INFO(self, packet: bytes) -> None:
        """Take no note of a client's extensions: nothing here depends on one."""

    def receiveError(self, reasonCode: int, description: bytes) -> None:
        """Take note that the client goes."""

    def receiveUnimplemented(self, seqnum: int) -> None:
        """Take note that the client did not know a message."""

    def sendDisconnect(self, reason: int, desc: bytes) -> None:
        """Turn the client away."""
        if self._ended:
            return
        self._ended = True
        self.sendPacket(MSG_DISCONNECT, reason.to_bytes(4, "big") + NS(desc) + NS(b""))
        self.transport.loseConnection()
        self._timers["going"] = self.clock.callLater(GOING, self.cut)

    def connectionLost(self, reason: Failure | None = connectionDone) -> None:
        """End what the client had."""
        self._ended = True
        for name in list(self._timers):
            self._stop(name)
        service, self.service = self.service, None
        try:
            if service is not None:
                service.serviceStopped()
        finally:
            self.factory.left(self)

    def pauseProducing(self) -> None:
        """Take nothing more of a client that does not read."""
        self.congested = True
        self.transport.pauseProducing()

    def resumeProducing(self) -> None:
        """Go on."""
        self.congested = False
        if not self._ended:
            self.transport.resumeProducing()
        resumed = getattr(self.service, "resumed", None)
        if resumed is not None:
            resumed()

    def stopProducing(self) -> None:
        """Send nothing more."""
        self._ended = True

    def _late(self) -> None:
        self._refuse("it took too long")

    def _refuse(self, why: str) -> None:
        self.factory.refused(self, why)
        self.sendDisconnect(DISCONNECT_PROTOCOL_ERROR, why.encode())

    def _stop(self, name: str) -> None:
        timer = self._timers.pop(name, None)
        if timer is not None and timer.active():
            timer.cancel()
