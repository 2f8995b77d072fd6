"""A latch for a loop that sleeps until something may have changed."""

from __future__ import annotations

from twisted.internet.defer import Deferred


class Wakeup:
    """Remembers that it was set, so that nothing that happens between two waits is missed."""

    def __init__(self) -> None:
        self._set = False
        self._waiting: Deferred[None] | None = None

    def set(self) -> None:
        """Wake the one who waits, or let the next wait return at once.

        Who waits goes on before this returns: call it last, when what has changed is whole.
        """
        waiting, self._waiting = self._waiting, None
        if waiting is None:
            self._set = True
        else:
            waiting.callback(None)

    async def wait(self) -> None:
        """Return once `set` was called since the last wait. One at a time."""
        if self._set:
            self._set = False
            return
        assert self._waiting is None, "one waits at a time"
        waiting = self._waiting = Deferred(self._forget)
        await waiting

    def _forget(self, cancelled: Deferred[None]) -> None:
        self._waiting = None
