"""Questions to a site on behalf of others: few at a time, for deliveries share its workers and go before."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from twisted.internet.defer import Deferred, DeferredSemaphore

T = TypeVar("T")


class Turns:
    """Who may ask, and who waits for it, in the order in which they came.

    Args:
        asking: so many questions are under way at a time.
        waiting: so many further ones wait for their turn.

    """

    def __init__(self, asking: int, waiting: int) -> None:
        self._most = asking + waiting
        self._turn = DeferredSemaphore(asking)
        self._under_way = 0

    @property
    def crowded(self) -> bool:
        """So many wait that one more would wait in vain; `take` does not look at it."""
        return self._under_way >= self._most

    async def take(self, ask: Callable[[], Coroutine[Deferred[Any], Any, T]]) -> T:
        """Ask when it is our turn. Who is cancelled makes room."""
        self._under_way += 1
        try:
            await self._turn.acquire()
            try:
                return await ask()
            finally:
                self._turn.release()
        finally:
            self._under_way -= 1
