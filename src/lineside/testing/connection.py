"""One connection of a line device: lines out, answers in, and a watch on the answer that is due."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, cast

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import (
    IDelayedCall,
    IProtocol,
    IProtocolFactory,
    IReactorTime,
    IStreamClientEndpoint,
    ITCPTransport,
)
from twisted.internet.protocol import connectionDone
from twisted.protocols.basic import LineOnlyReceiver
from twisted.protocols.policies import TimeoutMixin
from twisted.python.failure import Failure
from zope.interface import implementer

from lineside.wire import answers


class Caller(Protocol):
    """Whose connection it is."""

    def opened(self, connection: LineConnection) -> None:
        """The connection stands."""
        ...

    def answered(self, connection: LineConnection, text: bytes) -> None:
        """One line came, without its line end."""
        ...

    def go_on(self) -> None:
        """All lines of one chunk were told."""
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


class LineConnection(LineOnlyReceiver, TimeoutMixin):
    """Frames lines and answers; ``answer_timeout`` is in seconds. Decides nothing itself."""

    delimiter = b"\n"
    MAX_LENGTH = answers.ANSWER_LIMIT

    def __init__(self, caller: Caller, reactor: IReactorTime, answer_timeout: float) -> None:
        self._caller = caller
        self._reactor = reactor
        self._answer_timeout = answer_timeout
        self._expecting = False
        self._open = False

    def send(self, payloads: list[bytes]) -> None:
        """Write lines in one go."""
        if payloads:
            assert self.transport is not None
            self.transport.write(b"\n".join([*payloads, b""]))

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
        super().dataReceived(data)
        self._caller.go_on()

    def lineReceived(self, line: bytes) -> None:
        """Tell one answer; the watch begins anew."""
        self.resetTimeout()
        self._caller.answered(self, line)

    def lineLengthExceeded(self, line: bytes) -> None:
        """Tell that what comes is no answer."""
        self._caller.garbled(f"an answer longer than {self.MAX_LENGTH} bytes")

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
