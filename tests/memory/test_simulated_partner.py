"""A simulated partner against a drop box that cuts, keeps it waiting or is another's."""

from __future__ import annotations

from datetime import date
from random import Random

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from lineside.model.errors import LinesideError
from lineside.testing.orders import csv_orders, edifact_order
from lineside.testing.partner import FileAnswered, FileEntry, FileSent, FileTaken, Hopeless, OrderFile, Partner

FILES = [OrderFile(f"{name}.csv", name.encode()) for name in ("a", "b")]
HEAD = b"row,sequence,status,document,error\r\n"


class PlayedBox:
    """A drop box of one's own making."""

    def __init__(self) -> None:
        self.inbox: list[tuple[str, bytes]] = []
        self.outbox: dict[str, bytes] = {}
        self.cuts = 0
        """How many times a file is cut off when it is sent."""
        self.visits = self.left = 0
        self.stranger = False

    async def connect(self) -> PlayedBox:
        if self.stranger:
            raise Hopeless("another key")
        self.visits += 1
        return self

    async def put(self, name: str, content: bytes) -> None:
        if self.cuts:
            self.cuts -= 1
            raise LinesideError("cut")
        self.inbox.append((name, content))

    async def answers(self) -> list[str]:
        return [*self.outbox]

    async def fetch(self, name: str) -> bytes:
        return self.outbox[name]

    async def remove(self, name: str) -> None:
        del self.outbox[name]

    def leave(self) -> None:
        self.left += 1


class Playing(SynchronousTestCase):
    """Two files."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.box = PlayedBox()
        self.entries: list[FileEntry] = []
        self.partner = Partner(
            self.clock, self.box.connect, FILES, self.entries.append, patience=30.0, now=lambda: 7.0
        )

    def begin(self) -> Deferred[object]:
        return Deferred.fromCoroutine(self.partner.run(lambda _: None, 1.0))

    def test_a_file_that_was_cut_off_is_sent_again(self) -> None:
        """It is told of once; the run ends when the last rows are answered, and what was read is removed."""
        self.box.cuts = 2
        running = self.begin()
        self.clock.pump([0.25, 0.5])
        self.assertEqual(self.box.inbox, [("a.csv", b"a"), ("b.csv", b"b")])
        self.assertEqual((self.box.visits, self.partner.status.reconnects, self.partner.status.sent), (3, 2, 2))
        self.box.outbox |= {
            "a.csv.result.csv": HEAD + b"1,5,delivered,SO-1,\r\n2,6,dead-letter,,bad\r\n",
            "b.csv.result.csv": HEAD + b"1,7,pending,,\r\n",
            "b.csv.contrl.edi": b"UCI",
            "others.result.csv": HEAD,
        }
        self.clock.advance(0.5)
        self.assertEqual(self.partner.status.answered, 1)
        self.assertNoResult(running)
        self.box.outbox["b.csv.result.csv"] = HEAD + b"1,7,delivered,SO-2,\r\n"
        self.clock.advance(0.5)
        self.successResultOf(running)
        self.assertEqual(self.partner.status.rows, {"dead-letter": 1, "delivered": 2})
        self.assertEqual([*self.box.outbox], ["others.result.csv"])
        self.assertEqual((self.box.left, self.clock.getDelayedCalls()), (3, []))
        self.assertEqual(
            self.entries[:4],
            [FileSent("a.csv", 7.0, "a"), FileTaken("a.csv"), FileSent("b.csv", 7.0, "b"), FileTaken("b.csv")],
        )
        last = self.entries[-1]
        assert isinstance(last, FileAnswered)
        self.assertEqual((last.file, last.receipt, last.rows[0]["document"]), ("b.csv", "UCI", "SO-2"))

    def test_it_gives_up_where_nothing_comes(self) -> None:
        """After its patience, with what is missing told."""
        running = self.begin()
        self.clock.pump([0.5] * 61)
        self.successResultOf(running)
        self.assertEqual((self.partner.status.sent, self.partner.status.unanswered), (2, 2))
        self.assertEqual((self.box.left, self.clock.getDelayedCalls()), (1, []))

    def test_it_can_be_ended(self) -> None:
        """Whatever it waits for."""
        running = self.begin()
        self.clock.advance(0.2)
        self.partner.end()
        self.successResultOf(running)
        self.assertEqual((self.box.left, self.clock.getDelayedCalls()), (1, []))

    def test_where_it_is_hopeless_it_ends(self) -> None:
        """Another gateway is not tried again."""
        self.box.stranger = True
        self.failureResultOf(self.begin(), Hopeless)
        self.assertEqual(self.clock.getDelayedCalls(), [])


class Files(SynchronousTestCase):
    """What it sends."""

    def test_each_order_has_a_number_of_its_own(self) -> None:
        """In CSV; and the same comes again from the same numbers."""
        day = date(2026, 11, 30)
        made = [csv_orders(Random(1), "r", number, 3, day) for number in (1, 1, 2)]
        self.assertEqual(made[0], made[1])
        rows = [line.split(",")[0] for each in made[1:] for line in each.decode().split("\r\n")[1:4]]
        self.assertEqual(len(set(rows)), 6)
        self.assertIn(b"UNT+23+1'UNZ+1+r00001'", edifact_order(Random(1), "r", 1, 3, day))
