"""Devices' keys in the journal: over restarts, upgrades, failing disks and copies, for as long as they are kept."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from lineside.journal import copies, keyupgrade, soundness
from lineside.journal.seen import Seen
from lineside.journal.tables import JOURNAL
from lineside.model.event import Event, Receipt
from lineside.store.migrations import Component, migrate
from lineside.testing.journals import JournalOnFile

DAY = 86_400_000_000_000
TABLES = ("key_recent", "key_run", "key_filter", "key_bucket")


class KeysCase(SynchronousTestCase):
    """A journal on a file of its own, with ten keys a run."""

    def setUp(self) -> None:
        self.patch(Seen, "run_keys", 10)
        self.path = Path(self.mktemp())
        self.now = 1_000 * DAY
        self.file = JournalOnFile(self.path, lambda: self.now)
        self.addCleanup(self.file.close)

    def done(self, work: Any) -> Any:
        return self.successResultOf(work if isinstance(work, Deferred) else Deferred.fromCoroutine(work))

    def append(self, *keys: str | None) -> list[Receipt]:
        events = [Event(b"{}", key=key) for key in keys]
        return self.done(self.file.journal.append("gate", events))  # type: ignore[no-any-return]

    def keep(self, count: int, start: int = 0) -> dict[str, int]:
        """Append so many new keys in batches of three; return their sequences."""
        kept: dict[str, int] = {}
        for at in range(start, start + count, 3):
            keys = [f"key-{n}" for n in range(at, min(at + 3, start + count))]
            receipts = self.append(*keys)
            self.assertEqual({False}, {receipt.repeated for receipt in receipts})
            kept.update(zip(keys, [receipt.seq for receipt in receipts], strict=True))
        return kept

    def are_known(self, kept: dict[str, int]) -> None:
        """Hold all against what their senders would be told."""
        told = self.append(*kept)
        self.assertEqual([(seq, True) for seq in kept.values()], [(each.seq, each.repeated) for each in told])

    def rows(self) -> list[int]:
        """Return how many rows each of the tables has."""
        return [self.done(self.file.database.read(_count(table))) for table in TABLES]


def _count(table: str) -> Any:
    return lambda connection: connection.execute(f"SELECT COUNT(*) FROM {table}").fetchone()[0]


class KeptKeys(KeysCase):
    """What is known, and for how long."""

    def test_every_key_is_known_to_the_next_process(self) -> None:
        """Whether in a run or recent, each is told its first sequence after a restart."""
        kept = self.keep(37)
        self.are_known(kept)
        self.file.restart()
        self.are_known(kept)
        self.assertEqual(3, self.rows()[1])
        kept |= self.keep(9, start=37)
        self.are_known(kept)

    def test_events_without_a_key_lie_between(self) -> None:
        """They take sequences of their own and are never repeats."""
        told = self.append("a", None, "b", "a", None, "c")
        self.assertEqual([1, 2, 3, 1, 4, 5], [receipt.seq for receipt in told])
        self.file.restart()
        self.assertEqual([3, 5, 6, 1], [receipt.seq for receipt in self.append("b", "c", None, "a")])

    def test_a_disk_that_fails_leaves_no_key_known(self) -> None:
        """Keys whose commit failed are new when they are sent again, also where they would have made a run."""
        kept = self.keep(8)
        for keys in (["x"], ["y", "z"], [f"many-{n}" for n in range(45)]):
            self.done(self.file.database.write(lambda c: c.execute(FULL)))
            failed = Deferred.fromCoroutine(self.file.journal.append("gate", [Event(b"{}", key=k) for k in keys]))
            self.failureResultOf(failed, sqlite3.Error)
            self.done(self.file.database.write(lambda c: c.execute("DROP TRIGGER full")))
            self.are_known(kept)
            told = self.append(*keys)
            self.assertEqual({False}, {receipt.repeated for receipt in told})
            kept |= dict(zip(keys, [receipt.seq for receipt in told], strict=True))
            self.are_known(kept)

    def test_nothing_is_kept_for_ever(self) -> None:
        """A journal that takes no events forgets its keys as well, run by run."""
        self.keep(35)
        self.now += 8 * DAY
        passes = 1
        while self.done(self.file.database.write(self.file.journal.forget_keys)):
            passes += 1
        self.assertEqual([0, 0, 0, 0], self.rows())
        self.assertEqual(3, passes - 1)
        self.keep(35)


FULL = """CREATE TEMP TRIGGER full BEFORE INSERT ON segment BEGIN
          SELECT RAISE(ROLLBACK, 'database or disk is full'); END"""


class MovedKeys(KeysCase):
    """Files that come from elsewhere."""

    def test_keys_of_an_older_release(self) -> None:
        """Keys that stood in a table of their texts are known after the upgrade, each inside its window."""
        self.patch(keyupgrade, "RUN", 10)
        self.file.close()
        self.path.unlink()
        kept = {key: n for n, key in enumerate(["", "a\0b", "\u00e9", *(f"key-{n}" for n in range(30))], 1)}
        with closing(sqlite3.connect(self.path, isolation_level=None)) as connection:
            migrate(connection, (Component("journal", JOURNAL.versions[:3]),))
            connection.execute("INSERT INTO source (id, name) VALUES (1, 'gate'), (2, 'dock')")
            connection.execute("INSERT INTO segment VALUES (1, 40, 1, 'run', 5, x'90', 1)")
            rows = [(1, key, seq, self.now) for key, seq in kept.items()]
            rows += [(2, "key-1", 39, self.now), (1, "old", 40, self.now - 8 * DAY)]
            connection.executemany("INSERT INTO seen (source, key, seq, received_ns) VALUES (?,?,?,?)", rows)
        self.file.open()
        self.are_known(kept)
        self.assertEqual([41, 42], [receipt.seq for receipt in self.append("old", "new")])
        self.assertEqual([1, 4, 4], self.rows()[:3])
        tables = self.file.database.read(lambda c: c.execute("SELECT name FROM sqlite_schema").fetchall())
        self.assertNotIn(("seen",), self.done(tables))

    def test_a_copy_that_is_put_back(self) -> None:
        """A backup made beside the gateway knows every key that it holds, and no other."""
        kept = self.keep(25)
        copy = Path(self.mktemp())
        self.assertTrue(copies.back_up(self.path, copy).sound)
        self.append("later")
        self.file.close()
        copies.put_back(copy, self.path)
        self.file.open()
        self.are_known(kept)
        self.assertEqual([False], [receipt.repeated for receipt in self.append("later")])

    def test_wrong_keys_are_found(self) -> None:
        """A check names what would let a repeat become a second event, or an event be taken for a repeat."""
        self.keep(42)
        self.assertEqual([], soundness.examine(self.path).problems)
        self.file.close()
        with closing(sqlite3.connect(self.path, isolation_level=None)) as connection:
            for change in (
                "DELETE FROM key_filter WHERE run = 1",
                "UPDATE key_bucket SET facts = x'00' WHERE id = (SELECT MIN(id) FROM key_bucket WHERE id > 2048)",
                "DELETE FROM key_bucket WHERE id = (SELECT MAX(id) FROM key_bucket WHERE id < 4096)",
                "UPDATE key_recent SET digests = zeroblob(160)",
            ):
                connection.execute(change)
        problems = soundness.examine(self.path).problems
        self.file.open()
        self.assertEqual(
            [
                "run 1 of devices' keys: its filter is that of other keys: repeats would be stored again",
                "run 2 of devices' keys: a key is stored in part only",
                "run 3 of devices' keys: its filter is that of other keys: repeats would be stored again",
                "devices' keys from 37 on: they are of events that are not there",
                "devices' keys from 40 on: they are of events that are not there",
            ],
            problems,
        )
