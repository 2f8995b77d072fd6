"""Lines that name another device than the one that sent them. Pure."""

from __future__ import annotations

from lineside.model.batch import Batch
from lineside.wire.framing import FORGED

ERROR = f"{FORGED}: it names another device than the sender's certificate"


def refuse_forged(batch: Batch, senders: list[tuple[str, int]]) -> None:
    """Make dead letters of the events of a batch that are not their sender's: so many, in order, are each one's.

    Each is its sender's from then on, and has no key: it must not stand for an event of the device that it names.
    For who has just made the batch.
    """
    if not batch.devices and all(sender == batch.device for sender, _ in senders):
        return
    place = 0
    for sender, count in senders:
        for each in range(place, place + count):
            if batch.devices.get(each, batch.device) != sender:
                _refuse(batch, each, sender)
        place += count


def _refuse(batch: Batch, place: int, sender: str) -> None:
    if place not in batch.errors:
        batch.errors[place] = ERROR
        batch.raws.setdefault(place, batch.bodies[place])
        batch.bodies[place] = b""
        if batch.keys is not None:
            batch.keys[place] = None
    batch.devices[place] = sender
