"""Examine an exercise while a reactor runs: in a process aside, without blocking."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.error import ProcessExitedAlready
from twisted.internet.protocol import ProcessProtocol
from twisted.python.failure import Failure

from lineside.workshop.examine import KEPT, PATIENCE, Report, concluded, examination, never_ended
from lineside.workshop.learner import Assignment

REPORT = 3
"""The file descriptor on which an examination reports."""


class Aside:
    """Examines exercises, each in a process of its own.

    Args:
        reactor: starts the processes (IReactorProcess) and has the clock (IReactorTime).

    """

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor

    def examine(self, assignment: Assignment) -> Deferred[Report]:
        """Examine the learner's file as it is now; cancelling kills the process."""
        running = _Examination()
        file, number = assignment.file, assignment.exercise.number
        command = examination(assignment.check, number, file, REPORT)
        self._reactor.spawnProcess(
            running, command[0], command, env=None, childFDs={0: "w", 1: "r", 2: "r", REPORT: "r"}
        )
        late = self._reactor.callLater(PATIENCE, running.end_late)

        def ended(report: Report | Failure) -> Report | Failure:
            if late.active():
                late.cancel()
            return report

        return running.done.addBoth(ended)


class _Examination(ProcessProtocol):
    def __init__(self) -> None:
        self.done: Deferred[Report] = Deferred(lambda _: self._kill())
        self._told = b""
        self._printed = b""
        self._end: Callable[[str], Report] = lambda printed: concluded(self._told, printed)

    def connectionMade(self) -> None:
        assert self.transport is not None
        self.transport.closeStdin()

    def childDataReceived(self, childFD: int, data: bytes) -> None:
        if childFD == REPORT:
            self._told += data
        else:
            self._printed = (self._printed + data)[-KEPT:]

    def end_late(self) -> None:
        self._end = never_ended
        self._kill()

    def processEnded(self, reason: Failure) -> None:
        if not self.done.called:
            self.done.callback(self._end(self._printed.decode(errors="replace")))

    def _kill(self) -> None:
        assert self.transport is not None
        with suppress(ProcessExitedAlready):
            self.transport.signalProcess("KILL")
