"""A rehearsal says of any bytes what the gateway's own edge and journal make of them."""

from __future__ import annotations

from itertools import count
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.address import IPv4Address
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.trial.unittest import SynchronousTestCase

from lineside.assemble.config import load
from lineside.assemble.rehearsal import SENDER, Rehearsal
from lineside.assemble.translation import decoder_of, limits_of
from lineside.edges.lines.intake import Intake
from lineside.edges.lines.protocol import DeviceConnection
from lineside.journal.log import SqliteJournal
from lineside.model.batch import Batch, Receipts
from lineside.model.event import Event
from lineside.model.outcome import Refused
from lineside.model.ports import Delivery
from lineside.testing.journals import JournalOnFile

CONFIGURATION = """
[targets.erp]
type = "frappe"
url = "http://127.0.0.1:1"
api_key = { env = "KEY" }
api_secret = { env = "SECRET" }

[sources.gate]
type = "lines"
listen = "tcp:7001:interface=127.0.0.1"
dedupe = "id"
device = "reader"
max_line = 16

[routes.note]
doctype = "ToDo"
document = { description = "{{ event.id }} of {{ text }}" }
"""
# Lines are over-long at 17 bytes, so that small examples have them.

PIECES = [
    b"\n",
    b"\r",
    b"\r\n",
    b" ",
    b'{"id":1}',
    b'{"id":2}',
    b'{"reader":"a"}',
    b"\xff",
    b"[]",
    b"0123456789" * 8,
]
STREAMS = st.lists(st.sampled_from(PIECES), max_size=30).map(b"".join)


class Overheard:
    """A journal that tells what was appended through it, and whether it was a repeat."""

    def __init__(self, journal: SqliteJournal) -> None:
        self.read = journal.read
        self.on_commit = journal.on_commit
        self.heard: list[tuple[Event, bool]] = []
        self._journal = journal

        self.append = journal.append

    async def append_batches(self, source: str, batches: list[Batch]) -> list[Receipts]:
        told = await self._journal.append_batches(source, batches)
        for batch, receipts in zip(batches, told, strict=True):
            self.heard += [(event, receipt.repeated) for event, receipt in zip(batch, receipts, strict=True)]
        return told


class Rehearsing(SynchronousTestCase):
    """One source, as the gateway has it and rehearsed."""

    def setUp(self) -> None:
        path = Path("lineside.toml")
        path.write_text(CONFIGURATION)
        self.settings = load(path, {}, secrets=False)
        self.file = JournalOnFile(Path(self.mktemp()), lambda: 1)
        self.addCleanup(self.file.close)
        self.names = (f"gate-{number}" for number in count())

    def received(self, data: bytes) -> list[tuple[Event, bool]]:
        """Return what a gateway makes of a device's bytes, each time as a source of its own."""
        journal = Overheard(self.file.journal)
        table = self.settings.sources["gate"]
        clock = Clock()
        connection = DeviceConnection(Intake(next(self.names), decoder_of(table), journal, clock, limits_of(table)))
        connection.makeConnection(StringTransport(peerAddress=IPv4Address("TCP", SENDER, 1)))
        connection.dataReceived(data)
        connection.connectionLost()
        clock.advance(0)
        return journal.heard

    @given(STREAMS)
    def test_any_bytes_become_the_same_events(self, data: bytes) -> None:
        """Empty, over-long, undecodable and repeated lines are the same in the rehearsal as at the edge."""
        rehearsed = Rehearsal(self.settings, "gate", lambda: 1).lines([data])
        self.assertEqual(
            [(line.event, line.repeats is not None) for line in rehearsed if line.ended], self.received(data)
        )

    def test_events_are_numbered_as_a_journal_would(self) -> None:
        """A dead letter takes a sequence, a repeat and an empty line take none; `event.id` says so."""
        data = b'[]\n{"id":1}\n\n{"id":1}\n{"text":"x"}\n'
        lines = list(Rehearsal(self.settings, "gate", lambda: 1).lines([data]))
        self.assertEqual([line.line for line in lines], [1, 2, 4, 5])
        rendered = [line.routes.get("note") for line in lines]
        self.assertEqual([type(each) for each in rendered], [type(None), Refused, type(None), Delivery])
        assert isinstance(rendered[3], Delivery)
        self.assertEqual(rendered[3].document, {"description": "rehearsal-3 of x"})
