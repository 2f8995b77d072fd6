"""One SSH connection of a client: conch's server side, with modern algorithms only, strict and bounded.

What conch lacks is here: strict key exchange (OpenSSH's PROTOCOL, section 1.10), which keeps a man in the middle
from taking packets off the beginning (Terrapin, CVE-2023-48795); an order of messages that is held to before
anybody is known; new keys after much data or a long time; an end for clients that are silent or do not read.
"""

from __future__ import annotations

from typing import Any

from twisted.conch.ssh.common import NS, getNS
from twisted.conch.ssh.transport import (
    DISCONNECT_PROTOCOL_ERROR,
    DISCONNECT_SERVICE_NOT_AVAILABLE,
    MSG_DISCONNECT,
    MSG_NEWKEYS,
    MSG_SERVICE_ACCEPT,
    SSHServerTransport,
)
from twisted.internet.interfaces import IDelayedCall, IPushProducer, IReactorTime
from twisted.internet.protocol import connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer

from lineside.edges.ssh.packets import CIPHERS, MACS, SEQUENCES, BadPacket, Keys, Opener, Plain, Sealer
from lineside.edges.ssh.quiet import QUIET

STRICT_SERVER, STRICT_CLIENT = b"kex-strict-s-v00@openssh.com", b"kex-strict-c-v00@openssh.com"
KEY_EXCHANGES = [
    b"mlkem768x25519-sha256",
    b"curve25519-sha256",
    b"curve25519-sha256@libssh.org",
]
"""Those of conch's without SHA-1, NIST's curves, and finite fields, which cryptography is about to give up."""
LONGEST_BANNER = 255
"""Bytes of a client's version line (RFC 4253, section 4.2)."""
REKEY_BYTES = 1 << 30
REKEY_SECONDS = 3_600.0
"""After so much, in both directions together, there are new keys (RFC 4253, section 9)."""
PATIENCE = 60.0
"""Seconds that a new key exchange may take."""
GOING = 5.0
"""Seconds that a client has to take the word that it is turned away."""
_EXCHANGE = range(30, 50)
_INIT = 30
_SERVED = range(5, 8)
"""SERVICE_REQUEST, SERVICE_ACCEPT and EXT_INFO."""
_FIRST_SERVICE = 50
"""Messages from there on belong to services."""


class ProtocolError(Exception):
    """The client said what may not be said there."""


@implementer(IPushProducer)
class GuardedTransport(SSHServerTransport):
    """A client's connection. What is malformed, or out of its order, ends it.

    Args:
        clock: ends what takes too long; must follow a monotonic clock.
        patience: seconds until the client must have logged in.

    """

    supportedCiphers = list(CIPHERS)  # noqa: N815, RUF012 (conch's names)
    supportedMACs = list(MACS)  # noqa: N815, RUF012
    supportedKeyExchanges = KEY_EXCHANGES  # noqa: N815
    supportedCompressions = [b"none"]  # noqa: N815, RUF012
    ourVersionString = b"SSH-2.0-Lineside"  # noqa: N815
    factory: Any
    nextEncryptions: Any  # noqa: N815
    _blockedByKeyExchange: Any  # noqa: N815
    transport: Any
    _log = QUIET

    def __init__(self, clock: IReactorTime, patience: float) -> None:
        self.clock = clock
        self.congested = False
        """The client does not read what is sent."""
        self.known = False
        """The client has logged in."""
        self.peer = ""
        """The client's address."""
        self._patience = patience
        self._received = bytearray()
        self._sealer: Sealer = Plain()
        self._opener: Opener = Plain()
        self._strict = False
        self._exchange = "none"
        self._ended = False
        self._timers: dict[str, IDelayedCall] = {}
        self._since_keys = 0

    def connectionMade(self) -> None:
        """Say who we are, and what we speak."""
        host = self.transport.getPeer()
        self.peer = str(getattr(host, "host", "") or "unix")
        self._timers["login"] = self.clock.callLater(self._patience, self._late)
        self.transport.registerProducer(self, True)
        self.transport.write(self.ourVersionString + b"\r\n")
        self.sendKexInit()

    def logged_in(self) -> None:
        """Let the client stay."""
        self.known = True
        self._stop("login")

    def dataReceived(self, data: bytes) -> None:
        """Take what came."""
        if self._ended:
            return
        self._received += data
        try:
            if not self.gotVersion and not self._version():
                return
            self._packets()
        except BadPacket as bad:
            self._refuse(str(bad))
        except Exception as wrong:  # noqa: BLE001
            # Conch's own parsing raises whatever it happens upon; none of it may be our end.
            self._refuse("a malformed message" if not isinstance(wrong, ProtocolError) else str(wrong))

    def _version(self) -> bool:
        end = self._received.find(b"\n")
        if end < 0 or end > LONGEST_BANNER:
            if len(self._received) > LONGEST_BANNER:
                raise ProtocolError("no version came")
            return False
        line = bytes(self._received[:end]).rstrip(b"\r")
        if not line.startswith((b"SSH-2.0-", b"SSH-1.99-")):
            raise ProtocolError("no version of SSH 2 came")
        del self._received[: end + 1]
        self.otherVersionString = line
        self.gotVersion = True
        return True

    def _packets(self) -> None:
        at = 0
        try:
            while not self._ended:
                opened = self._opener.open(self.incomingPacketSequence, self._received, at)
                if opened is None:
                    return
                payload, following = opened
                self._count(following - at)
                at = following
                self.incomingPacketSequence = (self.incomingPacketSequence + 1) % SEQUENCES
                if self.incomingPacketSequence == 0 and self.sessionID is None:
                    raise ProtocolError("sequence numbers may not wrap before there are keys")
                self.dispatchMessage(payload[0], payload[1:])
        finally:
            del self._received[:at]

    def dispatchMessage(self, messageNum: int, payload: bytes) -> None:
        """Hold a message to its place, and give it on."""
        if messageNum in _EXCHANGE and (self._exchange != "begun" or messageNum != _INIT):
            # The other numbers are of exchanges with groups to choose, which conch would begin all the same.
            raise ProtocolError("no such key exchange is under way")
        if messageNum == MSG_NEWKEYS and self._exchange != "keys":
            raise ProtocolError("there are no new keys")
        if not self.isEncrypted("in"):
            self._check_beginning(messageNum)
        super().dispatchMessage(messageNum, payload)

    def _check_beginning(self, number: int) -> None:
        if number >= _FIRST_SERVICE or number in _SERVED:
            raise ProtocolError("nothing is served before there are keys")
        if self._strict and number not in {MSG_DISCONNECT, MSG_NEWKEYS, *_EXCHANGE}:
            raise ProtocolError("strict key exchange has no other messages")

    def sendKexInit(self) -> None:
        """Begin a key exchange, or answer the client's beginning."""
        plain = type(self).supportedKeyExchanges
        self.supportedKeyExchanges = [*plain, STRICT_SERVER] if self.sessionID is None else plain
        try:
            super().sendKexInit()
        finally:
            self.supportedKeyExchanges = plain
        if self.sessionID is not None:
            self._timers["rekey"] = self.clock.callLater(PATIENCE, self._late)

    def ssh_KEXINIT(self, packet: bytes) -> None:
        """Choose the algorithms."""
        if self._exchange != "none":
            raise ProtocolError("a key exchange is under way")
        super().ssh_KEXINIT(packet)
        if self._ended:
            return
        if self.sessionID is None and STRICT_CLIENT in getNS(packet[16:])[0].split(b","):
            if self.incomingPacketSequence != 1:
                raise ProtocolError("strict key exchange begins with KEXINIT")
            self._strict = True
        chosen = self.nextEncryptions
        self.nextEncryptions = Keys(chosen.outCipType, chosen.inCipType, chosen.outMACType, chosen.inMACType)
        self._exchange = "begun"

    def _keySetup(self, sharedSecret: bytes, exchangeHash: bytes) -> None:
        self._exchange = "keys"
        super()._keySetup(sharedSecret, exchangeHash)

    def sendPacket(self, messageType: int, payload: bytes) -> None:
        """Send a message, or keep it until there are new keys."""
        if self._ended and messageType != MSG_DISCONNECT:
            return
        waits = self._keyExchangeState != self._KEY_EXCHANGE_NONE
        if waits and not self._allowedKeyExchangeMessageType(messageType):
            self._blockedByKeyExchange.append((messageType, payload))
            return
        packet = self._sealer.seal(self.outgoingPacketSequence, bytes((messageType,)) + payload)
        self.transport.write(packet)
        self.outgoingPacketSequence = (self.outgoingPacketSequence + 1) % SEQUENCES
        if messageType == MSG_NEWKEYS:
            assert self.nextEncryptions.sealer is not None
            self._sealer = self.nextEncryptions.sealer
            if self._strict:
                self.outgoingPacketSequence = 0
        else:
            self._count(len(packet))

    def _newKeys(self) -> None:
        assert self.nextEncryptions.opener is not None
        self._opener = self.nextEncryptions.opener
        if self._strict:
            self.incomingPacketSequence = 0
        self._exchange = "none"
        self._since_keys = 0
        self._stop("rekey")
        self._stop("age")
        self._timers["age"] = self.clock.callLater(REKEY_SECONDS, self._renew)
        self._keyExchangeState = self._KEY_EXCHANGE_NONE
        waiting, self._blockedByKeyExchange = self._blockedByKeyExchange, None
        for number, payload in waiting:
            self.sendPacket(number, payload)

    def isEncrypted(self, direction: str = "out") -> bool:
        """Tell whether there are keys."""
        return not isinstance(self._sealer if direction == "out" else self._opener, Plain)

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

    def cut(self) -> None:
        """End the connection at once."""
        self._ended = True
        self.transport.abortConnection()

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

    def _count(self, length: int) -> None:
        self._since_keys += length
        if self._since_keys > REKEY_BYTES:
            self._renew()

    def _renew(self) -> None:
        if self.sessionID is not None and self._keyExchangeState == self._KEY_EXCHANGE_NONE and not self._ended:
            self._since_keys = 0
            self.sendKexInit()

    def _late(self) -> None:
        self._refuse("it took too long")

    def _refuse(self, why: str) -> None:
        self.factory.refused(self, why)
        self.sendDisconnect(DISCONNECT_PROTOCOL_ERROR, why.encode())

    def _stop(self, name: str) -> None:
        timer = self._timers.pop(name, None)
        if timer is not None and timer.active():
            timer.cancel()
