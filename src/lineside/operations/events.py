"""Events: list, show, follow."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from sqlite3 import Connection
from typing import Literal

from lineside.journal import deadletters
from lineside.journal.log import SqliteJournal
from lineside.model.errors import NotFound
from lineside.model.event import Record, Seq
from lineside.model.ports import ConsumerSpec
from lineside.operations.registry import Operations
from lineside.operations.requests import (
    DeliveryStory,
    EventList,
    EventStory,
    EventSummary,
    ListEvents,
    ShowEvent,
    TailEvents,
)
from lineside.operations.texts import moment, readable, summarize
from lineside.store.database import Database
from lineside.wakeup import Wakeup

MOST = 1000
"""Events in one answer."""


class EventOperations:
    """What may be asked of the journal's events.

    Args:
        journal: open.
        database: the journal's.
        specs: by route, how it reads the journal.

    """

    def __init__(self, journal: SqliteJournal, database: Database, specs: Mapping[str, ConsumerSpec]) -> None:
        self._journal = journal
        self._database = database
        self._specs = specs

    def register(self, operations: Operations) -> None:
        """Offer the operations."""
        operations.answer(ListEvents, self.list_events)
        operations.answer(ShowEvent, self.show)
        operations.stream(TailEvents, self.tail)

    async def list_events(self, request: ListEvents) -> EventList:
        """Return events above ``after``, or the newest."""
        sources = _only(request.source)
        limit = max(1, min(request.limit, MOST))
        if request.after is None:
            records = await self._journal.last(limit, sources=sources)
            next_after, head = self._journal.head, self._journal.head
        else:
            page = await self._journal.read(Seq(request.after), sources=sources, limit=limit)
            records, next_after, head = page.records, page.next_after, page.head
        return EventList([summarize(record) for record in records], next_after, head)

    async def show(self, request: ShowEvent) -> EventStory:
        """Return one event's story.

        Raises:
            NotFound: the journal holds no such event.

        """
        seq = Seq(request.seq)
        record = (await self._journal.get([seq])).get(seq)
        if record is None:
            raise NotFound(f"there is no event {seq}; the newest is {self._journal.head}")
        raw = record.event.raw
        return EventStory(
            summarize(record),
            record.identity,
            None if raw is None else readable(raw),
            await self._database.read(lambda connection: _deliveries(connection, record, self._specs)),
        )

    async def tail(self, request: TailEvents) -> AsyncIterator[EventSummary]:
        """Yield the newest events, then each one as it is committed.

        It reads from the journal at its own pace: a slow follower costs no memory.
        """
        sources = _only(request.source)
        committed = Wakeup()

        def wake(appended: str) -> None:
            if sources is None or appended in sources:
                committed.set()

        unsubscribe = self._journal.on_append(wake)
        try:
            after = self._journal.head
            last: list[Record] = []
            if request.last > 0:
                last = await self._journal.last(min(request.last, MOST), sources=sources)
            for record in last:
                after = max(after, record.seq)
                yield summarize(record)
            while True:
                page = await self._journal.read(after, sources=sources, limit=256)
                for record in page.records:
                    yield summarize(record)
                after = page.next_after
                if not page.records:
                    await committed.wait()
        finally:
            unsubscribe()


def _only(source: str | None) -> frozenset[str] | None:
    return None if source is None else frozenset({source})


def _deliveries(connection: Connection, record: Record, specs: Mapping[str, ConsumerSpec]) -> list[DeliveryStory]:
    stories = {
        route: DeliveryStory(
            route, "delivered", name, bool(found), attempts, moment(at_ns), altered=json.loads(altered or "[]")
        )
        for route, name, found, attempts, at_ns, altered in connection.execute(
            """SELECT consumer, name, found, attempts, at_ns, fields
               FROM delivered LEFT JOIN altered USING (consumer, seq) WHERE seq = ?""",
            (record.seq,),
        )
    }
    for letter in deadletters.of_event(connection, record.seq):
        stories[letter.consumer] = DeliveryStory(
            letter.consumer,
            "retrying" if letter.retrying else "dead",
            attempts=letter.attempts,
            at=moment(letter.at_ns),
            reason=f"{letter.code}: {letter.reason}",
            dead_letter=letter.id,
        )
    discarded = connection.execute(
        "SELECT consumer, code, reason, at_ns FROM discarded WHERE seq = ?", (record.seq,)
    )
    for route, code, reason, at_ns in discarded:
        story = DeliveryStory(route, "discarded", at=moment(at_ns), reason=f"{code}: {reason}")
        stories.setdefault(route, story)
    for route, spec in specs.items():
        if route not in stories and record.source in spec.sources and record.event.error is None:
            stories[route] = DeliveryStory(route, _state(connection, record, spec))
    return [stories[route] for route in sorted(stories)]


def _state(connection: Connection, record: Record, spec: ConsumerSpec) -> Literal["skipped", "pending", "closed"]:
    if not spec.accepts(record):
        return "skipped"
    # The stored cursor may lag behind; it never runs ahead of what is owed.
    row = connection.execute(
        """SELECT cursor < :seq
             OR EXISTS (SELECT 1 FROM gap WHERE consumer = id AND seq = :seq)
             OR EXISTS (SELECT 1 FROM backlog WHERE consumer = id AND key = :key AND after < :seq)
           FROM consumer WHERE id = :id""",
        {"id": spec.id, "seq": record.seq, "key": spec.order_key(record)},
    ).fetchone()
    return "pending" if row is None or row[0] else "closed"
