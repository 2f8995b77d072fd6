"""Tasks on a database without threads, and a clock that the test turns."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from queue import SimpleQueue
from random import Random
from sqlite3 import Connection
from typing import Any, Literal, TypeVar

from twisted.internet.defer import Deferred, fail
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from lineside.journal.log import SqliteJournal
from lineside.journal.tables import JOURNAL
from lineside.model.errors import CommitInDoubt
from lineside.store.database import Database
from lineside.tasks import lookups, runs
from lineside.tasks.calendar import SECOND
from lineside.tasks.context import Context
from lineside.tasks.lane import clocks
from lineside.tasks.runner import Runner
from lineside.tasks.runs import Run
from lineside.tasks.sources import TaskSources
from lineside.tasks.tables import TASKS
from lineside.tasks.task import Task
from lineside.testing.workers import HeldWorker, call_at_once

T = TypeVar("T")

BEGAN = 1_764_547_200 * SECOND
"""2025-12-01, midnight in UTC."""


Disk = Literal["well", "full", "doubtful"]
"""``full`` stores nothing and says so; ``doubtful`` stores, and says that nobody knows."""
DEADLINE = 20.0
"""Seconds that a thread may take on a busy machine."""


class ThreadedClock(Clock):
    """A clock to which threads may turn: what they want done is done in `serve`."""

    def __init__(self) -> None:
        super().__init__()
        self._calls: SimpleQueue[Callable[[], object]] = SimpleQueue()

    def callFromThread(self, f: Callable[..., object], *args: object, **kwargs: object) -> None:
        """Keep a call from a thread; see `IReactorFromThreads`."""
        self._calls.put(lambda: f(*args, **kwargs))

    def serve(self, until: Callable[[], object]) -> None:
        """Carry out what threads want until something is so."""
        while not until():
            self._calls.get(timeout=DEADLINE)()


class Hung:
    """A task whose runs go on until the test lets them end."""

    def __init__(self) -> None:
        self.under_way: list[tuple[Context[Any], Deferred[Any]]] = []
        self.cancelled = 0

    def __call__(self, context: Context[Any]) -> Deferred[Any]:
        """Begin a run."""
        waits: Deferred[Any] = Deferred(self._cancel)
        self.under_way.append((context, waits))
        return waits

    def _cancel(self, cancelled: Deferred[Any]) -> None:
        self.cancelled += 1
        self.under_way = [one for one in self.under_way if one[1] is not cancelled]

    def finish(self, result: Any = None) -> None:
        """Let the oldest end; an exception makes it fail."""
        _, waits = self.under_way.pop(0)
        if isinstance(result, Exception):
            waits.errback(result)
        else:
            waits.callback(result)

    @property
    def items(self) -> list[Any]:
        """The items of the runs under way, the oldest first."""
        return [context.params.get("item") for context, _ in self.under_way]


class TaskCase(SynchronousTestCase):
    """A case whose gateway starts, crashes and starts again as the test wants."""

    def setUp(self) -> None:
        self.path = Path(self.mktemp()) / "journal.db"
        self.clock = ThreadedClock()
        self.disk: Disk = "well"
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
        # No power cut is played here, and a sync takes most of a test's time.
        self.database._write_connection.execute("PRAGMA synchronous=OFF")
        write = self.database.write

        def moody(work: Callable[[Connection], T], alone: Any = None) -> Deferred[T]:
            if self.disk == "full":
                return fail(OSError("database or disk is full"))
            written = write(work, alone)
            if self.disk == "doubtful":
                written.addCallback(lambda _: fail(CommitInDoubt("it may be stored or not")))
            return written

        self.patch(self.database, "write", moody)
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
        for delayed in list(self.clock.getDelayedCalls()):
            delayed.cancel()
        # Whatever the dead process would still have done is not to reach the file.
        for worker in self.workers.values():
            worker.lose()
        self.successResultOf(Deferred.fromCoroutine(self.database.close()))

    def ask(self, name: str, params: Mapping[str, Any] | None = None, **more: Any) -> runs.Asked:
        return self.successResultOf(Deferred.fromCoroutine(self.runner.ask(name, params, **more)))

    def run_of(self, asked: runs.Asked | int) -> Run:
        number = asked if isinstance(asked, int) else asked.run
        assert number is not None
        found = self.successResultOf(self.database.read(lambda connection: runs.get(connection, number)))
        assert found is not None
        return found

    def cancel(self, asked: runs.Asked) -> Run:
        """Cancel a run as a person does."""
        return self.successResultOf(Deferred.fromCoroutine(self.runner.cancel(asked.run or 0)))

    def lines_of(self, asked: runs.Asked) -> list[str]:
        """Return a run's log."""
        number = asked.run or 0
        found = self.successResultOf(self.database.read(lambda connection: lookups.lines_of(connection, number)))
        return [text for _, text in found]

    def all_runs(self) -> list[Run]:
        return self.successResultOf(self.database.read(lambda connection: lookups.page(connection, limit=1000)))

    def states(self) -> list[str]:
        """Return the runs' states, the oldest first."""
        return [run.state for run in reversed(self.all_runs())]
