"""Starting and stopping: parts in order, stopped in reverse, whatever happens in between."""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any, NoReturn

from twisted.internet import task
from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.main import installReactor
from twisted.logger import Logger

from lineside.model.ports import Part

log = Logger()


class System:
    """The parts of a gateway, in stages: each stage rests on those before it.

    Stages start in order and stop in reverse. The parts of one stage need nothing of each other: they start one
    after the other, so that what cannot start is told alone, and stop together, so that ten which each wait for
    the same silent ERP stop in the time of one.

    A part that cannot start stops those that had, in reverse, before the error goes on.
    """

    def __init__(self, stages: list[list[Part]]) -> None:
        self._stages = stages
        self._started: list[list[Part]] = []
        self._starting: Deferred[None] | None = None
        self._stopping: Deferred[None] | None = None

    async def start(self) -> bool:
        """Start every part, each when the one before it works; a `stop` meanwhile lets no further one start.

        Returns whether all of them work: false after such a `stop`.

        Raises:
            LinesideError: a part could not start; nothing is left running.

        """
        self._starting = Deferred()
        try:
            complete = await self._start_in_order()
        except BaseException:
            self._starting.callback(None)
            await self.stop()
            raise
        self._starting.callback(None)
        return complete

    async def stop(self) -> None:
        """Stop what was started, the last stage first. A second call waits for the first."""
        if self._stopping is None:
            self._stopping = Deferred.fromCoroutine(self._stop_started())
        await DeferredList([self._stopping])

    async def _start_in_order(self) -> bool:
        for stage in self._stages:
            started: list[Part] = []
            self._started.append(started)
            for part in stage:
                if self._stopping is not None:
                    return False
                await part.start()
                started.append(part)
        return self._stopping is None

    async def _stop_started(self) -> None:
        if self._starting is not None:
            await DeferredList([self._starting])
        while self._started:
            stage = self._started.pop()
            await DeferredList([Deferred.fromCoroutine(_stop(part)) for part in stage])


async def _stop(part: Part) -> None:
    try:
        await part.stop()
    except Exception:  # noqa: BLE001 (one part's failure must not keep the others from letting go)
        log.failure("stop.failed", part=part.name)


def run_reactor(main: Callable[..., Coroutine[Deferred[Any], Any, Any]], *arguments: object) -> NoReturn:
    """Run ``main(reactor, *arguments)`` to its end, then exit: 0, or the code of a raised `SystemExit`.

    Twisted's timers follow the wall clock, which may be set while the gateway runs; here they follow
    the monotonic one. Where there is epoll, the reactor is `lineside.assemble.reactor.DirectReactor`.
    """
    with suppress(ImportError):
        from lineside.assemble.reactor import DirectReactor  # noqa: PLC0415 (there may be no epoll)

        installReactor(DirectReactor())
    from twisted.internet import reactor  # noqa: PLC0415, TID251 (the one place that chooses the reactor)

    follow_monotonic_clock(reactor)
    task.react(main, arguments)


def allow_many_connections() -> int:
    """Raise the soft limit of open files to the hard one: usually 1,024, it would be used up by one source.

    Returns the limit.
    """
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard if hard != resource.RLIM_INFINITY else sys.maxsize


def follow_monotonic_clock(reactor: Any) -> None:
    """Let the reactor's timers follow the monotonic clock, so that setting the wall clock stalls nothing."""
    reactor.seconds = time.monotonic
