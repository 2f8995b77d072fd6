"""The unit of storage: a run of one source's events as one BLOB. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeVar

import msgspec
from msgspec import Struct

from lineside.model.batch import Batch
from lineside.model.event import Event

MAX_EVENTS = 1024
MAX_BYTES = 256 * 1024
OVERHEAD = 16
"""Bytes that an event is reckoned to take beside its body."""

FORMAT = 2
"""What `pack` writes: columns. Format 1, a list of `Stored`, is read for ever."""


class Stored(Struct, frozen=True, array_like=True, omit_defaults=True):
    """An event with its time of arrival: as a dead letter keeps it, and as format 1 kept each."""

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


class Arrival(Struct, frozen=True, array_like=True):
    """Events that follow each other in a segment, arrived together and from one device."""

    count: int
    received_ns: int
    device: str | None


class Columns(Struct, array_like=True):
    """A segment's events as format 2 keeps them; the meaning of the columns is that of `Batch`."""

    arrivals: list[Arrival]
    bodies: list[bytes]
    keys: list[str | None] | None
    devices: dict[int, str]
    raws: dict[int, bytes]
    errors: dict[int, str]

    @property
    def received_ns(self) -> int:
        """When the last one arrived."""
        return self.arrivals[-1].received_ns


T = TypeVar("T")

_encoder = msgspec.msgpack.Encoder()
_columns = msgspec.msgpack.Decoder(Columns)
_list = msgspec.msgpack.Decoder(list[Stored])
_one = msgspec.msgpack.Decoder(Stored)


class Gathering:
    """Batches of one source that go to the disk together, in the order in which they are added."""

    def __init__(self) -> None:
        self._all = Columns([], [], None, {}, {}, {})

    def __len__(self) -> int:
        return len(self._all.bodies)

    def add(self, batch: Batch, received_ns: int) -> None:
        """Put a batch behind those that are there."""
        into = self._all
        start, count = len(into.bodies), len(batch.bodies)
        last = into.arrivals[-1] if into.arrivals else None
        if last is not None and last.received_ns == received_ns and last.device == batch.device:
            into.arrivals[-1] = Arrival(last.count + count, received_ns, batch.device)
        else:
            into.arrivals.append(Arrival(count, received_ns, batch.device))
        into.bodies += batch.bodies
        if batch.keys is not None and into.keys is None:
            into.keys = [None] * start
        if into.keys is not None:
            into.keys += batch.keys or [None] * count
        if batch.devices:
            into.devices.update((start + place, device) for place, device in batch.devices.items())
        if batch.raws:
            into.raws.update((start + place, raw) for place, raw in batch.raws.items())
        if batch.errors:
            into.errors.update((start + place, error) for place, error in batch.errors.items())

    def segments(self) -> Iterator[Columns]:
        """Cut what was added into segments; a single event above the byte limit has one of its own."""
        whole = self._all
        for start in range(0, len(whole.bodies), MAX_EVENTS):
            part = whole if len(whole.bodies) <= MAX_EVENTS else _cut(whole, start, start + MAX_EVENTS)
            if _size(part) <= MAX_BYTES:
                yield part
            else:
                yield from _cut_by_size(part)


def _size(part: Columns) -> int:
    size = OVERHEAD * len(part.bodies) + sum(map(len, part.bodies)) + sum(map(len, part.raws.values()))
    return size if part.keys is None else size + sum(map(len, filter(None, part.keys)))


def _cut_by_size(part: Columns) -> Iterator[Columns]:
    keys = part.keys or [None] * len(part.bodies)
    start = size = 0
    for place, (body, key) in enumerate(zip(part.bodies, keys, strict=True)):
        cost = OVERHEAD + len(body) + len(part.raws.get(place, b"")) + len(key or "")
        if place > start and size + cost > MAX_BYTES:
            yield _cut(part, start, place)
            start, size = place, 0
        size += cost
    yield _cut(part, start, len(part.bodies))


def _cut(whole: Columns, start: int, end: int) -> Columns:
    def moved(column: dict[int, T]) -> dict[int, T]:
        return {place - start: value for place, value in column.items() if start <= place < end}

    arrivals = []
    place = 0
    for arrival in whole.arrivals:
        count = min(place + arrival.count, end) - max(place, start)
        if count > 0:
            arrivals.append(Arrival(count, arrival.received_ns, arrival.device))
        place += arrival.count
    return Columns(
        arrivals,
        whole.bodies[start:end],
        None if whole.keys is None else whole.keys[start:end],
        moved(whole.devices),
        moved(whole.raws),
        moved(whole.errors),
    )


def pack(segment: Columns) -> bytes:
    """Return a segment's BLOB, in `FORMAT`."""
    return _encoder.encode(segment)


def unpack(form: int, blob: bytes) -> Iterator[tuple[int, Event]]:
    """Yield the time of arrival and the event of each that a BLOB holds."""
    if form == 1:
        for stored in _list.decode(blob):
            yield stored.received_ns, stored.event
        return
    columns = _columns.decode(blob)
    bodies, keys = columns.bodies, columns.keys
    devices, raws, errors = columns.devices, columns.raws, columns.errors
    start = 0
    for arrival in columns.arrivals:
        received_ns, common = arrival.received_ns, arrival.device
        for place in range(start, start + arrival.count):
            yield (
                received_ns,
                Event(
                    bodies[place],
                    raws.get(place),
                    None if keys is None else keys[place],
                    devices.get(place, common),
                    errors.get(place),
                ),
            )
        start += arrival.count


def pack_one(stored: Stored) -> bytes:
    """Return a single event's BLOB, as a dead letter keeps it."""
    return _encoder.encode(stored)


def unpack_one(blob: bytes) -> Stored:
    """Return the event of a single event's BLOB."""
    return _one.decode(blob)
