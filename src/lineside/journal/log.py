"""The durable log: append, read, and tell who listens."""

from __future__ import annotations

import secrets
import time
from bisect import bisect_right
from collections import deque
from collections.abc import Callable
from sqlite3 import Connection
from typing import cast

from msgspec import Struct
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from lineside.journal import deadletters
from lineside.journal.seen import Seen
from lineside.journal.segments import Stored, pack, split, unpack
from lineside.model.event import NO_SEQ, Event, Page, Receipt, Record, Seq
from lineside.store.database import Database

MAX_PAGE_BYTES = 4 * 1024 * 1024
DEFAULT_DEDUPE_WINDOW = 7 * 86400.0


class Batch(Struct, eq=False):
    """One call of `SqliteJournal.append` on its way to the disk."""

    source: str
    events: list[Stored]
    appended: Deferred[list[Receipt]]
    also: Callable[[Connection], None] | None = None
    """More to store in the same transaction."""


class Commit(Struct):
    """The batches that one write carries, known to it only once it runs."""

    batches: list[Batch]
    receipts: list[list[Receipt]]
    ran: bool = False
    """False where the transaction failed before it came to this write."""


class SqliteJournal:
    """The `Journal` over the store: appends that wait for the disk share segments and one commit.

    Args:
        database: open, with the journal's tables.
        now_ns: the wall clock, for stamps and the dedupe window only.
        dedupe_window: seconds for which a sender's key is remembered.

    """

    def __init__(
        self,
        database: Database,
        *,
        now_ns: Callable[[], int] = time.time_ns,
        dedupe_window: float = DEFAULT_DEDUPE_WINDOW,
    ) -> None:
        self._database = database
        self._now_ns = now_ns
        self._seen = Seen(int(dedupe_window * 1e9))
        self._waiting: deque[Batch] = deque()
        self._scheduled = False
        self._listeners: list[Callable[[list[Record]], None]] = []
        self._wakers: list[Callable[[str], None]] = []
        self.epoch = ""
        self.run = secrets.token_hex(8)
        self.head = NO_SEQ

    async def open(self) -> None:
        """Read the epoch and the head."""

        def read(connection: Connection) -> tuple[str, Seq]:
            (epoch,) = connection.execute("SELECT epoch FROM journal").fetchone()
            return epoch, _head(connection)

        self.epoch, self.head = await self._database.read(read)

    async def append(
        self, source: str, events: list[Event], *, also: Callable[[Connection], None] | None = None
    ) -> list[Receipt]:
        """Store events, and ``also`` in the same transaction; see `lineside.model.ports.Journal.append`."""
        received = self._now_ns()
        appended: Deferred[list[Receipt]] = Deferred()
        self._waiting.append(Batch(source, [Stored.of(event, received) for event in events], appended, also))
        if not self._scheduled:
            self._scheduled = True
            commit = Commit([], [])
            self._database.write(lambda connection: self._commit(connection, commit)).addBoth(self._tell, commit)
        return await appended

    async def read(self, after: Seq, *, sources: frozenset[str] | None = None, limit: int = 256) -> Page:
        """Return records above ``after``; see `lineside.model.ports.Journal.read`."""
        return await self._database.read(lambda connection: self._page(connection, after, sources, limit))

    async def last(self, count: int, *, sources: frozenset[str] | None = None) -> list[Record]:
        """Return the newest ``count`` records of these sources, oldest first; fewer where they are very large."""

        def read(connection: Connection) -> list[Record]:
            names = _source_names(connection)
            newest: list[Record] = []
            size = 0
            rows = connection.execute(
                f"""SELECT first, source, run, events FROM segment
                    WHERE {_among(names, sources)} ORDER BY first DESC"""
            )
            for first, source, run, blob in rows:
                for record in reversed(_records(first, names[source], run, blob)):
                    if len(newest) == count or size > MAX_PAGE_BYTES:
                        return newest[::-1]
                    newest.append(record)
                    size += record.event.size
            return newest[::-1]

        return await self._database.read(read)

    async def get(self, seqs: list[Seq]) -> dict[Seq, Record]:
        """Return those of the records that are still kept."""

        def read(connection: Connection) -> dict[Seq, Record]:
            names = _source_names(connection)
            found: dict[Seq, Record] = {}
            wanted = sorted(set(seqs))
            start = 0
            while start < len(wanted):
                row = connection.execute(
                    """SELECT first, last, source, run, events FROM segment
                       WHERE first <= ? ORDER BY first DESC LIMIT 1""",
                    (wanted[start],),
                ).fetchone()
                # Those of one segment stand together: each segment is read once.
                end = start + 1 if row is None else max(start + 1, bisect_right(wanted, row[1]))
                here = set(wanted[start:end])
                start = end
                if row is not None:
                    records = _records(row[0], names[row[2]], row[3], row[4])
                    found.update((record.seq, record) for record in records if record.seq in here)
            return found

        return await self._database.read(read)

    def on_commit(self, published: Callable[[list[Record]], None]) -> Callable[[], None]:
        """Call ``published`` with each commit's new records; see `lineside.model.ports.Journal.on_commit`."""
        self._listeners.append(published)
        return lambda: self._listeners.remove(published)

    def on_append(self, wake: Callable[[str], None]) -> Callable[[], None]:
        """Call ``wake`` with the source of each commit that stored something; returns a function that ends it.

        For who reads the journal at a pace of its own: unlike `on_commit` it costs nothing a record.
        """
        self._wakers.append(wake)
        return lambda: self._wakers.remove(wake)

    def _commit(self, connection: Connection, commit: Commit) -> None:
        # Runs on the writer's thread. The flag falls before the queue is emptied: an append that finds it
        # still raised is in the queue already, and one that comes later schedules a write of its own.
        commit.ran = True
        self._take_waiting(commit)
        last = _head(connection)
        for source, batches in _by_source(commit.batches):
            identifier = _source_id(connection, source)
            fresh: list[Stored] = []
            for batch in batches:
                if batch.also is not None:
                    batch.also(connection)
                receipts = []
                for stored in batch.events:
                    known = self._seen.find(connection, identifier, stored)
                    if known is not None:
                        receipts.append(Receipt(known, repeated=True))
                        continue
                    last = Seq(last + 1)
                    fresh.append(stored)
                    receipts.append(Receipt(last, repeated=False, error=stored.error))
                    self._seen.add(connection, identifier, stored, last)
                    if stored.error is not None:
                        deadletters.keep_undecodable(connection, self._record(last, source, stored))
                commit.receipts.append(receipts)
            first = Seq(last - len(fresh) + 1)
            for segment in split(fresh):
                end, received_ns = first + len(segment) - 1, segment[-1].received_ns
                connection.execute(
                    "INSERT INTO segment (first, last, source, run, received_ns, events) VALUES (?,?,?,?,?,?)",
                    (first, end, identifier, self.run, received_ns, pack(segment)),
                )
                first = Seq(first + len(segment))
            self._seen.prune(connection, self._now_ns(), limit=16 + 2 * len(fresh))

    def _take_waiting(self, commit: Commit) -> None:
        self._scheduled = False
        while self._waiting:
            commit.batches.append(self._waiting.popleft())

    def _tell(self, result: Failure | None, commit: Commit) -> None:
        if isinstance(result, Failure):
            if not commit.ran:
                # No other write is scheduled while the flag is raised, so that nobody else empties the queue.
                self._take_waiting(commit)
            for batch in commit.batches:
                batch.appended.errback(result)
            return
        ordered = [batch for _, batches in _by_source(commit.batches) for batch in batches]
        told = list(zip(ordered, commit.receipts, strict=True))
        # A repeat has an older sequence than the head, so that it moves nothing.
        self.head = max([self.head, *(receipt.seq for _, receipts in told for receipt in receipts)])
        # Senders first: whatever a listener raises, nobody waits for an answer in vain.
        for batch, receipts in told:
            batch.appended.callback(receipts)
        for source in {batch.source for batch in ordered}:
            for wake in list(self._wakers):
                wake(source)
        for batch, receipts in told:
            self._publish(batch, receipts)

    def _publish(self, batch: Batch, receipts: list[Receipt]) -> None:
        if not self._listeners:
            return
        fresh = [
            self._record(receipt.seq, batch.source, stored)
            for receipt, stored in zip(receipts, batch.events, strict=True)
            if not receipt.repeated
        ]
        if fresh:
            for published in list(self._listeners):
                published(fresh)

    def _record(self, seq: Seq, source: str, stored: Stored) -> Record:
        return Record(seq, self.run, source, stored.received_ns, stored.event)

    def _page(self, connection: Connection, after: Seq, sources: frozenset[str] | None, limit: int) -> Page:
        names = _source_names(connection)
        (oldest,) = connection.execute("SELECT MIN(first) FROM segment").fetchone()
        floor = NO_SEQ if oldest is None else Seq(oldest - 1)
        head = _head(connection)
        records: list[Record] = []
        size = 0
        rows = connection.execute(
            f"""SELECT first, source, run, events FROM segment
                WHERE first >= (SELECT COALESCE(MAX(first), 0) FROM segment WHERE first <= ?)
                AND last > ? AND {_among(names, sources)} ORDER BY first""",
            (after, after),
        )
        for first, source, run, blob in rows:
            for record in _records(first, names[source], run, blob):
                if record.seq > after:
                    if len(records) == limit or size > MAX_PAGE_BYTES:
                        return Page(records, records[-1].seq, floor, head)
                    records.append(record)
                    size += record.event.size
        return Page(records, max(after, head), floor, head)


def _records(first: int, source: str, run: str, blob: bytes) -> list[Record]:
    return [
        Record(Seq(first + index), run, source, stored.received_ns, stored.event)
        for index, stored in enumerate(unpack(blob))
    ]


def _by_source(batches: list[Batch]) -> list[tuple[str, list[Batch]]]:
    grouped: dict[str, list[Batch]] = {}
    for batch in batches:
        grouped.setdefault(batch.source, []).append(batch)
    return list(grouped.items())


def _head(connection: Connection) -> Seq:
    (last,) = connection.execute(
        "SELECT MAX(last) FROM segment WHERE first = (SELECT MAX(first) FROM segment)"
    ).fetchone()
    return NO_SEQ if last is None else Seq(last)


def _source_names(connection: Connection) -> dict[int, str]:
    return dict(connection.execute("SELECT id, name FROM source"))


def _source_id(connection: Connection, name: str) -> int:
    row = connection.execute("SELECT id FROM source WHERE name = ?", (name,)).fetchone()
    if row is None:
        row = connection.execute("INSERT INTO source (name) VALUES (?) RETURNING id", (name,)).fetchone()
    return cast(int, row[0])


def _among(names: dict[int, str], sources: frozenset[str] | None) -> str:
    # Identifiers are integers of our own table, so that they may stand in the statement.
    if sources is None:
        return "1"
    return f"source IN ({','.join(str(identifier) for identifier, name in names.items() if name in sources)})"
