"""A route's durable place in the journal: hands records out, and stores what became of them."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from functools import partial
from sqlite3 import Connection

from msgspec import Struct
from twisted.internet.defer import DeferredLock
from twisted.internet.interfaces import IDelayedCall, IReactorTime

from lineside.journal import deadletters
from lineside.journal.backlog import Backlog, unread
from lineside.journal.deadletters import DeadLetter
from lineside.journal.log import SqliteJournal
from lineside.journal.progress import Changes, Progress
from lineside.journal.reordering import read_backlogs, store_reordered
from lineside.model.errors import JournalUnusable
from lineside.model.event import NO_SEQ, Record, Seq
from lineside.model.outcome import Delivered, Outcome, Refused, Retry, Skipped
from lineside.model.ports import ConsumerSpec, Pending
from lineside.store.database import Database

PAGE = 256
PAGES_A_PULL = 8
STORE_EVERY = 10_000
"""So many records that are none of its business make a consumer store its cursor."""
MAX_TRACKED_BYTES = 64 * 1024 * 1024


class _Stored(Struct):
    cursor: Seq
    order_by: str | None
    gaps: dict[Seq, int]
    backlogs: dict[str, Seq]
    retrying: list[DeadLetter]


class DurableConsumer:
    """The `Consumer` over the journal's tables.

    Call `open` first. One `pull` at a time; `settle` may overlap it. Undecodable events are not handed
    out: they are dead letters already.
    """

    def __init__(
        self,
        spec: ConsumerSpec,
        journal: SqliteJournal,
        database: Database,
        clock: IReactorTime,
        *,
        now_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self.spec = spec
        self._journal = journal
        self._database = database
        self._clock = clock
        self._now_ns = now_ns
        self._records: dict[Seq, Record] = {}
        self._bytes = 0
        self._readmitted: set[Seq] = set()
        self._wake: Callable[[], None] = lambda: None
        self._timer: IDelayedCall | None = None
        self._storing = DeferredLock()
        self._unstored: list[Callable[[Connection], None]] = []
        self._stored_floor = NO_SEQ
        self._unsubscribe: Callable[[], None] | None = None

    async def open(self) -> None:
        """Restore what is stored under this name, or begin where ``deliver_policy`` says.

        Raises:
            JournalUnusable: a record that is owed is not in the journal.

        """
        name = self.spec.id

        def restore(connection: Connection) -> _Stored:
            row = connection.execute("SELECT cursor, order_by FROM consumer WHERE id = ?", (name,)).fetchone()
            if row is None:
                row = (self._beginning(), self.spec.order_by)
                connection.execute("INSERT INTO consumer (id, cursor, order_by) VALUES (?, ?, ?)", (name, *row))
            gaps = connection.execute("SELECT seq, attempts FROM gap WHERE consumer = ? ORDER BY seq", (name,))
            backlogs = connection.execute("SELECT key, after FROM backlog WHERE consumer = ?", (name,))
            return _Stored(Seq(row[0]), row[1], dict(gaps), dict(backlogs), deadletters.retrying(connection, name))

        stored = await self._database.write(restore)
        cursor, gaps, backlogs, retrying = stored.cursor, stored.gaps, stored.backlogs, stored.retrying
        if stored.order_by != self.spec.order_by:
            waiting = await self._reorder(stored)
            gaps = dict(sorted({**{record.seq: 0 for record in waiting}, **gaps}.items()))
            backlogs = {}
        records = await self._journal.get(list(gaps))
        for letter in retrying:
            records[letter.record.seq] = letter.record
            self._readmitted.add(letter.record.seq)
        if missing := gaps.keys() - records.keys():
            raise JournalUnusable(f"the journal has lost record {min(missing)}, which route {name} still owes")
        self._progress = Progress(cursor, backlogs, max_ack_pending=self.spec.max_ack_pending)
        for seq, attempts in gaps.items():
            record = records[seq]
            self._progress.restore(seq, self.spec.order_key(record), attempts)
            self._keep(record)
        self._stored_floor = self._progress.floor
        self._unsubscribe = self._journal.on_append(self._appended)

    def _beginning(self) -> Seq:
        match self.spec.deliver_policy:
            case "all":
                return NO_SEQ
            case "new":
                return self._journal.head
            case after:
                return min(Seq(after), self._journal.head)

    async def _reorder(self, stored: _Stored) -> list[Record]:
        waiting: list[Record] = []
        if stored.backlogs:
            waiting = await read_backlogs(self._journal, self.spec, stored.order_by, stored.backlogs, stored.cursor)
        await self._database.write(partial(store_reordered, spec=self.spec, waiting=waiting))
        return waiting

    async def close(self) -> None:
        """Store how far it came, and stop waking anyone."""
        if self._unsubscribe is not None:
            self._unsubscribe()
            self._unsubscribe = None
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        self._timer = None
        self._wake = lambda: None
        await self._store()

    def on_ready(self, wake: Callable[[], None]) -> None:
        """Call ``wake`` after commits, when a backoff ends, and when a pull stopped short of the head."""
        self._wake = wake

    @property
    def floor(self) -> Seq:
        """Nothing at or below is unsettled, and that is stored."""
        return self._stored_floor if self._unstored else self._progress.floor

    @property
    def pending(self) -> int:
        """How many records are out or in backoff."""
        return self._progress.outstanding

    async def pull(self, limit: int) -> list[Pending]:
        """Hand out up to ``limit`` records; see `lineside.model.ports.Consumer.pull`."""
        for key, after in self._progress.short_backlogs():
            await self._catch_up(key, after)
        for _ in range(PAGES_A_PULL):
            if not (self._progress.wants(limit) and self._bytes < MAX_TRACKED_BYTES and await self._read_on()):
                break
        else:
            self._clock.callLater(0, self._wake_up)
        if self._progress.unstored >= STORE_EVERY:
            await self._store()
        taken = self._progress.take(limit, self._clock.seconds())
        self._set_timer()
        return [
            Pending(self._records[gap.seq], attempt=gap.attempts + 1, redelivered=gap.tries > 1) for gap in taken
        ]

    async def settle(self, done: list[tuple[Pending, Outcome]]) -> None:
        """Store outcomes; see `lineside.model.ports.Consumer.settle`.

        A `Retry` needs ``after``. If storing fails nothing is forgotten: the next call, with an empty
        list too, stores it all.
        """
        for pending, outcome in done:
            self._apply(pending, outcome)
        self._set_timer()
        await self._store()
        self._wake()

    async def readmit(self, letter: DeadLetter) -> bool:
        """Hand a dead letter of this consumer out again; False if that is under way already."""
        if not self._progress.readmit(letter.record.seq, self.spec.order_key(letter.record)):
            return False
        self._keep(letter.record)
        self._readmitted.add(letter.record.seq)
        self._unstored.append(lambda connection: deadletters.mark_retrying(connection, letter))
        await self._store()
        self._wake()
        return True

    async def backlog(self) -> Backlog:
        """Return how much is owed or not read yet."""
        after = self._progress.cursor
        ahead = await self._database.read(partial(unread, sources=self.spec.sources, after=after))
        arrived = [] if ahead.oldest_ns is None else [ahead.oldest_ns]
        if self._records:
            arrived.append(self._records[min(self._records)].received_ns)
        return Backlog(
            ahead.waiting + self._progress.tracked,
            ahead.more or self._progress.backlogged,
            min(arrived, default=None),
        )

    async def _read_on(self) -> bool:
        before = self._progress.cursor
        page = await self._journal.read(before, sources=self.spec.sources, limit=PAGE)
        for record in page.records:
            if self._owes(record) and self._progress.admit(record.seq, self.spec.order_key(record)):
                self._keep(record)
        self._progress.advance(page.next_after)
        return page.next_after > before

    async def _catch_up(self, key: str, after: Seq) -> None:
        page = await self._journal.read(after, sources=self.spec.sources, limit=PAGE)
        reached = min(page.next_after, self._progress.cursor)
        found = [
            record
            for record in page.records
            if record.seq <= reached and self._owes(record) and self.spec.order_key(record) == key
        ]
        room = self._progress.lane_room(key)
        if room <= 0:
            # Dead letters that are tried again have filled the lane meanwhile.
            return
        if len(found) > room:
            found = found[:room]
            reached = found[-1].seq
        for record in found:
            self._keep(record)
        self._progress.catch_up(key, [record.seq for record in found], reached)
        if reached < self._progress.cursor:
            self._clock.callLater(0, self._wake_up)

    def _owes(self, record: Record) -> bool:
        return record.event.error is None and self.spec.accepts(record)

    def _apply(self, pending: Pending, outcome: Outcome) -> None:
        record = pending.record
        seq = record.seq
        match outcome:
            case Retry(counts=True) if pending.attempt >= self.spec.max_deliver:
                outcome = Refused("max-deliver", f"failed {pending.attempt} times, last: {outcome.reason}")
            case Retry():
                assert outcome.after is not None
                self._progress.retry(seq, self._clock.seconds() + outcome.after, counts=outcome.counts)
                return
            case Delivered() | Refused() | Skipped():
                pass
            case _:
                self._progress.release(seq)
                return
        self._progress.settle(seq)
        self._bytes -= self._records.pop(seq).event.size
        if seq in self._readmitted:
            self._readmitted.remove(seq)
            self._unstored.append(lambda connection: deadletters.forget(connection, self.spec.id, seq))
        if not isinstance(outcome, Skipped):
            self._unstored.append(_note(self.spec.id, pending, outcome, self._now_ns()))

    async def _store(self) -> None:
        await self._storing.acquire()
        try:
            changes = self._progress.changes()
            self._unstored.append(lambda connection: _store_changes(connection, self.spec.id, changes))
            unstored, floor = list(self._unstored), self._progress.floor

            def write(connection: Connection) -> None:
                for store in unstored:
                    store(connection)

            await self._database.write(write)
            del self._unstored[: len(unstored)]
            self._stored_floor = floor
        finally:
            self._storing.release()

    def _keep(self, record: Record) -> None:
        self._records[record.seq] = record
        self._bytes += record.event.size

    def _appended(self, source: str) -> None:
        if source in self.spec.sources:
            self._wake()

    def _wake_up(self) -> None:
        self._wake()

    def _set_timer(self) -> None:
        due = self._progress.next_due()
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        self._timer = None
        if due is not None:
            self._timer = self._clock.callLater(max(0.0, due - self._clock.seconds()), self._wake_up)


def _note(
    consumer: str, pending: Pending, outcome: Delivered | Refused, at_ns: int
) -> Callable[[Connection], None]:
    def store(connection: Connection) -> None:
        if isinstance(outcome, Delivered):
            connection.execute(
                """INSERT OR REPLACE INTO delivered (consumer, seq, name, found, attempts, at_ns)
                   VALUES (?, ?, ?, ?, ?, ?)""",
                (consumer, pending.record.seq, outcome.name, outcome.found, pending.attempt, at_ns),
            )
            if outcome.altered:
                connection.execute(
                    "INSERT OR REPLACE INTO altered (consumer, seq, fields) VALUES (?, ?, ?)",
                    (consumer, pending.record.seq, json.dumps([altered.field for altered in outcome.altered])),
                )
        else:
            deadletters.keep(
                connection,
                consumer,
                pending.record,
                code=outcome.code,
                reason=outcome.reason,
                reply=outcome.reply,
                attempts=pending.attempt,
                at_ns=at_ns,
            )

    return store


def _store_changes(connection: Connection, consumer: str, changes: Changes) -> None:
    connection.execute("UPDATE consumer SET cursor = ? WHERE id = ?", (changes.cursor, consumer))
    connection.executemany(
        "INSERT OR REPLACE INTO gap (consumer, seq, attempts) VALUES (?, ?, ?)",
        [(consumer, seq, attempts) for seq, attempts in changes.gaps],
    )
    connection.executemany(
        "DELETE FROM gap WHERE consumer = ? AND seq = ?", [(consumer, seq) for seq in changes.settled]
    )
    connection.executemany(
        "INSERT OR REPLACE INTO backlog (consumer, key, after) VALUES (?, ?, ?)",
        [(consumer, key, after) for key, after in changes.backlogs.items()],
    )
    connection.executemany(
        "DELETE FROM backlog WHERE consumer = ? AND key = ?", [(consumer, key) for key in changes.caught_up]
    )
