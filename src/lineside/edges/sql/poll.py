"""A table as a source: its new rows become events, each once."""

from __future__ import annotations

import sqlite3
from random import Random
from typing import Literal

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall, deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure

from lineside.delivery.backoff import Backoff
from lineside.edges.sql.newrows import NewRows
from lineside.edges.sql.pool import Pool
from lineside.edges.sql.rowintake import Ledger, RowIntake
from lineside.edges.sql.trouble import DatabaseFailed
from lineside.model.errors import LinesideError, SourcePaused
from lineside.store.database import Database

log = Logger()

AWAY = Backoff((1.0, 2.0, 5.0, 15.0, 30.0), jitter=0.2)
"""Seconds between two attempts while the database is away, or the journal stores nothing."""


class SqlSource:
    """The `Part` that polls one table.

    Args:
        id: the source's name.
        pool: for reading.
        rows: finds what is new.
        ledger: the journal.
        database: the journal's, with the tables `lineside.journal.polls.POLLS`.
        clock: must follow a monotonic clock.
        random: for the delays while the database is away.
        every: seconds from one look to the next.
        within: seconds that one look may take.
        begin: where a source begins that was never there before: with all rows, or with those to come.
        device: the column that names the device, if one does.

    """

    def __init__(
        self,
        id: str,  # noqa: A002 (what the configuration calls it)
        pool: Pool,
        rows: NewRows,
        ledger: Ledger,
        database: Database,
        clock: IReactorTime,
        random: Random,
        *,
        address: str,
        every: float,
        within: float,
        begin: Literal["all", "new"] = "all",
        device: str | None = None,
    ) -> None:
        self.id = id
        self.name = f"source {id}"
        self.address = address
        self.problem: str | None = None
        """What hinders it, in a line."""
        self.intake = RowIntake(
            id, id, pool, rows, ledger, database, address=address, within=within, begin=begin, device=device
        )
        self._pool = pool
        self._clock = clock
        self._random = random
        self._every = every
        self._failures = 0
        self._round: Deferred[None] | None = None
        self._loop = LoopingCall(self._start_round)
        self._loop.clock = clock

    async def start(self) -> None:
        """Begin to look, now; a database that is away is no reason not to start."""
        await self._pool.start()
        self._loop.start(self._every).addErrback(
            lambda failure: log.failure("poll.stumbled", failure=failure, source=self.id)
        )

    async def stop(self) -> None:
        """Look no more. What was found and not stored is found again after the next start."""
        if self._loop.running:
            self._loop.stop()
        if self._round is not None:
            self._round.cancel()
            await self._round
        await self._pool.stop()

    def _start_round(self) -> Deferred[None]:
        # LoopingCall waits for it: no look begins before the last one has ended.
        ended = self._round = Deferred.fromCoroutine(self._look_until_done())
        ended.addErrback(_not_if_cancelled)
        return ended

    async def _look_until_done(self) -> None:
        try:
            while await self.intake.look():
                pass
        except CancelledError:
            raise
        except DatabaseFailed as failed:
            trouble = failed.trouble
            # Anything else may quote a row.
            told = trouble.reason if trouble.kind in _REMEDIES else f"{trouble.kind} {trouble.code}".strip()
            await self._rest(trouble.reason, _REMEDIES.get(trouble.kind, _TRY), told)
        except SourcePaused as paused:
            self.problem = str(paused)
            await deferLater(self._clock, AWAY.delay(1, self._random))
        except (OSError, sqlite3.Error, LinesideError) as failed:
            # Perhaps it is stored all the same: the journal knows how far it has come.
            self.intake.doubt()
            await self._rest(f"cannot store: {failed}", "free space on the journal's disk or check it")
        except Exception as failed:  # noqa: BLE001 (a row that nobody thought of must not end the source)
            log.failure("poll.stumbled", source=self.id)
            self.intake.doubt()
            await self._rest(f"{type(failed).__name__}, see the log", _TRY)
        else:
            self._failures = 0
            if self.problem is not None:
                self.problem = None
                log.info("poll.works_again", source=self.id)

    async def _rest(self, reason: str, remedy: str, told: str | None = None) -> None:
        """Wait before the next attempt; ``told`` is what the log gets of the reason."""
        self._failures += 1
        delay = AWAY.delay(self._failures, self._random)
        if self.problem is None:
            log.warn("poll.failing", source=self.id, reason=told or reason, again_in=round(delay, 1), remedy=remedy)
        self.problem = f"{reason}; {remedy}"
        await deferLater(self._clock, delay)


def _not_if_cancelled(failure: Failure) -> None:
    failure.trap(CancelledError)


_TRY = "it is tried again"
_REMEDIES = {
    "down": "is the database running, and is this its address?",
    "denied": "check the database's user and password, and let it SELECT from the table",
    "statement": "check the source's table and columns",
    "overdue": "is there an index on the key, and on modified?",
}
