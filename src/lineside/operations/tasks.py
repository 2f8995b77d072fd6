"""Tasks: list, run, show, follow, cancel, retry, pause, resume."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Callable
from sqlite3 import Connection

import msgspec

from lineside.model.errors import Unfit
from lineside.operations.registry import Operations
from lineside.operations.requests import (
    CancelRun,
    FollowRun,
    ListRuns,
    ListTasks,
    PauseTask,
    ResumeTask,
    RetryRun,
    RunTask,
    ShowRun,
    ShowTaskHistory,
)
from lineside.operations.results import Paused, TasksView
from lineside.operations.taskresults import (
    AskedRun,
    EndedRuns,
    LogLine,
    Punctuality,
    RunList,
    RunStory,
    RunSummary,
    StepSummary,
    TaskHistory,
    TaskList,
    TaskSummary,
)
from lineside.operations.texts import clipped, moment, readable
from lineside.security.identity import Identity
from lineside.store.database import Database
from lineside.tasks import lookups
from lineside.tasks.calendar import SECOND, Schedule, upcoming
from lineside.tasks.runner import Runner, WrongParameters
from lineside.tasks.runs import OPEN, Run, State
from lineside.tasks.task import Task
from lineside.tasks.ticking import Interval
from lineside.wakeup import Wakeup

DAY = 86_400 * SECOND


class TaskOperations:
    """What may be asked of tasks.

    Args:
        runner: returns who runs them; asked for when it is needed.
        database: the journal's.
        now_ns: the wall clock.
        running: whether a gateway does what is asked for.

    """

    def __init__(
        self, runner: Callable[[], Runner], database: Database, now_ns: Callable[[], int], *, running: bool
    ) -> None:
        self._runner = runner
        self._database = database
        self._now_ns = now_ns
        self._running = running
        self._upcoming: dict[str, list[int]] = {}

    def register(self, operations: Operations) -> None:
        """Offer the operations."""
        operations.answer(ListTasks, self.list_tasks)
        operations.answer_to(RunTask, self.run)
        operations.answer(ListRuns, self.list_runs)
        operations.answer(ShowTaskHistory, self.history)
        operations.answer(ShowRun, self.show)
        operations.answer(CancelRun, self.cancel)
        operations.answer(RetryRun, self.retry)
        operations.answer(PauseTask, self.pause)
        operations.answer(ResumeTask, self.resume)
        if self._running:
            operations.stream(FollowRun, self.follow)

    async def list_tasks(self, request: ListTasks) -> TaskList:
        """Return every task."""
        runner = self._runner()
        await runner.load()

        def work(connection: Connection) -> tuple[dict[str, dict[State, int]], dict[str, Run]]:
            pages = {name: lookups.page(connection, task=name, limit=1) for name in runner.tasks}
            counted = lookups.counts if request.totals else lookups.open_counts
            return counted(connection), {name: found[0] for name, found in pages.items() if found}

        counts, last = await self._database.read(work)
        now = self._now_ns()
        return TaskList(
            [
                self._told(runner, task, counts.get(name, {}), last.get(name), now, request)
                for name, task in runner.tasks.items()
            ],
            moment(now),
        )

    async def run(self, request: RunTask, identity: Identity) -> AskedRun:
        """Ask for a run.

        Raises:
            NotFound: there is no such task.
            Unfit: it does not take these parameters.

        """
        runner = self._runner()
        await runner.load()
        try:
            asked = await runner.ask(
                request.task, request.params, cause="person", caller=identity.name, delay=request.delay
            )
        except WrongParameters as wrong:
            raise Unfit(str(wrong)) from wrong
        assert asked.run is not None
        return AskedRun(asked.run, asked.outcome)

    async def list_runs(self, request: ListRuns) -> RunList:
        """Return runs."""
        states = () if request.state is None else (request.state,)
        found = await self._database.read(
            lambda connection: lookups.page(
                connection, task=request.task, states=states, before=request.before, limit=request.limit + 1
            )
        )
        now = self._now_ns()
        shown = found[: request.limit]
        more = len(found) > request.limit
        return RunList([summary(run, now) for run in shown], shown[-1].id if more else None)

    async def history(self, request: ShowTaskHistory) -> TaskHistory:
        """Return how runs went.

        Raises:
            NotFound: there is no such task.

        """
        runner = self._runner()
        names = list(runner.tasks) if request.task is None else [runner.task(request.task).name]
        found = await self._database.read(
            lambda connection: {name: lookups.newest_ended(connection, name, request.limit) for name in names}
        )
        now = self._now_ns()
        return TaskHistory([_ended(name, [summary(run, now) for run in those]) for name, those in found.items()])

    async def glance(self) -> TasksView:
        """Return what tasks do, in a few figures; it costs the same however many runs are kept."""
        runner = self._runner()
        since = self._now_ns() - DAY
        queued, failed = await self._database.read(lambda connection: lookups.glance(connection, since))
        due = [
            (schedule.next_ns, name)
            for name, schedule in runner.schedules.items()
            if schedule.next_ns is not None and runner.places[name].paused_ns is None
        ]
        following = min(due, default=None)
        return TasksView(
            running=sum(len(lane.running) for lane in runner.lanes.values()),
            queued=queued,
            failed=failed,
            next=None if following is None else moment(following[0]),
            next_task=None if following is None else following[1],
        )

    async def show(self, request: ShowRun) -> RunStory:
        """Return one run.

        Raises:
            NotFound: there is none.

        """
        run = await self._runner().get(request.run)
        lines, steps = await self._database.read(
            lambda connection: (lookups.lines_of(connection, run.id), lookups.finished_steps(connection, run.id))
        )
        return RunStory(
            summary(run, self._now_ns()),
            msgspec.json.decode(run.params),
            None if run.result is None else readable(bytes(run.result)),
            run.traceback,
            [LogLine(moment(at), text) for at, text in lines],
            [StepSummary(name, moment(at), clipped(readable(result))) for name, at, result in steps],
        )

    async def follow(self, request: FollowRun) -> AsyncIterator[RunSummary]:
        """Yield one run's changes until it has ended.

        Raises:
            NotFound: there is none.

        """
        runner = self._runner()
        # The newest is what counts: who reads slowly misses steps of progress, never the end.
        changes: deque[Run] = deque(maxlen=1)
        changed = Wakeup()

        def tell(told: list[Run]) -> None:
            for run in told:
                if run.id == request.run:
                    changes.append(run)
                    changed.set()

        runner.on_change.append(tell)
        try:
            run = await runner.get(request.run)
            while True:
                yield summary(run, self._now_ns())
                if run.state not in OPEN:
                    return
                if not changes:
                    await changed.wait()
                run = changes.popleft() if changes else await runner.get(request.run)
        finally:
            runner.on_change.remove(tell)

    async def cancel(self, request: CancelRun) -> RunSummary:
        """Let a run end.

        Raises:
            NotFound: there is none.
            NotNow: it has ended.

        """
        return summary(await self._runner().cancel(request.run), self._now_ns())

    async def retry(self, request: RetryRun) -> RunSummary:
        """Run once more what ended without success.

        Raises:
            NotFound: there is none, or its task is configured no more.
            NotNow: it has not ended, or it succeeded.

        """
        return summary(await self._runner().retry(request.run), self._now_ns())

    async def pause(self, request: PauseTask) -> Paused:
        """Begin no more runs.

        Raises:
            NotFound: there is no such task.

        """
        return await self._pause(request.task, True)

    async def resume(self, request: ResumeTask) -> Paused:
        """Let runs begin again.

        Raises:
            NotFound: there is no such task.

        """
        return await self._pause(request.task, False)

    async def _pause(self, name: str, paused: bool) -> Paused:
        runner = self._runner()
        await runner.load()
        place = await runner.pause(name, paused)
        return Paused("task", name, None if place.paused_ns is None else moment(place.paused_ns))

    def _told(
        self,
        runner: Runner,
        task: Task,
        counts: dict[State, int],
        last: Run | None,
        now: int,
        request: ListTasks,
    ) -> TaskSummary:
        place, schedule = runner.places[task.name], runner.schedules.get(task.name)
        following: list[int] = []
        first = None if schedule is None else schedule.next_ns
        if first is not None and task.schedule is not None and request.upcoming:
            following = self._following(task.name, task.schedule, first, request.upcoming)
        ended = 0 if request.totals else None
        punctuality = None
        if isinstance(schedule, Interval):
            drift = schedule.drift
            punctuality = Punctuality(drift.ticks, drift.skipped, round(drift.last, 6), round(drift.worst, 6))
        return TaskSummary(
            name=task.name,
            runs=task.told.runs,
            when=task.told.when,
            description=task.told.description,
            next=[moment(each) for each in following],
            paused=None if place.paused_ns is None else moment(place.paused_ns),
            waits="the ERP" if runner.lanes[task.name].waits_for_erp else None,
            queued=counts.get("queued", 0),
            running=counts.get("running", 0),
            succeeded=counts.get("succeeded", ended),
            failed=counts.get("failed", ended),
            cancelled=counts.get("cancelled", ended),
            interrupted=counts.get("interrupted", ended),
            skipped=place.skipped,
            last=None if last is None else summary(last, now),
            punctuality=punctuality,
        )

    def _following(self, name: str, schedule: Schedule, first: int, most: int) -> list[int]:
        """Return the next moments. A calendar takes its time for each, so that those known from before stay."""
        known = self._upcoming.get(name, [])
        moments = known[known.index(first) :] if first in known else [first]
        if len(moments) < most:
            moments += upcoming(schedule, moments[-1], most - len(moments))
        self._upcoming[name] = moments
        return moments[:most]


def _ended(task: str, newest_first: list[RunSummary]) -> EndedRuns:
    ended = EndedRuns(task, [], [], [], [])
    for run in reversed(newest_first):
        assert run.ended is not None
        ended.runs.append(run.run)
        ended.states.append(run.state)
        ended.ended.append(run.ended)
        ended.seconds.append(run.seconds)
    return ended


def summary(run: Run, now_ns: int) -> RunSummary:
    """Return one run for a list."""
    until = now_ns if run.state == "running" else run.ended_ns
    took = None if run.started_ns is None or until is None else max(0, until - run.started_ns) / SECOND
    return RunSummary(
        run=run.id,
        task=run.task,
        state=run.state,
        cause=run.cause,
        caller=run.caller,
        key=run.key,
        attempt=run.attempt,
        asked=moment(run.asked_ns),
        due=moment(run.due_ns),
        started=None if run.started_ns is None else moment(run.started_ns),
        ended=None if run.ended_ns is None else moment(run.ended_ns),
        seconds=None if took is None else round(took, 6),
        done=run.done,
        total=run.total,
        message=run.message,
        error=run.error,
    )
