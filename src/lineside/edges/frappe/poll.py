"""Asks a site for what was changed there: what a webhook did not bring becomes an event all the same, once."""

from __future__ import annotations

import sqlite3
from random import Random
from zoneinfo import ZoneInfo

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall, deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure

from lineside.delivery.backoff import Backoff
from lineside.delivery.gate import Gate
from lineside.edges.frappe.changedrows import Unlisted
from lineside.edges.frappe.newchanges import NewChanges
from lineside.model.errors import LinesideError, SourcePaused

log = Logger()

AWAY = Backoff((1.0, 2.0, 5.0, 15.0, 30.0, 60.0), jitter=0.2)
"""Seconds between two attempts while the site does not answer, or the journal stores nothing."""


class FrappePoll:
    """The `Part` that asks for the changes of one DocType, again and again.

    Args:
        id: the source's name.
        changes: finds and stores what is new.
        gate: the target's; while it is closed nothing is asked.
        clock: must follow a monotonic clock.
        random: for the delays while the site is away.
        every: seconds from one look to the next.

    """

    def __init__(
        self,
        id: str,  # noqa: A002 (what the configuration calls it)
        changes: NewChanges,
        gate: Gate,
        clock: IReactorTime,
        random: Random,
        *,
        every: float,
    ) -> None:
        self.id = id
        self.name = f"source {id}"
        self.changes = changes
        self._gate = gate
        self._clock = clock
        self._random = random
        self._every = every
        self._failing: str | None = None
        self._failures = 0
        self._look: Deferred[None] | None = None
        self._loop = LoopingCall(self._start_look)
        self._loop.clock = clock

    @property
    def problem(self) -> str | None:
        """What hinders it, in a line."""
        if self._gate.paused:
            return f"the target {self._gate.name} is paused"
        closed = self._gate.problem
        return self._failing if closed is None else f"{self._gate.name}: {closed.reason}"

    async def start(self) -> None:
        """Begin to look, now; a site that is away is no reason not to start."""
        self._loop.start(self._every).addErrback(
            lambda failure: log.failure("poll.stumbled", failure=failure, source=self.id)
        )

    async def stop(self) -> None:
        """Look no more. What was found and not stored is found again after the next start."""
        if self._loop.running:
            self._loop.stop()
        if self._look is not None:
            self._look.cancel()
            await self._look

    def _start_look(self) -> Deferred[None]:
        # LoopingCall waits for it: no look begins before the last one has ended.
        ended = self._look = Deferred.fromCoroutine(self._look_until_done())
        ended.addErrback(_not_if_cancelled)
        return ended

    async def _look_until_done(self) -> None:
        while not (self._gate.paused or await self._looked()):
            pass

    async def _looked(self) -> bool:
        """Look once; return whether it went well, otherwise after a rest."""
        try:
            await self._look_through()
        except CancelledError:
            raise
        except Unlisted as unlisted:
            await self._rest(unlisted.reason, unlisted.remedy, unlisted.after)
        except SourcePaused as paused:
            self._failing = str(paused)
            await deferLater(self._clock, AWAY.delay(1, self._random))
        except (OSError, sqlite3.Error, LinesideError) as failed:
            # Perhaps it is stored all the same: the journal knows how far it has come.
            self.changes.doubt()
            await self._rest(f"cannot store: {failed}", "free space on the journal's disk or check it")
        except Exception as failed:  # noqa: BLE001 (a row that nobody thought of must not end the source)
            log.failure("poll.stumbled", source=self.id)
            self.changes.doubt()
            await self._rest(f"{type(failed).__name__}, see the log", "it is tried again")
        else:
            self._failures = 0
            if self._failing is not None:
                self._failing = None
                log.info("poll.works_again", source=self.id)
            return True
        return False

    async def _look_through(self) -> None:
        await self.changes.look(ZoneInfo((await self._gate.passed()).time_zone))

    async def _rest(self, reason: str, remedy: str, after: float | None = None) -> None:
        """Wait before the next attempt."""
        self._failures += 1
        delay = AWAY.delay(self._failures, self._random) if after is None else max(after, AWAY.steps[0])
        if self._failing is None:
            log.warn("poll.failing", source=self.id, reason=reason, again_in=round(delay, 1), remedy=remedy)
        self._failing = f"{reason}; {remedy}"
        await deferLater(self._clock, delay)


def _not_if_cancelled(failure: Failure) -> None:
    failure.trap(CancelledError)
