"""Places for what may be under way at a time; how many there are may change."""

from __future__ import annotations

from collections import deque

from twisted.internet.defer import Deferred


class Slots:
    """A semaphore whose limit can be moved. First come, first served; waiting is cancellable."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._waiting: deque[Deferred[None]] = deque()
        self.taken = 0

    @property
    def limit(self) -> int:
        """How many may be taken at a time. Lowering it takes nothing away from who holds a place."""
        return self._limit

    @limit.setter
    def limit(self, limit: int) -> None:
        self._limit = limit
        self._let_in()

    async def acquire(self) -> None:
        """Return when a place is taken; every return needs one `release`."""
        place: Deferred[None] = Deferred(self._waiting.remove)
        self._waiting.append(place)
        self._let_in()
        await place

    def release(self) -> None:
        """Give a place back."""
        self.taken -= 1
        self._let_in()

    def _let_in(self) -> None:
        while self._waiting and self.taken < self._limit:
            self.taken += 1
            self._waiting.popleft().callback(None)
