"""An asynchronous HTTP client for one Frappe site."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from urllib.parse import quote, urlencode, urlsplit

from cryptography import x509
from OpenSSL import SSL
from twisted.internet.defer import CancelledError, Deferred, DeferredSemaphore, succeed
from twisted.internet.error import (
    ConnectError,
    ConnectingCancelledError,
    ConnectionClosed,
    DNSLookupError,
    UnsupportedAddressFamily,
)
from twisted.internet.interfaces import IConsumer, IReactorTime
from twisted.internet.protocol import Protocol, connectionDone
from twisted.internet.task import deferLater
from twisted.python.failure import Failure
from twisted.web.client import Agent, HTTPConnectionPool, ResponseDone
from twisted.web.http import PotentialDataLoss
from twisted.web.http_headers import Headers
from twisted.web.iweb import IAgent, IBodyProducer, IResponse
from zope.interface import implementer

from lineside.delivery.budget import Budget
from lineside.edges.frappe.allowance import allowance
from lineside.edges.frappe.endpoint import KeptEndpoint
from lineside.edges.frappe.reply import Reply, Unreachable
from lineside.edges.frappe.sitepolicy import SitePolicy
from lineside.model.errors import ConfigurationError
from lineside.security.handshakes import HandshakeFailed, words

MAX_BODY_BYTES = 16 * 1024 * 1024
LEAST_HIDDEN = 8
"""Characters of a key; what is shorter (Frappe's have 15) is a word, and hides nothing."""
HIDDEN = b"(hidden)"
IDLE_SECONDS = 10.0
"""An idle connection is closed by us first: nginx closes it after 15 s, perhaps as we send."""

CONNECT_SECONDS = 10.0
CLOSE_SECONDS = 5.0

AsUser = Mapping[bytes, bytes] | None
"""Headers that say who asks, in place of the API key."""

NO_CONNECTION = (
    ConnectError,
    ConnectingCancelledError,
    DNSLookupError,
    UnsupportedAddressFamily,
)
"""What the agent raises as itself only when there is no connection to send on."""


class FrappeClient:
    """Requests to one site, authenticated by an API key, over a pool of connections.

    A request is sent once: it is never repeated, no redirect is followed and no cookie is kept (a session
    cookie would win over the API key; contract, section 10).

    Args:
        reactor: its clock counts the time-outs; without an ``agent`` it also connects.
        url: ``http`` or ``https``, host, and a path where the site has one.
        api_key: of the user who owns the documents.
        api_secret: that user's.
        authorities: the only ones that may have signed an ``https`` site's certificate; None for the platform's.
        site: sent as ``X-Frappe-Site-Name``; None where the host name tells the site.
        timeout: seconds for a whole request, from connecting to the answer's last byte.
        pool_size: requests in flight at a time, and connections kept; further ones wait their turn.
        agent: carries the requests instead of real connections.
        around: makes of the agent the one that is used.
        budget: how closely requests may follow each other; without it they do not wait for the site's rate limit.

    Raises:
        ConfigurationError: ``url`` is no address of a site.

    """

    def __init__(
        self,
        reactor: IReactorTime,
        url: str,
        api_key: str,
        api_secret: str,
        *,
        authorities: Sequence[x509.Certificate] | None = None,
        site: str | None = None,
        timeout: float = 30.0,
        pool_size: int = 4,
        agent: IAgent | None = None,
        around: Callable[[IAgent], IAgent] = lambda agent: agent,
        budget: Budget | None = None,
    ) -> None:
        self.clock = reactor
        self._budget = budget
        self.pool_size = pool_size
        self._address = _address(url)
        self._timeout = timeout
        self._slots = DeferredSemaphore(pool_size)
        self._headers = {b"Authorization": f"token {api_key}:{api_secret}".encode(), b"Accept": b"application/json"}
        if site is not None:
            self._headers[b"X-Frappe-Site-Name"] = site.encode()
        self._secrets = [secret.encode() for secret in (api_secret, api_key) if len(secret) >= LEAST_HIDDEN]
        self._pool = HTTPConnectionPool(reactor)
        self._pool.maxPersistentPerHost = pool_size
        self._pool.cachedConnectionTimeout = IDLE_SECONDS  # type: ignore[assignment]
        self._pool.retryAutomatically = False
        place = KeptEndpoint(reactor, SitePolicy(authorities), min(timeout, CONNECT_SECONDS))
        connecting = Agent.usingEndpointFactory(reactor, place, pool=self._pool)
        self._agent = around(agent or connecting)

    async def request(
        self,
        method: str,
        path: str,
        *,
        body: bytes | None = None,
        within: float | None = None,
        as_user: AsUser = None,
    ) -> Reply:
        """Send one request and return its whole answer, of whatever status.

        Args:
            method: such as ``GET``.
            path: percent-encoded, as `url_path` makes it.
            body: JSON.
            within: seconds, where less than the client's time-out is enough.
            as_user: headers that say who asks, in place of the API key.

        Raises:
            Unreachable: no whole answer came, or one larger than 16 MiB.
            CancelledError: the caller gave up; the connection is aborted.

        """
        seconds = min(within or self._timeout, self._timeout)
        await self._slots.acquire()
        try:
            if self._budget is None:
                return await self._timed(method, path, body, seconds, as_user)
            return await self._paced(self._budget, method, path, body, seconds, as_user)
        finally:
            self._slots.release()

    async def ask(
        self, method: str, path: str, *, body: bytes | None = None, within: float | None = None
    ) -> Reply | Unreachable:
        """Send one request as `request` does; what stopped it is returned, not raised."""
        try:
            return await self.request(method, path, body=body, within=within)
        except Unreachable as error:
            return error

    def drop_idle(self) -> None:
        """Close the idle connections, so that the next request has a new one: they may be as dead as the last."""
        self._pool.closeCachedConnections()

    async def close(self) -> None:
        """Close the idle connections; returns when they are closed, or after 5 seconds."""
        closed = self._pool.closeCachedConnections()
        await closed.addTimeout(CLOSE_SECONDS, self.clock, onTimeoutCancel=lambda _result, _seconds: None)

    async def _paced(
        self, budget: Budget, method: str, path: str, body: bytes | None, seconds: float, as_user: AsUser
    ) -> Reply:
        while wait := budget.delay(self.clock.seconds()):
            await deferLater(self.clock, wait)
        ticket = budget.begin(self.clock.seconds())
        told = None
        try:
            reply = await self._timed(method, path, body, seconds, as_user)
            told = allowance(reply)
            return reply
        finally:
            budget.end(ticket, told, self.clock.seconds())

    async def _timed(self, method: str, path: str, body: bytes | None, seconds: float, as_user: AsUser) -> Reply:
        exchange = Deferred.fromCoroutine(self._exchange(method, path, body, as_user))
        expired = given_up = False

        def expire() -> None:
            nonlocal expired
            expired = True
            exchange.cancel()

        def give_up(_: Deferred[Reply]) -> None:
            nonlocal given_up
            given_up = True
            exchange.cancel()

        def tell(result: Reply | Failure) -> None:
            if not answer.called:
                answer.callback(result)

        answer: Deferred[Reply] = Deferred(give_up)
        exchange.addBoth(tell)
        timer = self.clock.callLater(seconds, expire)
        try:
            return await answer
        except Unreachable:
            raise
        except Exception as error:
            # A cancelled request fails with whatever the agent makes of it, seldom with CancelledError: while
            # the host's name is looked up, as if there were no such name.
            causes = _causes(error)
            handshake = next((cause for cause in causes if isinstance(cause, HandshakeFailed)), None)
            sent = handshake is None and not isinstance(error, NO_CONNECTION)
            if expired:
                raise Unreachable(f"no answer within {seconds:g} s", sent=sent) from error
            if given_up or any(isinstance(cause, CancelledError | ConnectingCancelledError) for cause in causes):
                raise CancelledError from error
            if handshake is not None and handshake.remedy is not None:
                reason = f"{handshake.reason}; {handshake.remedy}"
                raise Unreachable(reason, sent=False, lasting=True) from error
            raise Unreachable(_reason(handshake or causes[-1]), sent=sent) from error
        finally:
            if timer.active():
                timer.cancel()

    async def _exchange(self, method: str, path: str, body: bytes | None, as_user: AsUser) -> Reply:
        headers = Headers({name: [value] for name, value in self._headers.items()})
        if as_user is not None:
            headers.removeHeader(b"Authorization")
            for name, value in as_user.items():
                headers.setRawHeaders(name, [value])
        producer = None
        if body is not None:
            headers.setRawHeaders(b"Content-Type", [b"application/json"])
            producer = _WholeBody(body)
        response: IResponse = await self._agent.request(
            method.encode(), self._address + path.encode(), headers, producer
        )
        received = {
            name.decode("latin-1").lower(): self._hidden(values[-1], as_user).decode("latin-1")
            for name, values in response.headers.getAllRawHeaders()
        }
        content_type = received.get("content-type", "").partition(";")[0].strip().lower()
        collected = _Collected()
        response.deliverBody(collected)
        return Reply(response.code, received, content_type, self._hidden(await collected.whole, as_user))

    def _hidden(self, told: bytes, as_user: AsUser) -> bytes:
        """Return what the site says without the keys that it got: a page for debugging repeats a request."""
        for secret in self._secrets if as_user is None else as_user.values():
            if secret in told:
                told = told.replace(secret, HIDDEN)
        return told


def url_path(*segments: str, **query: str) -> str:
    """Return ``/`` and the segments, each percent-encoded, and the query."""
    path = "/" + "/".join(quote(segment, safe="") for segment in segments)
    return f"{path}?{urlencode(query, quote_via=quote)}" if query else path


def _address(url: str) -> bytes:
    try:
        parts = urlsplit(url)
        address = url.rstrip("/").encode("ascii")
        right = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
        right = right and parts.username is None and not set(url) & set(" ?#") and url.isprintable()
    except ValueError:
        right = False
    if not right:
        raise ConfigurationError([f"{url!r} is no address of a Frappe site: give http(s)://host[:port][/path]"])
    return address


def _causes(error: BaseException) -> list[BaseException]:
    """Return an error of the agent and what it wraps, the innermost last."""
    found = [error]
    for reason in getattr(error, "reasons", None) or ():
        if isinstance(reason, Failure) and reason.value is not None:
            found += _causes(reason.value)
    return found


def _reason(cause: BaseException) -> str:
    if isinstance(cause, HandshakeFailed):
        return cause.reason
    if isinstance(cause, SSL.Error):
        return f"TLS failed: {words(cause) or 'the connection was cut'}"
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
    """Collects an answer's body up to `MAX_BODY_BYTES`; ``whole`` fires with it."""

    def __init__(self) -> None:
        self.whole: Deferred[bytes] = Deferred(self._cancelled)
        self._body = bytearray()

    def dataReceived(self, data: bytes) -> None:
        if self.whole.called:
            return
        self._body += data
        if len(self._body) > MAX_BODY_BYTES:
            self._cut()
            self.whole.errback(Unreachable(f"an answer larger than {MAX_BODY_BYTES >> 20} MiB", sent=True))

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if self.whole.called:
            return
        # An answer without a length ends with the connection; a body cut short is no JSON.
        if reason.check(ResponseDone, PotentialDataLoss):
            self.whole.callback(bytes(self._body))
        else:
            self.whole.errback(reason)

    def _cancelled(self, whole: Deferred[bytes]) -> None:
        whole.errback(CancelledError())
        self._cut()

    def _cut(self) -> None:
        # The response's transport offers no abortConnection. Its stopProducing closes the socket
        # itself, where loseConnection would wait for the peer's TLS close.
        if self.transport is not None:
            self.transport.stopProducing()  # type: ignore[attr-defined]
