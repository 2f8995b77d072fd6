"""An event, the record the journal makes of it, and what its sender is told."""

from __future__ import annotations

import hashlib
from typing import NewType

from msgspec import Struct

Seq = NewType("Seq", int)
"""A record's place in the journal: increasing, gaps allowed, below 2**53. No code computes ``seq + 1``."""

NO_SEQ = Seq(0)
"""The position before the first record."""


OBJECTS = 300
"""Bytes, about, that an event's Python objects and its receipt take beside its contents."""


class Event(Struct, frozen=True):
    """One thing that happened outside, as a source understood it."""

    body: bytes
    """A JSON object, UTF-8. Empty when the event could not be decoded."""
    raw: bytes | None = None
    """The frame as received, where it differs from ``body``."""
    key: str | None = None
    """The sender's own key: a second event of one source with the same key is a repeat, not an event."""
    device: str | None = None
    """Who sent it, as far as the source can tell."""
    error: str | None = None
    """Why it could not be decoded (``code: reason``); such an event is a dead letter from its first commit."""

    @property
    def size(self) -> int:
        """Bytes it holds in memory, near enough to bound what waits."""
        return OBJECTS + len(self.body) + len(self.raw or b"") + len(self.key or "") + len(self.device or "")


class Record(Struct, frozen=True):
    """An event that is committed and synced to disk."""

    seq: Seq
    run: str
    """The start of a process on the journal that stored it: random, so that no two are the same."""
    source: str
    received_ns: int
    """Wall-clock time of arrival, nanoseconds since 1970 (UTC)."""
    event: Event

    @property
    def identity(self) -> str:
        """``run-sequence``: unique for ever, also where a journal was lost, begun anew, or put back from a copy."""
        return f"{self.run}-{self.seq}"


class Receipt(Struct, frozen=True):
    """What the sender of an event may be told once the commit is synced."""

    seq: Seq
    repeated: bool
    """The event's key was known: ``seq`` is its first sequence, and nothing was stored."""
    error: str | None = None
    """The event is kept, but as a dead letter, for this reason."""


class Page(Struct, frozen=True):
    """Records in order, and where the next read goes on."""

    records: list[Record]
    next_after: Seq
    """Pass as ``after`` to go on; at least the last record's ``seq``, further where others were filtered out."""
    floor: Seq
    """Everything at or below may have been removed by retention."""
    head: Seq
    """The last committed sequence."""


def delivery_id(identity: str, route: str) -> str:
    """Return the id under which a route carries a record to its target: 32 lower-case hex digits.

    It depends on nothing but the record's identity and the route's permanent id, so that a delivery
    repeated after any crash carries the id of its first attempt.
    """
    return hashlib.blake2b(f"{identity}\0{route}".encode(), digest_size=16).hexdigest()
