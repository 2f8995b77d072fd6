"""The judgement of the crash tests: it finds what was lost, doubled, made up or out of order."""

from __future__ import annotations

import json

from tests.rig.judgement import judge
from twisted.trial.unittest import SynchronousTestCase

from lineside.demo.reckoning import Row
from lineside.model.event import Event, Record, Seq
from lineside.testing.ledger import Entry, LineAcked, LineRefused, LineSent


def acknowledged(*lines: str) -> list[Entry]:
    """Return what a device knows that sent lines and had each acknowledged, from sequence 1 on."""
    entries: list[Entry] = []
    for seq, line in enumerate(lines, 1):
        entries += [LineSent(line, 0.0, ""), LineAcked(line, 0.0, Seq(seq))]
    return entries


def journal(*lines: str, employee: str = "anna") -> list[Record]:
    """Return a journal of these lines, from sequence 1 on."""
    return [
        Record(Seq(seq), "epoch", "gate", 0, Event(json.dumps({"scan_id": line, "employee": employee}).encode()))
        for seq, line in enumerate(lines, 1)
    ]


def documents(*lines: str) -> list[Row]:
    """Return documents of these lines, made one after the other."""
    return [Row(line, float(at)) for at, line in enumerate(lines)]


class Judgement(SynchronousTestCase):
    """One wrong thing at a time."""

    def test_an_exact_ledger(self) -> None:
        """Where all agree nothing is wrong."""
        self.assertEqual(judge(acknowledged("a", "b"), journal("a", "b"), documents("a", "b")), [])

    def test_a_lost_document(self) -> None:
        """An acknowledged line without a document is lost."""
        problems = judge(acknowledged("a", "b"), journal("a", "b"), documents("a"))
        self.assertEqual(problems, ["1 acknowledged lines have no document"])

    def test_a_second_document(self) -> None:
        """A line has one document, not two."""
        problems = judge(acknowledged("a"), journal("a"), [Row("a", 1.0), Row("a", 2.0)])
        self.assertEqual(problems, ["1 documents are one too many"])

    def test_a_document_that_nobody_sent(self) -> None:
        """A document comes of a line."""
        problems = judge(acknowledged("a"), journal("a"), documents("a", "z"))
        self.assertEqual(problems, ["1 documents are of lines that nobody sent"])

    def test_a_line_that_the_journal_lost(self) -> None:
        """An acknowledged line is in the journal, under the sequence that its device was told."""
        problems = judge(acknowledged("a", "b"), journal("a"), documents("a", "b"))
        self.assertEqual(problems, ["b was acknowledged as 2, which the journal does not hold"])
        problems = judge(acknowledged("a", "b"), journal("b", "a"), documents("b", "a"))
        self.assertEqual(problems[0], "a was acknowledged as 1, which in the journal is b")

    def test_a_line_that_the_journal_holds_twice(self) -> None:
        """A line that is sent again is no second event."""
        problems = judge(acknowledged("a"), journal("a", "a"), documents("a"))
        self.assertIn("a is 2 times in the journal", problems)

    def test_an_event_that_nobody_sent(self) -> None:
        """An event comes of a line."""
        problems = judge(acknowledged("a"), journal("a", "z"), documents("a"))
        self.assertEqual(problems, ["z is in the journal, and nobody sent it"])

    def test_a_wrong_order(self) -> None:
        """Documents of one key are made in the order of their lines; other keys are free."""
        problems = judge(acknowledged("a", "b"), journal("a", "b"), documents("b", "a"))
        self.assertEqual(problems, ["anna: 1 became a document after 2"])
        other = [*journal("a"), *journal("-", "b", employee="bert")[1:]]
        self.assertEqual(judge(acknowledged("a", "b"), other, documents("b", "a")), [])

    def test_a_line_without_a_final_answer(self) -> None:
        """A proof that ends with lines unanswered has not ended."""
        problems = judge([LineSent("a", 0.0, "")], [], [])
        self.assertEqual(problems, ["1 lines have no answer"])

    def test_a_refused_line(self) -> None:
        """A line that a source could not decode is told."""
        problems = judge([LineSent("a", 0.0, ""), LineRefused("a", "not-json", "no object")], [], [])
        self.assertEqual(problems, ["a was refused: not-json no object"])
