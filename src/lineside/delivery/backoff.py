"""How long to wait before the next attempt. Pure."""

from __future__ import annotations

from random import Random

from msgspec import Struct


class Backoff(Struct, frozen=True):
    """Delays that grow step by step, the last one repeating, each moved a little at random."""

    steps: tuple[float, ...]
    """Seconds after the first, second, ... failure; at least one, none negative."""
    jitter: float = 0.0
    """The share of a step, 0 to 1, by which a delay may be longer or shorter: so that what failed together
    does not come back together."""

    def __post_init__(self) -> None:
        if not self.steps or min(self.steps) < 0:
            raise ValueError(f"steps must be one or more delays of 0 seconds or more, not {self.steps}")
        if not 0 <= self.jitter <= 1:
            raise ValueError(f"jitter must be between 0 and 1, not {self.jitter}")

    def delay(self, attempt: int, random: Random) -> float:
        """Return the seconds to wait after attempt number ``attempt`` (from 1) has failed."""
        if attempt < 1:
            raise ValueError(f"attempts are counted from 1, not {attempt}")
        step = self.steps[min(attempt, len(self.steps)) - 1]
        return step * (1 + self.jitter * random.uniform(-1, 1))
