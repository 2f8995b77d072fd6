"""How much in a second, and how long it took: counts that stay small however much is counted. Pure.

Times are seconds of a monotonic clock; they never go back.
"""

from __future__ import annotations

import math

MINUTE = 60
FINENESS = 8
"""Sizes of a duration between one and twice as much; what is told is at most 9 % too long, and never too short."""
SHORTEST = 1e-6
SIZES = 30 * FINENESS
"""From `SHORTEST` to about a quarter of an hour; what is longer counts as that long."""
SLICE = 10
SLICES = MINUTE // SLICE


class Rate:
    """How many in each of the last 60 seconds."""

    __slots__ = ("_began", "_counts", "_second")

    def __init__(self, now: float) -> None:
        self._counts = [0] * (MINUTE + 1)
        self._second = self._began = int(now)

    def add(self, now: float, count: int) -> None:
        """Count so many at this time."""
        second = int(now)
        if second != self._second:
            self._go_on(second)
        self._counts[second % (MINUTE + 1)] += count

    def last_second(self, now: float) -> float:
        """Return how many there were in the last second that is over."""
        self._go_on(int(now))
        return float(self._counts[(self._second - 1) % (MINUTE + 1)])

    def last_minute(self, now: float) -> float:
        """Return how many a second there were in the last 60 seconds that are over, or since the beginning."""
        self._go_on(int(now))
        over = sum(self._counts) - self._counts[self._second % (MINUTE + 1)]
        return over / max(1, min(MINUTE, self._second - self._began))

    def _go_on(self, second: int) -> None:
        for passed in range(self._second + 1, min(second, self._second + MINUTE + 1) + 1):
            self._counts[passed % (MINUTE + 1)] = 0
        if second > self._second + MINUTE + 1:
            self._counts = [0] * (MINUTE + 1)
        self._second = max(second, self._second)


class Fading:
    """How many a second lately: what is a minute old weighs a third. Two numbers, for where there are many."""

    __slots__ = ("_at", "_weight")

    def __init__(self, now: float) -> None:
        self._weight = 0.0
        self._at = now

    def add(self, now: float, count: int) -> None:
        """Count so many at this time."""
        if now - self._at < 1.0:
            self._weight += count
        else:
            self._weight = self._weight * math.exp((self._at - now) / MINUTE) + count
            self._at = now

    def rate(self, now: float) -> float:
        """Return how many a second."""
        return self._weight * math.exp((self._at - now) / MINUTE) / MINUTE


class Delays:
    """How long things took, in the last minute and ever: their number in each of some sizes."""

    def __init__(self) -> None:
        self._slices: dict[int, list[int]] = {}
        self._ever = [0] * SIZES
        self.seconds = 0.0
        """All of it together, ever."""

    def add(self, now: float, took: float, count: int = 1) -> None:
        """Count so many that took so many seconds."""
        number = int(now) // SLICE
        sizes = self._slices.get(number)
        if sizes is None:
            self._forget(number)
            sizes = self._slices[number] = [0] * SIZES
        size = min(math.ceil(math.log2(took / SHORTEST) * FINENESS) if took > SHORTEST else 0, SIZES - 1)
        sizes[size] += count
        self._ever[size] += count
        self.seconds += took * count

    def quantile(self, now: float, share: float) -> float | None:
        """Return the seconds within which this share of them was done; None where there were none."""
        self._forget(int(now) // SLICE)
        sizes = [sum(each) for each in zip(*self._slices.values(), strict=True)]
        wanted = share * sum(sizes)
        reached = 0
        for size, count in enumerate(sizes):
            reached += count
            if count and reached >= wanted:
                return float(SHORTEST * 2 ** (size / FINENESS))
        return None

    def within(self, doublings: range) -> list[tuple[float, int]]:
        """Return how many ever took at most 2, 4, 8, … microseconds, for those powers of two, and how many at all.

        The last bound is infinite. Each count holds the ones before it, as in a histogram of Prometheus.
        """
        bounds = [(SHORTEST * 2.0**power, sum(self._ever[: power * FINENESS + 1])) for power in doublings]
        return [*bounds, (math.inf, sum(self._ever))]

    def _forget(self, number: int) -> None:
        for old in [each for each in self._slices if each <= number - SLICES]:
            del self._slices[old]
