"""A route whose ``order_by`` changed: its backlogs were kept by the old keys, and mean nothing to the new ones."""

from __future__ import annotations

from sqlite3 import Connection

import msgspec

from lineside.journal.log import SqliteJournal
from lineside.model.event import Record, Seq
from lineside.model.fields import key_text, lookup
from lineside.model.ports import ConsumerSpec

PAGE = 1024

_decode = msgspec.json.Decoder().decode


async def read_backlogs(
    journal: SqliteJournal, spec: ConsumerSpec, order_by: str | None, backlogs: dict[str, Seq], cursor: Seq
) -> list[Record]:
    """Return what waits up to ``cursor`` in one of ``backlogs``, whose keys are of the field ``order_by``."""
    found: list[Record] = []
    position = min(backlogs.values())
    while position < cursor:
        page = await journal.read(position, sources=spec.sources, limit=PAGE)
        for record in page.records:
            key = None if order_by is None or record.event.error else key_of(record, order_by)
            if record.seq <= cursor and key is not None and record.seq > backlogs.get(key, cursor):
                found.append(record)
        position = page.next_after
    return found


def store_reordered(connection: Connection, spec: ConsumerSpec, waiting: list[Record]) -> None:
    """Owe ``waiting`` one by one, in place of the backlogs."""
    connection.executemany(
        "INSERT OR IGNORE INTO gap (consumer, seq, attempts) VALUES (?, ?, 0)",
        [(spec.id, record.seq) for record in waiting],
    )
    connection.execute("DELETE FROM backlog WHERE consumer = ?", (spec.id,))
    connection.execute("UPDATE consumer SET order_by = ? WHERE id = ?", (spec.order_by, spec.id))


def key_of(record: Record, order_by: str) -> str | None:
    """Return a record's key by a field path; None where it has none."""
    try:
        return key_text(lookup(_decode(record.event.body), order_by))
    except (msgspec.DecodeError, RecursionError):
        return None
