"""The watch: an examination on each save, the next exercise after a pass."""

from __future__ import annotations

import os
from pathlib import Path

from tests.rig.small_course import small_course
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from lineside.workshop.examine import Finding, Report
from lineside.workshop.learner import Assignment, LearnerFolder, begin
from lineside.workshop.watching import PERIOD, Watch

RIGHT = Report([Finding("it adds", None)])
WRONG = Report([Finding("it adds", "it does not")])


class Watching(SynchronousTestCase):
    """A watch whose examinations the test ends."""

    def setUp(self) -> None:
        """Watch all exercises of a course."""
        course = small_course(Path(self.mktemp()))
        root = Path(self.mktemp())
        begin(root, course)
        self.assignments = list(LearnerFolder(root, course).assignments())
        self.clock = Clock()
        self.begun: list[tuple[str, Deferred[Report]]] = []
        self.cancelled: list[str] = []
        self.told: list[tuple[str, bool]] = []
        self.saves = 0
        self.running = Deferred.fromCoroutine(Watch(self.clock, self.examine, self).run(self.assignments))
        self.addCleanup(self.stop)

    def stop(self) -> None:
        """End the watch, where the test has not."""
        self.running.addErrback(lambda failure: failure.trap(CancelledError))
        self.running.cancel()

    def examine(self, assignment: Assignment) -> Deferred[Report]:
        """Begin an examination that the test ends."""
        name = assignment.exercise.name
        examination: Deferred[Report] = Deferred(lambda _: self.cancelled.append(name))
        self.begun.append((name, examination))
        return examination

    def examining(self, assignment: Assignment) -> None:
        """Nothing to show."""

    def examined(self, assignment: Assignment, report: Report) -> None:
        """Remember what was shown."""
        self.told.append((assignment.exercise.name, report.passed))

    def end(self, report: Report) -> None:
        """End the examination that was begun last."""
        self.begun[-1][1].callback(report)

    def save(self, place: int = 0) -> None:
        """Save an exercise, and let the watch look."""
        self.saves += 1
        file = self.assignments[place].file
        file.write_text("x" * self.saves)
        os.utime(file, ns=(self.saves, self.saves))
        self.clock.advance(PERIOD)

    @property
    def names(self) -> list[str]:
        """The exercises whose examinations were begun, in order."""
        return [name for name, _ in self.begun]

    def test_examines_at_once_and_on_each_save(self) -> None:
        """Nothing while nothing is saved."""
        self.assertEqual(["add"], self.names)
        self.end(WRONG)
        self.clock.pump([PERIOD] * 5)
        self.assertEqual(["add"], self.names)
        self.save()
        self.assertEqual(["add", "add"], self.names)
        self.assertEqual([("add", False)], self.told)

    def test_goes_on_to_the_next_after_a_pass_and_ends_after_the_last(self) -> None:
        """The saves of another file count for nothing."""
        self.end(RIGHT)
        self.end(WRONG)
        self.save(0)
        self.assertEqual(["add", "total"], self.names)
        self.save(1)
        self.end(RIGHT)
        self.assertNoResult(self.running)
        self.end(RIGHT)
        self.successResultOf(self.running)
        self.assertEqual(["add", "total", "total", "double"], self.names)
        self.assertEqual([], self.clock.getDelayedCalls())

    def test_a_save_during_an_examination_begins_it_anew(self) -> None:
        """What was examined is not there any more: its result is neither waited for nor shown."""
        self.save()
        self.assertEqual((["add"], ["add", "add"]), (self.cancelled, self.names))
        self.assertEqual([], self.told)
        self.end(RIGHT)
        self.assertEqual([("add", True)], self.told)

    def test_a_file_that_is_away_for_a_moment(self) -> None:
        """As editors replace files: the watch waits for the new one."""
        self.end(WRONG)
        self.assignments[0].file.unlink()
        self.clock.pump([PERIOD] * 3)
        self.assertEqual(["add"], self.names)
        self.save()
        self.assertEqual(["add", "add"], self.names)

    def test_ends_in_the_middle_of_an_examination(self) -> None:
        """Ctrl-C leaves no examination and no timer behind."""
        self.running.cancel()
        self.failureResultOf(self.running, CancelledError)
        self.assertEqual(["add"], self.cancelled)
        self.assertEqual([], self.clock.getDelayedCalls())

    def test_ends_while_it_waits_for_a_save(self) -> None:
        """As it does mostly."""
        self.end(WRONG)
        self.running.cancel()
        self.failureResultOf(self.running, CancelledError)
        self.assertEqual([], self.clock.getDelayedCalls())

    def test_an_examination_that_cannot_be_begun(self) -> None:
        """The error goes to whoever runs the watch; nothing goes on."""
        self.begun[-1][1].errback(OSError("no more processes"))
        self.failureResultOf(self.running, OSError)
        self.assertEqual([], self.clock.getDelayedCalls())
