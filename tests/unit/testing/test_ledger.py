"""The senders' own records."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from twisted.trial.unittest import SynchronousTestCase

from lineside.model.event import Seq
from lineside.testing.ledger import LedgerFile, Line, LineAcked, LineRefused, LineSent, read_entries


class File(SynchronousTestCase):
    """Records that outlive their writer."""

    @pytest.fixture(autouse=True)
    def own_directory(self, tmp_path: Path) -> None:
        self.path = tmp_path / "ledger.jsonl"

    def test_what_is_written_is_read(self) -> None:
        """Each stage of each line comes back, in order."""
        with LedgerFile(self.path) as ledger:
            ledger.on_sent(Line("a", b'{"n":1}'), 12.25)
            ledger.on_sent(Line("b", b"\xff{"), 12.5)
            ledger.on_ack("a", 12.25, Seq(7))
            ledger.on_error("b", "utf8", "byte 0")
        self.assertEqual(
            read_entries(self.path),
            [
                LineSent("a", 12.25, '{"n":1}'),
                LineSent("b", 12.5, "\\xff{"),
                LineAcked("a", 12.25, Seq(7)),
                LineRefused("b", "utf8", "byte 0"),
            ],
        )

    def test_a_record_is_out_when_the_call_returns(self) -> None:
        """A sender killed right after the acknowledgement has still recorded it."""
        with LedgerFile(self.path) as ledger:
            ledger.on_ack("a", 1.0, Seq(7))
            self.assertEqual(read_entries(self.path), [LineAcked("a", 1.0, Seq(7))])

    def test_two_runs_share_a_file(self) -> None:
        """Opening appends; what is there stays."""
        for n in (1, 2):
            with LedgerFile(self.path) as ledger:
                ledger.on_ack(f"line-{n}", 1.0, Seq(n))
        self.assertEqual([entry.id for entry in read_entries(self.path)], ["line-1", "line-2"])

    def test_a_record_cut_short_is_left_out(self) -> None:
        """The last line of a killed writer may be half a record; any other such line is damage, and said so."""
        with LedgerFile(self.path) as ledger:
            ledger.on_ack("a", 1.0, Seq(7))
        whole = self.path.read_bytes()
        self.path.write_bytes(whole + whole[:10])
        self.assertEqual(len(read_entries(self.path)), 1)
        self.path.write_bytes(whole[:10] + b"\n" + whole)
        with pytest.raises(msgspec.DecodeError):
            read_entries(self.path)
