"""A source of files on a journal of its own, without threads and with a clock turned by hand."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable
from pathlib import Path
from random import Random
from sqlite3 import Connection
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from lineside.edges.files import reading
from lineside.edges.files.answers import Answers
from lineside.edges.files.aside import Aside
from lineside.edges.files.intake import Intake, Places, Rules
from lineside.journal.consumer import DurableConsumer
from lineside.journal.watched import WatchedJournal
from lineside.model.event import Record, Seq
from lineside.model.outcome import Outcome
from lineside.model.ports import ConsumerSpec, TakenFile
from lineside.model.traffic import Traffic
from lineside.testing.journals import JournalOnFile
from lineside.testing.workers import InlineWorker, call_at_once
from lineside.wire.csv import Csv
from lineside.wire.rows.cutting import QuotedRows
from lineside.wire.rows.forms import RowForm, Trailer
from lineside.wire.rows.reading import CsvSheet

PLAIN = RowForm(
    lambda: QuotedRows(",", '"', 100), lambda sender: CsvSheet(Csv(("code", "qty")), sender, header=False)
)
TRAILER = RowForm(PLAIN.rows, PLAIN.sheet, trailer=Trailer(re.compile(r"END,(?P<count>\d+)"), "utf-8"))


def wanted(record: Record) -> bool:
    """Tell whether the route takes a row."""
    return b'"skip"' not in record.event.body


class FileCase(SynchronousTestCase):
    """One source, ``edi``, and one route, ``copy``, which takes all its rows but those whose code is ``skip``."""

    form = PLAIN
    max_spool = 1_000
    partial_after = 60.0
    rows_at_once = 4_096

    def setUp(self) -> None:
        self.folder = Path(self.mktemp())
        (self.folder / "in").mkdir(parents=True)
        self.now = 1_000 * 10**9
        self.file = JournalOnFile(self.folder / "journal.db", lambda: self.now)
        self.addCleanup(self.file.close)
        self.patch(reading, "ROWS", self.rows_at_once)
        self.begin()
        self.addCleanup(self.stop)

    def begin(self) -> None:
        """Start it as a process does."""
        self.clock = Clock()
        self.ledger = WatchedJournal(self.file.journal, Traffic(0.0), self.clock, lambda: self.now)
        spec = ConsumerSpec("copy", frozenset({"edi"}), wanted, lambda _: None)
        self.consumer = DurableConsumer(spec, self.file.journal, self.file.database, self.clock)
        self.done(self.consumer.open())
        places = Places(self.folder / "outbox", self.folder / "archive")
        rules = Rules(self.form, self.folder / "spool", lambda _: places, self.max_spool, 90 * 86_400.0)
        aside = [Aside(name, call_at_once, InlineWorker) for name in ("taking", "reading", "answers")]
        self.intake = Intake(
            "edi",
            rules,
            self.ledger,
            self.file.database,
            self.clock,
            Random(1),
            lambda: self.now,
            taking=aside[0],
            reading=aside[1],
        )
        self.answers = Answers(
            "edi",
            rules.places,
            self.file.database,
            lambda: {"copy": self.consumer.floor},
            self.clock,
            lambda: self.now,
            partial_after=self.partial_after,
            aside=aside[2],
        )
        self.intake.on_decided = self.answers.look
        self.done(self.answers.start())
        self.done(self.intake.start())

    def stop(self) -> None:
        """Stop it in order."""
        self.done(self.intake.stop())
        self.done(self.answers.stop())
        self.done(self.consumer.close())

    def restart(self) -> None:
        """Go on as a new process."""
        self.stop()
        self.file.restart()
        self.begin()

    def done(self, work: Any) -> Any:
        """Return what a coroutine that waits for nothing returns."""
        return self.successResultOf(Deferred.fromCoroutine(work))

    def put(self, content: bytes, name: str = "a.csv") -> Path:
        """Put a file where it can be taken."""
        path = self.folder / "in" / name
        path.write_bytes(content)
        return path

    def take(self, content: bytes, name: str = "a.csv", sender: str = "acme") -> TakenFile:
        """Give a file, and let what waits go on."""
        taken: TakenFile = self.done(self.intake.take(self.put(content, name), name, sender))
        return taken

    def records(self) -> list[Record]:
        """Return all events."""
        records: list[Record] = self.done(self.file.journal.read(Seq(0), limit=10_000)).records
        return records

    def deliver(self, outcome: Callable[[Record], Outcome], limit: int = 1_000) -> None:
        """Let the route decide about what it is handed."""
        pulled = self.done(self.consumer.pull(limit))
        self.done(self.consumer.settle([(pending, outcome(pending.record)) for pending in pulled]))

    def wait(self, seconds: float) -> None:
        """Let time pass, for both clocks."""
        for _ in range(int(seconds)):
            self.now += 10**9
            self.clock.advance(1)

    def answer(self, name: str = "a.csv") -> list[dict[str, str]] | None:
        """Return the rows of an answer; None where there is none."""
        path = self.folder / "outbox" / f"{name}.result.csv"
        if not path.exists():
            return None
        return list(csv.DictReader(io.StringIO(path.read_text(encoding="utf-8"), newline="")))

    def stored(self, query: str) -> list[Any]:
        """Ask the journal's database."""

        def read(connection: Connection) -> list[Any]:
            return connection.execute(query).fetchall()

        rows: list[Any] = self.successResultOf(self.file.database.read(read))
        return rows
