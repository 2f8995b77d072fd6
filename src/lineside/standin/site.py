"""The stand-in as a ``twisted.web`` site: thin resources around the API, and its own control resources."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any
from urllib.parse import unquote_to_bytes

from twisted.internet import task
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request, Site

from lineside.standin import envelope
from lineside.standin.api import Api
from lineside.standin.authentication import Credentials
from lineside.standin.control import ControlResource, FaultControl, GoDown, Statistics
from lineside.standin.documents import Documents
from lineside.standin.exchange import body, header, send
from lineside.standin.faults import FaultKnobs
from lineside.standin.incoming import Incoming

log = Logger()

IDLE_SECONDS = 15.0
"""An idle connection is closed after so long, as nginx does in front of the measured site."""


class UnparsedRequest(Request):
    """A request whose form is left unread: the API reads bodies as Frappe does, and once is enough."""

    content_type: str | None = None

    def requestReceived(self, command: bytes, path: bytes, version: bytes) -> None:
        """Keep the type of the body from ``twisted.web``, which would parse a form by it."""
        self.content_type = header(self, b"content-type")
        self.requestHeaders.removeHeader(b"content-type")
        super().requestReceived(command, path, version)


class QuietSite(Site):
    """A site that keeps no access log."""

    def startFactory(self) -> None:
        """Open no log, and start no clock for its lines."""

    def stopFactory(self) -> None:
        """Nothing was opened."""


def make_site(
    reactor: IReactorTime,
    documents: Documents,
    faults: FaultKnobs,
    credentials: Credentials,
    *,
    tracebacks: bool = True,
    go_down: GoDown | None = None,
) -> Site:
    """Return the stand-in's site; its ``resource`` is the root of the tree.

    Args:
        reactor: its clock counts latencies and idle connections.
        documents: open.
        faults: in force; ``POST /_standin/faults`` turns them.
        credentials: for the API and for the control resources.
        tracebacks: the site's ``allow_error_traceback``.
        go_down: carries out the fault ``down``; without it that fault is refused.

    """
    statistics = Statistics()
    root = Resource()
    root.putChild(
        b"api", ApiResource(reactor, Api(documents, credentials, tracebacks=tracebacks), faults, statistics)
    )
    control = Resource()
    control.putChild(b"faults", ControlResource(credentials, FaultControl(reactor, faults, go_down).answer))
    control.putChild(b"stats", ControlResource(credentials, statistics.answer))
    root.putChild(b"_standin", control)
    return QuietSite(root, requestFactory=UnparsedRequest, timeout=IDLE_SECONDS, reactor=reactor)


class ApiResource(Resource):
    """Everything under ``/api``."""

    isLeaf = True  # noqa: N815 (twisted.web's name)

    def __init__(self, reactor: IReactorTime, api: Api, faults: FaultKnobs, statistics: Statistics) -> None:
        super().__init__()
        self._reactor = reactor
        self._api = api
        self._faults = faults
        self._statistics = statistics

    def render(self, request: Request) -> int:
        """Answer in time; a client that leaves does not undo what it asked for."""
        self._statistics.requests += 1
        gone: list[object] = []
        request.notifyFinish().addErrback(gone.append)
        # Read at once: the body of a client that has left is closed.
        _in_background(self._answer(request, _incoming(request), gone))
        return NOT_DONE_YET

    async def _answer(self, request: Request, incoming: Incoming, gone: list[object]) -> None:
        plan = self._faults.draw()
        if plan.delay > 0:
            await task.deferLater(self._reactor, plan.delay)
        answer = None
        if not plan.hang_before:
            try:
                answer = await self._api.answer(incoming, plan)
            except CancelledError:
                raise
            except Exception:  # noqa: BLE001 (a client gets an answer whatever fails)
                log.failure("standin.request.failed")
                answer = envelope.INTERNAL_ERROR
        if answer is None or gone:
            self._statistics.unanswered += 1
            return
        self._statistics.by_status[answer.status] += 1
        send(request, answer)


def _in_background(coroutine: Coroutine[Deferred[Any], Any, None]) -> None:
    """Run to the end; the request keeps the only interest in the result."""
    Deferred.fromCoroutine(coroutine).addErrback(_tell)


def _tell(failure: Any) -> None:
    log.failure("standin.answer.failed", failure)


def _incoming(request: Request) -> Incoming:
    raw = request.uri.partition(b"?")
    path = [unquote_to_bytes(part).decode(errors="replace") for part in raw[0].split(b"/")[2:]]
    while path and not path[-1]:
        path.pop()
    version = 2 if path[:1] == ["v2"] else 1
    if path[:1] in (["v1"], ["v2"]):
        path = path[1:]
    return Incoming(
        request.method.decode("latin-1"),
        tuple(path),
        version,
        raw[2].decode(errors="replace"),
        body(request),
        (request.content_type if isinstance(request, UnparsedRequest) else header(request, b"content-type")) or "",
        header(request, b"authorization"),
        header(request, b"accept") or "*/*",
    )
