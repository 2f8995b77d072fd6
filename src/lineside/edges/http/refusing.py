"""What an address hears that has all the connections it may."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.internet.protocol import Protocol, connectionDone
from twisted.protocols.policies import ProtocolWrapper
from twisted.python.failure import Failure

from lineside.operations.web import Problem

REFUSING = 32
"""Connections at a time that are told so; further ones are closed without a word."""
HEARS = 2.0
"""Seconds that such a connection gets to take its answer."""
LATER = 5
"""Seconds after which it may be tried again."""


class Refusing(Protocol):
    """Answers 429 before anything was asked, and closes.

    Args:
        clock: cuts off who does not take it.
        left: is called when the connection is gone.

    """

    transport: Any

    def __init__(self, clock: IReactorTime, left: Callable[[], None]) -> None:
        self._clock = clock
        self._left = left
        self._timer: IDelayedCall | None = None

    def connectionMade(self) -> None:
        """Answer."""
        answer = Problem(429, "this address has too many connections").answer()
        assert isinstance(answer.body, bytes)
        head = (
            f"HTTP/1.1 429 Too Many Requests\r\nContent-Type: {answer.content_type}\r\n"
            f"Content-Length: {len(answer.body)}\r\nRetry-After: {LATER}\r\nConnection: close\r\n\r\n"
        )
        self.transport.write(head.encode() + answer.body)
        self._timer = self._clock.callLater(HEARS, self._cut)
        if isinstance(self.transport, ProtocolWrapper):
            # TLS has an end of its own (RFC 8446, section 6.1), and reads on until the other end has sent its, too.
            # To end the side of the socket beneath would cut off what TLS has still to send.
            self.transport.loseConnection()
            return
        # Closed with a request unread, the kernel would send a reset, which may overtake the answer.
        close = getattr(self.transport, "loseWriteConnection", self.transport.loseConnection)
        close()

    def dataReceived(self, data: bytes) -> None:
        """Take no request."""

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Make room for the next."""
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        self._left()

    def _cut(self) -> None:
        self.transport.abortConnection()
