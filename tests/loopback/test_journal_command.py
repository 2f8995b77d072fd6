"""`lineside journal`: a file that is whole, one that is not, and copies made and put back."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from sqlite3 import Connection
from tempfile import TemporaryDirectory
from unittest.mock import patch

from click.testing import CliRunner, Result
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from lineside.cli.journal import command
from lineside.journal import copies, soundness
from lineside.journal.soundness import Soundness
from lineside.model.errors import JournalLocked, LinesideError
from lineside.model.event import Event
from lineside.testing.journals import JournalOnFile

PAGE = 4096
CONFIGURATION = """
[targets.erp]
type = "frappe"
url = "http://erp"
api_key = { env = "KEY" }
api_secret = { env = "SECRET" }
[sources.gate]
type = "lines"
listen = "tcp:0"
public = true
[routes.checkin]
doctype = "ToDo"
document = { description = "{{ n }}" }
"""


class FileCase(SynchronousTestCase):
    """A journal of fifty events, of which the first is a dead letter and a route owes the second."""

    def setUp(self) -> None:
        directory = TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.directory = Path(directory.name)
        self.path = self.directory / "journal.db"
        self.file = JournalOnFile(self.path, lambda: 1)
        for number in range(50):
            event = Event(b'{"n": %d}' % number) if number else Event(b"", raw=b"?", error="json: wrong")
            self.append(event)
        self.successResultOf(self.file.database.write(owe))
        self.file.close()

    def append(self, event: Event) -> None:
        self.successResultOf(Deferred.fromCoroutine(self.file.journal.append("gate", [event])))

    def names(self, pattern: str) -> list[str]:
        return sorted(path.name for path in self.directory.glob(pattern))

    def change(self, *statements: str) -> None:
        with closing(sqlite3.connect(self.path)) as connection:
            for statement in statements:
                connection.execute(statement)
            connection.commit()

    def damage(self, table: str) -> None:
        """Overwrite the page at which a table begins."""
        with closing(sqlite3.connect(self.path)) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            [(root,)] = connection.execute("SELECT rootpage FROM sqlite_schema WHERE name = ?", (table,))
        with self.path.open("r+b") as file:
            file.seek((root - 1) * PAGE)
            file.write(b"\xa5" * PAGE)

    def run_command(self, *arguments: str) -> Result:
        """Run ``lineside journal`` on it."""
        (self.directory / "lineside.toml").write_text(CONFIGURATION)
        return CliRunner().invoke(command, [*arguments, "-c", str(self.directory / "lineside.toml")])


def owe(connection: Connection) -> None:
    connection.execute("INSERT INTO consumer (id, cursor) VALUES ('checkin', 50)")
    connection.execute("INSERT INTO gap (consumer, seq, attempts) VALUES ('checkin', 2, 1)")


class Checking(FileCase):
    """What `check` finds."""

    def test_a_sound_journal(self) -> None:
        """Everything is counted, nothing complained of, and it says how far it is."""
        told: list[tuple[str, int, int | None]] = []
        found = soundness.examine(self.path, progress=lambda *progress: told.append(progress))
        self.assertEqual(Soundness(str(self.path), 50, 50, 1, 1, []), found)
        self.assertIn(("events", 50, 50), told)
        result = self.run_command("check")
        self.assertEqual(0, result.exit_code, result.output)
        self.assertIn("is sound: 50 events up to 50, 1 routes, 1 dead letters", result.output)

    def test_damaged_pages(self) -> None:
        """They are found, and exit code and JSON say so."""
        self.damage("segment_of_source")
        result = self.run_command("check", "--json")
        self.assertEqual(1, result.exit_code)
        found = json.loads(result.stdout)
        self.assertFalse(found["sound"])
        self.assertEqual((["pages: database disk image is malformed"], 50), (found["problems"], found["events"]))

    def test_a_table_that_cannot_be_read(self) -> None:
        """What stops the reading is told as well, in a line, by its file's name."""
        self.damage("segment")
        result = self.run_command("check")
        self.assertEqual(1, result.exit_code)
        self.assertIn(f"lineside: {self.path}: ", result.stderr)
        self.assertNotIn("Traceback", result.stderr)

    def test_wrong_contents(self) -> None:
        """Events that cannot be decoded, are missing or owed and gone, and routes that skip some are all named."""
        self.change(
            "UPDATE segment SET events = x'c1' WHERE first = 5",
            "UPDATE segment SET last = 7 WHERE first = 6",
            "DELETE FROM segment WHERE first = 2",
            "UPDATE segment SET source = 9 WHERE first = 8",
            "UPDATE dead_letter SET event = x'c1'",
            "INSERT INTO consumer (id, cursor) VALUES ('ahead', 99)",
            "INSERT INTO backlog (consumer, key, after) VALUES ('checkin', 'k', 60)",
        )
        problems = soundness.examine(self.path).problems
        for part in (
            "events 5 to 5: cannot be decoded",
            "events 6 to 7: 1 are there",
            "events 7 to 7: their sequences overlap",
            "events 8 to 8: their source is not known",
            "route checkin: owes event 2, which is not there",
            "route checkin: 1 of its backlogs begin where it has not been yet",
            "route ahead: stands at 99",
            "dead letter 1: cannot be decoded",
        ):
            self.assertEqual(1, len([problem for problem in problems if part in problem]), (part, problems))
        self.assertEqual(8, len(problems), problems)

    def test_what_is_no_journal(self) -> None:
        """A missing file, some other file, another database and a newer release's are told apart."""
        self.assertIn("no journal", str(self.assertRaises(LinesideError, soundness.examine, self.directory / "no")))
        other = self.directory / "other"
        other.write_bytes(b"hello" * 1000)
        self.assertIn("not a database", soundness.examine(other).problems[0])
        empty = self.directory / "empty"
        with closing(sqlite3.connect(empty)) as connection:
            connection.execute("CREATE TABLE t (a)")
        self.assertEqual(["it is a database, but no journal"], soundness.examine(empty).problems)
        self.change("UPDATE component SET version = 99")
        self.assertIn("install a newer Lineside", soundness.examine(self.path).problems[0])

    def test_beside_a_gateway(self) -> None:
        """The journal of a running gateway is read too, with what it committed last, and not hindered."""
        self.file.open()
        self.addCleanup(self.file.close)
        self.append(Event(b"{}"))
        self.assertEqual((51, []), (soundness.examine(self.path).events, soundness.examine(self.path).problems))
        self.append(Event(b"{}"))


class BackingUp(FileCase):
    """What `backup` makes."""

    def test_while_events_are_stored(self) -> None:
        """The copy is one moment of the journal, though commits come between its steps, and it needs no lock."""
        copy = self.directory / "copy.db"
        self.file.open()
        self.addCleanup(self.file.close)
        stored_between: list[int] = []

        def store(what: str, done: int, total: int | None) -> None:
            if what == "copying" and len(stored_between) < 20:
                stored_between.append(done)
                self.append(Event(b'"%s"' % (b"x" * 100_000)))

        with patch.object(copies, "PAGES", 4):
            found = copies.back_up(self.path, copy, progress=store)
        self.assertGreater(len(stored_between), 5)
        self.assertEqual((50, 50, []), (found.events, found.last, found.problems))
        self.assertEqual(found.events, soundness.examine(copy).events)
        self.assertEqual(0o600, copy.stat().st_mode & 0o777)
        self.assertEqual(["copy.db"], self.names("copy*"))

    def test_what_is_there_is_not_overwritten(self) -> None:
        """An older backup stays as it is."""
        copy = self.directory / "copy.db"
        copy.write_text("precious")
        result = self.run_command("backup", str(copy))
        self.assertIn("is there already", str(result.exception))
        self.assertEqual("precious", copy.read_text())

    def test_a_damaged_journal_makes_no_backup(self) -> None:
        """A copy that is not sound is told and not left behind, so that nobody relies on it."""
        self.change("UPDATE segment SET events = x'c1' WHERE first = 5")
        copy = self.directory / "copy.db"
        failed = self.assertRaises(LinesideError, copies.back_up, self.path, copy)
        self.assertIn("events 5 to 5: cannot be decoded", str(failed))
        self.assertEqual(["journal.db", "journal.db.lock"], self.names("*"))

    def test_a_place_that_cannot_be_written(self) -> None:
        """It is one line."""
        failed = self.assertRaises(LinesideError, copies.back_up, self.path, self.directory / "no" / "copy.db")
        self.assertIn("No such file or directory", str(failed))


class Restoring(FileCase):
    """What `restore` does."""

    def setUp(self) -> None:
        super().setUp()
        self.copy = self.directory / "copy.db"
        copies.back_up(self.path, self.copy)

    def epoch(self, path: Path) -> str:
        with closing(sqlite3.connect(path)) as connection:
            return str(connection.execute("SELECT epoch FROM journal").fetchone()[0])

    def test_the_copy_takes_the_journals_place(self) -> None:
        """What it holds is there again under a new epoch; the one before, its last event too, is kept beside."""
        self.file.open()
        self.append(Event(b'{"n": 51}'))
        self.file.close()
        before = self.epoch(self.path)
        result = self.run_command("restore", str(self.copy), "--json")
        self.assertEqual(0, result.exit_code, result.output)
        told = json.loads(result.stdout)
        self.assertEqual((50, 51), (told["events"], soundness.examine(Path(told["replaced"])).events))
        self.assertEqual(0o600, self.path.stat().st_mode & 0o777)
        self.assertNotEqual(before, self.epoch(self.path))
        self.file.open()
        self.addCleanup(self.file.close)
        self.append(Event(b"{}"))
        self.assertEqual(51, self.file.journal.head)

    def test_a_damaged_journal_is_replaced(self) -> None:
        """It is kept as it is, with the log that could not be read into it."""
        self.damage("segment")
        log = self.path.with_name("journal.db-wal")
        log.write_bytes(b"half a log")
        damaged = self.path.read_bytes()
        found, replaced = copies.put_back(self.copy, self.path, now=0.0)
        assert replaced is not None
        self.assertEqual((50, "journal.db.replaced-19700101T000000Z"), (found.events, replaced.name))
        self.assertEqual(damaged, replaced.read_bytes())
        self.assertTrue(soundness.examine(self.path).sound)
        self.assertFalse(log.exists())

    def test_where_there_was_none(self) -> None:
        """A new machine has nothing to keep."""
        other = self.directory / "other.db"
        self.assertEqual(50, copies.put_back(self.copy, other)[0].events)
        self.assertIsNone(copies.put_back(self.copy, self.directory / "third.db")[1])

    def test_a_gateway_that_runs_is_not_robbed(self) -> None:
        """The journal that a process holds is refused, and nothing is moved."""
        self.file.open()
        self.addCleanup(self.file.close)
        failed = self.assertRaises(JournalLocked, copies.put_back, self.copy, self.path)
        self.assertIn("in use by another process", str(failed))
        self.append(Event(b"{}"))
        self.assertEqual([], self.names("*replaced*"))

    def test_a_copy_that_is_not_sound_is_refused(self) -> None:
        """The journal that is there stays, however bad the copy."""
        self.copy.write_bytes(b"x" * 5000)
        before = self.path.read_bytes()
        failed = self.assertRaises(LinesideError, copies.put_back, self.copy, self.path)
        self.assertIn("is not sound", str(failed))
        self.assertEqual(before, self.path.read_bytes())

    def test_at_each_moment_there_is_a_journal(self) -> None:
        """Whoever dies while restoring leaves the old journal or the new one, never none and never half."""
        moments: list[str] = []
        for step in ("hardlink_to", "replace"):
            with patch.object(Path, step, died(moments, self.path)), self.assertRaises(SystemExit):
                copies.put_back(self.copy, self.path, now=float(len(moments)))
        self.assertEqual(["sound", "sound"], moments)


def died(moments: list[str], journal: Path) -> Callable[..., None]:
    """Return what takes note of the journal at this moment, then ends the process."""

    def die(*_: object) -> None:
        moments.append("sound" if soundness.examine(journal).sound else "not sound")
        raise SystemExit

    return die
