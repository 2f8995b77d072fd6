"""An asynchronous HTTP client for one Frappe site."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from urllib.parse import quote, urlencode, urlsplit

from cryptography import x509
from OpenSSL import SSL
from twisted.internet.defer import DeferredSemaphore
from twisted.internet.interfaces import IReactorTime, IStreamClientEndpoint
from twisted.internet.task import deferLater
from twisted.web.client import Agent, HTTPConnectionPool
from twisted.web.http_headers import Headers
from twisted.web.iweb import IAgent

from lineside.delivery.budget import Budget
from lineside.edges.frappe.allowance import allowance
from lineside.edges.frappe.endpoint import KeptEndpoint
from lineside.edges.frappe.reply import Reply, Unreachable
from lineside.edges.frappe.sitepolicy import SitePolicy
from lineside.exchanges import NoAnswer, exchange
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
        via: connects to a server of the site; without it, the one that ``url`` names.

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
        via: IStreamClientEndpoint | None = None,
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
        place = KeptEndpoint(reactor, SitePolicy(authorities), min(timeout, CONNECT_SECONDS), via)
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
        headers = Headers({name: [value] for name, value in self._headers.items()})
        if as_user is not None:
            headers.removeHeader(b"Authorization")
            for name, value in as_user.items():
                headers.setRawHeaders(name, [value])
        if body is not None:
            headers.setRawHeaders(b"Content-Type", [b"application/json"])
        try:
            answer = await exchange(
                self._agent,
                self.clock,
                method,
                self._address + path.encode(),
                headers,
                body,
                within=seconds,
                largest=MAX_BODY_BYTES,
            )
        except NoAnswer as none:
            raise _unreachable(none) from none
        if answer.body is None:
            raise Unreachable(f"an answer larger than {MAX_BODY_BYTES >> 20} MiB", sent=True)
        told = {
            name: self._hidden(value.encode("latin-1"), as_user).decode("latin-1")
            for name, value in answer.headers.items()
        }
        content_type = answer.headers.get("content-type", "").partition(";")[0].strip().lower()
        return Reply(answer.status, told, content_type, self._hidden(answer.body, as_user), answer.cookies)

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


def _unreachable(none: NoAnswer) -> Unreachable:
    """Return an answer that did not come in the words of this edge."""
    handshake = next((cause for cause in none.causes if isinstance(cause, HandshakeFailed)), None)
    sent = handshake is None and none.connected
    if none.expired:
        return Unreachable(str(none), sent=sent)
    if handshake is not None and handshake.remedy is not None:
        return Unreachable(f"{handshake.reason}; {handshake.remedy}", sent=False, lasting=True)
    if handshake is not None:
        return Unreachable(handshake.reason, sent=sent)
    cause = none.causes[-1]
    if isinstance(cause, SSL.Error):
        return Unreachable(f"TLS failed: {words(cause) or 'the connection was cut'}", sent=sent)
    return Unreachable(str(none), sent=sent)
