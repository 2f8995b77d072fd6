"""Keeps the journal within its bounds: removes what is settled, gives space back, refuses before the disk does."""

from __future__ import annotations

import time
from collections.abc import Callable, Coroutine, Mapping
from functools import partial
from sqlite3 import Connection
from typing import Any, TypeVar

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall, deferLater
from twisted.logger import Logger

from lineside.background import Background
from lineside.journal import capacity
from lineside.journal.capacity import HighWater, Keeping, Shortage, slack
from lineside.journal.log import SqliteJournal
from lineside.journal.removal import Due, Pin, Prospect, give_back, remove_some, survey
from lineside.model.event import Seq
from lineside.store.database import Database

log = Logger()

T = TypeVar("T")

LOOK_EVERY = 1.0
"""Seconds between two looks at the room there is."""
SWEEP_EVERY = 60.0
"""Seconds between two sweeps while there is room."""
STEP = 0.0015
"""Seconds that one step may hold up the writer, about."""
REST = 0.02
"""Seconds between two steps, for those who append."""
CHECKPOINT_AFTER = 6
"""Steps that may pile up in the database's log, so that no append's commit has to clear it."""
REMIND_EVERY = 86_400.0
"""Seconds after which what a person has to mend is said again."""
JUMP = 3_600.0
"""Seconds by which the wall clock may be set and still be believed at once."""
DOUBT = 86_400.0
"""Seconds for which nothing is removed for its age after the wall clock was set forward by more."""


class Retention:
    """The `Part` that bounds the journal, for as long as the gateway runs. Start it after the consumers.

    Each second it looks at the journal's size and at its disk, and lets the journal refuse events while either is
    short. Each minute, and at once where room is short, it removes what is due and settled.

    Args:
        journal: open.
        database: the journal's.
        clock: must follow a monotonic clock.
        keeping: the bounds.
        sources: of each consumer at work, whose records it takes.
        floors: how far each consumer at work is.
        now_ns: the wall clock, for ages only.
        stopwatch: measures steps, on the writer's thread.

    """

    name = "retention"

    def __init__(
        self,
        journal: SqliteJournal,
        database: Database,
        clock: IReactorTime,
        keeping: Keeping,
        *,
        sources: Mapping[str, frozenset[str]],
        floors: Callable[[], Mapping[str, Seq]] = dict,
        now_ns: Callable[[], int] = time.time_ns,
        stopwatch: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._journal = journal
        self._database = database
        self._clock = clock
        self._keeping = keeping
        self._high_water = HighWater(keeping)
        self._sources = sources
        self._floors = floors
        self._now_ns = now_ns
        self._stopwatch = stopwatch
        self._looking = LoopingCall(self._look)
        self._looking.clock = clock
        self._work = Background(self.name)
        self.sweeping = False
        """Whether it removes at present."""
        self._swept: list[Deferred[None]] = []
        self._steps = 0
        self._swept_at: float | None = None
        self._doubt_until = 0.0
        self._wall_ahead: float | None = None
        self._shortage: Shortage | None = None
        self._reminded: dict[str, float] = {}
        self._failing = False
        self.removed = 0
        """Events since the start."""

    async def start(self) -> None:
        """Take the first look, so that no event is taken for which there is no room.

        Raises:
            JournalUnusable: the journal is damaged.

        """
        await self._look_once()
        self._looking.start(LOOK_EVERY, now=False)

    async def stop(self) -> None:
        """End; a step that is under way is finished by the store."""
        if self._looking.running:
            self._looking.stop()
        self._work.cancel()
        await self._work.finish()

    async def sweep(self) -> int:
        """Remove now what is due and settled, and give space back; returns how many events went.

        Raises:
            sqlite3.Error: the journal's disk refuses; a later sweep goes on.

        """
        while self.sweeping:
            # It began earlier, and may have gone past what is due by now.
            ended: Deferred[None] = Deferred()
            self._swept.append(ended)
            await ended
        self.sweeping = True
        before = self.removed
        await self._sweep()
        return self.removed - before

    @property
    def problem(self) -> str | None:
        """Why no event is taken at present."""
        return None if self._shortage is None else self._shortage.reason

    def _look(self) -> Deferred[None]:
        return self._work.run("look", self._outlive(self._look_once()))

    async def _outlive(self, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except CancelledError:
            raise
        except Exception:  # noqa: BLE001 (a disk that fails, say: it is tried again)
            if not self._failing:
                log.failure("retention.failed", remedy="check the journal's disk")
            self._failing = True
            return
        self._failing = False

    async def _look_once(self) -> None:
        usage = await self._database.read(capacity.measure)
        self._mind_the_clock()
        shortage = self._high_water.judge(usage)
        prospect: Prospect | None = None
        if self._shortage is None and shortage is not None and not shortage.of_disk:
            prospect = await self._survey()
            if prospect.removable:
                # It is full of what may go, and goes now.
                shortage = None
        self._refuse_or_not(shortage, prospect)
        pressed = self._shortage is not None or self._high_water.crowded(usage.used)
        due = self._swept_at is None or self._clock.seconds() - self._swept_at >= SWEEP_EVERY
        if (pressed or due) and not self.sweeping:
            self.sweeping = True
            self._work.run("sweep", self._outlive(self._sweep()))

    def _refuse_or_not(self, shortage: Shortage | None, prospect: Prospect | None) -> None:
        before, self._shortage = self._shortage, shortage
        self._journal.refusal = None if shortage is None else shortage.reason
        if shortage is None:
            if before is not None:
                log.info("journal.has_room")
        elif before is None or before.of_disk != shortage.of_disk:
            pins = [] if prospect is None else prospect.pins
            log.error("journal.full", reason=shortage.reason, remedy=self._remedy(shortage, pins))

    def _remedy(self, shortage: Shortage, pins: list[Pin]) -> str:
        if shortage.of_disk:
            return "free space on the journal's disk; events are taken again by themselves"
        for pin in pins:
            if pin.consumer not in self._sources:
                return f"route {pin.consumer} is no longer configured and keeps events: {_forget(pin.consumer)}"
        if pins:
            return (
                f"route {pins[0].consumer} has not delivered its events: mend its target, or raise journal.max_size"
            )
        return "raise journal.max_size: senders' keys and dead letters take the room"

    async def _sweep(self) -> None:
        try:
            prospect = await self._survey()
            self._remind(prospect)
            due = self._due(prospect)
            self._swept_at = self._clock.seconds()
            while True:
                removed = await self._step(partial(remove_some, free_to=prospect.free_to, due=due))
                self.removed += removed.events
                if not removed.more:
                    break
                await self._rest()
            while await self._database.write(self._journal.forget_keys):
                await self._rest()
            usage = await self._database.read(capacity.measure)
            keep = 0 if self._shortage is not None and self._shortage.of_disk else slack(usage.used)
            while await self._step(partial(give_back, keep=keep)):
                await self._rest()
        finally:
            self.sweeping = False
            waiting, self._swept = self._swept, []
            for ended in waiting:
                ended.callback(None)

    async def _rest(self) -> None:
        self._steps += 1
        if self._steps % CHECKPOINT_AFTER == 0:
            await self._database.checkpoint()
        await deferLater(self._clock, REST)

    def _survey(self) -> Deferred[Prospect]:
        # Taken before the look at what is stored: what a consumer has reached by then only adds to it.
        floors = dict(self._floors())
        return self._database.read(lambda connection: survey(connection, self._sources, floors))

    def _step(self, work: Callable[..., T]) -> Deferred[T]:
        def timed(connection: Connection) -> T:
            began = self._stopwatch()
            return work(connection, in_time=lambda: self._stopwatch() - began < STEP)

        return self._database.write(timed)

    def _due(self, prospect: Prospect) -> Due:
        now_ns = self._now_ns()
        before_ns = now_ns - int(min(self._keeping.retain, now_ns / 1e9) * 1e9)
        if self._swept_at is None and prospect.oldest and prospect.newest_ns < before_ns:
            # The gateway stood still for long, or the clock is wrong.
            self._doubt_until = self._clock.seconds() + DOUBT
        if self._clock.seconds() < self._doubt_until:
            before_ns = 0
        return Due(before_ns, now_ns, self._high_water.crowded)

    def _mind_the_clock(self) -> None:
        ahead = self._now_ns() / 1e9 - self._clock.seconds()
        before, self._wall_ahead = self._wall_ahead, ahead
        if before is None or abs(ahead - before) < JUMP:
            return
        if ahead > before:
            self._doubt_until = self._clock.seconds() + DOUBT
        log.warn(
            "clock.jumped",
            seconds=round(ahead - before),
            remedy="let the machine's clock follow a time server; nothing is removed for its age for a day after a "
            "jump forward",
        )

    def _remind(self, prospect: Prospect) -> None:
        for pin in prospect.pins:
            if pin.consumer in self._sources:
                continue
            last = self._reminded.get(pin.consumer)
            if last is None or self._clock.seconds() - last >= REMIND_EVERY:
                self._reminded[pin.consumer] = self._clock.seconds()
                log.error("retention.pinned", route=pin.consumer, floor=pin.floor, remedy=_forget(pin.consumer))


def _forget(consumer: str) -> str:
    return f"lineside consumers forget {consumer}, or configure the route again"
