"""Many runs that are due at once: none holds up everything else for long, and each can end before it begins."""

from __future__ import annotations

from typing import Any

from tests.rig.task_case import TaskCase
from twisted.internet.defer import Deferred

from lineside.tasks.context import Context
from lineside.tasks.lane import SLICE
from lineside.tasks.task import Task


class Turns(TaskCase):
    """Three runs that are taken together, each of which holds the reactor for most of a slice."""

    def setUp(self) -> None:
        super().setUp()
        self.begun: list[int] = []

        async def busy(context: Context[dict[str, Any]]) -> None:
            self.begun.append(context.params["number"])
            self.clock.rightNow += SLICE * 0.6

        self.begin(Task("busy", busy, concurrency=3))
        self.successResultOf(Deferred.fromCoroutine(self.runner.pause("busy", True)))
        self.asked = [self.ask("busy", {"number": number}) for number in range(3)]
        self.successResultOf(Deferred.fromCoroutine(self.runner.pause("busy", False)))

    def test_others_get_a_turn_in_between(self) -> None:
        self.assertEqual(self.begun, [0, 1])
        self.clock.advance(0.0)
        self.assertEqual(self.begun, [0, 1, 2])
        self.assertEqual(self.states(), ["succeeded"] * 3)
        self.stop()

    def test_one_that_is_cancelled_before_its_turn_never_begins(self) -> None:
        number = self.asked[2].run
        assert number is not None
        self.successResultOf(Deferred.fromCoroutine(self.runner.cancel(number)))
        self.clock.advance(0.0)
        self.assertEqual(self.begun, [0, 1])
        self.assertEqual(self.states(), ["succeeded", "succeeded", "cancelled"])
        self.stop()

    def test_one_whose_turn_has_not_come_when_the_gateway_stops_is_begun_at_the_next_start(self) -> None:
        self.stop()
        self.assertEqual(self.begun, [0, 1])
        self.begin(self.runner.tasks["busy"])
        self.assertEqual(self.begun, [0, 1, 2])
        self.assertEqual([run.attempt for run in self.all_runs()], [1, 1, 1])
        self.stop()
