"""The ledger at the end: the senders' own records against the ERP's own rows. Pure."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable

from msgspec import Struct

from lineside.testing.ledger import Entry, LineAcked, LineRefused, LineSent


class Row(Struct, frozen=True):
    """A document as the ERP holds it."""

    line: str
    """The id of the line it was made of."""
    created_at: float
    """The ERP's own stamp, seconds since 1970."""


class Reckoning(Struct, frozen=True):
    """What became of every line."""

    sent: int
    acknowledged: int
    refused: int
    documents: int
    lost: int
    """Acknowledged, and no document."""
    duplicated: int
    """Documents beyond the first of one line."""
    unknown: int
    """Documents of lines that nobody sent."""
    unanswered: int
    """Sent and never answered: they may have become a document, but never two."""
    p50_ms: float | None
    """From the first sending of a line to its document."""
    p99_ms: float | None

    @property
    def exact(self) -> bool:
        """Every acknowledged line is exactly one document, and there are no others."""
        return not (self.lost or self.duplicated or self.unknown)


def reckon(records: Iterable[Entry], rows: Iterable[Row]) -> Reckoning:
    """Count; latencies are of acknowledged lines and their first document."""
    sent: dict[str, float] = {}
    acknowledged: set[str] = set()
    refused: set[str] = set()
    for record in records:
        match record:
            case LineSent():
                sent[record.id] = record.sent_at
            case LineAcked():
                acknowledged.add(record.id)
            case LineRefused():
                refused.add(record.id)
    first: dict[str, float] = {}
    held: Counter[str] = Counter()
    for row in rows:
        held[row.line] += 1
        first[row.line] = min(row.created_at, first.get(row.line, math.inf))
    latencies = sorted(first[line] - sent[line] for line in acknowledged if line in first)
    return Reckoning(
        sent=len(sent),
        acknowledged=len(acknowledged),
        refused=len(refused),
        documents=held.total(),
        lost=len(acknowledged - held.keys()),
        duplicated=sum(count - 1 for count in held.values()),
        unknown=len(held.keys() - sent.keys()),
        unanswered=len(sent.keys() - acknowledged - refused),
        p50_ms=_percentile(latencies, 50),
        p99_ms=_percentile(latencies, 99),
    )


def _percentile(ordered: list[float], percent: int) -> float | None:
    if not ordered:
        return None
    return round(1000 * ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)], 1)
