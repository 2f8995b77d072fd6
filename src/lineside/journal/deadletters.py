"""What could not be decoded or delivered: kept whole, with the reason, until a person decides."""

from __future__ import annotations

from sqlite3 import Connection
from typing import Any

from msgspec import Struct

from lineside.journal.segments import Stored, pack_one, unpack_one
from lineside.model.event import Record, Seq

MAX_PAGE_BYTES = 4 * 1024 * 1024
UNDECODABLE = ""
"""The consumer of dead letters that no route has seen."""

EACH = """
    WITH RECURSIVE each_one (consumer_) AS (
        SELECT MIN(consumer) FROM {table}
        UNION ALL
        SELECT (SELECT MIN(consumer) FROM {table} WHERE consumer > consumer_)
        FROM each_one WHERE consumer_ IS NOT NULL
    ) SELECT consumer_ FROM each_one WHERE consumer_ IS NOT NULL
"""
"""The consumers in a table whose index begins with them: a step for each, not for each row."""

_COLUMNS = "id, consumer, code, reason, reply, attempts, at_ns, retrying, seq, run, source, event"


class DeadLetter(Struct, frozen=True):
    """One event that waits for a person."""

    id: int
    consumer: str
    """The route that could not deliver it; '' if it could not be decoded."""
    code: str
    reason: str
    reply: str | None
    """The target's own words."""
    attempts: int
    at_ns: int
    retrying: bool
    record: Record
    """A copy: retention may have removed the journal's own."""


def keep_undecodable(connection: Connection, record: Record) -> None:
    """Keep an event that its source could not decode; part of the commit that stores the event."""
    code, _, reason = (record.event.error or "").partition(": ")
    keep(connection, UNDECODABLE, record, code=code, reason=reason, at_ns=record.received_ns)


def keep(
    connection: Connection,
    consumer: str,
    record: Record,
    *,
    code: str,
    reason: str,
    reply: str | None = None,
    attempts: int = 0,
    at_ns: int,
) -> None:
    """Keep a record for a person to decide; part of the commit that settles it."""
    connection.execute(
        """INSERT INTO dead_letter (consumer, seq, run, source, code, reason, reply, attempts, at_ns, event)
           VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
           ON CONFLICT (consumer, seq) DO NOTHING""",
        (
            consumer,
            record.seq,
            record.run,
            record.source,
            code,
            reason,
            reply,
            attempts,
            at_ns,
            pack_one(Stored.of(record.event, record.received_ns)),
        ),
    )


def forget(connection: Connection, consumer: str, seq: Seq) -> None:
    """A dead letter that was tried again has been settled."""
    connection.execute("DELETE FROM dead_letter WHERE consumer = ? AND seq = ?", (consumer, seq))


def mark_retrying(connection: Connection, letter: DeadLetter) -> None:
    """Say that a consumer will hand it out again."""
    connection.execute("UPDATE dead_letter SET retrying = 1 WHERE id = ?", (letter.id,))


def discard(connection: Connection, letter: DeadLetter, at_ns: int) -> None:
    """Remove it for good; that it was removed, and why it was there, is noted."""
    forget(connection, letter.consumer, letter.record.seq)
    connection.execute(
        "INSERT OR REPLACE INTO discarded (consumer, seq, code, reason, at_ns) VALUES (?, ?, ?, ?, ?)",
        (letter.consumer, letter.record.seq, letter.code, letter.reason, at_ns),
    )


def get(connection: Connection, identifier: int) -> DeadLetter | None:
    """Return one dead letter."""
    row = connection.execute(f"SELECT {_COLUMNS} FROM dead_letter WHERE id = ?", (identifier,)).fetchone()
    return None if row is None else _letter(row)


def page(connection: Connection, *, after: int, consumer: str | None, limit: int) -> list[DeadLetter]:
    """Return dead letters by ascending id, no more than `MAX_PAGE_BYTES` at a time; ``consumer`` None means all."""
    rows = connection.execute(
        f"""SELECT {_COLUMNS} FROM dead_letter
            WHERE id > ? AND (? IS NULL OR consumer = ?) ORDER BY id LIMIT ?""",
        (after, consumer, consumer, limit),
    )
    letters: list[DeadLetter] = []
    size = 0
    for row in rows:
        letters.append(_letter(row))
        size += letters[-1].record.event.size
        if size > MAX_PAGE_BYTES:
            break
    return letters


def of_event(connection: Connection, seq: Seq) -> list[DeadLetter]:
    """Return the dead letters of one event."""
    return [
        _letter(row)
        for row in connection.execute(
            f"""SELECT {_COLUMNS} FROM dead_letter
                WHERE consumer IN ({EACH.format(table="dead_letter")}) AND seq = ? ORDER BY id""",
            (seq,),
        )
    ]


def retrying(connection: Connection, consumer: str) -> list[DeadLetter]:
    """Return what a consumer owes because a person asked for it."""
    rows = connection.execute(
        f"SELECT {_COLUMNS} FROM dead_letter WHERE consumer = ? AND retrying = 1 ORDER BY seq", (consumer,)
    )
    return [_letter(row) for row in rows]


def count(connection: Connection) -> int:
    """Return how many wait."""
    (number,) = connection.execute("SELECT COUNT(*) FROM dead_letter").fetchone()
    return int(number)


def count_by_consumer(connection: Connection) -> dict[str, int]:
    """Return how many wait of each consumer."""
    return dict(connection.execute("SELECT consumer, COUNT(*) FROM dead_letter GROUP BY consumer"))


def _letter(row: tuple[Any, ...]) -> DeadLetter:
    identifier, consumer, code, reason, reply, attempts, at_ns, retrying, seq, run, source, event = row
    stored = unpack_one(event)
    record = Record(seq, run, source, stored.received_ns, stored.event)
    return DeadLetter(identifier, consumer, code, reason, reply, attempts, at_ns, bool(retrying), record)
