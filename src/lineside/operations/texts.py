"""Stored values as people and programs read them."""

from __future__ import annotations

from lineside.journal.deadletters import DeadLetter
from lineside.model.event import Event, Record
from lineside.model.moments import utc_text
from lineside.operations.results import DeadLetterSummary, EventSummary

SHOWN = 2_000
"""Characters of a dead letter's body in a list."""


def moment(ns: int) -> str:
    """Return nanoseconds since 1970 as ISO 8601 in UTC, cut to the millisecond."""
    return utc_text(ns, "milliseconds")


def readable(data: bytes) -> str:
    """Return bytes as text; what is not UTF-8 is escaped."""
    return data.decode(errors="backslashreplace")


def body_text(event: Event) -> str:
    """Return an event's JSON, or what was received in its place."""
    return readable(event.body or event.raw or b"")


def summarize(record: Record) -> EventSummary:
    """Return one event for a list."""
    event = record.event
    return EventSummary(
        seq=record.seq,
        source=record.source,
        received=moment(record.received_ns),
        device=event.device,
        key=event.key,
        body=body_text(event),
        error=event.error,
    )


def clipped(text: str) -> str:
    """Return a text as a list shows it: its beginning, and how much more there is."""
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}… ({len(text) - SHOWN} more characters)"


def summarize_letter(letter: DeadLetter, *, whole: bool = False) -> DeadLetterSummary:
    """Return one dead letter for a list, or the ``whole`` of it with the target's reply."""
    body = body_text(letter.record.event)
    return DeadLetterSummary(
        id=letter.id,
        seq=letter.record.seq,
        source=letter.record.source,
        route=letter.consumer or None,
        code=letter.code,
        reason=letter.reason,
        attempts=letter.attempts,
        at=moment(letter.at_ns),
        retrying=letter.retrying,
        body=body if whole else clipped(body),
        reply=letter.reply if whole else None,
    )
