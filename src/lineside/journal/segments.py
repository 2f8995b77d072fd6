"""The unit of storage: a run of one source's events as one BLOB. Pure."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
from msgspec import Struct

from lineside.model.event import Event

MAX_EVENTS = 1024
MAX_BYTES = 256 * 1024


class Stored(Struct, frozen=True, array_like=True, omit_defaults=True):
    """An event with its time of arrival, as kept in a segment."""

    received_ns: int
    body: bytes
    raw: bytes | None = None
    key: str | None = None
    device: str | None = None
    error: str | None = None

    @classmethod
    def of(cls, event: Event, received_ns: int) -> Stored:
        """Join an event with its time of arrival."""
        return cls(received_ns, event.body, event.raw, event.key, event.device, event.error)

    @property
    def event(self) -> Event:
        """The event as its source made it."""
        return Event(self.body, self.raw, self.key, self.device, self.error)


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(list[Stored])
_one = msgspec.msgpack.Decoder(Stored)


def split(events: list[Stored]) -> Iterator[list[Stored]]:
    """Cut a run of events into segments; a single event above the byte limit has one of its own."""
    start = size = 0
    for index, stored in enumerate(events):
        cost = len(stored.body) + len(stored.raw or b"") + len(stored.key or "") + 16
        if index > start and (index - start == MAX_EVENTS or size + cost > MAX_BYTES):
            yield events[start:index]
            start, size = index, 0
        size += cost
    if start < len(events):
        yield events[start:]


def pack(events: list[Stored]) -> bytes:
    """Return a segment's BLOB."""
    return _encoder.encode(events)


def unpack(blob: bytes) -> list[Stored]:
    """Return a BLOB's events."""
    return _decoder.decode(blob)


def pack_one(stored: Stored) -> bytes:
    """Return a single event's BLOB, as a dead letter keeps it."""
    return _encoder.encode(stored)


def unpack_one(blob: bytes) -> Stored:
    """Return the event of a single event's BLOB."""
    return _one.decode(blob)
