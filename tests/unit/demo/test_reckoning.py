"""The ledger counts what the senders know against what the ERP holds."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from lineside.demo.reckoning import Row, reckon
from lineside.model.event import Seq
from lineside.testing.ledger import Entry, LineAcked, LineRefused, LineSent


class ReckoningTests(SynchronousTestCase):
    """Nothing slips through the count."""

    def records(self) -> list[Entry]:
        sent: list[Entry] = [LineSent(line, 10.0, "{}") for line in ("a", "b", "c", "d")]
        return [*sent, LineAcked("a", 10.0, Seq(1)), LineAcked("b", 10.0, Seq(2)), LineRefused("c", "json", "bad")]

    def test_an_exact_run(self) -> None:
        """Each acknowledged line one document; an unanswered line may be one too."""
        result = reckon(self.records(), [Row("a", 10.5), Row("b", 11.0), Row("d", 12.0)])
        self.assertTrue(result.exact)
        self.assertEqual((4, 2, 1, 3, 1), (result.sent, result.acknowledged, result.refused, result.documents, 1))
        self.assertEqual((500.0, 1000.0), (result.p50_ms, result.p99_ms))

    def test_a_lost_line(self) -> None:
        """An acknowledged line without a document is lost."""
        result = reckon(self.records(), [Row("a", 10.5)])
        self.assertEqual((1, False), (result.lost, result.exact))

    def test_a_doubled_line(self) -> None:
        """Two documents of one line are one too many, also of a line that was never acknowledged."""
        for line in ("a", "d"):
            result = reckon(self.records(), [Row("a", 10.5), Row("b", 10.5), Row(line, 11.0), Row("d", 11.0)])
            self.assertEqual((1, False), (result.duplicated, result.exact))

    def test_a_document_out_of_nowhere(self) -> None:
        """A document of a line that nobody sent is an error, too."""
        result = reckon(self.records(), [Row("a", 10.5), Row("b", 10.5), Row("x", 10.5)])
        self.assertEqual((1, False), (result.unknown, result.exact))
