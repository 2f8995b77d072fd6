"""Many devices as one: started a little apart, counted together, stopped together."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Coroutine, Sequence
from random import Random
from typing import Any, Protocol, TypeVar

from twisted.internet.defer import Deferred, FirstError, gatherResults
from twisted.internet.interfaces import IDelayedCall, IReactorTime

from lineside.model.event import Seq
from lineside.testing.devices import Counts
from lineside.testing.ledger import Ledger, Line

T = TypeVar("T")


class Device(Protocol):
    """One of a fleet, as `LineDevice` is."""

    @property
    def counts(self) -> Counts:
        """What it has done so far."""
        ...

    @property
    def trouble(self) -> str | None:
        """Why there is no connection."""
        ...

    @property
    def connected(self) -> bool:
        """There is a connection now."""
        ...

    @property
    def unanswered(self) -> list[Line]:
        """The lines that were sent and have no final answer."""
        ...

    def start(self) -> None:
        """Dial, and keep dialling until `stop`."""
        ...

    async def finished(self) -> None:
        """Wait until every line is sent and, where there are answers, answered."""
        ...

    async def stop(self, within: float) -> list[Line]:
        """Wait up to ``within`` seconds for answers still owed, and hang up; returns what is unanswered."""
        ...


class Fleet:
    """Devices that begin and end together."""

    def __init__(self, reactor: IReactorTime, devices: Sequence[Device]) -> None:
        self._reactor = reactor
        self._devices = devices
        self._starts: list[IDelayedCall] = []

    def start(self, spread: float = 0.0) -> None:
        """Start all devices within ``spread`` seconds, evenly, so that equal rates do not beat in time."""
        for number, device in enumerate(self._devices):
            self._starts.append(self._reactor.callLater(spread * number / len(self._devices), device.start))

    async def finished(self) -> None:
        """Wait until every device has sent its last line and has all answers.

        Raises:
            Exception: the first thing that made a device fail.

        """
        await self._all([device.finished() for device in self._devices])

    async def stop(self, within: float) -> list[Line]:
        """Stop all devices (see `LineDevice.stop`); returns the lines without a final answer."""
        for start in self._starts:
            if start.active():
                start.cancel()
        unanswered = await self._all([device.stop(within) for device in self._devices])
        return [line for lines in unanswered for line in lines]

    async def _all(self, coroutines: list[Coroutine[Deferred[Any], Any, T]]) -> list[T]:
        try:
            return await gatherResults([Deferred.fromCoroutine(each) for each in coroutines], consumeErrors=True)
        except FirstError as first:
            first.subFailure.raiseException()

    @property
    def unanswered(self) -> list[Line]:
        """The lines of all devices without a final answer."""
        return [line for device in self._devices for line in device.unanswered]

    @property
    def size(self) -> int:
        """How many devices there are."""
        return len(self._devices)

    @property
    def connected(self) -> int:
        """How many of them have a connection."""
        return sum(device.connected for device in self._devices)

    @property
    def trouble(self) -> str | None:
        """Why a device without connection has none; None when no device knows a reason."""
        return next((device.trouble for device in self._devices if device.trouble is not None), None)

    @property
    def counts(self) -> Counts:
        """The sums over all devices."""
        each = [device.counts for device in self._devices]
        return Counts(**{name: sum(getattr(counts, name) for counts in each) for name in Counts.__struct_fields__})


class Latencies:
    """Seconds from a line's first sending to its acknowledgement: a fair sample of bounded size."""

    def __init__(self, size: int = 50_000, random: Random | None = None) -> None:
        self._size = size
        self._random = random if random is not None else Random()  # noqa: S311 - sampling
        self._seen = 0
        self._sample: list[float] = []

    def add(self, seconds: float) -> None:
        """Take one more into account."""
        self._seen += 1
        if len(self._sample) < self._size:
            self._sample.append(seconds)
        elif (place := self._random.randrange(self._seen)) < self._size:
            self._sample[place] = seconds

    def percentile(self, percent: float) -> float | None:
        """Return the value that ``percent`` of the sample do not exceed; None before the first."""
        if not self._sample:
            return None
        ordered = sorted(self._sample)
        return ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)]


class TimedLedger:
    """Measures each acknowledgement, and passes everything on to another ledger, if there is one."""

    def __init__(self, onward: Ledger | None = None, wall: Callable[[], float] = time.time) -> None:
        self.latencies = Latencies()
        self._onward = onward
        self._wall = wall

    def on_sent(self, line: Line, sent_at: float) -> None:
        """Pass on."""
        if self._onward is not None:
            self._onward.on_sent(line, sent_at)

    def on_ack(self, line_id: str, sent_at: float, seq: Seq) -> None:
        """Measure, and pass on."""
        self.latencies.add(max(0.0, self._wall() - sent_at))
        if self._onward is not None:
            self._onward.on_ack(line_id, sent_at, seq)

    def on_error(self, line_id: str, code: str, reason: str) -> None:
        """Pass on."""
        if self._onward is not None:
            self._onward.on_error(line_id, code, reason)
