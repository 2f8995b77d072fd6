"""Asks for runs when a task is due by its schedule."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from msgspec import Struct
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from lineside.background import Background
from lineside.tasks.calendar import SECOND, Every, Plan, plan
from lineside.tasks.task import Task

log = Logger()

LOOK_EVERY = 30.0
"""Seconds between two looks at the wall clock: it may have been set."""
SET_FORWARD = 3_600 * SECOND
"""By so much may the wall clock jump while moments that it jumped over count as missed like any others."""

Ask = Callable[[Plan], Coroutine[Deferred[Any], Any, None]]
"""Stores what was decided: the runs, and up to where it is decided. Raises where the disk refuses."""


class Drift(Struct):
    """How well an interval is kept. Times are in seconds."""

    ticks: int = 0
    skipped: int = 0
    """Ticks that came too late to be separate ones."""
    last: float = 0.0
    """By how much the last tick was late."""
    worst: float = 0.0


class Interval:
    """A task that is due each so many seconds, by a `LoopingCall`: on its grid, and never twice at once.

    Args:
        task: with `Every`.
        clock: monotonic.
        wall_ns: the wall clock.
        ask: stores what is decided.

    """

    def __init__(self, task: Task, clock: IReactorTime, wall_ns: Callable[[], int], ask: Ask) -> None:
        assert isinstance(task.schedule, Every)
        self.task = task
        self._every = task.schedule
        self._clock = clock
        self._wall_ns = wall_ns
        self._ask = ask
        self._loop = LoopingCall.withCount(self._tick)
        self._loop.clock = clock
        self._first: IDelayedCall | None = None
        self._began = 0.0
        self._elapsed = 0
        self._owed = 0
        self.drift = Drift()

    @property
    def next_ns(self) -> int | None:
        """When it is due next, by the wall clock; None where it does not run."""
        call = self._first or getattr(self._loop, "call", None)
        if call is None or not call.active():
            return None
        return self._wall_ns() + round((call.getTime() - self._clock.seconds()) * SECOND)

    async def start(self, last_ns: int | None) -> None:
        """Make up for what was missed since ``last_ns``, then go on with the grid that was begun then."""
        now = self._wall_ns()
        seconds = self._every.seconds
        if last_ns is None:
            last_ns = now
            await self._ask(Plan([], 0, now))
        missed = plan(self._every, last_ns, now, self.task.catch_up)
        if missed.due or missed.skipped:
            await self._ask(missed)
        since = (now - missed.through) / SECOND
        # A clock that was set back must not keep the task waiting.
        rest = seconds - since if 0 <= since <= seconds else seconds
        self._first = self._clock.callLater(rest, self._begin)

    def stop(self) -> None:
        """Ask for nothing more."""
        if self._first is not None and self._first.active():
            self._first.cancel()
        if self._loop.running:
            self._loop.stop()

    def _begin(self) -> None:
        self._first = None
        self._began = self._clock.seconds()
        self._elapsed = 0
        self._loop.start(self._every.seconds, now=True)

    def _tick(self, count: int) -> Deferred[None]:
        self._elapsed += count
        late = self._clock.seconds() - self._began - (self._elapsed - 1) * self._every.seconds
        drift = self.drift
        drift.ticks += 1
        drift.skipped += count - 1
        drift.last = max(0.0, late)
        drift.worst = max(drift.worst, drift.last)
        if count > 1:
            log.warn(
                "task.ticks_skipped", task=self.task.name, count=count - 1, remedy="see what held the gateway up"
            )
        now = self._wall_ns()
        return Deferred.fromCoroutine(self._asked(Plan([now], count - 1, now)))

    async def _asked(self, due: Plan) -> None:
        if await asked(self.task, self._ask, Plan(due.due, due.skipped + self._owed, due.through)):
            self._owed = 0
        else:
            self._owed += 1 + due.skipped


class Calendar:
    """A task that is due by the calendar. The wall clock may be set at any time: no moment starts two runs.

    Args:
        task: with a schedule.
        clock: monotonic; its timers only say when to look at the wall clock.
        wall_ns: the wall clock.
        ask: stores what is decided.

    """

    def __init__(self, task: Task, clock: IReactorTime, wall_ns: Callable[[], int], ask: Ask) -> None:
        assert task.schedule is not None
        self.task = task
        self._schedule = task.schedule
        self._clock = clock
        self._wall_ns = wall_ns
        self._ask = ask
        self._timer: IDelayedCall | None = None
        self._work = Background(f"calendar of {task.name}")
        self._decided = 0
        self._next = 0
        self._seen = (0, 0.0)

    @property
    def next_ns(self) -> int | None:
        """When it is due next; None where it does not run."""
        return self._next or None

    async def start(self, last_ns: int | None) -> None:
        """Make up for what was missed since ``last_ns``, then wait for the next moment."""
        now = self._wall_ns()
        if last_ns is None:
            await self._ask(Plan([], 0, now))
        # What is decided ahead of the clock was decided by a wrong one. Its moments start no second run.
        self._decided = now if last_ns is None else min(last_ns, now)
        await self._look()

    def stop(self) -> None:
        """Ask for nothing more."""
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        self._work.cancel()

    async def _look(self) -> None:
        now = self._wall_ns()
        self._watch(now)
        self._decided = min(self._decided, now)
        due = plan(self._schedule, self._decided, now, self.task.catch_up)
        if (due.due or due.skipped) and await asked(self.task, self._ask, due):
            self._decided = due.through
        now = self._wall_ns()
        self._next = self._schedule.after(max(now, self._decided))
        rest = min((self._next - now) / SECOND, LOOK_EVERY)
        self._timer = self._clock.callLater(max(rest, 0.001), self._look_soon)

    def _look_soon(self) -> None:
        self._work.run("look", self._look())

    def _watch(self, now: int) -> None:
        """Say in the log that the clock was set, since a schedule may then seem to be wrong."""
        before, at = self._seen
        self._seen = now, self._clock.seconds()
        jumped = now - before - round((self._seen[1] - at) * SECOND)
        if before and abs(jumped) > SET_FORWARD:
            log.warn(
                "task.clock_set",
                task=self.task.name,
                by=round(jumped / SECOND),
                remedy="see to the clock's source (NTP)",
            )


async def asked(task: Task, ask: Ask, due: Plan) -> bool:
    """Store what was decided; False where the disk refuses, which the next look makes good."""
    try:
        await ask(due)
    except CancelledError:
        raise
    except Exception as trouble:  # noqa: BLE001 (of the disk, whatever it is)
        log.error("task.not_asked", task=task.name, reason=str(trouble), remedy="make room on the journal's disk")
        return False
    return True
