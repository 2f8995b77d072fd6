"""Tasks by the clock, from the moment to the run: restarts, clocks that are set, what is old."""

from __future__ import annotations

from typing import Any

from tests.rig.task_case import Hung, TaskCase
from twisted.internet.defer import Deferred

from lineside.tasks import runner, runs
from lineside.tasks.calendar import Cron, Every
from lineside.tasks.context import Context
from lineside.tasks.task import Task

HOUR = 3_600.0
DAY = 24 * HOUR


async def nothing(context: Context[Any]) -> None:
    """Do nothing."""


class ByTheClock(TaskCase):
    """Runs that nobody asks for."""

    def pass_time(self, seconds: float, step: float = 10.0) -> None:
        """Let time pass as a reactor does that is never late."""
        self.clock.pump([step] * round(seconds / step))

    def test_each_tick_has_a_run(self) -> None:
        """Also where several come in a second, and where the clock shows the same second once more."""
        self.begin(Task("often", nothing, schedule=Every(0.25)))
        self.pass_time(2.0, 0.25)
        self.jump = -2.0
        self.pass_time(2.0, 0.25)
        self.assertEqual(["succeeded"] * 16, self.states())

    def test_a_moment_has_one_run_though_it_comes_twice(self) -> None:
        """A clock that is set back shows a moment again: its run is there already, over a restart too."""
        hourly = Task("hourly", nothing, schedule=Cron("0 * * * *", "UTC"))
        self.begin(hourly)
        self.pass_time(HOUR)
        self.jump = -600.0
        self.pass_time(HOUR / 2)
        self.assertEqual(1, len(self.all_runs()))
        self.jump = -HOUR
        self.stop()
        self.begin(hourly)
        self.pass_time(HOUR)
        self.assertEqual(1, len(self.all_runs()))

    def test_an_outage_is_made_up_for_as_is_configured(self) -> None:
        """What was due while the gateway was away is run, or counted, by ``catch_up``."""
        for number, (catch_up, expected, skipped) in enumerate((("none", 0, 3), ("once", 1, 2), ("all", 3, 0))):
            name = f"hourly-{number}"
            task = Task(name, nothing, schedule=Cron("0 * * * *", "UTC"), catch_up=catch_up)  # type: ignore[arg-type]
            self.begin(task)
            before = len(self.all_runs())
            self.crash()
            self.clock.advance(3 * HOUR + 120)
            self.begin(task)
            self.assertEqual(expected, len(self.all_runs()) - before)
            self.assertEqual(skipped, self.runner.places[name].skipped)
            # To the next whole hour, so that each of the three begins at one.
            self.crash()
            self.clock.advance(HOUR - 120)

    def test_made_up_runs_go_by_the_overlap(self) -> None:
        """A task that skips while it runs makes up for an outage by one run, and counts the others."""
        hung = Hung()
        task = Task("hourly", hung, schedule=Cron("0 * * * *", "UTC"), catch_up="all", overlap="skip")
        self.begin(task)
        self.crash()
        self.clock.advance(4 * HOUR + 120)
        self.begin(task)
        self.assertEqual((1, 3), (len(self.all_runs()), self.runner.places["hourly"].skipped))

    def test_a_paused_task_collects_its_runs(self) -> None:
        """While it is paused, a task's moments are queued; when it goes on, none is lost."""
        self.begin(Task("hourly", nothing, schedule=Cron("0 * * * *", "UTC")))
        self.successResultOf(Deferred.fromCoroutine(self.runner.pause("hourly", True)))
        self.pass_time(2 * HOUR)
        self.assertEqual(["queued", "queued"], self.states())
        self.successResultOf(Deferred.fromCoroutine(self.runner.pause("hourly", False)))
        self.assertEqual(["succeeded", "succeeded"], self.states())

    def test_a_clock_that_is_set_moves_no_delay(self) -> None:
        """A run that is due in a minute is, whatever the wall clock does meanwhile, over a restart as well."""
        for jump in 400 * DAY, -400 * DAY:
            for again in False, True:
                self.begin(Task("later", nothing))
                asked = self.ask("later", delay=60.0)
                self.jump += jump
                self.clock.pump([1.0] * 31)
                if again:
                    self.crash()
                    self.begin(Task("later", nothing))
                self.clock.advance(28.0)
                self.assertEqual("queued", self.run_of(asked).state)
                self.clock.advance(2.0)
                self.assertEqual("succeeded", self.run_of(asked).state)
                self.stop()

    def test_a_clock_that_is_set_makes_nothing_come_twice(self) -> None:
        """``unique_for`` is measured by time that passes: a clock that jumps over it does not end it."""
        once = Task("once", nothing, unique_for=600.0)
        for number, jump in enumerate((DAY, -DAY)):
            self.begin(once)
            first = self.ask("once", {"n": number})
            self.jump += jump
            self.clock.pump([1.0] * 31)
            self.assertEqual("repeated", self.ask("once", {"n": number}).outcome)
            self.crash()
            self.begin(once)
            self.assertEqual(
                (first.run, "repeated"), ((again := self.ask("once", {"n": number})).run, again.outcome)
            )
            self.clock.pump([60.0] * 10)
            self.assertEqual("queued", self.ask("once", {"n": number}).outcome)
            self.stop()


class WhatIsOld(TaskCase):
    """Runs go when nobody needs them any more."""

    def test_goes_by_itself(self) -> None:
        """Runs that ended longer ago than ``keep`` are removed, hundreds at a time; the young ones stay."""
        self.begin(Task("quick", nothing, keep=HOUR))
        for number in range(runner.PRUNED + 50):
            self.ask("quick", {"n": number})
        self.clock.advance(HOUR - 1)
        young = self.ask("quick")
        self.clock.pump([runner.PRUNE_EVERY])
        self.assertEqual([young.run], [run.id for run in self.all_runs()])

    def test_not_within_its_time(self) -> None:
        """A run is kept for as long as ``unique_for`` needs it, however short ``keep`` is."""
        self.begin(Task("once", nothing, keep=1.0, unique_for=DAY))
        first = self.ask("once")
        self.clock.pump([runner.PRUNE_EVERY] * 10)
        self.assertEqual((first.run, "repeated"), ((again := self.ask("once")).run, again.outcome))
        self.clock.pump([HOUR] * 24)
        self.assertEqual([], self.all_runs())

    def test_of_a_task_that_is_configured_no_more(self) -> None:
        """Runs of a task that is gone stay for a month and go then; what of it has not ended waits."""
        self.begin(Task("gone", nothing))
        self.ask("gone")
        waits = self.ask("gone", delay=365 * DAY)
        self.stop()
        self.begin(Task("other", nothing))
        self.clock.pump([DAY] * 29)
        self.assertEqual(2, len(self.all_runs()))
        self.clock.pump([DAY] * 2)
        self.assertEqual([waits.run], [run.id for run in self.all_runs()])


class MuchToDo(TaskCase):
    """Many runs at once."""

    def test_many_runs_of_one_item_hold_up_no_other(self) -> None:
        """Behind hundreds of runs of one item, another item's begins at once."""
        hung = Hung()
        self.begin(Task("hung", hung, key="item", concurrency=3))
        for _ in range(3 * runs.PARKED):
            self.ask("hung", {"item": "a"})
        self.ask("hung", {"item": "b"})
        self.assertEqual(["a", "b"], hung.items)
        self.stop()
        self.begin(Task("hung", hung, key="item", concurrency=3))
        self.assertEqual(["a", "b"], sorted(hung.items))
