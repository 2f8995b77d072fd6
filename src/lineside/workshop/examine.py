"""Examine one exercise in a process of its own: ``python -m lineside.workshop.examine CHECK NUMBER FILE``.

The learner's code may block, loop for ever or kill its process; whoever asks is in another one, with a clock.
The report goes to the file descriptor that ``--report`` names, as JSON, so that the learner's own prints are
free to go to standard output.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import traceback
import unittest
from pathlib import Path
from types import TracebackType
from typing import IO

import msgspec
from msgspec import Struct

PATIENCE = 30.0
"""Seconds that all checks of an exercise may take together."""
KEPT = 64 * 1024
"""Bytes that are kept of what a learner's file prints: the last ones."""
LARGEST_FILE = 64 * 1024 * 1024
"""Bytes of a file that the checks may write: a loop that prints for ever fills no disk."""


class Finding(Struct, frozen=True):
    """What one check saw."""

    expected: str
    """What a right answer does: the check's docstring."""
    problem: str | None
    """What was seen in its place; None where the check passed."""


class Report(Struct, frozen=True):
    """What was found out about one exercise, up to the first problem."""

    findings: list[Finding]
    printed: str = ""
    """What the learner's file printed."""

    @property
    def problem(self) -> Finding | None:
        """The first check that failed; None where all passed."""
        return next((finding for finding in self.findings if finding.problem is not None), None)

    @property
    def passed(self) -> bool:
        """Whether the exercise is solved."""
        return bool(self.findings) and self.problem is None


def examine(check: Path, exercise: int, file: Path) -> Report:
    """Examine a learner's file against a chapter's ``check.py``.

    Blocks until the checks are done, half a minute at most: no reactor should be running here.
    """
    # What it prints goes to a file: a process that it leaves behind cannot hold that open for us to wait for.
    with tempfile.TemporaryFile() as told, tempfile.TemporaryFile() as printed:
        try:
            subprocess.run(  # noqa: S603 (our own interpreter on the learner's own file)
                examination(check, exercise, file, told.fileno()),
                pass_fds=[told.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=printed,
                stderr=subprocess.STDOUT,
                timeout=PATIENCE,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return never_ended(_end(printed))
        told.seek(0)
        return concluded(told.read(), _end(printed))


def examination(check: Path, exercise: int, file: Path, report: int) -> list[str]:
    """Return the command of an examination that writes its report to the file descriptor ``report``.

    For `concluded`, if it ends within `PATIENCE` seconds, else `never_ended`.
    """
    # No byte code: it is told by whole seconds whether it is stale, and learners save faster. No current folder
    # on the path: what lies there has names of its own.
    python = [sys.executable, "-B", "-P", "-m", "lineside.workshop.examine"]
    return [*python, str(check), str(exercise), str(file.absolute()), "--report", str(report)]


def concluded(told: bytes, printed: str) -> Report:
    """Return the report of an examination that ended, from what it wrote and what it printed."""
    if not told:
        last = printed.strip().rpartition("\n")[2] or "it printed nothing"
        return Report([Finding("your file can be run", f"Python ended early: {last}")], printed)
    return Report(msgspec.json.decode(told, type=list[Finding]), printed)


def never_ended(printed: str) -> Report:
    """Return the report of an examination that had to be ended."""
    return Report([Finding("the checks come to an end", NEVER)], printed)


NEVER = (
    f"Nothing came back for {PATIENCE:.0f} seconds. Something in your file blocks: a loop without an end, "
    "time.sleep(), or a read that waits. On a reactor nothing may wait."
)


class _Findings(unittest.TestResult):
    """Collects findings, and stops at the first problem."""

    def __init__(self, file: Path) -> None:
        super().__init__()
        self.failfast = True
        self.findings: list[Finding] = []
        self._file = file
        self._failed = False

    def startTest(self, test: unittest.TestCase) -> None:
        super().startTest(test)
        self._failed = False

    def addSuccess(self, test: unittest.TestCase) -> None:
        super().addSuccess(test)
        if not self._failed:
            self.findings.append(Finding(_expected(test), None))

    def addFailure(self, test: unittest.TestCase, err: object) -> None:
        self._add(test, err)

    def addError(self, test: unittest.TestCase, err: object) -> None:
        self._add(test, err)

    def _add(self, test: unittest.TestCase, err: object) -> None:
        if not self._failed:
            self._failed = True
            self.findings.append(Finding(_expected(test), told(err, self._file)))
        self.stop()


def told(err: object, file: Path) -> str:
    """Return what went wrong as a learner can use it: the message, or the error with its place in their file.

    Args:
        err: a `Failure` or what `sys.exc_info` returns.
        file: the learner's.

    """
    failure = getattr(err, "value", None)
    error = failure if isinstance(failure, BaseException) else err[1]  # type: ignore[index]
    assert isinstance(error, BaseException)
    if isinstance(error, AssertionError) and str(error):
        return str(error)
    place = _place(error, error.__traceback__ or getattr(err, "tb", None), file)
    text = "".join(traceback.format_exception_only(error)).strip()
    return f"{place}{text}"


def _place(error: BaseException, frames: TracebackType | None, file: Path) -> str:
    if isinstance(error, SyntaxError):
        return ""
    ours = [frame for frame in traceback.extract_tb(frames) if Path(frame.filename) == file]
    return f"{file.name}, line {ours[-1].lineno}, in {ours[-1].name}: " if ours else ""


def _expected(test: unittest.TestCase) -> str:
    return test.shortDescription() or test.id().rpartition(".")[2]


def _end(printed: IO[bytes]) -> str:
    size = printed.seek(0, os.SEEK_END)
    printed.seek(max(0, size - KEPT))
    return printed.read().decode(errors="replace")


def _cases(check: Path, exercise: int) -> unittest.TestSuite:
    from lineside.workshop.lessons import Lesson, imported  # noqa: PLC0415 (trial is not for the asking process)

    suite = unittest.TestSuite()
    for lesson in vars(imported(check)).values():
        if isinstance(lesson, type) and issubclass(lesson, Lesson) and getattr(lesson, "exercise", 0) == exercise:
            suite.addTests(lesson(name) for name in vars(lesson) if name.startswith("test_"))
    return suite


def main() -> None:
    """Run the checks and write the findings."""
    from lineside.workshop.lessons import CHECKED  # noqa: PLC0415 (as above)

    arguments = argparse.ArgumentParser()
    arguments.add_argument("check", type=Path)
    arguments.add_argument("exercise", type=int)
    arguments.add_argument("file", type=Path)
    arguments.add_argument("--report", type=int, required=True)
    given = arguments.parse_args()
    os.environ[CHECKED] = str(given.file)
    resource.setrlimit(resource.RLIMIT_FSIZE, (LARGEST_FILE, LARGEST_FILE))
    result = _Findings(given.file)
    _cases(given.check, given.exercise).run(result)
    with os.fdopen(given.report, "wb") as report:
        report.write(msgspec.json.encode(result.findings))


if __name__ == "__main__":
    main()
