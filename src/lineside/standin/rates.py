"""Frappe's limiter: so much working time for all clients together in each window."""

from __future__ import annotations

import math
from collections.abc import Callable

from msgspec import Struct

from lineside.standin.settings import SiteSettings

Headers = tuple[tuple[bytes, bytes], ...]


class Standing(Struct, frozen=True):
    """What the limiter says as a request comes in; times in microseconds, ``reset`` in seconds."""

    limit: int
    remaining: int
    reset: int
    rejected: bool

    def headers(self, used: float) -> Headers:
        """Return the headers of the answer to a request that took ``used`` seconds."""
        told = {"X-RateLimit-Reset": self.reset, "X-RateLimit-Limit": self.limit}
        told["X-RateLimit-Remaining"] = self.remaining
        if self.rejected:
            told["Retry-After"] = self.reset
        else:
            told["X-RateLimit-Used"] = int(used * 1_000_000)
        return tuple((name.encode(), str(value).encode()) for name, value in told.items())


class RateLimiter:
    """Counts the time that requests take, in windows that follow each other.

    Args:
        seconds: a clock.
        settings: of the site.

    """

    def __init__(self, seconds: Callable[[], float], settings: SiteSettings) -> None:
        self._seconds = seconds
        self._settings = settings
        self._window = -1
        self._spent = 0

    def standing(self) -> Standing | None:
        """Return where the window stands, None without a limit."""
        settings = self._settings.now
        if not settings.rate_limit:
            return None
        window, passed = divmod(self._seconds(), settings.rate_window)
        if window != self._window:
            self._window, self._spent = int(window), 0
        limit = int(settings.rate_limit * 1_000_000)
        reset = max(1, math.ceil(settings.rate_window - passed))
        return Standing(limit, max(limit - self._spent, 0), reset, self._spent > limit)

    def spend(self, used: float) -> None:
        """Count the seconds that an admitted request took."""
        self._spent += int(used * 1_000_000)
