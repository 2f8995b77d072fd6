"""How late the reactor comes to what is due: while it does one thing, everything else waits."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall

from lineside.model.rates import Delays

EVERY = 0.5
"""Seconds between two looks."""


class ReactorLag:
    """The `Part` that measures how much later than asked a call comes.

    Args:
        clock: must follow a monotonic clock.

    """

    name = "reactor lag"

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._due = 0.0
        self._look = LoopingCall.withCount(self._looked)
        self._look.clock = clock
        self._ended: Deferred[LoopingCall] | None = None
        self.delays = Delays()
        """By how many seconds each was late."""

    async def start(self) -> None:
        """Begin to measure."""
        self._due = self._clock.seconds() + EVERY
        self._ended = self._look.start(EVERY, now=False)

    async def stop(self) -> None:
        """End it."""
        if self._look.running:
            self._look.stop()
        if self._ended is not None:
            await self._ended

    def _looked(self, count: int) -> None:
        # Of a delay so long that looks were left out, the first of them says how long it was.
        now = self._clock.seconds()
        self.delays.add(now, max(0.0, now - self._due))
        self._due += count * EVERY
