"""Tasks on a database without threads, and a clock that the test turns."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from random import Random
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from lineside.journal.log import SqliteJournal
from lineside.journal.tables import JOURNAL
from lineside.store.database import Database
from lineside.tasks import runs
from lineside.tasks.calendar import SECOND
from lineside.tasks.lane import clocks
from lineside.tasks.runner import Runner
from lineside.tasks.runs import Run
from lineside.tasks.sources import TaskSources
from lineside.tasks.tables import TASKS
from lineside.tasks.task import Task
from lineside.testing.workers import HeldWorker, call_at_once

BEGAN = 1_764_547_200 * SECOND
"""2025-12-01, midnight in UTC."""


class TaskCase(SynchronousTestCase):
    """A case whose gateway starts, crashes and starts again as the test wants."""

    def setUp(self) -> None:
        self.path = Path(self.mktemp()) / "journal.db"
        self.clock = Clock()
        self.jump = 0.0
        """Seconds by which the wall clock was set."""
        self.doors: dict[str, Any] = {}
        self.told: list[Run] = []

    def wall_ns(self) -> int:
        return BEGAN + round((self.clock.seconds() + self.jump) * SECOND)

    def begin(self, *tasks: Task) -> Runner:
        """Start a gateway with these tasks."""
        self.workers: dict[str, HeldWorker] = {}

        def worker(name: str) -> HeldWorker:
            return self.workers.setdefault(name, HeldWorker(name))

        self.database = Database(self.path, (JOURNAL, TASKS), call_at_once, worker=worker)
        self.successResultOf(Deferred.fromCoroutine(self.database.open()))
        journal = SqliteJournal(self.database, now_ns=self.wall_ns)
        self.successResultOf(Deferred.fromCoroutine(journal.open()))
        self.runner = Runner(
            {task.name: task for task in tasks},
            self.database,
            self.clock,
            clocks(self.clock, self.wall_ns),
            Random(1),
            TaskSources({}),
            doors=self.doors,
        )
        self.runner.on_change.append(self.told.extend)
        self.successResultOf(Deferred.fromCoroutine(self.runner.start()))
        return self.runner

    def stop(self) -> None:
        """Stop the gateway as SIGTERM does."""
        stopped = Deferred.fromCoroutine(self.runner.stop())
        self.clock.pump([0.0, 10.0])
        self.successResultOf(stopped)
        self.successResultOf(Deferred.fromCoroutine(self.database.close()))

    def crash(self) -> None:
        """End the gateway as SIGKILL does: what was not committed is gone, and nothing runs on."""
        for delayed in self.clock.getDelayedCalls():
            delayed.cancel()
        # Whatever the dead process would still have done is not to reach the file.
        self.successResultOf(Deferred.fromCoroutine(self.database.close()))

    def ask(self, name: str, params: Mapping[str, Any] | None = None, **more: Any) -> runs.Asked:
        return self.successResultOf(Deferred.fromCoroutine(self.runner.ask(name, params, **more)))

    def run_of(self, asked: runs.Asked | int) -> Run:
        number = asked if isinstance(asked, int) else asked.run
        assert number is not None
        found = self.successResultOf(self.database.read(lambda connection: runs.get(connection, number)))
        assert found is not None
        return found

    def all_runs(self) -> list[Run]:
        return self.successResultOf(self.database.read(lambda connection: runs.page(connection, limit=1000)))

    def states(self) -> list[str]:
        """Return the runs' states, the oldest first."""
        return [run.state for run in reversed(self.all_runs())]
