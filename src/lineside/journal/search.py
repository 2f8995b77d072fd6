"""Looks through the journal for records, from the newest back or from a place on: a bounded stretch at a time."""

from __future__ import annotations

from collections.abc import Iterator
from sqlite3 import Connection

from msgspec import Struct

from lineside.journal.log import _among, _records, _source_names
from lineside.model.event import Event, Record, Seq

STRETCH = 4 * 1024 * 1024
"""Stored bytes that one search looks through; whoever wants more goes on from where it ended."""
MOST_BYTES = 1024 * 1024
"""Of what is found at a time."""


class Wanted(Struct, frozen=True):
    """Which records are looked for; all of it must hold."""

    sources: frozenset[str] | None = None
    devices: frozenset[str] | None = None
    contains: str | None = None
    """A text in the event's key, device, JSON or raw bytes, in whatever case its ASCII letters are."""
    undecodable: bool = False
    """Only those that could not be decoded."""


class Found(Struct, frozen=True):
    """Records by ascending sequence."""

    records: list[Record]
    reached: Seq | None
    """Nothing between here and where the search began was left out; None if there is nothing further on."""
    looked: int = 0
    """Stored bytes that were looked through."""


def search_back(connection: Connection, wanted: Wanted, before: Seq | None, limit: int) -> Found:
    """Look for the newest records below ``before``; ``reached`` is the next ``before``."""
    bound = "" if before is None else f"first < {int(before)} AND"
    records: list[Record] = []
    size = 0
    seen = before
    looked = 0
    for first, segment, size_here in _segments(connection, wanted, f"{bound} 1", "DESC"):
        if segment is None:
            return Found(records[::-1], seen, looked)
        looked += size_here
        seen = first
        for record in reversed(segment):
            if (before is None or record.seq < before) and _is(wanted, record):
                if len(records) == limit or size > MOST_BYTES:
                    return Found(records[::-1], records[-1].seq, looked)
                records.append(record)
                size += record.event.size
    return Found(records[::-1], None, looked)


def search_on(connection: Connection, wanted: Wanted, after: Seq, limit: int) -> Found:
    """Look for the oldest records above ``after``; ``reached`` is the next ``after``."""
    records: list[Record] = []
    size = 0
    looked = 0
    for first, segment, size_here in _segments(connection, wanted, f"last > {int(after)}", "ASC"):
        if segment is None:
            return Found(records, max(after, Seq(first - 1)), looked)
        looked += size_here
        for record in segment:
            if record.seq > after and _is(wanted, record):
                if len(records) == limit or size > MOST_BYTES:
                    return Found(records, records[-1].seq, looked)
                records.append(record)
                size += record.event.size
    return Found(records, None, looked)


def _segments(
    connection: Connection, wanted: Wanted, bound: str, order: str
) -> Iterator[tuple[Seq, list[Record] | None, int]]:
    """Yield segments with their records and stored bytes; after `STRETCH` bytes the first left out, without."""
    names = _source_names(connection)
    looked = 0
    rows = connection.execute(
        f"""SELECT first, source, run, format, events FROM segment
            WHERE {bound} AND {_among(names, wanted.sources)} ORDER BY first {order}"""
    )
    for first, source, run, form, blob in rows:
        if looked > STRETCH:
            yield Seq(first), None, 0
            return
        looked += len(blob)
        yield Seq(first), _records(first, names[source], run, form, blob), len(blob)


def _is(wanted: Wanted, record: Record) -> bool:
    event = record.event
    if wanted.devices is not None and event.device not in wanted.devices:
        return False
    if wanted.undecodable and event.error is None:
        return False
    return wanted.contains is None or _contains(event, wanted.contains)


def _contains(event: Event, text: str) -> bool:
    needle = text.lower()
    if any(part is not None and needle in part.lower() for part in (event.key, event.device)):
        return True
    encoded = text.encode().lower()
    return any(part is not None and encoded in part.lower() for part in (event.body, event.raw))
