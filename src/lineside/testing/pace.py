"""How many lines a device may send by now. Pure: the caller brings the time."""

from __future__ import annotations

TICK = 0.01
"""Seconds no wait falls below: at a high rate several lines share a turn instead of a timer for each."""

_ROUNDING = 1e-9


class Pace:
    """A steady rate with bounded catching up.

    The first line may go at once. After a stretch in which nothing could be sent, at most ``rate * catch_up``
    lines (but one at least) go out in a burst; the rest of that stretch is forgiven, not made up for.
    """

    def __init__(self, rate: float, catch_up: float = 1.0) -> None:
        if not rate > 0:
            raise ValueError(f"a rate of {rate} lines a second sends nothing: it must be above 0")
        self._rate = rate
        self._most = max(1.0, rate * catch_up)
        self._turns = 1.0
        self._at: float | None = None

    def take(self, limit: int, now: float) -> int:
        """Return how many lines may go at ``now`` (seconds of any steady clock), ``limit`` at most."""
        if self._at is not None:
            self._turns = min(self._most, self._turns + (now - self._at) * self._rate)
        self._at = now
        taken = min(limit, int(self._turns + _ROUNDING))
        self._turns -= taken
        return taken

    def wait(self, now: float) -> float:
        """Return the seconds from ``now`` until the next line may go, `TICK` at least."""
        at = now if self._at is None else self._at
        return max(TICK, (1.0 - self._turns) / self._rate - (now - at))
