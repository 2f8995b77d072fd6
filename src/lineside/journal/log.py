"""The durable log: append, read, and tell who listens."""

from __future__ import annotations

import secrets
import time
from bisect import bisect_right
from collections import deque
from collections.abc import Callable
from itertools import islice
from sqlite3 import Connection
from typing import cast

from msgspec import Struct
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from lineside.journal import deadletters
from lineside.journal.seen import Seen
from lineside.journal.segments import FORMAT, Columns, Gathering, pack, unpack
from lineside.model.batch import Batch, Receipts
from lineside.model.errors import JournalFull
from lineside.model.event import NO_SEQ, Event, Page, Receipt, Record, Seq
from lineside.store.database import Database

MAX_PAGE_BYTES = 4 * 1024 * 1024
DEFAULT_DEDUPE_WINDOW = 7 * 86400.0


class Appending(Struct, eq=False):
    """One call of `SqliteJournal.append_batches` on its way to the disk."""

    source: str
    batches: list[Batch]
    received_ns: int
    appended: Deferred[list[Receipts]]
    also: Callable[[Connection], None] | None = None
    """More to store in the same transaction."""
    note: Callable[[Connection, list[Receipts]], None] | None = None
    """What its sender keeps of the receipts, in the same transaction."""


class Commit(Struct):
    """What one write carries, known to it only once it runs."""

    appendings: list[Appending]
    receipts: list[list[Receipts]]
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
        self._waiting: deque[Appending] = deque()
        self._scheduled = False
        self._sources: dict[str, int] = {}
        self._listeners: list[Callable[[list[Record]], None]] = []
        self._wakers: list[Callable[[str], None]] = []
        self.epoch = ""
        self.run = secrets.token_hex(8)
        self.head = NO_SEQ
        self.refusal: str | None = None
        """Why no event is taken at present; see `lineside.journal.retention`."""

    async def open(self) -> None:
        """Read the epoch and the head."""

        def read(connection: Connection) -> tuple[str, Seq]:
            (epoch,) = connection.execute("SELECT epoch FROM journal").fetchone()
            return epoch, _head(connection)

        self.epoch, self.head = await self._database.read(read)
        await self._database.write(self._seen.follow)

    async def append(
        self, source: str, events: list[Event], *, also: Callable[[Connection], None] | None = None
    ) -> list[Receipt]:
        """Store events, and ``also`` in the same transaction; see `lineside.model.ports.Journal.append`."""
        batches = [Batch.of(events)] if events else []
        return [
            receipt for receipts in await self.append_batches(source, batches, also=also) for receipt in receipts
        ]

    async def append_batches(
        self,
        source: str,
        batches: list[Batch],
        *,
        also: Callable[[Connection], None] | None = None,
        note: Callable[[Connection, list[Receipts]], None] | None = None,
    ) -> list[Receipts]:
        """Store batches, and ``also`` in the same transaction; see `lineside.model.ports.Journal`.

        ``note`` is called there too, with what is going to be returned.
        """
        if self.refusal is not None:
            raise JournalFull(self.refusal)
        appended: Deferred[list[Receipts]] = Deferred()
        self._waiting.append(Appending(source, batches, self._now_ns(), appended, also, note))
        if not self._scheduled:
            self._scheduled = True
            commit = Commit([], [])
            self._database.write(
                lambda connection: self._commit(connection, commit),
                lambda connection: self._commit_alone(connection, commit),
            ).addBoth(self._tell, commit)
        return await appended

    async def known(self, source: str, keys: list[str | None]) -> dict[int, Seq]:
        """Return by their place the sequences of those keys that an append would take for repeats."""

        def look(connection: Connection) -> dict[int, Seq]:
            row = connection.execute("SELECT id FROM source WHERE name = ?", (source,)).fetchone()
            return {} if row is None else self._seen.known(connection, row[0], keys, self._now_ns())

        # The keys are known by heart on the writer's thread; nothing is written, and so nothing synced.
        return await self._database.write(look)

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
                f"""SELECT first, source, run, format, events FROM segment
                    WHERE {_among(names, sources)} ORDER BY first DESC"""
            )
            for first, source, run, form, blob in rows:
                for record in reversed(_records(first, names[source], run, form, blob)):
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
                    """SELECT first, last, source, run, format, events FROM segment
                       WHERE first <= ? ORDER BY first DESC LIMIT 1""",
                    (wanted[start],),
                ).fetchone()
                # Those of one segment stand together: each segment is read once.
                end = start + 1 if row is None else max(start + 1, bisect_right(wanted, row[1]))
                here = set(wanted[start:end])
                start = end
                if row is not None:
                    records = _records(row[0], names[row[2]], *row[3:])
                    found.update((record.seq, record) for record in records if record.seq in here)
            return found

        return await self._database.read(read)

    def forget_keys(self, connection: Connection) -> bool:
        """Forget some of the senders' keys that the dedupe window has passed; whether there may be more.

        On the writer's thread. Appends do it too: this is for a journal that takes none.
        """
        return self._seen.prune(connection, self._now_ns())

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
        for source, appendings in _by_source(commit.appendings):
            identifier = self._source_id(connection, source)
            fresh = Gathering()
            for appending in appendings:
                if appending.also is not None:
                    appending.also(connection)
                receipts = []
                for batch in appending.batches:
                    numbered = self._number(connection, identifier, appending, batch, last)
                    last = numbered.last
                    receipts.append(numbered)
                    if stored := _fresh(batch, numbered):
                        fresh.add(stored, appending.received_ns)
                commit.receipts.append(receipts)
                if appending.note is not None:
                    appending.note(connection, receipts)
            first = last - len(fresh) + 1
            for segment in fresh.segments():
                end = first + len(segment.bodies) - 1
                connection.execute(
                    """INSERT INTO segment (first, last, source, run, received_ns, format, events)
                       VALUES (?,?,?,?,?,?,?)""",
                    (first, end, identifier, self.run, segment.received_ns, FORMAT, pack(segment)),
                )
                first = end + 1
            self._seen.prune(connection, self._now_ns())

    def _commit_alone(self, connection: Connection, commit: Commit) -> bool:
        """Do what `_commit` does, if a single new segment is all that is to be stored; return whether it was."""
        commit.ran = True
        self._take_waiting(commit)
        source = self._sources.get(commit.appendings[0].source)
        only = None if source is None else _only_segment(commit.appendings)
        if only is None:
            return False
        # The sequence goes on within the statement, and the new row's number tells where.
        first = connection.execute(
            """INSERT INTO segment (first, last, source, run, received_ns, format, events)
               SELECT head + 1, head + ?, ?, ?, ?, ?, ? FROM (
                   SELECT COALESCE(MAX(last), 0) AS head FROM segment
                   WHERE first = (SELECT MAX(first) FROM segment)
               )""",
            (len(only.bodies), source, self.run, only.received_ns, FORMAT, pack(only)),
        ).lastrowid
        assert first is not None
        for appending in commit.appendings:
            receipts = []
            for batch in appending.batches:
                receipts.append(Receipts(Seq(first), len(batch)))
                first += len(batch)
            commit.receipts.append(receipts)
        return True

    def _source_id(self, connection: Connection, name: str) -> int:
        known = self._sources.get(name)
        if known is not None:
            return known
        row = connection.execute("SELECT id FROM source WHERE name = ?", (name,)).fetchone()
        if row is None:
            # Its transaction may yet fail: it is known when it is found.
            row = connection.execute("INSERT INTO source (name) VALUES (?) RETURNING id", (name,)).fetchone()
            return cast(int, row[0])
        return self._sources.setdefault(name, row[0])

    def _number(
        self, connection: Connection, identifier: int, appending: Appending, batch: Batch, last: Seq
    ) -> Receipts:
        first = Seq(last + 1)
        repeats: dict[int, Seq] = {}
        if batch.keys is not None:
            repeats = self._seen.sift(connection, identifier, batch.keys, appending.received_ns, first)
        receipts = Receipts(first, len(batch), repeats, batch.errors)
        if batch.errors:
            for receipt, event in zip(receipts, batch, strict=True):
                if receipt.error is not None:
                    record = self._record(receipt.seq, appending, event)
                    deadletters.keep_undecodable(connection, record)
        return receipts

    def _take_waiting(self, commit: Commit) -> None:
        self._scheduled = False
        while self._waiting:
            commit.appendings.append(self._waiting.popleft())

    def _tell(self, result: Failure | None, commit: Commit) -> None:
        if isinstance(result, Failure):
            if not commit.ran:
                # No other write is scheduled while the flag is raised, so that nobody else empties the queue.
                self._take_waiting(commit)
            for appending in commit.appendings:
                appending.appended.errback(result)
            return
        ordered = [appending for _, appendings in _by_source(commit.appendings) for appending in appendings]
        told = list(zip(ordered, commit.receipts, strict=True))
        # Where all were repeats it moves nothing.
        self.head = max([self.head, *(each.last for _, receipts in told for each in receipts)])
        # Senders first: whatever a listener raises, nobody waits for an answer in vain.
        for appending, receipts in told:
            appending.appended.callback(receipts)
        for source in {appending.source for appending in ordered}:
            for wake in list(self._wakers):
                wake(source)
        for appending, receipts in told:
            self._publish(appending, receipts)

    def _publish(self, appending: Appending, receipts: list[Receipts]) -> None:
        if not self._listeners:
            return
        fresh = [
            self._record(receipt.seq, appending, event)
            for batch, numbered in zip(appending.batches, receipts, strict=True)
            for receipt, event in zip(numbered, batch, strict=True)
            if not receipt.repeated
        ]
        if fresh:
            for published in list(self._listeners):
                published(fresh)

    def _record(self, seq: Seq, appending: Appending, event: Event) -> Record:
        return Record(seq, self.run, appending.source, appending.received_ns, event)

    def _page(self, connection: Connection, after: Seq, sources: frozenset[str] | None, limit: int) -> Page:
        names = _source_names(connection)
        (oldest,) = connection.execute("SELECT MIN(first) FROM segment").fetchone()
        floor = NO_SEQ if oldest is None else Seq(oldest - 1)
        head = _head(connection)
        records: list[Record] = []
        size = 0
        rows = connection.execute(
            f"""SELECT first, source, run, format, events FROM segment
                WHERE first >= (SELECT COALESCE(MAX(first), 0) FROM segment WHERE first <= ?)
                AND last > ? AND {_among(names, sources)} ORDER BY first""",
            (after, after),
        )
        for first, source, run, form, blob in rows:
            for record in _records(first, names[source], run, form, blob):
                if record.seq > after:
                    if len(records) == limit or size > MAX_PAGE_BYTES:
                        return Page(records, records[-1].seq, floor, head)
                    records.append(record)
                    size += record.event.size
        return Page(records, max(after, head), floor, head)


def _records(first: int, source: str, run: str, form: int, blob: bytes) -> list[Record]:
    return [
        Record(Seq(seq), run, source, received_ns, event)
        for seq, (received_ns, event) in enumerate(unpack(form, blob), first)
    ]


def _fresh(batch: Batch, receipts: Receipts) -> Batch | None:
    if not receipts.repeats:
        return batch
    places = [place for place in range(len(batch)) if place not in receipts.repeats]
    return batch.only(places) if places else None


def _only_segment(appendings: list[Appending]) -> Columns | None:
    gathering = Gathering()
    for appending in appendings:
        more = appending.also is not None or appending.note is not None
        if more or appending.source != appendings[0].source:
            return None
        for batch in appending.batches:
            if batch.keys is not None or batch.errors:
                return None
            gathering.add(batch, appending.received_ns)
    segments = list(islice(gathering.segments(), 2))
    return segments[0] if len(segments) == 1 else None


def _by_source(appendings: list[Appending]) -> list[tuple[str, list[Appending]]]:
    grouped: dict[str, list[Appending]] = {}
    for appending in appendings:
        grouped.setdefault(appending.source, []).append(appending)
    return list(grouped.items())


def _head(connection: Connection) -> Seq:
    (last,) = connection.execute(
        "SELECT MAX(last) FROM segment WHERE first = (SELECT MAX(first) FROM segment)"
    ).fetchone()
    return NO_SEQ if last is None else Seq(last)


def _source_names(connection: Connection) -> dict[int, str]:
    return dict(connection.execute("SELECT id, name FROM source"))


def _among(names: dict[int, str], sources: frozenset[str] | None) -> str:
    # Identifiers are integers of our own table, so that they may stand in the statement.
    if sources is None:
        return "1"
    return f"source IN ({','.join(str(identifier) for identifier, name in names.items() if name in sources)})"
