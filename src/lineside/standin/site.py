"""The stand-in as a ``twisted.web`` site: thin resources around the API, and its own control resources."""

from __future__ import annotations

import msgspec
from twisted.internet import task
from twisted.internet.defer import CancelledError
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request, Site

from lineside.standin import envelope
from lineside.standin.api import SAFE, Api
from lineside.standin.authentication import Credentials
from lineside.standin.control import ControlResource, FaultControl, GoDown, SettingsControl, Statistics
from lineside.standin.desk import DeskResource, FileResource
from lineside.standin.documents import Documents
from lineside.standin.envelope import Answer
from lineside.standin.errors import raised
from lineside.standin.exchange import UnparsedRequest, in_background, incoming_of, send
from lineside.standin.faults import FaultKnobs, Plan, Refusals
from lineside.standin.incoming import Incoming, wants_page
from lineside.standin.logins import LogIns
from lineside.standin.mishaps import misnamed, send_cut, send_slowly
from lineside.standin.rates import RateLimiter
from lineside.standin.sessions import Lockout, Sessions
from lineside.standin.settings import SiteSettings
from lineside.standin.visitors import claims
from lineside.standin.workers import Workers

log = Logger()

IDLE_SECONDS = 15.0
"""An idle connection is closed after so long, as nginx does in front of the measured site."""


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
    settings: SiteSettings | None = None,
    go_down: GoDown | None = None,
) -> Site:
    """Return the stand-in's site; its ``resource`` is the root of the tree.

    Args:
        reactor: its clock counts latencies, idle connections, sessions and rates.
        documents: open.
        faults: in force; ``POST /_standin/faults`` turns them.
        credentials: for the API and for the control resources.
        settings: in force; ``POST /_standin/settings`` changes them.
        go_down: carries out the fault ``down``; without it that fault is refused.

    """
    documents.settings = settings = settings or documents.settings
    statistics = Statistics()
    sessions = Sessions(reactor.seconds, lambda: settings.now.session_expiry)
    refusals = Refusals(reactor.seconds)
    log_ins = LogIns(documents, sessions, Lockout(reactor.seconds))
    api = Api(documents, credentials, settings, sessions, log_ins)
    limiter = RateLimiter(reactor.seconds, settings)
    root = Resource()
    root.putChild(b"api", ApiResource(reactor, api, faults, refusals, settings, limiter, statistics))
    root.putChild(b"app", DeskResource(sessions))
    root.putChild(b"files", FileResource(documents, sessions, credentials))
    private = Resource()
    private.putChild(b"files", FileResource(documents, sessions, credentials))
    root.putChild(b"private", private)
    control = Resource()
    turn = FaultControl(reactor, faults, refusals, go_down)
    control.putChild(b"faults", ControlResource(credentials, turn.answer))
    control.putChild(b"settings", ControlResource(credentials, SettingsControl(settings).answer))
    control.putChild(b"stats", ControlResource(credentials, statistics.answer))
    root.putChild(b"_standin", control)
    return QuietSite(root, requestFactory=UnparsedRequest, timeout=IDLE_SECONDS, reactor=reactor)


class ApiResource(Resource):
    """Everything under ``/api``."""

    isLeaf = True  # noqa: N815 (twisted.web's name)

    def __init__(
        self,
        reactor: IReactorTime,
        api: Api,
        faults: FaultKnobs,
        refusals: Refusals,
        settings: SiteSettings,
        limiter: RateLimiter,
        statistics: Statistics,
    ) -> None:
        super().__init__()
        self._reactor = reactor
        self._api = api
        self._faults = faults
        self._refusals = refusals
        self._settings = settings
        self._limiter = limiter
        self._statistics = statistics
        self._workers = Workers(lambda: faults.faults.workers)

    def render(self, request: Request) -> int:
        """Answer in time; a client that leaves does not undo what it asked for."""
        self._statistics.requests += 1
        gone: list[object] = []
        request.notifyFinish().addErrback(gone.append)
        # Read at once: the body of a client that has left is closed.
        in_background(self._answer(request, incoming_of(request), gone))
        return NOT_DONE_YET

    async def _answer(self, request: Request, incoming: Incoming, gone: list[object]) -> None:
        plan = self._faults.draw()
        if plan.delay > 0:
            await task.deferLater(self._reactor, plan.delay)
        answer = None
        if plan.bad_gateway:
            answer = envelope.BAD_GATEWAY
        elif not plan.hang_before:
            await self._workers.enter()
            try:
                answer = await self._served(incoming, plan)
            finally:
                self._workers.leave()
        if answer is None or gone:
            self._statistics.unanswered += 1
            return
        self._statistics.by_status[answer.status] += 1
        await self._sent(request, answer, plan, gone)

    async def _served(self, incoming: Incoming, plan: Plan) -> Answer | None:
        """Do what is asked, as one worker."""
        began = self._reactor.seconds()
        faults = self._faults.faults
        standing = self._limiter.standing()
        if standing is not None and standing.rejected:
            return msgspec.structs.replace(self._too_many(incoming), headers=standing.headers(0))
        if faults.service_time:
            await task.deferLater(self._reactor, faults.service_time)
        if plan.lock_wait and incoming.verb not in SAFE:
            await task.deferLater(self._reactor, faults.lock_wait_seconds)
        answer = await self._done(incoming, plan)
        used = self._reactor.seconds() - began
        if standing is None or answer is None:
            return answer
        self._limiter.spend(used)
        return msgspec.structs.replace(answer, headers=(*answer.headers, *standing.headers(used)))

    async def _done(self, incoming: Incoming, plan: Plan) -> Answer | None:
        site = self._settings.now.site
        if site and incoming.site.lower() != site.lower():
            return envelope.UNKNOWN_SITE
        refusal = self._refusals.refusal()
        if refusal is not None and claims(incoming):
            return self._api.refusal(incoming, refusal)
        try:
            return await self._api.answer(incoming, plan)
        except CancelledError:
            raise
        except Exception:  # noqa: BLE001 (a client gets an answer whatever fails)
            log.failure("standin.request.failed")
            return envelope.INTERNAL_ERROR

    def _too_many(self, incoming: Incoming) -> Answer:
        if wants_page(incoming):
            return envelope.TOO_MANY
        return self._api.refusal(incoming, raised("TooManyRequestsError"))

    async def _sent(self, request: Request, answer: Answer, plan: Plan, gone: list[object]) -> None:
        if plan.wrong_content_type:
            answer = misnamed(answer)
        pause = self._faults.faults.byte_delay
        if plan.cut:
            self._statistics.cut += 1
            send_cut(request, answer)
        elif pause and request.method != b"HEAD":
            await send_slowly(self._reactor, request, answer, pause, gone)
        else:
            send(request, answer)
