"""All tasks at work: asks for runs, lets them go, treats what a crash left, and forgets what is old."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from math import isinf
from random import Random
from sqlite3 import Connection
from typing import Any, TypeVar

import msgspec
from twisted.internet.defer import Deferred, DeferredList, fail
from twisted.internet.task import Cooperator, LoopingCall
from twisted.logger import Logger

from lineside.background import Background
from lineside.model.errors import CommitInDoubt, LinesideError, NotFound
from lineside.model.wording import did_you_mean
from lineside.store.database import Database
from lineside.tasks import places, recovery, runs
from lineside.tasks.calendar import SECOND, Every, Plan
from lineside.tasks.calling import call, call_in_thread
from lineside.tasks.context import Appending, Context, Erp
from lineside.tasks.execution import WORDS, Execution, Why
from lineside.tasks.lane import Clocks, Door, Lane
from lineside.tasks.places import Place
from lineside.tasks.runs import Ask, Asked, Cause, Run
from lineside.tasks.task import KEEP, Task
from lineside.tasks.ticking import Calendar, Interval

log = Logger()

T = TypeVar("T")

PATIENCE = 5.0
"""Seconds that runs get to end when the gateway stops."""
PRUNE_EVERY = 600.0
"""Seconds between two looks for runs that are old enough to go."""
WATCH_EVERY = 30.0
"""Seconds between two comparisons of the clocks."""
APART = SECOND
"""By more than this the wall clock must have been set to be worth a note; less is what NTP does."""
PRUNED = 200
"""Runs that go at a time; writes of others come in between."""


class WrongParameters(LinesideError):
    """A run was asked for with parameters that its task does not take."""


class NotNow(LinesideError):
    """What was asked for cannot be done in the state that the run is in."""


class Runner:
    """The `Part` at whose start tasks begin to run.

    Args:
        tasks: by their names.
        database: the journal's, open at the start.
        reactor: with timers that follow a monotonic clock, and threads.
        clocks: see there.
        random: for delays between attempts.
        journal: what contexts offer.
        erps: by target, the ERP for contexts.
        doors: by target, what tasks wait at that need it.

    """

    name = "tasks"

    def __init__(
        self,
        tasks: Mapping[str, Task],
        database: Database,
        reactor: Any,
        clocks: Clocks,
        random: Random,
        journal: Appending,
        erps: Mapping[str, Erp] = {},
        doors: Mapping[str, Door] = {},
    ) -> None:
        self.tasks = tasks
        self._database = database
        self._reactor = reactor
        self._clocks = clocks
        self._journal = journal
        self._erps = erps
        self._cooperator = Cooperator(scheduler=lambda work: reactor.callLater(0.0, work))
        self.lanes = {
            name: Lane(
                task,
                database,
                reactor,
                clocks,
                self._start,
                self._tell,
                self._tell_moved,
                random,
                None if task.target is None else doors.get(task.target),
            )
            for name, task in tasks.items()
        }
        self.schedules: dict[str, Interval | Calendar] = {
            name: (Interval if isinstance(task.schedule, Every) else Calendar)(
                task, reactor, clocks.wall_ns, partial(self._due, task)
            )
            for name, task in tasks.items()
            if task.schedule is not None
        }
        self.places = dict.fromkeys(tasks, Place())
        """What is remembered of each task."""
        self._loaded = False
        self.on_change: list[Callable[[list[Run]], None]] = []
        """Each is called with runs as they are now: stored, but for how far one is. Must not raise."""
        self._pruning = LoopingCall(self._prune)
        self._watching = LoopingCall(self._watch_clocks)
        self._pruning.clock = self._watching.clock = reactor
        self._ahead = 0
        self._work = Background(self.name)

    async def load(self) -> None:
        """Read what is remembered of each task: for whoever asks without ever calling `start`."""
        if not self._loaded:
            now = self._clocks.steady_ns()

            def work(connection: Connection) -> dict[str, Place]:
                # What is asked for now is in the same time as what is there already.
                recovery.catch_up_with_clock(connection, now)
                return places.places(connection)

            self._remember(await self._database.write(work))

    def _remember(self, found: dict[str, Place]) -> None:
        self.places = {name: found.get(name, Place()) for name in self.tasks}
        self._loaded = True

    async def start(self) -> None:
        """Treat what a process that is gone had begun, then let everything run."""
        now, wall = self._clocks.steady_ns(), self._clocks.wall_ns()

        def work(connection: Connection) -> tuple[dict[str, tuple[int, int]], int, dict[str, Place]]:
            recovery.catch_up_with_clock(connection, now)
            recovered = {name: recovery.recover(connection, task, now, wall) for name, task in self.tasks.items()}
            return recovered, recovery.abandon(connection, self.tasks.keys(), wall), places.places(connection)

        recovered, abandoned, remembered = await self._database.write(work)
        for name, (again, waiting) in recovered.items():
            if again:
                log.warn("task.interrupted", task=name, runs=again, remedy="none: they are run again")
            if waiting:
                log.error(
                    "task.left_interrupted",
                    task=name,
                    runs=waiting,
                    remedy="lineside tasks runs --state interrupted",
                )
        if abandoned:
            log.error("task.abandoned", runs=abandoned, remedy="lineside tasks runs --state interrupted")
        self._remember(remembered)
        for name, lane in self.lanes.items():
            lane.paused = self.places[name].paused_ns is not None
            if lane.paused:
                log.warn("task.paused", task=name, remedy=f"lineside tasks resume {name}")
            lane.begin()
        for name, schedule in self.schedules.items():
            await schedule.start(self.places[name].decided_ns)
        self._pruning.start(PRUNE_EVERY, now=False)
        self._watching.start(WATCH_EVERY, now=False)

    async def stop(self) -> None:
        """Ask for nothing more, end what is under way, store what became of it."""
        for schedule in self.schedules.values():
            schedule.stop()
        for loop in (self._pruning, self._watching):
            if loop.running:
                loop.stop()
        self._work.cancel()
        await self._work.finish()
        await DeferredList([Deferred.fromCoroutine(lane.stop(PATIENCE)) for lane in self.lanes.values()])
        self._cooperator.stop()

    async def ask(
        self,
        name: str,
        params: Mapping[str, Any] | None = None,
        *,
        cause: Cause = "program",
        caller: str = "",
        occasion: str | None = None,
        delay: float = 0.0,
    ) -> Asked:
        """Ask for a run; it is stored when this returns.

        Args:
            name: the task's.
            params: override the task's own.
            cause: what gives rise to it.
            caller: who asks, for people.
            occasion: whoever asks again with the same gets the first one's run.
            delay: seconds until it is due.

        Raises:
            NotFound: there is no such task.
            WrongParameters: it does not take these.

        """
        task = self.task(name)
        merged = {**task.params, **(params or {})}
        check_params(task, merged)
        (asked,) = await self._ask([Ask(task, merged, cause, caller, occasion, delay)])
        return asked

    async def ask_all(
        self, name: str, wishes: Sequence[tuple[Mapping[str, Any], str | None]], *, cause: Cause, caller: str = ""
    ) -> list[Asked | WrongParameters]:
        """Ask for many runs of a task, by parameters and occasion; all are stored in one transaction.

        Those whose parameters are wrong are told so, and hinder no others.

        Raises:
            NotFound: there is no such task.

        """
        task = self.task(name)
        answers: list[WrongParameters | None] = []
        good: list[Ask] = []
        for params, occasion in wishes:
            merged = {**task.params, **params}
            try:
                check_params(task, merged)
            except WrongParameters as wrong:
                answers.append(wrong)
            else:
                answers.append(None)
                good.append(Ask(task, merged, cause, caller, occasion))
        asked = iter(await self._ask(good) if good else [])
        return [next(asked) if answer is None else answer for answer in answers]

    async def waiting(self, name: str) -> int:
        """Return how many runs of a task are queued."""
        return await self._database.read(lambda connection: runs.queued(connection, name))

    async def cancel(self, identifier: int) -> Run:
        """Let a run end: at once where it waits, as soon as it can where it runs.

        Raises:
            NotFound: there is no such run.
            NotNow: it has ended.

        """
        run = await self.get(identifier)
        let_go = await self._let_go(identifier, self.lanes.get(run.task), "cancelled")
        if let_go is None:
            raise NotNow(f"run {identifier} is {(await self.get(identifier)).state}, and cannot be cancelled")
        return let_go

    async def retry(self, identifier: int) -> Run:
        """Queue a run once more that ended without success; its finished steps are not repeated.

        Raises:
            NotFound: there is no such run, or its task is configured no more.
            NotNow: it has not ended, or it succeeded.

        """
        run = await self.get(identifier)
        self.task(run.task)
        now = self._clocks.steady_ns()
        lane = self.lanes[run.task]
        if not await self._queue(lane, lambda connection: runs.requeue(connection, identifier, now)):
            raise NotNow(
                f"run {identifier} is {(await self.get(identifier)).state}: only one that failed, was cancelled or "
                "was interrupted is run again"
            )
        lane.wake()
        queued = await self.get(identifier)
        self._tell([queued])
        return queued

    async def pause(self, name: str, paused: bool) -> Place:
        """Begin no more runs of a task, over restarts, or begin them again; those asked for wait meanwhile.

        Raises:
            NotFound: there is no such task.

        """
        self.task(name)
        place = self.places[name]
        if paused == (place.paused_ns is not None):
            return place
        since = self._clocks.wall_ns() if paused else None
        await self._database.write(lambda connection: places.pause(connection, name, since))
        self.places[name] = msgspec.structs.replace(place, paused_ns=since)
        self.lanes[name].paused = paused
        if paused:
            log.warn("task.paused", task=name, remedy=f"lineside tasks resume {name}")
        else:
            log.info("task.resumed", task=name)
        return self.places[name]

    async def get(self, identifier: int) -> Run:
        """Return one run; how far it is may be a second old.

        Raises:
            NotFound: there is none.

        """
        run = await self._database.read(lambda connection: runs.get(connection, identifier))
        if run is None:
            raise NotFound(f"there is no run {identifier}")
        return run

    def task(self, name: str) -> Task:
        """Return a task.

        Raises:
            NotFound: there is no such task.

        """
        if name not in self.tasks:
            raise NotFound(f'there is no task "{name}"{did_you_mean(name, self.tasks)}')
        return self.tasks[name]

    async def _ask(self, wishes: list[Ask], also: Callable[[Connection], None] | None = None) -> list[Asked]:
        """Store wishes for one task and what goes with them, in one transaction; then let them run."""
        now, wall = self._clocks.steady_ns(), self._clocks.wall_ns()

        def work(connection: Connection) -> tuple[list[Asked], list[Run]]:
            if also is not None:
                also(connection)
            asked = [runs.ask(connection, wish, now, wall) for wish in wishes]
            skipped = sum(each.outcome == "skipped" for each in asked)
            if skipped:
                places.skip(connection, wishes[0].task.name, skipped)
            new = [each.run for each in asked if each.outcome == "queued" and each.run is not None]
            displaced = {run for each in asked for run in each.displaced}
            gone = [run for run in displaced if runs.cancel_queued(connection, run, wall, WORDS["displaced"])]
            return asked, runs.get_all(connection, [*gone, *new])

        if not wishes:
            # Nothing is due, and only that was to be stored.
            asked, _ = await self._database.write(work)
            return asked
        name = wishes[0].task.name
        lane = self.lanes[name]
        asked, changed = await self._queue(lane, work)
        skipped = sum(each.outcome == "skipped" for each in asked)
        if skipped:
            place = self.places[name]
            self.places[name] = msgspec.structs.replace(place, skipped=place.skipped + skipped)
            log.info("task.skipped", task=name, count=skipped)
        self._tell(changed)
        gone = {run.id for run in changed}
        for run in {run for each in asked for run in each.displaced} - gone:
            self._work.run("displace", self._displace(run, lane))
        lane.wake()
        return asked

    async def _queue(self, lane: Lane, work: Callable[[Connection], T]) -> T:
        """Store what makes runs due."""
        try:
            return await self._database.write(work)
        except CommitInDoubt:
            # Runs that are stored nevertheless are not to wait for whatever wakes the lane next.
            lane.wake()
            raise

    async def _displace(self, identifier: int, lane: Lane) -> None:
        await self._let_go(identifier, lane, "displaced")

    async def _let_go(self, identifier: int, lane: Lane | None, why: Why) -> Run | None:
        """Cancel a run that waits, or let one end that runs; None where it has ended."""
        if lane is not None and lane.end(identifier, why):
            return await self.get(identifier)
        wall = self._clocks.wall_ns()
        words = "cancelled before it began" if why == "cancelled" else WORDS[why]
        if await self._database.write(lambda connection: runs.cancel_queued(connection, identifier, wall, words)):
            cancelled = await self.get(identifier)
            self._tell([cancelled])
            return cancelled
        # It may have begun meanwhile.
        return await self.get(identifier) if lane is not None and lane.end(identifier, why) else None

    async def _due(self, task: Task, due: Plan) -> None:
        # A calendar's moments may come twice, where the clock is set back; an interval's never do.
        timed = not isinstance(task.schedule, Every)
        wishes = [
            Ask(task, task.params, "clock", "schedule", f"{moment // SECOND}" if timed else None)
            for moment in due.due
        ]
        await self._ask(wishes, lambda connection: places.decide(connection, task.name, due.through, due.skipped))
        place = self.places[task.name]
        self.places[task.name] = msgspec.structs.replace(
            place, decided_ns=due.through, skipped=place.skipped + due.skipped
        )
        if due.skipped:
            log.warn(
                "task.missed",
                task=task.name,
                count=due.skipped,
                more=due.more,
                remedy='they are not made up for; see catch_up in the guide "Tasks"',
            )

    def _start(self, execution: Execution) -> Deferred[Any]:
        task, run = execution.task, execution.run
        context: Context[Any] = Context(
            run.id,
            task.name,
            run.attempt,
            None,
            self._reactor,
            execution,
            self._journal,
            None if task.target is None else self._erps.get(task.target),
            self._clocks.wall_ns,
        )
        try:
            context.params = task.accepts(msgspec.json.decode(run.params))
        except ValueError as wrong:
            # The configuration, or the function, has changed since it was asked for.
            return fail(WrongParameters(f"the task takes no such parameters any more: {wrong}"))
        execution.context = context
        if task.thread:
            return call_in_thread(task.function, context, self._reactor)
        return Deferred.fromCoroutine(call(task.function, context, self._cooperator))

    def _tell(self, changed: list[Run]) -> None:
        for told in self.on_change if changed else ():
            told(changed)

    def _tell_moved(self, further: list[Execution]) -> None:
        self._tell(
            [
                msgspec.structs.replace(each.run, done=each.done, total=each.total, message=each.message)
                for each in further
            ]
        )

    def _watch_clocks(self) -> Deferred[None] | None:
        ahead = self._clocks.wall_ns() - self._clocks.steady_ns()
        return self._work.run("clocks", self._went_ahead(ahead)) if abs(ahead - self._ahead) > APART else None

    async def _went_ahead(self, ahead: int) -> None:
        """Keep how far the clocks are apart, so that the next start knows what its moments are in its own time."""
        await self._database.write(lambda connection: recovery.went_ahead(connection, ahead))
        self._ahead = ahead

    def _prune(self) -> Deferred[None]:
        return self._work.run("prune", self._forget_old())

    async def _forget_old(self) -> None:
        stored = await self._database.read(runs.tasks)
        for name, keep in {
            **dict.fromkeys(stored, KEEP),
            **{each.name: each.keep for each in self.tasks.values()},
        }.items():
            if isinf(keep):
                continue
            before = self._clocks.wall_ns() - round(keep * SECOND)
            while (
                await self._database.write(
                    partial(_prune_some, task=name, before_ns=before, now_ns=self._clocks.steady_ns())
                )
                == PRUNED
            ):
                pass


def _prune_some(connection: Connection, *, task: str, before_ns: int, now_ns: int) -> int:
    return runs.prune(connection, task, before_ns, now_ns, PRUNED)


def check_params(task: Task, params: Mapping[str, Any]) -> None:
    """Raise unless a task takes these parameters.

    Raises:
        WrongParameters: with what is wrong.

    """
    try:
        task.accepts(params)
    except ValueError as wrong:
        raise WrongParameters(f"tasks.{task.name}: {wrong}") from wrong
