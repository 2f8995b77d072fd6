"""As many requests at a time as an ERP has workers; the others wait in line."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from twisted.internet.defer import Deferred


class Workers:
    """The workers of one site; fair.

    Args:
        number: how many there are at the moment; 0 for as many as it takes.

    """

    def __init__(self, number: Callable[[], int]) -> None:
        self._number = number
        self._busy = 0
        self._waiting: deque[Deferred[None]] = deque()

    async def enter(self) -> None:
        """Return when a worker is free, and take it; `leave` gives it back."""
        self._fill()
        if self._waiting or not self._is_free():
            turn: Deferred[None] = Deferred(self._waiting.remove)
            self._waiting.append(turn)
            await turn
        else:
            self._busy += 1

    def leave(self) -> None:
        """Give a worker back; the one who waited longest gets it."""
        self._busy -= 1
        self._fill()

    def _fill(self) -> None:
        while self._waiting and self._is_free():
            self._busy += 1
            self._waiting.popleft().callback(None)

    def _is_free(self) -> bool:
        number = self._number()
        return number == 0 or self._busy < number
