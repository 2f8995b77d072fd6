"""What an exact ledger is: the senders' records, the journal's own rows and the ERP's own rows agree. Pure."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from typing import Any

from lineside.demo.reckoning import Row, reckon
from lineside.model.event import Record
from lineside.testing.ledger import Entry, LineAcked, LineRefused


def judge(
    entries: Sequence[Entry], records: Sequence[Record], rows: Sequence[Row], *, ordered: bool = True
) -> list[str]:
    """Return what is wrong, one line each; nothing when the ledger is exact.

    Args:
        entries: what the devices know.
        records: the whole journal. Lines carry their id in ``scan_id``; what is undecodable is left alone.
        rows: all documents of the ERP, or all of one route where these are the entries and records that it takes.
        ordered: whether documents of one key must have come one after the other.

    """
    return [
        *_kept(entries, records),
        *_delivered(entries, rows),
        *(_in_order(records, rows) if ordered else ()),
    ]


def _kept(entries: Iterable[Entry], records: Sequence[Record]) -> Iterator[str]:
    held = {record.seq: record for record in records if record.event.error is None}
    sent = {entry.id for entry in entries}
    for entry in entries:
        match entry:
            case LineAcked(id=line, seq=seq) if seq not in held:
                yield f"{line} was acknowledged as {seq}, which the journal does not hold"
            case LineAcked(id=line, seq=seq) if _line(held[seq]) != line:
                yield f"{line} was acknowledged as {seq}, which in the journal is {_line(held[seq])}"
            case LineRefused(id=line, code=code, reason=reason):
                yield f"{line} was refused: {code} {reason}"
    for line, times in Counter(_line(record) for record in held.values()).items():
        if times > 1:
            yield f"{line} is {times} times in the journal"
        if line not in sent:
            yield f"{line} is in the journal, and nobody sent it"


def _delivered(entries: Iterable[Entry], rows: Iterable[Row]) -> Iterator[str]:
    result = reckon(entries, rows)
    for what, number in (
        ("acknowledged lines have no document", result.lost),
        ("documents are one too many", result.duplicated),
        ("documents are of lines that nobody sent", result.unknown),
        ("lines have no answer", result.unanswered),
    ):
        if number:
            yield f"{number} {what}"


def _in_order(records: Iterable[Record], rows: Iterable[Row]) -> Iterator[str]:
    created = {row.line: row.created_at for row in rows}
    lanes: defaultdict[str, list[Record]] = defaultdict(list)
    for record in sorted(records, key=lambda record: record.seq):
        if record.event.error is None and _line(record) in created:
            lanes[_order_key(record)].append(record)
    for key, lane in lanes.items():
        for before, after in pairwise(lane):
            if created[_line(before)] >= created[_line(after)]:
                yield f"{key}: {before.seq} became a document after {after.seq}"


def _line(record: Record) -> str:
    return str(_payload(record)["scan_id"])


def _order_key(record: Record) -> str:
    payload = _payload(record)
    return str(payload.get("employee") or payload.get("item"))


def _payload(record: Record) -> dict[str, Any]:
    payload: dict[str, Any] = json.loads(record.event.body)
    return payload
