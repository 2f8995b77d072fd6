"""Examinations in a process of their own, whatever the learner's file does."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

from tests.rig.small_course import small_course
from twisted.internet.defer import CancelledError, Deferred
from twisted.trial.unittest import TestCase

from lineside.workshop import aside, examine
from lineside.workshop.aside import Aside
from lineside.workshop.examine import NEVER, Report
from lineside.workshop.learner import Assignment

RIGHT = "def add(a, b):\n    return a + b\n"
BLOCKING = "while True:\n    pass\n"


class Case(TestCase):
    """Has a learner's file."""

    timeout = 60

    def setUp(self) -> None:
        """Have the exercise `add`."""
        course = small_course(Path(self.mktemp()))
        chapter = course.chapters[0]
        folder = course.folder(chapter)
        self.assignment = Assignment(chapter, chapter.exercises[0], folder / "mine.py", folder / "check.py")

    def examined(self, source: str) -> Report:
        """Return the report on a learner's file, examined where nothing else runs."""
        self.assignment.file.write_text(source)
        return examine.examine(self.assignment.check, 1, self.assignment.file)


class Examining(Case):
    """`examine`, which blocks."""

    def test_a_right_answer(self) -> None:
        """Every check passes, in their order."""
        report = self.examined(RIGHT)
        self.assertTrue(report.passed)
        expected = ["Two small numbers are added.", "Negative numbers are added too."]
        self.assertEqual(expected, [finding.expected for finding in report.findings])

    def test_a_wrong_answer(self) -> None:
        """The first problem ends it, with the check's words; what was printed is kept."""
        report = self.examined("def add(a, b):\n    print('adding')\n    return a - b\n")
        (finding,) = report.findings
        self.assertEqual("add(1, 2) gave -1, look at the sign", finding.problem)
        self.assertIn("adding", report.printed)

    def test_an_error_is_told_with_its_place(self) -> None:
        """The line of the learner's file, not of Lineside's."""
        report = self.examined("def add(a, b):\n    return a + c\n")
        assert report.problem is not None
        self.assertEqual("mine.py, line 2, in add: NameError: name 'c' is not defined", report.problem.problem)

    def test_a_file_that_is_not_python(self) -> None:
        """The interpreter's own words, with the line."""
        report = self.examined("def add(a, b)\n")
        assert report.problem is not None
        self.assertIn("line 1", str(report.problem.problem))
        self.assertIn("SyntaxError", str(report.problem.problem))

    def test_a_file_that_ends_its_process(self) -> None:
        """That counts as wrong, and the last words are told."""
        report = self.examined("import os\nprint('so long', flush=True)\nos._exit(0)\n")
        self.assertFalse(report.passed)
        assert report.problem is not None
        self.assertIn("so long", str(report.problem.problem))

    def test_a_file_that_blocks(self) -> None:
        """It is ended, and told what blocking means."""
        self.patch(examine, "PATIENCE", 3.0)
        report = self.examined(BLOCKING)
        assert report.problem is not None
        self.assertEqual(NEVER, report.problem.problem)

    def test_a_file_that_prints_without_end(self) -> None:
        """It fills neither memory nor disk, and is told by the error that ends it."""
        self.patch(examine, "PATIENCE", 20.0)
        report = self.examined("while True:\n    print('x' * 100_000)\n")
        assert report.problem is not None
        self.assertIn("line 2", str(report.problem.problem))
        self.assertIn("File too large", str(report.problem.problem))
        self.assertEqual(examine.KEPT, len(report.printed))

    def test_a_process_that_is_left_behind(self) -> None:
        """It holds what the learner's file prints to, and nobody waits for it."""
        self.patch(examine, "PATIENCE", 20.0)
        leave = "import subprocess\nprint(subprocess.Popen(['sleep', '60']).pid, flush=True)\n"
        report = self.examined(leave + RIGHT)
        for left in report.printed.split():
            os.kill(int(left), signal.SIGKILL)
        self.assertTrue(report.passed, report)

    def test_two_saves_within_a_second(self) -> None:
        """Byte code of the first does not stand in for the second, though both are of one length."""
        self.assertTrue(self.examined(RIGHT).passed)
        self.assertFalse(self.examined(RIGHT.replace("+", "-")).passed)
        self.assertEqual([], list(self.assignment.file.parent.glob("__pycache__")))


class Spawning:
    """The real reactor, whose one process's end can be waited for."""

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor
        self.callLater = reactor.callLater
        self.ended: Deferred[int | None] = Deferred()

    def spawnProcess(self, protocol: Any, *arguments: Any, **options: Any) -> Any:
        """Start it, and listen to its end too."""
        ended = protocol.processEnded

        def listen(reason: Any) -> None:
            ended(reason)
            self.ended.callback(reason.value.signal)

        protocol.processEnded = listen
        return self._reactor.spawnProcess(protocol, *arguments, **options)


class ExaminingAside(Case):
    """`Aside`, which does not block."""

    def begun(self, source: str) -> Deferred[Report]:
        """Begin to examine a learner's file on the real reactor."""
        from twisted.internet import reactor  # noqa: PLC0415, TID251

        self.assignment.file.write_text(source)
        self.spawning = Spawning(reactor)
        return Aside(self.spawning).examine(self.assignment)

    async def test_a_report_comes_as_from_the_blocking_one(self) -> None:
        """With what was printed."""
        report = await self.begun("def add(a, b):\n    print('adding')\n    return a - b\n")
        assert report.problem is not None
        self.assertEqual("add(1, 2) gave -1, look at the sign", report.problem.problem)
        self.assertIn("adding", report.printed)

    async def test_a_file_that_blocks_is_ended(self) -> None:
        """And the reactor runs on meanwhile."""
        self.patch(aside, "PATIENCE", 3.0)
        report = await self.begun(BLOCKING)
        assert report.problem is not None
        self.assertEqual(NEVER, report.problem.problem)

    async def test_cancelling_kills_the_process(self) -> None:
        """Whoever does not want the report any more leaves nothing that runs."""
        examination = self.begun(BLOCKING)
        examination.cancel()
        await self.assertFailure(examination, CancelledError)
        self.assertEqual(signal.SIGKILL, await self.spawning.ended)

    async def test_only_the_end_of_endless_output_is_kept(self) -> None:
        """A loop that prints does not fill the memory."""
        report = await self.begun(f"print('x' * {3 * examine.KEPT})\nprint('end')\n" + RIGHT)
        self.assertTrue(report.passed)
        self.assertEqual(examine.KEPT, len(report.printed))
        self.assertTrue(report.printed.endswith("end\n"))
