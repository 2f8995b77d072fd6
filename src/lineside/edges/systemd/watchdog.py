"""Signs of life: given only while the gateway does its work, not merely while its process exists."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from lineside.edges.systemd.notify import Supervisor

log = Logger()

Echo = Callable[[], Mapping[str, Deferred[None]]]
"""Asks each thread that the gateway rests on to answer, by its name. They answer when what was queued is done."""


class Watchdog:
    """The `Part` that gives a sign of life twice in each ``limit`` of seconds, while the gateway works.

    A turn of the reactor asks the threads, and the sign goes out when all have answered. So there is none
    while the reactor is stuck, or a thread is, say in a call to a disk that hangs. A thread that is busy for
    less than half the limit is never taken for stuck. A disk that refuses hinders no answer: a new start would
    not mend it.
    """

    name = "watchdog"

    def __init__(self, supervisor: Supervisor, limit: float, echo: Echo, clock: IReactorTime) -> None:
        self._supervisor = supervisor
        self._limit = limit
        self._echo = echo
        self._clock = clock
        # A loop never asks again before it is answered.
        self._asking = LoopingCall(self._ask)
        self._asking.clock = clock
        self._late: IDelayedCall | None = None

    async def start(self) -> None:
        """Begin; the first sign is due half a limit from now."""
        self._asking.start(self._limit / 2, now=False)

    async def stop(self) -> None:
        """End. An answer that is still missing is not waited for."""
        if self._asking.running:
            self._asking.stop()
        if self._late is not None and self._late.active():
            self._late.cancel()

    def _ask(self) -> Deferred[object]:
        echoes = dict(self._echo())
        asked = self._clock.seconds()
        # The last sign was given at most half a limit ago: half of what is left is for this line in the log.
        late = self._late = self._clock.callLater(self._limit / 4, self._warn, echoes)

        def answered(result: object) -> None:
            if not self._asking.running:
                return
            if late.active():
                late.cancel()
            else:
                log.warn("watchdog.answered", after=round(self._clock.seconds() - asked, 1))
            self._supervisor.tell(WATCHDOG="1")

        return DeferredList([*echoes.values()], consumeErrors=True).addCallback(answered)

    def _warn(self, echoes: Mapping[str, Deferred[None]]) -> None:
        silent = ", ".join(name for name, echo in echoes.items() if not echo.called)
        log.error("watchdog.unanswered", silent=silent, remedy="check the journal's disk")
