"""Connections that neither the slow nor the silent can hold for ever."""

from __future__ import annotations

from ipaddress import IPv6Address, ip_address
from typing import Any

from twisted.internet.interfaces import IHalfCloseableProtocol
from twisted.internet.protocol import connectionDone
from twisted.python.failure import Failure
from twisted.web.http import HTTPChannel
from zope.interface import implementer

from lineside.operations.web import Problem

SILENCE = 60.0
"""Seconds until the next request's head must be there, whole: from the connection's start or the last answer on."""
LEAST_RATE = 1024
"""Bytes a second that a body must bring, and an answer's reader must take, on average over `SILENCE`."""
LINGER = 15.0
"""Seconds that a connection whose time is up gets to take what was written."""
LENGTH_DIGITS = 15
"""Of a Content-Length: no body is longer, and Python refuses to read some thousands."""


@implementer(IHalfCloseableProtocol)
class PatientChannel(HTTPChannel):
    """A connection whose deadline moves only by what is finished, and by a body that comes at `LEAST_RATE`.

    Twisted's own begins anew with each byte, so that a client with a byte a minute stays as long as it likes. The
    site looks at the deadlines of all connections once in a while: a timer for each would be set twice a request.
    """

    site: Any
    transport: Any
    requests: list[Any]
    totalHeadersSize = 32 * 1024  # noqa: N815 (Twisted's name)
    maxHeaders = 100  # noqa: N815

    deadline: float | None = None
    """When its time is up, by the reactor's clock; None while the client is not to blame for what takes time."""
    peer = ""
    """The address at its other end."""
    loopback = False
    """That is this machine's."""
    _ends: tuple[Any, Any]
    _brought = 0
    _holds = False
    _half_closed = False
    _closes = False
    _kept = 0

    def connectionMade(self) -> None:
        """Be counted."""
        # Each request asks for both, and the transport asks the kernel each time.
        self._ends = self.transport.getPeer(), self.transport.getHost()
        self.peer = str(getattr(self._ends[0], "host", ""))
        self.loopback = is_loopback(self.peer)
        self.site.opened(self)
        super().connectionMade()

    def getPeer(self) -> Any:
        """Return the address of its other end."""
        return self._ends[0]

    def getHost(self) -> Any:
        """Return the address of its own end."""
        return self._ends[1]

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Be counted no more."""
        self.let_go()
        self.site.closed(self)
        super().connectionLost(reason)

    def leave(self) -> None:
        """Let go of the connection: another protocol has it."""
        self.transport.unregisterProducer()
        self.setTimeout(None)
        self.let_go()
        self.site.closed(self)

    def setTimeout(self, period: float | None) -> float | None:
        """Move the deadline; return what it was set by."""
        before: float | None = self.timeOut
        self.timeOut: Any = period
        self.deadline = None if period is None else self.site.reactor.seconds() + period
        return before

    def resetTimeout(self) -> None:
        """Give no more time, for bytes are not progress by themselves."""

    def head_came(self) -> None:
        """Give the body its own time."""
        self._brought = 0
        self.setTimeout(SILENCE)

    def brought(self, size: int) -> None:
        """Move the deadline when a body's pieces are worth it."""
        self._brought += size
        if self._brought >= LEAST_RATE * SILENCE and not self._holds:
            self._brought = 0
            self.setTimeout(SILENCE)

    def keep(self, size: int) -> None:
        """Count a stranger's bytes until its request is answered.

        Raises:
            Problem: 503, strangers have no more room.

        """
        self._kept += size
        self.site.strangers_hold += size
        if self.site.strangers_hold > self.site.strangers_room:
            raise Problem(503, "too many requests are under way", headers={"Retry-After": "5"})

    def let_go(self) -> None:
        """Count them no longer."""
        self.site.strangers_hold -= self._kept
        self._kept = 0

    def hold(self) -> None:
        """Read no further; the client is not to blame for the time that takes."""
        self._holds = True
        self.deadline = None
        self._networkProducer.pauseProducing()

    def go_on(self) -> None:
        """Read on."""
        self._holds = False
        if not self._handlingRequest:
            self.head_came()
        if not self._waitingForTransport:
            self._networkProducer.resumeProducing()

    def resumeProducing(self) -> None:
        """Go on where an answer waited for its reader, and read on unless that is held up."""
        super().resumeProducing()
        if self._holds:
            self._networkProducer.pauseProducing()

    def requestDone(self, request: Any) -> None:
        """Go on with the next request, or end where no further one can come."""
        self.let_go()
        super().requestDone(request)
        if self._half_closed and not self._handlingRequest:
            self.loseConnection()

    def readConnectionLost(self) -> None:
        """The client sends no more. What changes something is carried out and answered; the rest is given up."""
        self._half_closed = True
        if not self._handlingRequest or self.requests[0].method in {b"GET", b"HEAD"}:
            self.loseConnection()

    def writeConnectionLost(self) -> None:
        """Nothing is left to do; we never close that side alone."""

    @property
    def is_silent(self) -> bool:
        """No request is there yet that could be worked on."""
        return not (self.requests and self.requests[0].is_worked_on)

    def end(self) -> None:
        """Take no further request: let go at once, or when the one that is worked on is answered."""
        if self.is_silent:
            self.loseConnection()
        else:
            self.persistent = False

    def loseConnection(self) -> None:
        """Close the connection when what was written is out; once, however often this is said."""
        if not self._closes:
            self._closes = True
            super().loseConnection()
            if self.deadline is None:
                # TLS waits for the client's word (RFC 8446, section 6.1).
                self.setTimeout(SILENCE)

    def timeoutConnection(self) -> None:
        """Tell a client whose request is not there in time, and let it go."""
        self.deadline = None
        request = self.requests[0] if self.requests else None
        if request is not None and request.answered and not request.answer_is_out:
            # Its reader takes nothing.
            self.transport.abortConnection()
            return
        if request is not None and not request.complete and not request.answered:
            self.persistent = False
            request.refuse(Problem(408, "the request took too long to come"))
        if self._abortingCall is None:
            self._abortingCall = self.callLater(LINGER, self.forceAbortClient)
        self.loseConnection()

    def forceAbortClient(self) -> None:
        """Cut off who does not even take the end."""
        self._abortingCall = None
        self.transport.abortConnection()

    def headerReceived(self, line: bytes) -> bool:
        """Take a header as Twisted does, but for lengths that no body has."""
        name, _, value = line.partition(b":")
        if len(value) > LENGTH_DIGITS and name.lower() == b"content-length" and len(value.strip()) > LENGTH_DIGITS:
            self._respondToBadRequestAndDisconnect()
            return False
        taken: bool = super().headerReceived(line)
        return taken

    def lineLengthExceeded(self, line: bytes) -> None:
        """Refuse a head with such a line."""
        self._respondToBadRequestAndDisconnect()

    def _respondToBadRequestAndDisconnect(self) -> None:
        # Twisted's own answer has neither a length nor a reason.
        if not self.requests:
            self.requests.append(self.requestFactory(self, 0))
        request: Any = self.requests[0]
        self.persistent = False
        self._dataBuffer = []
        if request.answered:
            self.transport.abortConnection()
            return
        request.refuse(Problem(400, "this is no HTTP request, or its head is too large"))
        self.loseConnection()


def is_loopback(host: str) -> bool:
    """Tell whether an address is this machine's own."""
    try:
        address = ip_address(host)
    except ValueError:
        return False
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped.is_loopback
    return address.is_loopback
