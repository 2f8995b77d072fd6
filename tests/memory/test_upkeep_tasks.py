"""The built-in tasks that keep the journal: a sweep when it is asked for, and copies that can be put back."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any, cast

from tests.memory.test_retention import DAY, RetentionCase
from tests.rig.task_context import Kept, context_of
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from lineside.journal.capacity import Keeping
from lineside.journal.retention import REST, Retention
from lineside.journal.soundness import examine
from lineside.model.errors import LinesideError
from lineside.model.event import NO_SEQ, Event
from lineside.tasks.context import Cancelled, ThreadContext
from lineside.tasks.upkeep import BackedUp, BackupParams, JournalBackup, JournalRetention
from lineside.testing.journals import JournalOnFile


class Sweeping(RetentionCase):
    """``journal-retention``."""

    def begin(self) -> Deferred[Any]:
        task = JournalRetention(lambda: self.keeper)
        return Deferred.fromCoroutine(task.run(context_of(None, self.clock)))

    def setUp(self) -> None:
        super().setUp()
        self.keeper = Retention(
            self.file.journal,
            self.file.database,
            self.clock,
            Keeping(30.0 * DAY),
            sources={},
            now_ns=self.now_ns,
            stopwatch=lambda: 0.0,
        )
        self.append(5)
        self.wall += 31 * DAY
        self.append(1)

    def test_removes_what_is_due_now(self) -> None:
        """It tells how many events went, and keeps what is young."""
        run = self.begin()
        self.clock.pump([REST] * 20)
        self.assertEqual(5, self.successResultOf(run).events)
        self.assertEqual((5, False), (self.keeper.removed, self.keeper.sweeping))
        again = self.begin()
        self.clock.pump([REST] * 20)
        self.assertEqual(0, self.successResultOf(again).events)

    def test_waits_for_a_sweep_that_is_under_way(self) -> None:
        """Two never remove at a time; the second looks again when the first has ended."""
        first, second = self.begin(), self.begin()
        self.clock.pump([REST] * 40)
        self.assertEqual((5, 0), (self.successResultOf(first).events, self.successResultOf(second).events))

    def test_cancelled_it_leaves_the_way_free(self) -> None:
        """Whoever waits for it goes on."""
        self.file.writer.held = True
        first, second = self.begin(), self.begin()
        first.cancel()
        self.failureResultOf(first, CancelledError)
        self.file.writer.release()
        self.clock.pump([REST] * 40)
        self.successResultOf(second)
        left = self.done(self.file.journal.read(NO_SEQ, limit=10)).records
        self.assertEqual((1, False), (len(left), self.keeper.sweeping))


class CallsAtOnce(Clock):
    """A reactor whose thread is this one."""

    def callFromThread(self, function: Any, *args: Any) -> None:
        function(*args)


class Copying(SynchronousTestCase):
    """``journal-backup``."""

    def setUp(self) -> None:
        self.directory = Path(self.mktemp())
        self.folder = self.directory / "copies"
        self.journal = self.directory / "plant.db"
        self.directory.mkdir()
        self.file = JournalOnFile(self.journal, lambda: 1)
        self.addCleanup(self.file.close)
        self.append(3)
        self.kept = Kept()
        self.ticks = 0.0
        self.second = 0

    def append(self, number: int) -> None:
        events = [Event(b'{"n": %d}' % place) for place in range(number)]
        self.successResultOf(Deferred.fromCoroutine(self.file.journal.append("gate", events)))

    def stopwatch(self) -> float:
        self.ticks += 1.0
        return self.ticks

    def context(self) -> ThreadContext[BackupParams]:
        self.second += 1
        inner = context_of(None, Clock(), self.kept, now_ns=(1_772_614_800 + self.second) * 10**9)
        return ThreadContext(cast(Any, inner), CallsAtOnce())

    def copy(self, keep: int = 7, context: ThreadContext[BackupParams] | None = None) -> BackedUp:
        backup = JournalBackup(self.journal, self.folder, keep, self.stopwatch)
        return backup.run(context or self.context())

    def names(self) -> list[str]:
        return sorted(path.name for path in self.folder.iterdir())

    def test_a_copy_is_whole_and_dated(self) -> None:
        """The gateway holds the journal; what it writes later is not in the copy, which is the owner's alone."""
        made = self.copy()
        self.append(2)
        self.assertEqual(["plant-20260304T090001Z.db"], self.names())
        self.assertEqual((3, 3), (made.events, made.last))
        copy = Path(made.path)
        found = examine(copy)
        self.assertEqual((True, 3), (found.sound, found.events))
        self.assertEqual((0o600, made.bytes), (copy.stat().st_mode & 0o777, copy.stat().st_size))

    def test_tells_how_far_it_is(self) -> None:
        """What is done at present, and how much of it there is."""
        self.copy()
        self.assertEqual(["copying", "events"], list(dict.fromkeys(what for _, _, what in self.kept.progress)))

    def test_the_newest_stay(self) -> None:
        """Older copies go once the new one is sound; other files in the folder are nobody's business."""
        self.folder.mkdir()
        others = ["notes.txt", "other-20200101T000000Z.db", "plant-copy.db", "plant.db"]
        for name in others:
            (self.folder / name).touch()
        removed = [self.copy(keep=2).removed for _ in range(4)]
        self.assertEqual([0, 0, 1, 1], removed)
        self.assertEqual(sorted([*others, "plant-20260304T090003Z.db", "plant-20260304T090004Z.db"]), self.names())

    def test_a_clock_that_was_put_back_costs_no_copy(self) -> None:
        """The new copy stays though its name is the oldest."""
        self.second = 100
        self.copy(keep=1)
        self.second = 0
        made = self.copy(keep=1)
        self.assertEqual([Path(made.path).name], self.names())

    def test_a_copy_that_fails_removes_none(self) -> None:
        """A journal that is damaged is told, and the copies from before stay."""
        before = self.copy(keep=1)
        connection = sqlite3.connect(self.journal, isolation_level=None)
        connection.execute("UPDATE segment SET events = x'00'")
        connection.close()
        self.assertIn("is not sound", str(self.assertRaises(LinesideError, self.copy, 1)))
        self.assertEqual([Path(before.path).name], self.names())

    def test_cancelled_it_leaves_nothing(self) -> None:
        """Neither a copy nor a part of one, wherever it is cancelled."""
        self.append(1)
        for what in ("copying", "events"):
            context = self.context()

            def progressed(
                done: float, total: float | None, message: str | None, what: str = what, context: Any = context
            ) -> None:
                context._inner.cancelled = message == what

            self.patch(self.kept, "progressed", progressed)
            self.assertRaises(Cancelled, self.copy, context=context)
            self.assertEqual([], self.names())

    def test_what_a_killed_process_left_is_cleared_away(self) -> None:
        """The part of a copy, and what SQLite keeps beside it."""
        self.folder.mkdir()
        for name in ("plant-20260304T080000Z.db.unfinished", "plant-20260304T080000Z.db.unfinished-journal"):
            (self.folder / name).touch()
        made = self.copy()
        self.assertEqual([Path(made.path).name], self.names())

    def test_a_folder_that_is_none_is_told(self) -> None:
        """In one line, with its path."""
        self.folder.touch()
        told = str(self.assertRaises(LinesideError, self.copy))
        self.assertIn(f"cannot write to {self.folder}", told)
