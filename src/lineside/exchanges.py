"""One HTTP request and its whole answer, over Twisted's agent: bounded in time and size, and cancelled for real."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct
from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.internet.error import (
    ConnectError,
    ConnectingCancelledError,
    ConnectionClosed,
    DNSLookupError,
    UnsupportedAddressFamily,
)
from twisted.internet.interfaces import IConsumer, IReactorTime
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from twisted.web.client import ResponseDone
from twisted.web.http import PotentialDataLoss
from twisted.web.http_headers import Headers
from twisted.web.iweb import IAgent, IBodyProducer, IResponse
from zope.interface import implementer

NO_CONNECTION = (
    ConnectError,
    ConnectingCancelledError,
    DNSLookupError,
    UnsupportedAddressFamily,
)
"""What the agent raises as itself only when there is no connection to send on."""


class Answer(Struct, frozen=True):
    """What a server answered."""

    status: int
    headers: Mapping[str, str]
    """By their names in lower case; of several with one name the last."""
    body: bytes | None
    """None where it was larger than allowed: the connection was cut."""
    cookies: tuple[str, ...] = ()
    """Each ``Set-Cookie`` as it came; they cannot be joined (RFC 9110, section 5.3)."""


class NoAnswer(Exception):
    """No whole answer came. ``str()`` says why, as far as the transport does.

    Args:
        error: what the agent raised.
        within: the seconds that it had, where they are what ended it.

    """

    def __init__(self, error: Exception, within: float | None) -> None:
        self.causes = _causes(error)
        """The agent's error and what it wraps, the innermost last."""
        self.expired = within is not None
        self.connected = not isinstance(error, NO_CONNECTION)
        """Whether there was a connection on which the request may have gone out."""
        super().__init__(_reason(self.causes[-1]) if within is None else f"no answer within {within:g} s")


async def exchange(
    agent: IAgent,
    clock: IReactorTime,
    method: str,
    url: bytes,
    headers: Headers,
    body: bytes | None,
    *,
    within: float,
    largest: int,
) -> Answer:
    """Send one request and return its answer, of whatever status.

    Args:
        agent: sends it.
        clock: counts the seconds.
        method: such as ``POST``.
        url: whole, percent-encoded.
        headers: of the request.
        body: None for none.
        within: seconds, from connecting to the answer's last byte.
        largest: bytes of a body that are taken.

    Raises:
        NoAnswer: none came, or not the whole of it.
        CancelledError: the caller gave up; the connection is aborted.

    """
    asking = Deferred.fromCoroutine(_ask(agent, method, url, headers, body, largest))
    expired = given_up = False

    def expire() -> None:
        nonlocal expired
        expired = True
        asking.cancel()

    def give_up(_: Deferred[Answer]) -> None:
        nonlocal given_up
        given_up = True
        asking.cancel()

    def tell(result: Answer | Failure) -> None:
        if not answer.called:
            answer.callback(result)

    answer: Deferred[Answer] = Deferred(give_up)
    asking.addBoth(tell)
    timer = clock.callLater(within, expire)
    try:
        return await answer
    except Exception as error:
        # A cancelled request fails with whatever the agent makes of it, seldom with CancelledError: while the
        # host's name is looked up, as if there were no such name.
        failed = NoAnswer(error, within if expired else None)
        cancelled = any(isinstance(cause, CancelledError | ConnectingCancelledError) for cause in failed.causes)
        if not expired and (given_up or cancelled):
            raise CancelledError from error
        raise failed from error
    finally:
        if timer.active():
            timer.cancel()


async def _ask(
    agent: IAgent, method: str, url: bytes, headers: Headers, body: bytes | None, largest: int
) -> Answer:
    producer = None if body is None else _WholeBody(body)
    response: IResponse = await agent.request(method.encode(), url, headers, producer)
    received = {
        name.decode("latin-1").lower(): values[-1].decode("latin-1")
        for name, values in response.headers.getAllRawHeaders()
    }
    collected = _Collected(largest)
    response.deliverBody(collected)
    cookies = response.headers.getRawHeaders(b"set-cookie", [])
    return Answer(response.code, received, await collected.whole, tuple(each.decode("latin-1") for each in cookies))


def _causes(error: BaseException) -> list[BaseException]:
    found = [error]
    for reason in getattr(error, "reasons", None) or ():
        if isinstance(reason, Failure) and reason.value is not None:
            found += _causes(reason.value)
    return found


def _reason(cause: BaseException) -> str:
    if isinstance(cause, ConnectionClosed):
        return "the connection was lost before the whole answer had come"
    return str(cause) or type(cause).__name__


@implementer(IBodyProducer)
class _WholeBody:
    """A request's body that is in memory: written at once, with its length."""

    def __init__(self, body: bytes) -> None:
        self._body = body
        self.length = len(body)

    def startProducing(self, consumer: IConsumer) -> Deferred[None]:
        consumer.write(self._body)
        return succeed(None)

    def pauseProducing(self) -> None:
        """Do nothing: it is written."""

    def resumeProducing(self) -> None:
        """Do nothing: it is written."""

    def stopProducing(self) -> None:
        """Do nothing: it is written."""


class _Collected(Protocol):
    """Collects an answer's body; ``whole`` fires with it, with None as soon as it is too large."""

    def __init__(self, largest: int) -> None:
        self.whole: Deferred[bytes | None] = Deferred(self._cancelled)
        self._largest = largest
        self._body = bytearray()

    def dataReceived(self, data: bytes) -> None:
        if self.whole.called:
            return
        self._body += data
        if len(self._body) > self._largest:
            self._cut()
            self.whole.callback(None)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if self.whole.called:
            return
        # An answer without a length ends with the connection; a body cut short is none.
        if reason.check(ResponseDone, PotentialDataLoss):
            self.whole.callback(bytes(self._body))
        else:
            self.whole.errback(reason)

    def _cancelled(self, whole: Deferred[bytes | None]) -> None:
        whole.errback(CancelledError())
        self._cut()

    def _cut(self) -> None:
        # The response's transport offers no abortConnection. Its stopProducing closes the socket
        # itself, where loseConnection would wait for the peer's TLS close.
        if self.transport is not None:
            self.transport.stopProducing()  # type: ignore[attr-defined]
