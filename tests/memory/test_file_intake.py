"""Files on their way into the journal: each row once, whatever happens in between."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import msgspec
from tests.rig.file_case import TRAILER, FileCase
from twisted.internet.defer import Deferred

from lineside.edges.files import intake as intakes
from lineside.edges.files import spool
from lineside.edges.files.intake import FORGET_EVERY
from lineside.model.errors import FileNotTaken

ROWS = b"".join(b"c%d,%d\n" % (row, row) for row in range(1, 11))


class Taken(FileCase):
    """A file that is given."""

    rows_at_once = 3

    def codes(self) -> list[str]:
        return [msgspec.json.decode(record.event.body)["code"] for record in self.records() if record.event.body]

    def test_each_row_is_an_event_that_says_where_it_is_from(self) -> None:
        """The file itself goes to the archive, under its name."""
        taken = self.take(ROWS)
        self.assertFalse(taken.repeated)
        self.assertEqual([f"c{row}" for row in range(1, 11)], self.codes())
        last = msgspec.json.decode(self.records()[-1].event.body)
        self.assertEqual({"name": "a.csv", "hash": taken.digest, "row": 10}, last["file"])
        self.assertEqual("acme", self.records()[0].event.device)
        self.assertEqual(ROWS, (self.folder / "archive" / "a.csv").read_bytes())
        self.assertEqual([], list((self.folder / "spool").iterdir()) + list((self.folder / "in").iterdir()))
        self.assertEqual((10, 0), (self.intake.rows, self.intake.bad))
        self.assertEqual((0, 0), (self.intake.waiting, self.intake.waiting_bytes))

    def test_a_bad_row_is_a_dead_letter_alone(self) -> None:
        """With its bytes and the reason; its number counts."""
        self.take(b"a,1\nb\nc,3\n")
        self.assertEqual(["a", "c"], self.codes())
        self.assertEqual([("csv", "1 columns, not 2")], self.stored("SELECT code, reason FROM dead_letter"))
        self.assertEqual(b"b", self.records()[1].event.raw)
        self.assertEqual(3, msgspec.json.decode(self.records()[2].event.body)["file"]["row"])

    def test_the_same_bytes_again_make_no_event(self) -> None:
        """Under whatever name, after a restart too; from another sender they are another file."""
        self.take(ROWS)
        self.restart()
        self.assertTrue(self.take(ROWS, "again.csv").repeated)
        self.assertEqual(10, len(self.records()))
        self.assertFalse((self.folder / "in" / "again.csv").exists())
        self.assertFalse(self.take(ROWS, sender="other").repeated)
        self.assertEqual(20, len(self.records()))
        self.assertEqual({"a.csv", "a.2.csv"}, {path.name for path in (self.folder / "archive").iterdir()})

    def test_what_is_known_is_forgotten_in_time(self) -> None:
        """Once it is answered, and ``remember`` is over."""
        self.take(b"skip,1\n")
        self.deliver(self.fail_at)
        self.wait(2)
        self.now += 91 * 86_400 * 10**9
        self.clock.advance(FORGET_EVERY)
        self.assertEqual([], self.stored("SELECT * FROM file"))
        self.assertEqual([], self.stored("SELECT * FROM file_run"))
        self.assertFalse(self.take(b"skip,1\n").repeated)

    def fail_at(self, record: object) -> Any:
        self.fail(f"{record} was to be skipped")

    def test_a_process_that_dies_between_any_two_commits_goes_on_behind_the_last(self) -> None:
        """No row is lost, none is stored twice, and each knows its number."""
        for survives in range(9):
            with self.subTest(survives=survives):
                content = ROWS + b"%d,0\n" % survives
                self.die_after(survives, content)
                events = [msgspec.json.decode(record.event.body) for record in self.records()]
                mine = [event["file"]["row"] for event in events if event["file"]["name"] == f"{survives}.csv"]
                self.assertEqual(list(range(1, 12)), mine)

    def die_after(self, commits: int, content: bytes) -> None:
        """Give a file to a process of which only so many commits come to the disk, and again to the next one."""
        name = f"{commits}.csv"
        path = self.put(content, name)
        writer = self.file.writer
        do, left = writer.do, [commits]

        def some(work: Any) -> None:
            left[0] -= 1
            if left[0] >= 0:
                do(work)

        writer.do = some  # type: ignore[method-assign] # the disk of a process that dies
        taking: Deferred[Any] = Deferred.fromCoroutine(self.intake.take(path, name, "acme"))
        self.abandon(taking)
        del writer.do
        self.file.restart()
        self.begin()
        if path.exists():
            self.take(content, name)

    def abandon(self, taking: Deferred[Any]) -> None:
        """Leave a process as SIGKILL does: nothing of it goes on."""
        taking.addErrback(lambda _: None)
        taking.cancel()
        self.intake._work.cancel()
        self.answers._work.cancel()

    def test_a_file_that_was_moved_but_not_noted_is_found(self) -> None:
        """A process that died right after the file came into the spool did not lose it."""
        self.die_after(1, ROWS)
        self.assertFalse((self.folder / "in" / "1.csv").exists())
        self.assertEqual(10, len(self.records()))

    def test_while_nothing_can_be_stored_it_waits(self) -> None:
        """The alarm says why once; the rows are stored when the disk takes them again."""
        said: list[str] = []
        self.patch(intakes.log, "warn", lambda name, **_: said.append(name))
        self.file.journal.refusal = "the disk is full"
        self.take(ROWS)
        self.assertEqual(0, len(self.records()))
        self.assertIn("the disk is full", str(self.intake.problem))
        self.wait(5)
        self.file.journal.refusal = None
        self.wait(60)
        self.assertEqual(10, len(self.records()))
        self.assertIsNone(self.intake.problem)
        self.assertEqual(["files.failing"], said)

    def test_a_commit_in_doubt_makes_no_row_twice(self) -> None:
        """How far the file has come is read anew."""
        append = self.ledger.append_batches
        failed: list[Any] = []

        async def stores_and_fails(*args: Any, **kwargs: Any) -> Any:
            told = await append(*args, **kwargs)
            if not failed:
                failed.append(told)
                raise sqlite3.OperationalError("disk I/O error")
            return told

        self.patch(self.ledger, "append_batches", stores_and_fails)
        self.take(ROWS)
        self.wait(30)
        self.assertEqual([f"c{row}" for row in range(1, 11)], self.codes())

    def test_a_paused_source_takes_no_file(self) -> None:
        """It is where it was; rows of one that is in the spool wait."""
        self.ledger.pause(True)
        path = self.put(ROWS)
        self.failureResultOf(Deferred.fromCoroutine(self.intake.take(path, "a.csv", "acme")), FileNotTaken)
        self.assertTrue(path.exists())
        self.ledger.pause(False)
        self.take(ROWS)
        self.assertEqual(10, len(self.records()))

    def test_a_file_that_cannot_be_moved_stays_where_it_is(self) -> None:
        """Nothing is known of it then, so that it may be given again."""

        def fails(path: Path, place: Path) -> None:
            raise PermissionError(13, "Permission denied")

        path = self.put(ROWS)
        with self.subTest():
            self.patch(spool, "take_in", fails)
            self.failureResultOf(Deferred.fromCoroutine(self.intake.take(path, "a.csv", "acme")), PermissionError)
        self.assertEqual([], self.stored("SELECT * FROM file"))
        self.assertEqual([], self.stored("SELECT * FROM file_name"))
        self.assertTrue(path.exists())

    def test_a_full_spool_leaves_files_where_they_are(self) -> None:
        """The alarm is told once, and its end; then the file is taken."""
        said: list[str] = []
        for level in ("error", "info"):
            self.patch(intakes.log, level, lambda name, **_: said.append(name))
        self.file.journal.refusal = "the disk is full"
        self.take(b"x" * 900, "large.csv")
        path = self.put(ROWS * 2)
        for _ in range(2):
            self.failureResultOf(Deferred.fromCoroutine(self.intake.take(path, "a.csv", "acme")), FileNotTaken)
        self.assertTrue(path.exists())
        self.file.journal.refusal = None
        self.wait(60)
        self.take(ROWS * 2)
        self.assertEqual(["file.taken", "files.spool_full"], said[:2])
        self.assertEqual(1, said.count("files.spool_full"))
        self.assertIn("files.spool_has_room", said)
        self.assertEqual(21, len(self.records()))


class Counted(FileCase):
    """A source whose files have a trailer."""

    form = TRAILER
    rows_at_once = 3

    def test_a_cut_file_makes_no_event(self) -> None:
        """It is kept, there is an alarm, and the answer says why."""
        said: list[str] = []
        self.patch(intakes.log, "error", lambda name, **_: said.append(name))
        self.take(ROWS)
        self.take(ROWS + b"END,11\n", "wrong.csv")
        self.wait(2)
        self.assertEqual([], self.records())
        self.assertEqual(["file.refused"] * 2, said)
        (told,) = self.answer("wrong.csv") or []
        self.assertEqual(["", "", "refused", "", "trailer: it says 11 rows, the file has 10"], list(told.values()))
        self.assertEqual({"a.csv", "wrong.csv"}, {path.name for path in (self.folder / "archive").iterdir()})
        self.assertTrue(self.take(ROWS, "again.csv").repeated)
        self.wait(2)
        self.assertEqual("refused", (self.answer("again.csv") or [{}])[0]["status"])

    def test_a_whole_file_does_without_its_trailer(self) -> None:
        """The trailer is no row, whichever batch it would be in."""
        for count in range(8):
            content = b"".join(ROWS.splitlines(keepends=True)[:count])
            self.take(content + b"END,%d\n" % count, f"{count}.csv")
        self.assertEqual(sum(range(8)), len(self.records()))
