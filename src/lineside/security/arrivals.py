"""Connections on their way in: none is anybody's before its TLS handshake is done.

Twisted gives a protocol its connection when TLS has only begun. Who then says nothing would have one of the places
that devices and browsers share.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from OpenSSL import SSL
from twisted.internet import tcp
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import (
    IAddress,
    IDelayedCall,
    IHandshakeListener,
    IListeningPort,
    IProtocolFactory,
    IReactorTime,
    IStreamServerEndpoint,
)
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from lineside.security.handshakes import PLAIN, words

log = Logger()

PATIENCE = 10.0
"""Seconds that a handshake may take."""
ACCEPTS = 16
"""How many connections are taken in one turn of the reactor; with Twisted's growth, 36."""
NO_CERTIFICATE = "peer did not return a certificate"
"""What OpenSSL says where one was asked for."""
SAY_EVERY = 10.0
"""Seconds between two lines of the log of one kind: each connection of a flood has a cause for one."""


@implementer(IStreamServerEndpoint)
class Threshold:
    """Listens with TLS, and gives a protocol its connection when the handshake is done.

    Args:
        endpoint: listens and begins TLS.
        where: what listens, as the configuration has it: ``sources.gate``.
        clock: ends handshakes that take too long; must follow a monotonic clock.
        most: handshakes under way at a time; with more, the one that began first is cut.
        admits: tells whether an address may begin one.

    """

    def __init__(
        self,
        endpoint: IStreamServerEndpoint,
        where: str,
        clock: IReactorTime,
        *,
        most: int,
        admits: Callable[[str], bool] = lambda peer: True,
    ) -> None:
        self._admits = admits
        self._endpoint = endpoint
        self._where = where
        self._clock = clock
        self._most = most

    def listen(self, protocolFactory: IProtocolFactory) -> Deferred[IListeningPort]:
        """Listen; ``protocolFactory`` is asked for a protocol after each handshake."""
        arrivals = Arrivals(protocolFactory, self._where, self._clock, most=self._most, admits=self._admits)
        listening: Deferred[IListeningPort] = self._endpoint.listen(arrivals)
        return listening.addCallback(arrivals.on)


class Arrivals(Factory):
    """The handshakes of one listener that are under way.

    Args:
        factory: makes the protocols of those that are done.
        where: for the log.
        clock: ends those that take too long.
        most: of them at a time.
        admits: tells whether an address may begin one.

    """

    noisy = False

    def __init__(
        self,
        factory: IProtocolFactory,
        where: str,
        clock: IReactorTime,
        *,
        most: int,
        admits: Callable[[str], bool] = lambda peer: True,
    ) -> None:
        self._admits = admits
        self.factory = factory
        self.clock = clock
        self._where = where
        self._most = most
        self._arriving: dict[Arrival, float] = {}
        """Until when each has time. The one that began first comes first."""
        self._timer: IDelayedCall | None = None
        """For that one; a timer for each would cost more than all else that is done here."""
        self._port: IListeningPort | None = None
        self._said: dict[str, float] = {}
        self._unsaid: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._arriving)

    def on(self, port: IListeningPort) -> IListeningPort:
        """Take note of the port."""
        self._port = port
        return port

    def doStart(self) -> None:
        """Start the factory."""
        self.factory.doStart()

    def doStop(self) -> None:
        """Cut the handshakes that are under way, and stop the factory."""
        for arrival in list(self._arriving):
            arrival.cut()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self.factory.doStop()

    def buildProtocol(self, addr: IAddress | None) -> Arrival:
        """Let a handshake begin."""
        if isinstance(self._port, tcp.Port):
            # Twisted would take ever more at a time while they keep coming.
            self._port.numberAccepts = ACCEPTS
        peer = str(getattr(addr, "host", ""))
        arrival = Arrival(self, peer)
        if not self._admits(peer):
            # TLS takes no refusal but from a connection.
            arrival.unwanted = True
            return arrival
        if len(self._arriving) >= self._most:
            next(iter(self._arriving)).give_up(f"{self._most} others came after it")
        self._arriving[arrival] = self.clock.seconds() + PATIENCE
        if self._timer is None:
            self._timer = self.clock.callLater(PATIENCE, self._cut_late)
        return arrival

    def ended(self, arrival: Arrival) -> None:
        """Count one out."""
        self._arriving.pop(arrival, None)

    def _cut_late(self) -> None:
        self._timer = None
        for arrival, until in list(self._arriving.items()):
            left = until - self.clock.seconds()
            if left > 0:
                self._timer = self.clock.callLater(left, self._cut_late)
                break
            arrival.give_up(f"the handshake was not done after {PATIENCE:g} s")

    def refused(self, peer: str, reason: str) -> None:
        """Say that a device's certificate was refused."""
        if self._may_say("refused"):
            log.warn(
                "tls.refused",
                listener=self._where,
                peer=peer,
                reason=reason,
                more=self._unsaid.pop("refused", 0),
                remedy="lineside pki list shows whose certificates are good; issue or renew one, or find out who "
                "is there",
            )

    def failed(self, peer: str, reason: str) -> None:
        """Say that a handshake failed."""
        if self._may_say("failed"):
            log.info(
                "tls.failed", listener=self._where, peer=peer, reason=reason, more=self._unsaid.pop("failed", 0)
            )

    def _may_say(self, kind: str) -> bool:
        now = self.clock.seconds()
        if now - self._said.get(kind, float("-inf")) < SAY_EVERY:
            self._unsaid[kind] = self._unsaid.get(kind, 0) + 1
            return False
        self._said[kind] = now
        return True


@implementer(IHandshakeListener)
class Arrival(Protocol):
    """A connection whose handshake is not done."""

    transport: Any

    def __init__(self, arrivals: Arrivals, peer: str) -> None:
        self.refusal: str | None = None
        """Why the other end's certificate was refused."""
        self.unwanted = False
        """It may not even begin."""
        self._arrivals = arrivals
        self._peer = peer
        self._gone = False

    def connectionMade(self) -> None:
        """Cut it, where it may not begin."""
        if self.unwanted:
            self.cut()

    def handshakeCompleted(self) -> None:
        """Give the connection to the protocol that it is for."""
        self._arrivals.ended(self)
        made = self._arrivals.factory.buildProtocol(self.transport.getPeer())
        if made is None:
            # Not more gently: TLS would wait for the other end's word, and who never says it would stay.
            self.cut()
            return
        # Were it to fail, what comes after the handshake would still come here, and nowhere else.
        made.makeConnection(self.transport)
        self.transport.wrappedProtocol = made

    def dataReceived(self, data: bytes) -> None:
        """Take nothing: only who was turned away still says something here."""

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Say why no connection came about."""
        self._arrivals.ended(self)
        if self._gone:
            return
        self._gone = True
        told = words(reason.value) if isinstance(reason.value, SSL.Error) else None
        if self.refusal is not None:
            self._arrivals.refused(self._peer, self.refusal)
        elif told is not None and NO_CERTIFICATE in told:
            self._arrivals.refused(self._peer, "it showed no certificate")
        elif told is not None:
            plain = any(each in told for each in PLAIN)
            self._arrivals.failed(self._peer, "it does not speak TLS" if plain else told or "it was cut")

    def give_up(self, why: str) -> None:
        """Cut the connection, and say why."""
        self._arrivals.failed(self._peer, why)
        self.cut()

    def cut(self) -> None:
        """Cut the connection."""
        self._gone = True
        self._arrivals.ended(self)
        self.transport.abortConnection()
