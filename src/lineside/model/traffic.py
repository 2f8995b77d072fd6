"""What goes through one source: its rates, its devices, and how long it waits for the disk. Pure.

It is told of batches, not of lines, and keeps a fixed number of devices however many there are. Times are seconds
of a monotonic clock; moments (``_ns``) are only for people.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Iterator

from lineside.model.batch import Batch
from lineside.model.rates import Delays, Fading, Rate

MOST_DEVICES = 1_000
LONGEST_NAME = 200
"""Characters of a device's name: it comes from its own lines, and a thousand of any length would be too much."""


class Device:
    """One device of a source."""

    __slots__ = ("heard", "heard_ns", "lines", "name", "peer", "rate", "worked")

    def __init__(self, name: str, now: float) -> None:
        self.name = name
        self.peer: str | None = None
        """Where it connects from, as it was last seen."""
        self.lines = 0
        """Since the start."""
        self.rate = Fading(now)
        self.heard = now
        self.heard_ns = 0
        self.worked = 0.0
        """`Traffic.worked` when it was last heard."""


class Traffic:
    """One source's.

    Args:
        now: the time.
        most_devices: beyond so many, the one that was silent for the longest is counted among the others.

    """

    def __init__(self, now: float, most_devices: int = MOST_DEVICES) -> None:
        self.lines = Rate(now)
        self.undecodable = Rate(now)
        self.commits = Delays()
        """From a batch's hand-over to the journal until it is on the disk, for each line."""
        self.heard: float | None = None
        """When something last came, decodable or not, stored or not."""
        self.heard_ns = 0
        self.worked = 0.0
        """A clock that goes only in working hours; who watches for silence moves it."""
        self.devices: OrderedDict[str, Device] = OrderedDict()
        """By name; the one that was silent for the longest is the first."""
        self.others = 0
        """Devices that had to go for want of room; one that comes and goes counts each time."""
        self.others_lines = 0
        self._most = most_devices

    def came(self, batch: Batch, senders: list[tuple[str, int]], now: float, now_ns: int) -> None:
        """Take note of who sent a batch: so many of its events, in order, came from each address.

        Where several addresses sent it, only the device of each one's first event is known to be there: to look at
        every event would cost more than all the rest.
        """
        self.heard, self.heard_ns = now, now_ns
        alone = senders[0][0]
        peer = alone if len(senders) == 1 or all(each == alone for each, _ in senders) else None
        named = batch.devices
        if batch.device is not None and len(named) < len(batch.bodies):
            self._device(batch.device, len(batch.bodies) - len(named), peer, now, now_ns)
        if named:
            for name, lines in Counter(named.values()).items():
                self._device(name, lines, peer, now, now_ns)
        if peer is None:
            place = 0
            for address, count in senders:
                name_here = named.get(place, batch.device)
                if name_here is not None and (device := self.devices.get(name_here[:LONGEST_NAME])) is not None:
                    device.peer = address
                place += count

    def stored(self, lines: int, undecodable: int, took: float, now: float) -> None:
        """Take note of lines that are on the disk, ``took`` seconds after they were handed over."""
        self.lines.add(now, lines)
        if undecodable:
            self.undecodable.add(now, undecodable)
        self.commits.add(now, took, lines)

    def restore(self, name: str, heard_ns: int, worked: float, now: float) -> None:
        """Take up a device of a former process, the longest silent first; ``worked`` as if it was heard here."""
        device = self._keep(name, now)
        device.heard_ns, device.worked = heard_ns, worked

    def forget(self, name: str) -> None:
        """Forget a device that is no more."""
        self.devices.pop(name, None)

    def newest(self) -> Iterator[Device]:
        """Yield the devices, the one that was heard last first."""
        return iter(reversed(self.devices.values()))

    def _device(self, name: str, lines: int, peer: str | None, now: float, now_ns: int) -> None:
        name = name[:LONGEST_NAME]
        device = self.devices.get(name)
        if device is None:
            device = self._keep(name, now)
        else:
            self.devices.move_to_end(name)
        if peer is not None:
            device.peer = peer
        device.lines += lines
        device.rate.add(now, lines)
        device.heard, device.heard_ns, device.worked = now, now_ns, self.worked

    def _keep(self, name: str, now: float) -> Device:
        device = self.devices[name] = Device(name, now)
        if len(self.devices) > self._most:
            _, gone = self.devices.popitem(last=False)
            self.others += 1
            self.others_lines += gone.lines
        return device
