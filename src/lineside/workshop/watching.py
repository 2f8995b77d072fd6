"""Check the current exercise on each save, and go on to the next when it passes."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Protocol

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import LoopingCall

from lineside.workshop.examine import Report
from lineside.workshop.learner import Assignment

PERIOD = 0.25
"""Seconds between two looks at the file."""

Stamp = tuple[int, int, int]


class Onlooker(Protocol):
    """Shows what the watch sees."""

    def examining(self, assignment: Assignment) -> None:
        """Tell that an examination begins."""

    def examined(self, assignment: Assignment, report: Report) -> None:
        """Tell how it ended; after a pass the next assignment follows at once."""


class Watch:
    """Looks at the file of one exercise after the other.

    Args:
        clock: times the looks (IReactorTime).
        examine: examines an exercise without blocking; is cancelled when the file changes meanwhile.
        onlooker: shows what is seen.

    """

    def __init__(self, clock: Any, examine: Callable[[Assignment], Deferred[Report]], onlooker: Onlooker) -> None:
        self._clock = clock
        self._examine = examine
        self._onlooker = onlooker

    async def run(self, assignments: Iterable[Assignment]) -> None:
        """Watch until all are solved; ends earlier when it is cancelled, and leaves no examination behind."""
        for assignment in assignments:
            while not await self._passes(assignment):
                pass

    async def _passes(self, assignment: Assignment) -> bool:
        """Examine the file once; where that fails, or was in vain, return when the file has changed."""
        seen = stamp(assignment.file)
        looking = LoopingCall(lambda: looking.stop() if stamp(assignment.file) not in {seen, None} else None)
        looking.clock = self._clock
        changed = looking.start(PERIOD, now=False)
        self._onlooker.examining(assignment)
        examining = self._examine(assignment)
        # What is examined is not what is there any more: do not wait for it.
        changed.addCallback(lambda _: examining.cancel())
        try:
            report = await examining
            self._onlooker.examined(assignment, report)
            if not report.passed:
                await changed
        except CancelledError:
            if looking.running:
                raise
            return False
        finally:
            examining.cancel()
            if looking.running:
                looking.stop()
        return report.passed


def stamp(file: Path) -> Stamp | None:
    """Return what changes when a file is saved; None where there is none, as for a moment while editors save."""
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
