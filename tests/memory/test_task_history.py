"""How the runs of tasks went, in one answer and in a few figures: what charts and the overview are made of."""

from __future__ import annotations

from typing import Any

from tests.rig.task_case import TaskCase
from twisted.internet.defer import Deferred

from lineside.model.errors import NotFound
from lineside.operations.registry import Operations
from lineside.operations.requests import ListTasks, ShowTaskHistory
from lineside.operations.results import TasksView
from lineside.operations.taskresults import EndedRuns, TaskHistory, TaskList
from lineside.operations.tasks import TaskOperations
from lineside.security.identity import LOCAL_USER
from lineside.tasks.calendar import Cron, Every
from lineside.tasks.context import Context
from lineside.tasks.task import Task

HOUR = 3_600.0


def measured(context: Context[Any]) -> Deferred[None] | None:
    """Take as long as the parameters say, and fail where they say so."""
    if "fails" in context.params:
        raise ValueError("as it was told")
    if "seconds" in context.params:
        return Deferred.fromCoroutine(context.sleep(context.params["seconds"]))
    return None


class History(TaskCase):
    """Three tasks, of which one is due each hour and one by the calendar."""

    def setUp(self) -> None:
        super().setUp()
        self.begin(
            Task("measured", measured),
            Task("hourly", measured, schedule=Every(HOUR)),
            Task("by calendar", measured, schedule=Cron("0 2-23/4 * * *", "UTC")),
        )
        self.operations = Operations()
        self.of_tasks = TaskOperations(lambda: self.runner, self.database, self.wall_ns, running=True)
        self.of_tasks.register(self.operations)

    def history(self, **options: Any) -> list[EndedRuns]:
        told: TaskHistory = self.call(ShowTaskHistory(**options))
        return told.tasks

    def call(self, request: Any) -> Any:
        return self.successResultOf(Deferred.fromCoroutine(self.operations.call(request, LOCAL_USER)))

    def glance(self) -> TasksView:
        return self.successResultOf(Deferred.fromCoroutine(self.of_tasks.glance()))

    def test_of_each_task_the_newest_that_ended(self) -> None:
        """In the order in which they ended, with what they took; one that runs is not among them."""
        for seconds in (5, 2, 9):
            self.ask("measured", {"seconds": seconds})
            self.clock.advance(seconds)
        self.ask("measured", {"fails": True})
        self.ask("measured", {"seconds": 60})
        measured, hourly, _ = self.history(limit=3)
        self.assertEqual((measured.task, measured.runs), ("measured", [2, 3, 4]))
        self.assertEqual(measured.states, ["succeeded", "succeeded", "failed"])
        self.assertEqual(measured.seconds, [2.0, 9.0, 0.0])
        self.assertEqual(measured.ended[0], "2025-12-01T00:00:07.000Z")
        self.assertEqual((hourly.task, hourly.runs), ("hourly", []))

    def test_of_one_task(self) -> None:
        """Asked for one task, only that one is told; one that is not there is an error."""
        self.ask("measured")
        self.assertEqual([each.task for each in self.history(task="hourly")], ["hourly"])
        failure = self.failureResultOf(
            Deferred.fromCoroutine(self.operations.call(ShowTaskHistory(task="measuerd"), LOCAL_USER)), NotFound
        )
        self.assertIn("measured", str(failure.value))

    def test_one_that_never_began_took_no_time(self) -> None:
        """A run that was cancelled while it waited has no duration, not one of zero."""
        waits = self.ask("measured", delay=60.0)
        assert waits.run is not None
        self.successResultOf(Deferred.fromCoroutine(self.runner.cancel(waits.run)))
        [told] = self.history(task="measured")
        self.assertEqual((told.states, told.seconds), (["cancelled"], [None]))

    def test_in_a_few_figures(self) -> None:
        """What runs and waits, what failed within a day, and what is due next unless it is paused."""
        self.ask("measured", {"fails": True})
        self.ask("measured", {"seconds": 100})
        self.ask("measured", {"seconds": 100})
        expected = TasksView(running=1, queued=1, failed=1, next="2025-12-01T01:00:00.000Z", next_task="hourly")
        self.assertEqual(self.glance(), expected)
        self.successResultOf(Deferred.fromCoroutine(self.runner.pause("hourly", True)))
        self.assertEqual((self.glance().next, self.glance().next_task), ("2025-12-01T02:00:00.000Z", "by calendar"))
        self.clock.pump([100.0, 100.0])
        self.clock.advance(24 * HOUR)
        self.assertEqual((self.glance().running, self.glance().failed), (0, 0))

    def test_counts_of_every_state(self) -> None:
        """Those that succeeded are counted as what the other states leave; a task without runs has none."""
        for params in ({}, {}, {"fails": True}, {"seconds": 60}, {"seconds": 60}, {"seconds": 60}):
            self.ask("measured", params)
        self.successResultOf(Deferred.fromCoroutine(self.runner.cancel(6)))
        listed: TaskList = self.call(ListTasks())
        measured, hourly, _ = listed.tasks
        self.assertEqual(
            (measured.succeeded, measured.failed, measured.running, measured.queued, measured.cancelled),
            (2, 1, 1, 1, 1),
        )
        self.assertEqual((hourly.succeeded, hourly.running), (0, 0))

    def test_only_what_has_not_ended_is_counted_where_that_is_wanted(self) -> None:
        """Who looks each second leaves out the counts that take long: they are unknown then, not none."""
        for params in ({}, {"fails": True}, {"seconds": 60}, {"seconds": 60}):
            self.ask("measured", params)
        listed: TaskList = self.call(ListTasks(totals=False))
        measured, hourly, _ = listed.tasks
        self.assertEqual((measured.running, measured.queued), (1, 1))
        self.assertEqual((measured.succeeded, measured.failed, hourly.cancelled), (None, None, None))

    def test_moments_stay_as_the_clock_goes_on(self) -> None:
        """Those that were worked out before are kept, and as many follow as are asked for."""

        def moments() -> list[str]:
            listed: TaskList = self.call(ListTasks(upcoming=3))
            return listed.tasks[2].next

        self.assertEqual(
            moments(), [f"2025-12-01T{hour:02}:00:00.000Z" for hour in (2, 6, 10)], "every fourth hour"
        )
        self.clock.advance(2 * HOUR)
        self.assertEqual(moments(), [f"2025-12-01T{hour:02}:00:00.000Z" for hour in (6, 10, 14)])
