"""One request to another server: sent once, answered in time and within bounds, cut off where it is cancelled."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from cryptography import x509
from msgspec import Struct
from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.internet.error import (
    ConnectError,
    ConnectingCancelledError,
    ConnectionClosed,
    DNSLookupError,
    UnsupportedAddressFamily,
)
from twisted.internet.interfaces import IConsumer, IOpenSSLClientConnectionCreator
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from twisted.web.client import Agent, ResponseDone
from twisted.web.http import PotentialDataLoss
from twisted.web.http_headers import Headers
from twisted.web.iweb import IBodyProducer, IPolicyForHTTPS, IResponse
from zope.interface import implementer

from lineside.model.errors import LinesideError
from lineside.security.handshakes import HandshakeFailed, Remedies, Trust

CONNECT_SECONDS = 10.0

_REMEDIES = Remedies(server="the server", address="the task's url", ca="the task's ca", old="renew the server")
_NO_CONNECTION = (ConnectError, ConnectingCancelledError, DNSLookupError, UnsupportedAddressFamily)
"""What the agent raises as itself only when there is no connection to send on."""


class CallError(LinesideError):
    """An outgoing request did not do what it was to do."""


class CallUnreachable(CallError):
    """There was no connection: nothing was sent."""


class CallUnsure(CallError):
    """No whole answer came: nobody knows whether the request was carried out."""


class Answer(Struct, frozen=True):
    """What a server answered."""

    status: int
    headers: Mapping[str, str]
    """Names in lower case; of a repeated header the last."""
    body: bytes | None
    """None where it is larger than was wanted."""


class Outgoing:
    """Requests to other servers. Each has a connection of its own; no redirect is followed, and no cookie kept.

    Args:
        reactor: connects, and counts the time-outs.
        authorities: the only ones that may have signed a server's certificate; None for the platform's.

    """

    def __init__(self, reactor: Any, authorities: Sequence[x509.Certificate] | None = None) -> None:
        self._clock = reactor
        self._agent = Agent(reactor, _Policy(Trust(authorities, _REMEDIES)), CONNECT_SECONDS)

    async def send(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: bytes | None,
        *,
        within: float,
        largest: int,
    ) -> Answer:
        """Send one request and return its answer, of whatever status.

        Args:
            method: such as ``POST``.
            url: percent-encoded.
            headers: by name.
            body: None for none.
            within: seconds, from connecting to the answer's last byte.
            largest: bytes of the answer that are kept; of a larger one there is none.

        Raises:
            CallUnreachable: there was no connection to send it on.
            CallUnsure: no whole answer came.
            CancelledError: the caller gave up; the connection is aborted.

        """
        exchange = Deferred.fromCoroutine(self._exchange(method, url, headers, body, largest))
        expired = given_up = False

        def expire() -> None:
            nonlocal expired
            expired = True
            exchange.cancel()

        def give_up(_: Deferred[Answer]) -> None:
            nonlocal given_up
            given_up = True
            exchange.cancel()

        def tell(result: Answer | Failure) -> None:
            if not answer.called:
                answer.callback(result)

        answer: Deferred[Answer] = Deferred(give_up)
        exchange.addBoth(tell)
        timer = self._clock.callLater(within, expire)
        try:
            return await answer
        except Exception as error:
            # A cancelled request fails with whatever the agent makes of it, seldom with CancelledError: while it
            # connects, as if there were no such host.
            causes = _causes(error)
            kept_out = next((cause for cause in causes if isinstance(cause, HandshakeFailed)), None)
            sent = kept_out is None and not isinstance(error, _NO_CONNECTION)
            kind = CallUnsure if sent else CallUnreachable
            if expired:
                raise kind(f"no answer within {within:g} s") from error
            if given_up or any(isinstance(cause, CancelledError | ConnectingCancelledError) for cause in causes):
                raise CancelledError from error
            if kept_out is not None:
                raise kind("; ".join(filter(None, (kept_out.reason, kept_out.remedy)))) from error
            raise kind(_reason(causes[-1])) from error
        finally:
            if timer.active():
                timer.cancel()

    async def _exchange(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes | None, largest: int
    ) -> Answer:
        sent = Headers({name.encode(): [value.encode()] for name, value in headers.items()})
        producer = None if body is None else _Whole(body)
        response: IResponse = await self._agent.request(method.encode(), url.encode(), sent, producer)
        received = {
            name.decode("latin-1").lower(): values[-1].decode("latin-1")
            for name, values in response.headers.getAllRawHeaders()
        }
        collected = _Collected(largest)
        response.deliverBody(collected)
        return Answer(response.code, received, await collected.whole)


def _causes(error: BaseException) -> list[BaseException]:
    """Return an error of the agent and what it wraps, the innermost last."""
    found = [error]
    for reason in getattr(error, "reasons", None) or ():
        if isinstance(reason, Failure) and reason.value is not None:
            found += _causes(reason.value)
    return found


def _reason(cause: BaseException) -> str:
    if isinstance(cause, ConnectionClosed):
        return "the connection was lost before the whole answer had come"
    return str(cause) or type(cause).__name__


@implementer(IPolicyForHTTPS)
class _Policy:
    def __init__(self, trust: Trust) -> None:
        self._trust = trust

    def creatorForNetloc(self, hostname: bytes, port: int) -> IOpenSSLClientConnectionCreator:
        return self._trust.creator(hostname.decode("ascii"), port)


@implementer(IBodyProducer)
class _Whole:
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
        # An answer without a length ends with the connection.
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
