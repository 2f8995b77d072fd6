"""What both sides of an SSH connection have in common: sealed packets, an order of messages, strict key exchange.

What conch lacks is here: strict key exchange (OpenSSH's PROTOCOL, section 1.10), which keeps a man in the middle
from taking packets off the beginning (Terrapin, CVE-2023-48795), and an order of messages that is held to before
there are keys.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from twisted.conch.ssh.connection import MSG_CHANNEL_DATA
from twisted.conch.ssh.transport import MSG_DISCONNECT, MSG_NEWKEYS, SSHTransportBase
from twisted.internet.interfaces import ITCPTransport

from lineside.edges.ssh.packets import SEQUENCES, Opener, Plain, Sealer
from lineside.edges.ssh.quiet import QUIET
from lineside.straight import write

STRICT_SERVER, STRICT_CLIENT = b"kex-strict-s-v00@openssh.com", b"kex-strict-c-v00@openssh.com"
REKEY_BYTES = 1 << 30
"""After so much, in both directions together, there are new keys (RFC 4253, section 9)."""
EXCHANGE = range(30, 50)
"""Messages of a key exchange's method."""
_SERVED = range(5, 8)
"""SERVICE_REQUEST, SERVICE_ACCEPT and EXT_INFO."""
_FIRST_SERVICE = 50
"""Messages from there on belong to services."""


class ProtocolError(Exception):
    """The other side said what may not be said there."""


class SealedTransport(SSHTransportBase):
    """A connection whose packets are sealed by `lineside.edges.ssh.packets`; beside conch's server or client side.

    Args:
        exchanges: the key exchanges that are offered.
        strict: by what strict key exchange is offered: `STRICT_SERVER` or `STRICT_CLIENT`.

    """

    supportedCompressions = [b"none"]  # noqa: N815, RUF012 (conch's names)
    ourVersionString = b"SSH-2.0-Lineside"  # noqa: N815
    nextEncryptions: Any  # noqa: N815
    _blockedByKeyExchange: Any  # noqa: N815
    transport: Any
    _log = QUIET

    def __init__(self, exchanges: Sequence[bytes], strict: bytes) -> None:
        self._exchanges = exchanges
        self._strict_word = strict
        self._received = b""
        self._sealer: Sealer = Plain()
        self._opener: Opener = Plain()
        self._strict = False
        self._exchange = "none"
        self._ended = False
        self._since_keys = 0
        self._data_received: Callable[[memoryview], None] | None = None

    def dataReceived(self, data: bytes) -> None:
        """Take what came; what is malformed, or out of its order, ends the connection."""
        if self._ended:
            return
        self._received += data
        try:
            if not self.gotVersion and not self._version():
                return
            self._packets()
        except Exception as wrong:  # noqa: BLE001
            # Conch's own parsing raises whatever it happens upon; none of it may be our end.
            self._broken(wrong)

    def _send_promptly(self) -> None:
        """Let small packets go at once.

        By Nagle's algorithm (RFC 9293, section 3.7.4) the word that widens a channel's window waits until the other
        side has acknowledged what went before, which it delays; meanwhile it has no window to send.
        """
        if ITCPTransport.providedBy(self.transport):
            self.transport.setTcpNoDelay(True)

    def _version(self) -> bool:
        """Take the other side's version off what was received; whether it was there."""
        raise NotImplementedError

    def _broken(self, wrong: Exception) -> None:
        """End the connection: the other side broke the protocol."""
        raise NotImplementedError

    def _packets(self) -> None:
        at = 0
        received = memoryview(self._received)
        try:
            while not self._ended:
                opened = self._opener.open(self.incomingPacketSequence, received, at)
                if opened is None:
                    return
                payload, following = opened
                self._count(following - at)
                at = following
                self.incomingPacketSequence = (self.incomingPacketSequence + 1) % SEQUENCES
                if self.incomingPacketSequence == 0 and self.sessionID is None:
                    raise ProtocolError("sequence numbers may not wrap before there are keys")
                if payload[0] == MSG_CHANNEL_DATA and self._data_received is not None:
                    self._data_received(payload[1:])
                else:
                    self.dispatchMessage(payload[0], bytes(payload[1:]))
        finally:
            self._received = self._received[at:]

    def setService(self, service: Any) -> None:
        """Give messages from now on to a service; CHANNEL_DATA without a detour, where it has ``data_received``."""
        super().setService(service)
        self._data_received = getattr(service, "data_received", None)

    def dispatchMessage(self, messageNum: int, payload: bytes) -> None:
        """Hold a message to its place, and give it on."""
        if messageNum in EXCHANGE and self._exchange != "begun":
            raise ProtocolError("no key exchange is under way")
        if messageNum == MSG_NEWKEYS and self._exchange != "keys":
            raise ProtocolError("there are no new keys")
        if not self.isEncrypted("in"):
            self._check_beginning(messageNum)
        super().dispatchMessage(messageNum, payload)

    def _check_beginning(self, number: int) -> None:
        if number >= _FIRST_SERVICE or number in _SERVED:
            raise ProtocolError("nothing is served before there are keys")
        if self._strict and number not in {MSG_DISCONNECT, MSG_NEWKEYS, *EXCHANGE}:
            raise ProtocolError("strict key exchange has no other messages")

    def sendKexInit(self) -> None:
        """Begin a key exchange, or answer the other side's beginning."""
        offered = [*self._exchanges, self._strict_word] if self.sessionID is None else [*self._exchanges]
        self.supportedKeyExchanges = offered
        try:
            super().sendKexInit()
        finally:
            self.supportedKeyExchanges = [*self._exchanges]

    def _agree_on_strictness(self, theirs: Sequence[bytes], word: bytes) -> None:
        """Be strict from now on where the other side's first offer says so."""
        if self.sessionID is None and word in theirs:
            if self.incomingPacketSequence != 1:
                raise ProtocolError("strict key exchange begins with KEXINIT")
            self._strict = True

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
        write(self.transport, packet)
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
        self._keyExchangeState = self._KEY_EXCHANGE_NONE
        waiting, self._blockedByKeyExchange = self._blockedByKeyExchange, None
        for number, payload in waiting:
            self.sendPacket(number, payload)

    def isEncrypted(self, direction: str = "out") -> bool:
        """Tell whether there are keys."""
        return not isinstance(self._sealer if direction == "out" else self._opener, Plain)

    def cut(self) -> None:
        """End the connection at once."""
        self._ended = True
        self.transport.abortConnection()

    def _count(self, length: int) -> None:
        self._since_keys += length
        if self._since_keys > REKEY_BYTES:
            self._renew()

    def _renew(self) -> None:
        idle = self._exchange == "none" and self._keyExchangeState == self._KEY_EXCHANGE_NONE
        if self.sessionID is not None and idle and not self._ended:
            self._since_keys = 0
            self.sendKexInit()
