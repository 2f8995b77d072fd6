"""What may be asked of tasks, and who may ask it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from tests.rig.task_case import TaskCase
from twisted.internet.defer import Deferred

from lineside.model.errors import NotFound, Unfit
from lineside.operations.registry import Operations
from lineside.operations.requests import (
    CancelRun,
    FollowRun,
    ListRuns,
    ListTasks,
    PauseTask,
    Request,
    ResumeTask,
    RetryRun,
    RunTask,
    ShowRun,
)
from lineside.operations.taskresults import RunSummary, TaskSummary
from lineside.operations.tasks import TaskOperations
from lineside.security.identity import LOCAL_USER, Identity, NotPermitted
from lineside.tasks.calendar import Cron, Every
from lineside.tasks.context import Context
from lineside.tasks.runner import NotNow
from lineside.tasks.task import Task, Told

VIEWER, OPERATOR = Identity("wall board", "viewer"), Identity("shift lead", "operator")
DEVICE = Identity("gate 1", "device")


def in_order(params: Any) -> dict[str, Any]:
    """Take parameters of which an order is one."""
    if "order" not in params:
        raise ValueError("which order?")
    return dict(params)


class OperationsCase(TaskCase):
    """A gateway with a task that hangs until it is told how to end, and others."""

    def setUp(self) -> None:
        super().setUp()
        self.under_way: list[tuple[Context[Any], Deferred[Any]]] = []
        self.operations = Operations()

    def hang(self, context: Context[Any]) -> Deferred[Any]:
        waits: Deferred[Any] = Deferred()
        self.under_way.append((context, waits))
        return waits

    def open(self, *tasks: Task, running: bool = True) -> None:
        self.begin(*(tasks or [Task("hang", self.hang)]))
        self.operations = Operations()
        TaskOperations(lambda: self.runner, self.database, self.wall_ns, running=running).register(self.operations)

    def call(self, request: Request[Any], who: Identity = LOCAL_USER) -> Any:
        return self.successResultOf(Deferred.fromCoroutine(self.operations.call(request, who)))

    def refused(self, request: Request[Any], kind: type[Exception], who: Identity = LOCAL_USER) -> str:
        asked = Deferred.fromCoroutine(self.operations.call(request, who))
        return str(self.failureResultOf(asked, kind).value)

    def task(self, name: str = "hang", upcoming: int = 5) -> TaskSummary:
        listed: list[TaskSummary] = self.call(ListTasks(upcoming=upcoming)).tasks
        return next(task for task in listed if task.name == name)


class Listing(OperationsCase):
    """Tasks and their runs."""

    def test_tells_what_a_task_is_and_does(self) -> None:
        """How many runs are in each state, and its newest."""
        self.open(Task("hang", self.hang, told=Told("mine:hang", "when asked for", "Waits for the clerk")))
        told = self.task()
        self.assertEqual(
            ("mine:hang", "when asked for", "Waits for the clerk", [], None),
            (told.runs, told.when, told.description, told.next, told.last),
        )
        self.ask("hang")
        self.ask("hang")
        told = self.task()
        self.assertEqual((1, 1, 0), (told.running, told.queued, told.succeeded))
        self.assertEqual((2, "queued"), (told.last and told.last.run, told.last and told.last.state))

    def test_tells_when_it_is_due(self) -> None:
        """As many moments as were asked for, by interval or calendar, and how well an interval is kept."""
        self.open(
            Task("each", self.hang, schedule=Every(90.0), overlap="skip"),
            Task("night", self.hang, schedule=Cron("0 2 * * *", "Europe/Berlin")),
        )
        self.assertEqual(["2025-12-01T00:01:30.000Z", "2025-12-01T00:03:00.000Z"], self.task("each", 2).next)
        self.assertEqual(["2025-12-01T01:00:00.000Z"], self.task("night", 1).next)
        self.assertEqual([], self.task("night", 0).next)
        self.clock.pump([90.0, 91.5])
        told = self.task("each", 1)
        # The second tick finds the run of the first.
        self.assertEqual((1, 1), (told.running, told.skipped))
        assert told.punctuality is not None
        self.assertEqual((2, 0, 1.5, 1.5), (*vars_of(told.punctuality),))
        self.assertIsNone(self.task("night").punctuality)

    def test_pages_through_runs(self) -> None:
        """The newest first, of one task, in one state, with where the older ones lie."""
        self.open(Task("quick", lambda _: 1, concurrency=5), Task("broken", self.fail_at_once))
        for _ in range(3):
            self.ask("quick")
        self.ask("broken")
        listed = self.call(ListRuns(limit=2))
        self.assertEqual(([4, 3], 3), ([run.run for run in listed.runs], listed.next_before))
        listed = self.call(ListRuns(limit=2, before=3))
        self.assertEqual(([2, 1], None), ([run.run for run in listed.runs], listed.next_before))
        self.assertEqual([4], [run.run for run in self.call(ListRuns(state="failed")).runs])
        self.assertEqual([3, 2, 1], [run.run for run in self.call(ListRuns(task="quick")).runs])
        self.assertEqual([], self.call(ListRuns(task="nothing")).runs)

    def fail_at_once(self, _: Context[Any]) -> None:
        raise OSError("no")

    def test_shows_all_of_a_run(self) -> None:
        """Parameters, steps, log, result; of one that failed, where; of one under way, for how long."""

        async def work(context: Context[Any]) -> Any:
            await context.step("fetch", lambda: {"rows": 3})
            context.log("fetched")
            context.progress(1, 3, "first")
            return await self.hang(context)

        self.open(Task("hang", work, params={"order": "SO-1"}))
        self.ask("hang", caller="anna", cause="person")
        self.clock.advance(2.0)
        story = self.call(ShowRun(run=1))
        self.assertEqual(("running", 2.0, 1.0, 3.0, "first"), progress_of(story.summary))
        self.assertEqual(
            ({"order": "SO-1"}, [("fetch", '{"rows":3}')], ["fetched"], None),
            (
                story.params,
                [(s.name, s.result) for s in story.steps],
                [line.text for line in story.log],
                story.result,
            ),
        )
        self.under_way[0][1].errback(OSError("the printer is out of paper"))
        story = self.call(ShowRun(run=1))
        self.assertEqual(
            ("failed", "OSError: the printer is out of paper"), (story.summary.state, story.summary.error)
        )
        self.assertIn("Traceback", story.traceback or "")
        self.assertEqual("there is no run 7", self.refused(ShowRun(run=7), NotFound))


class Asking(OperationsCase):
    """Runs by hand."""

    def test_asks_for_a_run(self) -> None:
        """With parameters over the task's own, at once or later; the answer comes when it is stored."""
        self.open(Task("hang", self.hang, params={"order": "SO-1", "copies": 1}))
        answer = self.call(RunTask(task="hang", params={"copies": 2}), OPERATOR)
        self.assertEqual((1, "queued"), (answer.run, answer.outcome))
        self.assertEqual({"order": "SO-1", "copies": 2}, self.under_way[0][0].params)
        self.assertEqual("person", self.run_of(1).cause)
        later = self.call(RunTask(task="hang", delay=60.0))
        self.assertEqual("2025-12-01T00:01:00.000Z", self.call(ShowRun(run=later.run)).summary.due)

    def test_says_what_became_of_the_wish(self) -> None:
        """One that was asked for before, and one that is left out."""
        self.open(Task("hang", self.hang, unique_for=60.0), Task("skips", self.hang, overlap="skip"))
        for task, outcome in (("hang", "repeated"), ("skips", "skipped")):
            first = self.call(RunTask(task=task))
            second = self.call(RunTask(task=task))
            self.assertEqual((first.run, outcome), (second.run, second.outcome))

    def test_refuses_what_is_wrong(self) -> None:
        """A task that there is not, with the one that may be meant, and parameters that it does not take."""
        self.open(Task("nightly", self.hang, accepts=in_order))
        self.assertEqual(
            'there is no task "nightl"; did you mean "nightly"?', self.refused(RunTask(task="nightl"), NotFound)
        )
        self.assertEqual("tasks.nightly: which order?", self.refused(RunTask(task="nightly", params={}), Unfit))
        self.assertEqual([], self.states())

    def test_cancels_and_runs_again(self) -> None:
        """One that waits, one that runs; neither twice, and none that succeeded."""
        self.open()
        self.call(RunTask(task="hang"))
        self.call(RunTask(task="hang"))
        self.assertEqual("cancelled", self.call(CancelRun(run=2)).state)
        self.call(CancelRun(run=1))
        self.assertEqual(["cancelled", "cancelled"], self.states())
        self.assertRegex(self.refused(CancelRun(run=1), NotNow), "^run 1 .*is cancelled")
        self.call(RetryRun(run=1))
        self.assertEqual(["running", "cancelled"], self.states())
        self.refused(RetryRun(run=1), NotNow)
        self.under_way[-1][1].callback("done")
        self.assertEqual(
            "run 1 is succeeded: only one that failed, was cancelled or was interrupted is run again",
            self.refused(RetryRun(run=1), NotNow),
        )
        for request in (CancelRun(run=9), RetryRun(run=9)):
            self.assertEqual("there is no run 9", self.refused(request, NotFound))

    def test_pauses_and_resumes(self) -> None:
        """Since when, for everybody to see; twice is once."""
        self.open()
        paused = self.call(PauseTask(task="hang"))
        self.assertEqual(("task", "hang", "2025-12-01T00:00:00.000Z"), (paused.kind, paused.id, paused.since))
        self.clock.advance(5.0)
        self.assertEqual(paused, self.call(PauseTask(task="hang")))
        self.call(RunTask(task="hang"))
        self.assertEqual((paused.since, ["queued"]), (self.task().paused, self.states()))
        self.assertIsNone(self.call(ResumeTask(task="hang")).since)
        self.assertEqual((None, ["running"]), (self.task().paused, self.states()))
        self.refused(PauseTask(task="nothing"), NotFound)

    def test_who_may_what(self) -> None:
        """A viewer looks, an operator acts, a device does neither."""
        self.open()
        looks: list[Request[Any]] = [ListTasks(), ListRuns(), ShowRun(run=1)]
        acts: list[Request[Any]] = [
            RunTask(task="hang"),
            CancelRun(run=1),
            RetryRun(run=1),
            PauseTask(task="hang"),
            ResumeTask(task="hang"),
        ]
        for request in acts:
            self.refused(request, NotPermitted, VIEWER)
            self.call(request, OPERATOR)
        for request in looks:
            self.call(request, VIEWER)
        for request in looks + acts:
            self.refused(request, NotPermitted, DEVICE)


class Following(OperationsCase):
    """A run as it goes on."""

    def next_of(self, stream: AsyncIterator[RunSummary]) -> Deferred[RunSummary]:
        async def one() -> RunSummary:
            return await anext(stream)

        return Deferred.fromCoroutine(one())

    def follow(self, run: int) -> AsyncIterator[RunSummary]:
        return self.operations.follow(FollowRun(run=run), VIEWER)

    def test_tells_each_change_up_to_the_end(self) -> None:
        """How it is, how far it gets, how it ended; then the stream is over."""
        self.open()
        self.ask("hang")
        stream = self.follow(1)
        self.assertEqual("running", self.successResultOf(self.next_of(stream)).state)
        waiting = self.next_of(stream)
        self.assertNoResult(waiting)
        self.under_way[0][0].progress(1, 2, "half")
        self.clock.advance(1.0)
        self.assertEqual((1.0, "half"), ((told := self.successResultOf(waiting)).done, told.message))
        self.under_way[0][1].callback(None)
        self.assertEqual("succeeded", self.successResultOf(self.next_of(stream)).state)
        self.failureResultOf(self.next_of(stream), StopAsyncIteration)

    def test_who_reads_slowly_misses_steps_and_never_the_end(self) -> None:
        """Only the newest change waits for the reader."""
        self.open()
        self.ask("hang")
        stream = self.follow(1)
        self.successResultOf(self.next_of(stream))
        for done in range(5):
            self.under_way[0][0].progress(done, 5)
            self.clock.advance(1.0)
        self.under_way[0][1].callback(None)
        self.assertEqual("succeeded", self.successResultOf(self.next_of(stream)).state)
        self.failureResultOf(self.next_of(stream), StopAsyncIteration)

    def test_one_that_has_ended_is_told_once(self) -> None:
        """And one that there is not is refused."""
        self.open()
        self.ask("hang")
        self.under_way[0][1].callback(None)
        stream = self.follow(1)
        self.assertEqual("succeeded", self.successResultOf(self.next_of(stream)).state)
        self.failureResultOf(self.next_of(stream), StopAsyncIteration)
        self.failureResultOf(self.next_of(self.follow(9)), NotFound)

    def test_nobody_is_told_who_has_left(self) -> None:
        """A reader that goes away leaves nothing behind."""
        self.open()
        self.ask("hang")
        before = len(self.runner.on_change)
        stream: Any = self.follow(1)
        self.successResultOf(self.next_of(stream))
        self.assertEqual(before + 1, len(self.runner.on_change))
        self.successResultOf(Deferred.fromCoroutine(stream.aclose()))
        self.assertEqual(before, len(self.runner.on_change))


class Offline(OperationsCase):
    """Where no gateway runs."""

    def test_asks_for_the_next_one(self) -> None:
        """A wish is stored, and following it is no business of this process."""
        self.open()
        self.call(PauseTask(task="hang"))
        self.stop()
        self.open(running=False)
        self.assertFalse(self.operations.offers(FollowRun))
        self.call(RunTask(task="hang"))
        self.assertEqual(["queued"], self.states())
        self.assertIsNotNone(self.task().paused)


def vars_of(struct: Any) -> list[Any]:
    """Return the values of a struct."""
    return [getattr(struct, name) for name in struct.__struct_fields__]


def progress_of(run: RunSummary) -> tuple[Any, ...]:
    """Return how far a run is."""
    return run.state, run.seconds, run.done, run.total, run.message
