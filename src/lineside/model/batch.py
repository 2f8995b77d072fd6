"""Events that arrived together, as columns; and what their senders are told, as a range.

Between the socket and the disk a batch is the unit: an object for each event costs more than everything else that
is done with it. `lineside.model.event.Event` and `Receipt` are the same one at a time.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec
from msgspec import Struct

from lineside.model.event import Event, Receipt, Seq

OBJECTS = 64
"""Bytes, about, that an event of a batch takes in memory beside its contents."""


class Batch(Struct, eq=False):
    """Events in their order. Whoever is handed one changes nothing in it.

    What most events don't have is kept by the event's place, from 0.
    """

    bodies: list[bytes]
    """As `Event.body`; never empty, the list."""
    device: str | None = None
    """Who sent those for which ``devices`` says nothing."""
    keys: list[str | None] | None = None
    """As `Event.key`, one for each body; None where no event has one."""
    devices: dict[int, str] = msgspec.field(default_factory=dict)
    """As `Event.device`, where it is another than ``device``."""
    raws: dict[int, bytes] = msgspec.field(default_factory=dict)
    """As `Event.raw`."""
    errors: dict[int, str] = msgspec.field(default_factory=dict)
    """As `Event.error`."""

    @classmethod
    def of_one(cls, event: Event) -> Batch:
        """Return a batch of one event."""
        batch = cls([event.body], event.device)
        if event.key is not None:
            batch.keys = [event.key]
        if event.raw is not None:
            batch.raws[0] = event.raw
        if event.error is not None:
            batch.errors[0] = event.error
        return batch

    @classmethod
    def of(cls, events: Sequence[Event]) -> Batch:
        """Return the same events as a batch."""
        device = events[0].device
        batch = cls([event.body for event in events], device)
        if any(event.key is not None for event in events):
            batch.keys = [event.key for event in events]
        for place, event in enumerate(events):
            if event.device != device:
                if event.device is None:
                    # Only what has a device can be the exception.
                    return cls._without_common_device(events)
                batch.devices[place] = event.device
            if event.raw is not None:
                batch.raws[place] = event.raw
            if event.error is not None:
                batch.errors[place] = event.error
        return batch

    @classmethod
    def _without_common_device(cls, events: Sequence[Event]) -> Batch:
        batch = cls.of([msgspec.structs.replace(event, device=None) for event in events])
        batch.devices = {place: event.device for place, event in enumerate(events) if event.device is not None}
        return batch

    def name_senders(self, senders: list[tuple[str, int]]) -> None:
        """Let each event that has no device be its sender's: so many of the events, in order, are each one's.

        For who has just made the batch.
        """
        if self.device is not None:
            return
        self.device = senders[0][0]
        named, self.devices = self.devices, {}
        place = 0
        for sender, count in senders:
            if sender != self.device:
                self.devices.update(dict.fromkeys(range(place, place + count), sender))
            place += count
        self.devices.update(named)

    def __len__(self) -> int:
        return len(self.bodies)

    def __iter__(self) -> Iterator[Event]:
        for place in range(len(self.bodies)):
            yield self.event(place)

    def event(self, place: int) -> Event:
        """Return one event."""
        return Event(
            self.bodies[place],
            self.raws.get(place),
            None if self.keys is None else self.keys[place],
            self.devices.get(place, self.device),
            self.errors.get(place),
        )

    def only(self, places: list[int]) -> Batch:
        """Return the events at these ascending places as a batch of their own; at least one."""
        moved = {place: new for new, place in enumerate(places)}
        return Batch(
            [self.bodies[place] for place in places],
            self.device,
            None if self.keys is None else [self.keys[place] for place in places],
            {moved[place]: device for place, device in self.devices.items() if place in moved},
            {moved[place]: raw for place, raw in self.raws.items() if place in moved},
            {moved[place]: error for place, error in self.errors.items() if place in moved},
        )


class Receipts(Struct, frozen=True):
    """What the sender of a batch may be told once the commit is synced.

    The events that were stored have consecutive sequences from ``first`` on, in their order.
    """

    first: Seq
    count: int
    """How many events the batch had, repeats included."""
    repeats: dict[int, Seq] = msgspec.field(default_factory=dict)
    """By their place in the batch, the first sequences of events whose keys were known; they are not stored."""
    errors: dict[int, str] = msgspec.field(default_factory=dict)
    """By their place in the batch, why events are dead letters."""

    @property
    def last(self) -> Seq:
        """The highest sequence given; below ``first`` where all are repeats."""
        return Seq(self.first + self.count - len(self.repeats) - 1)

    def __iter__(self) -> Iterator[Receipt]:
        seq = self.first
        for place in range(self.count):
            known = self.repeats.get(place)
            if known is not None:
                yield Receipt(known, repeated=True)
            else:
                yield Receipt(seq, repeated=False, error=self.errors.get(place))
                seq = Seq(seq + 1)
