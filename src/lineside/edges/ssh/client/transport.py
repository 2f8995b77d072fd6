"""One SSH connection to a host: conch's client side, strict and bounded, to a host whose key is known."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from warnings import catch_warnings, simplefilter

from cryptography.utils import CryptographyDeprecationWarning
from msgspec import Struct
from twisted.conch.ssh.common import NS, getNS
from twisted.conch.ssh.keys import Key
from twisted.conch.ssh.transport import (
    DISCONNECT_BY_APPLICATION,
    DISCONNECT_HOST_KEY_NOT_VERIFIABLE,
    DISCONNECT_PROTOCOL_ERROR,
    MSG_DISCONNECT,
    SSHClientTransport,
)
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.protocol import connectionDone
from twisted.python.failure import Failure

from lineside.edges.ssh.client.algorithms import Algorithms, ClientKeys
from lineside.edges.ssh.client.failures import HostNotKnown, NotLetIn, NotReached
from lineside.edges.ssh.client.hosts import KnownHost, offered
from lineside.edges.ssh.client.login import Channels, Login
from lineside.edges.ssh.packets import BadPacket, Plain
from lineside.edges.ssh.sealed import STRICT_CLIENT, STRICT_SERVER, ProtocolError, SealedTransport

_LONGEST_GREETING = 16_384
"""Bytes before and in the host's version line (RFC 4253, section 4.2)."""
_DISCONNECTED_FOR_LOGIN = {13, 14}


class Visit(Struct, frozen=True):
    """To whom we go, and as whom."""

    host: KnownHost
    user: str
    algorithms: Algorithms
    key: Key | None = None
    password: str | None = None


class ClientTransport(SealedTransport, SSHClientTransport):
    """A connection to a host. What is malformed, or out of its order, ends it; so does a key that is not known.

    ``entered`` fires with the channels once we are let in, or fails with `NotReached`.
    """

    def __init__(self, visit: Visit) -> None:
        super().__init__(visit.algorithms.exchanges, STRICT_CLIENT)
        self.entered: Deferred[Channels] = Deferred()
        self.channels = Channels()
        self._visit = visit
        agreed = visit.algorithms
        self.supportedCiphers = agreed.ciphers
        self.supportedMACs = agreed.macs
        self.supportedKeyExchanges = agreed.exchanges
        self.supportedPublicKeys = offered(visit.host.kinds, agreed.host_keys)
        self.why: NotReached | None = None
        """Why it ended, where it did not end by us."""

    def connectionMade(self) -> None:
        """Say who we are, and what we speak."""
        self._send_promptly()
        self.transport.write(self.ourVersionString + b"\r\n")
        self.sendKexInit()

    def _broken(self, wrong: Exception) -> None:
        if isinstance(wrong, BadPacket):
            self._give_up(f"the host sent {wrong}")
        else:
            self._give_up(f"the host broke the protocol: {wrong or type(wrong).__name__}")

    def _version(self) -> bool:
        while (end := self._received.find(b"\n")) >= 0:
            line = self._received[:end].rstrip(b"\r")
            self._received = self._received[end + 1 :]
            # Some hosts say other things before.
            if line.startswith(b"SSH-"):
                if not line.startswith((b"SSH-2.0-", b"SSH-1.99-")):
                    raise ProtocolError("it speaks no SSH 2")
                self.otherVersionString = line
                self.gotVersion = True
                return True
        if len(self._received) > _LONGEST_GREETING:
            raise ProtocolError("it says no version of SSH")
        return False

    def ssh_KEXINIT(self, packet: bytes) -> None:
        """Choose the algorithms."""
        if self._exchange != "none":
            raise ProtocolError("a key exchange is under way")
        names = getNS(packet[16:], 8)[:8]
        lacking = self._lacking(names)
        if lacking is not None:
            self._fail(lacking)
            return
        self._agree_on_strictness(names[0].split(b","), STRICT_SERVER)
        self._exchange = "begun"
        super().ssh_KEXINIT(packet)
        chosen = self.nextEncryptions
        self.nextEncryptions = ClientKeys(chosen.outCipType, chosen.inCipType, chosen.outMACType, chosen.inMACType)

    def _lacking(self, names: Sequence[bytes]) -> NotReached | None:
        ours = (
            ("key exchange", self.supportedKeyExchanges, names[0]),
            ("host key", self.supportedPublicKeys, names[1]),
            ("cipher", self.supportedCiphers, names[2]),
            ("cipher", self.supportedCiphers, names[3]),
            ("MAC", self.supportedMACs, names[4]),
            ("MAC", self.supportedMACs, names[5]),
        )
        for what, known, theirs in ours:
            if not {*known} & {*theirs.split(b",")}:
                told = theirs.decode("ascii", "replace")[:200]
                return NotReached(
                    f"{self._visit.host.name} has no {what} of ours, only {told}",
                    "where it is a host key, known_hosts may have another kind of key of it; for an old host whose "
                    "network is its own, set legacy = true",
                )
        return None

    def ssh_KEX_DH_GEX_GROUP(self, packet: bytes) -> None:
        """Hold the host's signature to the algorithm that was agreed on, and go on."""
        signature = getNS(packet, 3)[2]
        if getNS(signature)[0] != self.keyAlg:
            raise ProtocolError("it signs otherwise than it agreed")
        super().ssh_KEX_DH_GEX_GROUP(packet)

    def verifyHostKey(self, hostKey: bytes, fingerprint: bytes) -> Deferred[bool]:
        """Look whether the host is the one that is known."""
        try:
            self._visit.host.check(hostKey)
        except HostNotKnown as unknown:
            self.why = unknown
            return fail(unknown)
        return succeed(True)

    def _keySetup(self, sharedSecret: bytes, exchangeHash: bytes) -> None:
        self._gotNewKeys = 0
        super()._keySetup(sharedSecret, exchangeHash)

    def _startEphemeralDH(self) -> None:
        with catch_warnings():
            # Whoever sets legacy = true is warned by our log, at each start.
            simplefilter("ignore", CryptographyDeprecationWarning)
            super()._startEphemeralDH()

    def _finishEphemeralDH(self, remoteDHpublicKey: int) -> bytes:
        with catch_warnings():
            simplefilter("ignore", CryptographyDeprecationWarning)
            shared: bytes = super()._finishEphemeralDH(remoteDHpublicKey)
        return shared

    def ssh_NEWKEYS(self, packet: bytes) -> None:
        """Take the new keys; with the first of them, log in."""
        first = isinstance(self._opener, Plain)
        self._newKeys()
        if first:
            self.requestService(Login(self._visit.user, self._visit, self.channels))

    def setService(self, service: Any) -> None:
        """Begin what was asked for; once we are let in, that is channels."""
        super().setService(service)
        if service is self.channels and not self.entered.called:
            self.entered.callback(self.channels)

    def receiveError(self, reasonCode: int, description: bytes) -> None:
        """Take note of why the host ends it."""
        told = description.decode("utf-8", "replace")[:200]
        if reasonCode in _DISCONNECTED_FOR_LOGIN or isinstance(self.service, Login):
            self.refused_login(told)
        else:
            self._fail(NotReached(f"{self._visit.host.name} ended the connection: {told}", "it is tried again"))

    def receiveUnimplemented(self, seqnum: int) -> None:
        """Take note that the host did not know a message."""

    def refused_login(self, told: str) -> None:
        """Say that we are not let in."""
        self._fail(
            NotLetIn(
                f"{self._visit.host.name} does not let {self._visit.user} in: {told}",
                "see that user, key and password are right, and that the host's authorized_keys has the key",
            )
        )

    def sendDisconnect(self, reason: int, desc: bytes) -> None:
        """End it, with a word to the host."""
        if self._ended:
            return
        why = self.why
        if why is None and reason == DISCONNECT_HOST_KEY_NOT_VERIFIABLE:
            # Conch gives that reason for whatever fails in a key exchange.
            why = NotReached(f"{self._visit.host.name} failed in the key exchange", "see the host's own log")
        self._fail(why or NotReached(desc.decode("utf-8", "replace"), "see the host's own log"), reason)

    def _give_up(self, reason: str) -> None:
        self._fail(NotReached(f"{self._visit.host.name}: {reason}", "see the host's own log; it is tried again"))

    def _fail(self, why: NotReached, reason: int = DISCONNECT_PROTOCOL_ERROR) -> None:
        if self._ended:
            return
        self.why = why
        self._ended = True
        self.sendPacket(MSG_DISCONNECT, reason.to_bytes(4, "big") + NS(b"") + NS(b""))
        if self.entered.called:
            # Nobody waits for the end of one that is in use: a host that hangs would not let it come.
            self.transport.abortConnection()
            return
        self.transport.loseConnection()
        self.entered.errback(why)

    @property
    def over(self) -> bool:
        """Whether it has ended."""
        return self._ended

    def give_up_on(self, reason: str) -> None:
        """Cut the connection to a host that is not there any more."""
        self.why = NotReached(reason, "see the network and the host; it is tried again")
        self.cut()

    def leave(self) -> None:
        """End the connection, with a word to the host."""
        if not self._ended:
            self._ended = True
            self.sendPacket(MSG_DISCONNECT, DISCONNECT_BY_APPLICATION.to_bytes(4, "big") + NS(b"") + NS(b""))
            self.transport.loseConnection()

    def connectionLost(self, reason: Failure | None = connectionDone) -> None:
        """End what hung on it."""
        if self.why is None and not self._ended:
            lost = "" if reason is None else f": {reason.getErrorMessage().rstrip('.')}"
            remedy = "see that an SSH server answers there; it is tried again"
            self.why = NotReached(f"{self._visit.host.name} closed the connection{lost}", remedy)
        self._ended = True
        if self.service is not None:
            self.service.serviceStopped()
            self.service = None
        if not self.entered.called:
            left = NotReached(f"{self._visit.host.name} was left", "it is tried again")
            self.entered.errback(self.why or left)
