"""Requests on their way to endpoints, and answers on their way back."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Iterable, Mapping
from hashlib import blake2b
from math import ceil
from typing import Any
from urllib.parse import parse_qsl

from msgspec.structs import replace
from twisted.internet.defer import CancelledError
from twisted.internet.interfaces import IAddress, IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.web.resource import Resource
from twisted.web.server import Site

from lineside.background import Background
from lineside.edges.http.bodies import BodyStream, WholeBody, too_large
from lineside.edges.http.channel import SILENCE, PatientChannel
from lineside.edges.http.identification import CHALLENGE, Identification, too_many
from lineside.edges.http.refusing import REFUSING, Refusing
from lineside.edges.http.request import AT_ONCE, EarlyRequest, header_texts
from lineside.edges.http.routing import Found, Routes
from lineside.model.errors import JournalClosed, JournalUnusable, LinesideError, NotFound, Unfit
from lineside.operations.devicelines import NoAnswer
from lineside.operations.erp import ErpAway, ErpUnsure, ErpUnwilling, WrongQuestion
from lineside.operations.web import Answer, Call, Endpoint, Problem
from lineside.security.identity import NOBODY, Identity, NotPermitted, check
from lineside.security.sessions import Session
from lineside.security.turnstile import ConnectionShare, Turnstile

log = Logger()

MAX_BODY = 1024 * 1024
"""Bytes of a body that is taken whole."""
LATER = 5
"""Seconds after which what the journal does not take at present may be sent again."""
TAKEN_WHOLE = 64 * 1024
"""Bytes of a body that is taken whole although it might be a stream: for a single event that is quicker."""
LOOK = 1.0
"""Seconds from one look at the connections' deadlines to the next."""
REFUSALS: tuple[tuple[type[Exception], int], ...] = (
    (NotPermitted, 403),
    (NotFound, 404),
    (Unfit, 422),
    (WrongQuestion, 400),
    (NoAnswer, 502),
    (ErpAway, 503),
    (ErpUnwilling, 502),
    (ErpUnsure, 504),
    (OSError, 503),
    (JournalClosed, 503),
    (JournalUnusable, 503),
)
"""The status of what did not go, by its kind; 409 where it is none of these."""
NO_ANSWER: dict[str, int] = {"expired": 504, "unsent": 409}
"""By what became of a command to a device: the status, where it is another."""
ANY = "*/*"
"""In `Endpoint.takes`: whatever the body is called, or not called at all."""
STRANGERS_ROOM = 16 * 1024 * 1024
"""Bytes of bodies that are taken whole, at a time, of all who did not say who they are."""
BUSY_EVERY = 10.0
"""Seconds between two lines of the log about connections that are turned away."""


class Desk:
    """Finds each request's endpoint, checks who asks and what for, and sends what the endpoint answers.

    Args:
        endpoints: everything there is.
        identification: tells who asks.
        max_body: bytes of a body that is taken whole.
        turnstile: holds callers to their rates; None for no such limit.

    """

    def __init__(
        self,
        endpoints: Iterable[Endpoint],
        identification: Identification,
        *,
        max_body: int = MAX_BODY,
        turnstile: Turnstile | None = None,
    ) -> None:
        self._routes = Routes(endpoints)
        self._identification = identification
        self._max_body = max_body
        self._turnstile = turnstile
        self.answering = Background("http")

    def head_came(self, request: EarlyRequest) -> BodyStream | WholeBody | None:
        """Find the endpoint, and check all that the head tells; None where the request is refused."""
        try:
            return self._admit(request)
        except LinesideError as refused:
            request.send(_refusal(refused))
        except Exception:  # noqa: BLE001 (the client is told, and the log)
            request.send(_failed(request.path.decode("utf-8", "replace")))
        return None

    def body_came(self, request: EarlyRequest) -> None:
        """Answer a request that is there whole."""
        assert isinstance(request.body, WholeBody)
        call: Call = request.call
        body = request.body.value()
        self._begin(request, request.endpoint, replace(call, body=body) if body else call)

    def _hold_to_rate(self, peer: str, identity: Identity | None) -> None:
        if self._turnstile is not None:
            wait = self._turnstile.request("http", peer, None if identity is None else identity.name)
            if wait:
                raise too_many("too many requests; come again later", wait)

    def _identify(
        self, request: EarlyRequest, headers: Mapping[str, str], session: Session | None, *, local: bool
    ) -> Identity:
        peer = request.channel.peer
        if session is not None:
            self._hold_to_rate(peer, session.identity)
            return session.identity
        try:
            identity = self._identification.identify(headers, peer, local=local)
        except Problem:
            self._hold_to_rate(peer, None)
            raise
        self._hold_to_rate(peer, None if identity is NOBODY else identity)
        return identity

    def _admit(self, request: EarlyRequest) -> BodyStream | WholeBody:
        found = self._routes.find(request.method, request.path)
        if not isinstance(found, Found):
            self._hold_to_rate(request.channel.peer, None)
            if not found:
                raise Problem(404, f"there is nothing at {request.path.decode('utf-8', 'replace')}")
            known = found | {"HEAD"} if "GET" in found else found
            raise Problem(405, "this path knows other methods", headers={"Allow": ", ".join(sorted(known))})
        endpoint = found.endpoint
        channel = request.channel
        headers = header_texts(request.requestHeaders)
        local = channel.loopback and self._identification.meant(headers)
        session = self._identification.session(headers, request.method)
        identity = self._identify(request, headers, session, local=local)
        if endpoint.permission is not None:
            permitted(identity, endpoint)
        length = channel.length
        if endpoint.takes and not (length == 0 and not endpoint.stream):
            _check_type(endpoint, headers)
        request.endpoint = endpoint
        request.call = Call(
            identity,
            found.path,
            _query(endpoint, request.uri.partition(b"?")[2]),
            headers,
            peer=channel.peer,
            local=local,
            session="" if session is None else session.id,
        )
        if endpoint.stream and (length is None or length > TAKEN_WHOLE):
            stream = BodyStream(channel.hold, channel.go_on)
            request.body = stream
            self._begin(request, endpoint, replace(request.call, stream=stream))
            return stream
        if length is not None and length > self._max_body and not endpoint.stream:
            raise too_large(self._max_body)
        return WholeBody(TAKEN_WHOLE if endpoint.stream else self._max_body)

    def _begin(self, request: EarlyRequest, endpoint: Endpoint, call: Call) -> None:
        try:
            if endpoint.upgrade is not None and call.headers.get("upgrade", "").lower() == "websocket":
                request.hand_over(endpoint.upgrade(call))
                return
            answer = endpoint.answer(call)
        except LinesideError as refused:
            request.send(_refusal(refused))
            return
        except Exception:  # noqa: BLE001 (the client is told, and the log)
            request.send(_failed(endpoint.name))
            return
        if isinstance(answer, Answer) and isinstance(answer.body, bytes) and len(answer.body) <= AT_ONCE:
            request.send(_conditional(endpoint, call, answer))
            return
        running = self.answering.run(endpoint.name, self._finish(request, endpoint, call, answer))
        if not running.called:
            request.notifyFinish().addErrback(lambda _: running.cancel())

    async def _finish(
        self, request: EarlyRequest, endpoint: Endpoint, call: Call, answering: Answer | Awaitable[Answer]
    ) -> None:
        try:
            answer = await answering if inspect.isawaitable(answering) else answering
        except CancelledError:
            if not request.gone:
                # The gateway stops.
                request.channel.persistent = False
                request.send(Problem(503, "the gateway stops", headers={"Retry-After": str(LATER)}).answer())
            raise
        except LinesideError as refused:
            answer = _refusal(refused)
        except Exception:  # noqa: BLE001 (the client is told, and the log)
            answer = _failed(endpoint.name)
        assert isinstance(answer, Answer)
        if isinstance(answer.body, bytes):
            if len(answer.body) <= AT_ONCE:
                request.send(_conditional(endpoint, call, answer))
                return
            answer = _conditional(endpoint, call, answer)
        await request.send_stream(answer)


class GatewaySite(Site):
    """The site. It keeps no access log, which would cost half of its time, and no sessions.

    Args:
        desk: answers.
        reactor: its clock ends connections.
        max_connections: with more, one is closed: the one that was silent for longest, or else the new one.
        share: of them, what one address may have; None for all.

    """

    noisy = False
    protocol: Any = PatientChannel
    requestFactory: Any = EarlyRequest  # noqa: N815 (Twisted's name)

    def __init__(
        self,
        desk: Desk,
        reactor: IReactorTime,
        *,
        max_connections: int = 1024,
        share: ConnectionShare | None = None,
    ) -> None:
        super().__init__(Resource(), timeout=SILENCE, reactor=reactor)
        self.desk = desk
        self._max_connections = max_connections
        self._share = share
        self._refusing = 0
        self.connections: set[PatientChannel] = set()
        self.strangers_room = STRANGERS_ROOM
        self.strangers_hold = 0
        """Bytes of their bodies that are there."""
        self._looking: IDelayedCall | None = None
        self._turned_away = 0
        self._busy_told = float("-inf")

    def buildProtocol(self, addr: IAddress | None) -> Any:
        """Take a connection; where there are too many, in the place of the one that was silent for longest."""
        if self._share is not None and not self._share.admits(str(getattr(addr, "host", ""))):
            return self._refuse()
        if len(self.connections) >= self._max_connections:
            silent = [each for each in self.connections if each.is_silent]
            if not silent:
                self._turn_away(addr)
                return None
            # Whoever opens many and asks nothing shuts out nobody.
            longest = min(silent, key=lambda each: each.deadline or 0.0)
            self.closed(longest)
            longest.timeoutConnection()
        return super().buildProtocol(addr)

    def opened(self, connection: PatientChannel) -> None:
        """Count a connection in."""
        self.connections.add(connection)
        if self._share is not None:
            self._share.enter(connection.peer)
        if self._looking is None:
            self._looking = self.reactor.callLater(LOOK, self._look)

    def closed(self, connection: PatientChannel) -> None:
        """Count a connection out."""
        if self._share is not None and connection in self.connections:
            self._share.leave(connection.peer)
        self.connections.discard(connection)
        if not self.connections and self._looking is not None:
            self._looking.cancel()
            self._looking = None

    def _look(self) -> None:
        self._looking = self.reactor.callLater(LOOK, self._look)
        now = self.reactor.seconds()
        for connection in list(self.connections):
            if connection.deadline is not None and connection.deadline <= now:
                connection.timeoutConnection()

    def _refuse(self) -> Refusing | None:
        if self._refusing >= REFUSING:
            return None
        self._refusing += 1
        return Refusing(self.reactor, self._refused)

    def _refused(self) -> None:
        self._refusing -= 1

    def _turn_away(self, addr: IAddress | None) -> None:
        self._turned_away += 1
        now = self.reactor.seconds()
        if now - self._busy_told >= BUSY_EVERY:
            log.warn(
                "http.busy",
                connections=len(self.connections),
                turned_away=self._turned_away,
                peer=str(getattr(addr, "host", "")),
                remedy="see who holds them (ss -tn), or raise max_connections in [http]",
            )
            self._busy_told, self._turned_away = now, 0

    def startFactory(self) -> None:
        """Open no log, and start no clock for its lines."""

    def stopFactory(self) -> None:
        """Nothing was opened."""

    def log(self, request: Any) -> None:
        """Write nothing."""


def permitted(identity: Identity, endpoint: Endpoint) -> None:
    """Raise unless who asks may.

    Raises:
        Problem: 401, they did not say who they are; 403, they may not.

    """
    assert endpoint.permission is not None
    try:
        check(identity, endpoint.permission)
    except NotPermitted as refused:
        if identity is NOBODY:
            raise Problem(
                401, "this needs a token (Authorization: Bearer …), or a log-in", headers=CHALLENGE
            ) from refused
        raise Problem(403, str(refused)) from refused


def _query(endpoint: Endpoint, text: bytes) -> dict[str, str]:
    if not text:
        return {}
    try:
        query = dict(parse_qsl(text.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=100))
    except ValueError as wrong:
        raise Problem(400, f"the query cannot be read: {wrong}") from wrong
    known = [parameter.name for parameter in endpoint.parameters if parameter.place == "query"]
    unknown = [name for name in query if name not in known]
    if unknown:
        raise Problem(400, f"unknown parameter {unknown[0]!r}; there are: {', '.join(known) or 'none'}")
    return query


def _check_type(endpoint: Endpoint, headers: Mapping[str, str]) -> None:
    given = headers.get("content-type", "").partition(";")[0].strip().lower()
    if given not in endpoint.takes and ANY not in endpoint.takes:
        accepted = ", ".join(endpoint.takes)
        raise Problem(415, f"the body's Content-Type must be one of: {accepted}", headers={"Accept-Post": accepted})


def _conditional(endpoint: Endpoint, call: Call, answer: Answer) -> Answer:
    if endpoint.method != "GET" or endpoint.permission is None or answer.status != 200:
        return answer
    assert isinstance(answer.body, bytes)
    tag = f'W/"{blake2b(answer.body, digest_size=12).hexdigest()}"'
    headers = (
        *answer.headers,
        ("ETag", tag),
        ("Cache-Control", "private, no-cache"),
        ("Vary", "Authorization, Cookie"),
    )
    if tag in call.headers.get("if-none-match", ""):
        return Answer(304, b"", answer.content_type, headers)
    return Answer(200, answer.body, answer.content_type, headers)


def _refusal(refused: LinesideError) -> Answer:
    if isinstance(refused, Problem):
        return refused.answer()
    status = next((status for kind, status in REFUSALS if isinstance(refused, kind)), 409)
    more: dict[str, Any] = {}
    if isinstance(refused, NoAnswer):
        status = NO_ANSWER.get(refused.state, status)
        more = {"command": refused.id, "state": refused.state}
    headers = {}
    if status == 503:
        headers["Retry-After"] = str(max(1, ceil(refused.after)) if isinstance(refused, ErpAway) else LATER)
    return Problem(status, str(refused), headers=headers, **more).answer()


def _failed(endpoint: str) -> Answer:
    log.failure("http.failed", endpoint=endpoint)
    return Problem(500, "this failed; the gateway's log says why").answer()
