"""One connection of a line device: lines out, answers in, and a watch on the answer that is due."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Protocol, cast

from twisted.application.internet import ClientService, backoffPolicy
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import (
    IDelayedCall,
    IProtocol,
    IProtocolFactory,
    IReactorTime,
    IStreamClientEndpoint,
    ITCPTransport,
)
from twisted.internet.protocol import Factory, connectionDone
from twisted.internet.protocol import Protocol as TwistedProtocol
from twisted.protocols.policies import TimeoutMixin
from twisted.python.failure import Failure
from zope.interface import implementer

from lineside.testing.speech import Heard, Speech
from lineside.wire.answers import Err, Ok


class Caller(Protocol):
    """Whose connection it is."""

    def opened(self, connection: LineConnection) -> None:
        """The connection stands."""
        ...

    def answered(self, connection: LineConnection, answer: Ok | Err) -> None:
        """One answer came."""
        ...

    def obeyed(self) -> None:
        """A command came, and was replied to as `lineside.testing.speech.Heard.reply` says."""
        ...

    def go_on(self) -> None:
        """All answers of one chunk were told."""
        ...

    def garbled(self, what: str) -> None:
        """What came is no answer."""
        ...

    def overdue(self) -> None:
        """Lines are unanswered, and no answer came for as long as the gateway may take."""
        ...

    def lost(self, connection: LineConnection, reason: Failure) -> None:
        """The connection is gone."""
        ...


class LineConnection(TwistedProtocol, TimeoutMixin):
    """Sends frames, and finds answers; ``answer_timeout`` is in seconds. Decides nothing itself."""

    def __init__(self, caller: Caller, reactor: IReactorTime, answer_timeout: float, speech: Speech) -> None:
        self._caller = caller
        self._reactor = reactor
        self._answer_timeout = answer_timeout
        self._hearing = speech.hearing()
        self._frame = speech.framing().encode
        self._expecting = False
        self._open = False

    def send(self, frames: list[bytes]) -> None:
        """Write frames in one go."""
        if frames:
            assert self.transport is not None
            self.transport.write(b"".join(frames))

    def cut(self) -> None:
        """Close at once, whatever is still to be written."""
        cast(ITCPTransport, self.transport).abortConnection()

    def expect_answer(self, expecting: bool) -> None:
        """Start the watch when the first line is out, stop it when the last is answered."""
        if expecting != self._expecting:
            self._expecting = expecting
            self.setTimeout(self._answer_timeout if expecting else None)

    def callLater(self, period: float, func: Callable[[], object]) -> IDelayedCall:
        """Keep the watch on the reactor that was passed in."""
        return self._reactor.callLater(period, func)

    def connectionMade(self) -> None:
        """Tell the caller in the next turn: until then the dialling cannot be stopped cleanly."""
        self._open = True
        self._reactor.callLater(0, self._tell_opened)

    def _tell_opened(self) -> None:
        if self._open:
            self._caller.opened(self)

    def dataReceived(self, data: bytes) -> None:
        """Tell each answer, then let the caller send on, once for the whole chunk."""
        try:
            for answer in self._hearing.feed(data):
                if isinstance(answer, Heard):
                    self._obey(answer)
                    continue
                self.resetTimeout()
                self._caller.answered(self, answer)
        except ValueError as garbled:
            self._caller.garbled(str(garbled))
        self._caller.go_on()

    def _obey(self, heard: Heard) -> None:
        reply = heard.reply
        if reply is not None:
            self.send([self._frame(reply)])
        self._caller.obeyed()

    def timeoutConnection(self) -> None:
        """Tell that the answer is overdue."""
        self._expecting = False
        self._caller.overdue()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Stop the watch and tell the caller."""
        self._open = False
        self.setTimeout(None)
        self._caller.lost(self, reason)


@implementer(IStreamClientEndpoint)
class WatchedEndpoint:
    """Dials as another endpoint does, and tells why a dial failed: a `ClientService` keeps that to itself."""

    def __init__(self, endpoint: IStreamClientEndpoint, failed: Callable[[Failure], None]) -> None:
        self._endpoint = endpoint
        self._failed = failed

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        """Dial; the failure is told and passed on."""

        def tell(failure: Failure) -> Failure:
            self._failed(failure)
            return failure

        return self._endpoint.connect(protocolFactory).addErrback(tell)


def dialling(
    reactor: IReactorTime,
    endpoint: IStreamClientEndpoint,
    failed: Callable[[Failure], None],
    connection: Callable[[], TwistedProtocol],
    random: Random,
) -> ClientService:
    """Return what dials, and dials again, until it is stopped; ``failed`` is told of each vain attempt."""
    return ClientService(
        WatchedEndpoint(endpoint, failed),
        Factory.forProtocol(connection),
        retryPolicy=backoffPolicy(0.1, 3.0, 1.7, jitter=lambda: random.uniform(0.0, 0.2)),
        clock=reactor,
    )
