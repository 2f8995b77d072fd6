"""Answers: what became of each row, for who sent the file."""

from __future__ import annotations

from tests.rig.file_case import PLAIN, FileCase

from lineside.edges.files import answers, spool
from lineside.journal import files
from lineside.model.event import Record
from lineside.model.outcome import Delivered, Outcome, Refused, Retry, Skipped
from lineside.wire.csv import Csv
from lineside.wire.decoding import Reading
from lineside.wire.rows.forms import RowForm
from lineside.wire.rows.reading import CsvSheet


def decided(record: Record) -> Outcome:
    """Deliver a row, but refuse ``no``."""
    if b'"no"' in record.event.body:
        return Refused("LinkValidationError", "=cmd|' /C calc'!A0 is no item")
    return Skipped() if b'"never"' in record.event.body else Delivered(f"DOC-{record.seq}")


class Answered(FileCase):
    """A file with rows of every fate."""

    CONTENT = b"a,1\nno,2\nskip,3\nbad\nb,5\n"

    def test_each_row_has_its_sequence_and_what_became_of_it(self) -> None:
        """Once all are settled, and not before; a formula is defused."""
        self.take(self.CONTENT)
        self.wait(5)
        self.assertIsNone(self.answer())
        self.deliver(decided)
        self.wait(2)
        rows = self.answer()
        assert rows is not None
        self.assertEqual(
            [
                ("1", "1", "delivered", "DOC-1", ""),
                ("2", "2", "dead-letter", "", "LinkValidationError: =cmd|' /C calc'!A0 is no item"),
                ("3", "3", "skipped", "", ""),
                ("4", "4", "dead-letter", "", "csv: 1 columns, not 2"),
                ("5", "5", "delivered", "DOC-5", ""),
            ],
            [tuple(row.values()) for row in rows],
        )

    def test_a_document_name_is_no_formula(self) -> None:
        """Whoever opens the answer in a spreadsheet runs nothing."""
        self.take(b"a,1\n")
        self.deliver(lambda _: Delivered("=HYPERLINK(1)"))
        self.wait(2)
        self.assertEqual(["'=HYPERLINK(1)"], [row["document"] for row in self.answer() or []])

    def test_a_late_answer_comes_in_part_and_is_replaced(self) -> None:
        """The pending rows are told so; nothing is written again until all is settled."""
        self.take(self.CONTENT)
        self.deliver(decided, limit=1)
        self.wait(62)
        self.assertEqual(
            ["delivered", "pending", "pending", "dead-letter", "pending"],
            [row["status"] for row in self.answer() or []],
        )
        path = self.folder / "outbox" / "a.csv.result.csv"
        path.unlink()
        self.wait(20)
        self.assertFalse(path.exists())
        self.deliver(decided)
        self.wait(2)
        self.assertEqual(
            ["delivered", "dead-letter", "skipped", "dead-letter", "delivered"],
            [row["status"] for row in self.answer() or []],
        )

    def test_an_older_record_of_another_file_keeps_no_answer(self) -> None:
        """Where one row rests before its next attempt, later files are answered all the same."""
        self.take(b"stuck,1\n", "first.csv")
        self.deliver(lambda _: Retry("busy", after=10_000.0))
        self.take(b"a,1\nb,2\n", "second.csv")
        self.deliver(decided)
        self.wait(40)
        self.assertIsNone([row for row in self.answer("first.csv") or [] if row["status"] != "pending"] or None)
        self.assertEqual(["DOC-2", "DOC-3"], [row["document"] for row in self.answer("second.csv") or []])

    def test_what_is_owed_is_answered_after_a_restart(self) -> None:
        """A process that dies before the answer is whole leaves it to the next one."""
        self.take(self.CONTENT)
        self.restart()
        self.deliver(decided)
        self.restart()
        self.wait(2)
        self.assertEqual(5, len(self.answer() or []))

    def test_the_same_file_gets_its_answer_again(self) -> None:
        """Under each name, with the first sequences."""
        self.take(self.CONTENT)
        self.deliver(decided)
        self.wait(2)
        first = self.answer()
        (self.folder / "outbox" / "a.csv.result.csv").unlink()
        self.take(self.CONTENT)
        self.take(self.CONTENT, "b.csv")
        self.wait(2)
        self.assertEqual([first, first], [self.answer(), self.answer("b.csv")])

    def test_an_outbox_that_cannot_be_written_is_tried_again(self) -> None:
        """It is told, and nothing is lost."""
        outbox = self.folder / "outbox"
        outbox.write_bytes(b"in the way")
        self.take(self.CONTENT)
        self.deliver(decided)
        self.wait(3)
        self.assertIn("answers cannot be written", str(self.answers.problem))
        outbox.unlink()
        self.wait(3)
        self.assertIsNone(self.answers.problem)
        self.assertEqual(5, len(self.answer() or []))
        self.assertEqual(["a.csv.result.csv"], [path.name for path in outbox.iterdir()])

    def test_many_rows_are_told_page_by_page(self) -> None:
        """In order, each once."""
        self.patch(answers, "PAGE", 3)
        self.take(b"".join(b"%d,1\n" % row for row in range(10)))
        self.deliver(decided)
        self.wait(2)
        self.assertEqual([str(row) for row in range(1, 11)], [row["row"] for row in self.answer() or []])

    def test_a_row_with_a_known_key_gets_its_first_sequence(self) -> None:
        """Repeats stand between new rows in the answer, by their numbers."""
        self.stop()
        keyed = Csv(("code", "qty"), reading=Reading("code"))
        self.form = RowForm(PLAIN.rows, lambda sender: CsvSheet(keyed, sender, header=False))
        self.begin()
        self.take(b"a,1\nb,2\n")
        self.take(b"x,0\na,1\ny,0\nb,2\nx,9\n", "b.csv")
        self.deliver(decided)
        self.wait(2)
        told = [(row["sequence"], row["document"]) for row in self.answer("b.csv") or []]
        self.assertEqual([(seq, f"DOC-{seq}") for seq in ("3", "1", "4", "2", "3")], told)


class Pages(FileCase):
    """What the journal knows of rows."""

    def test_a_name_is_made_safe_for_the_outbox(self) -> None:
        """Whatever a partner calls its file, the answer stays in the outbox."""
        self.take(b"skip,1\n", "a.csv")
        path = self.put(b"skip,2\n", "b")
        self.done(self.intake.take(path, "../../b.csv", "acme"))
        self.deliver(decided)
        self.wait(2)
        names = sorted(path.name for path in (self.folder / "outbox").iterdir())
        self.assertEqual(sorted(["a.csv.result.csv", spool.plain("../../b.csv") + ".result.csv"]), names)

    def test_files_are_listed_with_their_names(self) -> None:
        """The newest first, a page at a time."""
        for number in range(3):
            self.take(b"skip,%d\n" % number, f"{number}.csv")
        self.take(b"skip,0\n", "again.csv")
        listed = self.successResultOf(self.file.database.read(lambda c: files.page(c, "edi", None, 2)))
        self.assertEqual(["2.csv", "1.csv"], [each.names[0][0] for each in listed])
        before = listed[-1].file.id
        (last,) = self.successResultOf(self.file.database.read(lambda c: files.page(c, None, before, 2)))
        self.assertEqual({"0.csv", "again.csv"}, {name for name, _ in last.names})
