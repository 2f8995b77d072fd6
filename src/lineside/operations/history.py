"""The last hour in numbers, a moment at a time: what charts are drawn from."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from msgspec import Struct
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from lineside.operations.registry import Operations
from lineside.operations.requests import ShowHistory, ShowOverview
from lineside.operations.results import History, Overview

log = Logger()

EVERY = 10.0
"""Seconds from one moment to the next."""
MOMENTS = 360
"""How many are kept."""


class Moment(Struct, frozen=True):
    """How it was then: by source and route, lines and documents a second, and seconds that the oldest waits."""

    at: float
    sources: dict[str, float]
    routes: dict[str, float]
    lag: dict[str, float]
    dead_letters: int


class HistoryOperations:
    """The `Part` that keeps moments of the last hour, and the operation that tells them.

    Args:
        overview: tells how everything stands.
        clock: must follow a monotonic clock.
        now_ns: the wall clock.

    """

    name = "history"

    def __init__(
        self,
        overview: Callable[[ShowOverview], Deferred[Overview]],
        clock: IReactorTime,
        now_ns: Callable[[], int],
    ) -> None:
        self._overview = overview
        self._now_ns = now_ns
        self._look = LoopingCall(self._take)
        self._look.clock = clock
        self._moments: deque[Moment] = deque(maxlen=MOMENTS)
        self._taking: Deferred[Overview] | None = None
        self._ended: Deferred[LoopingCall] | None = None

    async def start(self) -> None:
        """Begin to look."""
        self._ended = self._look.start(EVERY, now=False)

    async def stop(self) -> None:
        """End it, also in the middle of a look."""
        if self._look.running:
            self._look.stop()
        if self._taking is not None:
            self._taking.cancel()
        if self._ended is not None:
            await self._ended

    def register(self, operations: Operations) -> None:
        """Offer the operation."""
        operations.answer(ShowHistory, self.show)

    async def show(self, request: ShowHistory) -> History:
        """Return the moments that are kept, the oldest first."""
        return History(
            every=EVERY,
            at=[moment.at for moment in self._moments],
            sources=_series([moment.sources for moment in self._moments]),
            routes=_series([moment.routes for moment in self._moments]),
            lag=_series([moment.lag for moment in self._moments]),
            dead_letters=[moment.dead_letters for moment in self._moments],
        )

    def _take(self) -> Deferred[None]:
        self._taking = self._overview(ShowOverview(devices=0))
        return self._taking.addCallbacks(self._keep, self._missed)

    def _keep(self, overview: Overview) -> None:
        self._taking = None
        self._moments.append(
            Moment(
                at=self._now_ns() / 1e9,
                sources={source.id: source.rate_minute for source in overview.sources},
                routes={route.id: route.rate_minute for route in overview.routes},
                lag={route.id: route.oldest or 0.0 for route in overview.routes},
                dead_letters=overview.dead_letters,
            )
        )

    def _missed(self, failure: Failure) -> None:
        self._taking = None
        if not failure.check(CancelledError):
            log.failure("history.missed", failure=failure)


def _series(moments: list[dict[str, float]]) -> dict[str, list[float]]:
    # The parts of one gateway are the same from its start to its stop.
    return {part: [moment[part] for moment in moments] for part in (moments[-1] if moments else ())}
