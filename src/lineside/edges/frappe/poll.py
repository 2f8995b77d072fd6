"""Asks a site for what was changed there: what a webhook did not bring becomes an event all the same, once."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Sequence
from random import Random
from sqlite3 import Connection
from typing import Literal
from zoneinfo import ZoneInfo

from msgspec.structs import replace
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall, deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure

from lineside.delivery.backoff import Backoff
from lineside.delivery.gate import Gate
from lineside.edges.frappe.changedrows import PAGE, ChangedRows, Row, Unlisted
from lineside.edges.frappe.hooks import Ledger
from lineside.edges.frappe.versions import Version, settled
from lineside.journal import polls
from lineside.model.batch import Batch
from lineside.model.errors import LinesideError, SourcePaused
from lineside.store.database import Database
from lineside.wire.jsonl import JsonLines

log = Logger()

AWAY = Backoff((1.0, 2.0, 5.0, 15.0, 30.0, 60.0), jitter=0.2)
"""Seconds between two attempts while the site does not answer, or the journal stores nothing."""


class FrappePoll:
    """The `Part` that asks for the changes of one DocType, again and again.

    Each look begins where nothing new is to be expected before, see `settled`, and takes what it did not know. What
    it knows is stored with the events, in one transaction, by the poll and by the webhooks: after a crash at any
    moment no change is lost, and none becomes two events, however long the gateway was away.

    Args:
        id: the source's name.
        rows: asks the site.
        gate: the target's; while it is closed nothing is asked.
        ledger: the journal.
        database: the journal's, with the tables `lineside.journal.polls.POLLS`.
        clock: must follow a monotonic clock.
        random: for the delays while the site is away.
        every: seconds from one look to the next.
        overlap: seconds by which each look goes back.
        batch: documents that are read whole, and stored, at a time.
        begin: where a source begins that was never there before: with all documents, or with changes to come.
        device: the field that names the device, as a path.
        now: the wall clock, for stamps of the future only.

    """

    def __init__(
        self,
        id: str,  # noqa: A002 (what the configuration calls it)
        rows: ChangedRows,
        gate: Gate,
        ledger: Ledger,
        database: Database,
        clock: IReactorTime,
        random: Random,
        *,
        every: float,
        overlap: float,
        batch: int = 200,
        begin: Literal["all", "new"] = "new",
        device: str | None = None,
        now: Callable[[], float] = time.time,
    ) -> None:
        self.id = id
        self.name = f"source {id}"
        self.received = 0
        self.on_batch: Callable[[Batch, list[tuple[str, int]]], None] | None = None
        """Called with each batch before it is stored."""
        self._rows = rows
        self._gate = gate
        self._ledger = ledger
        self._database = database
        self._clock = clock
        self._random = random
        self._every = every
        self._overlap = overlap
        self._batch = batch
        self._begin = begin
        self._lines = JsonLines(None, device)
        self._now = now
        self._zone = ZoneInfo("UTC")
        self._floor: str | None = None
        """Up to this moment everything is known."""
        self._seen: dict[str, str] = {}
        """The moments of the versions above it that are known, by key."""
        self._known = False
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

    def note(self, version: Version) -> Callable[[Connection], None]:
        """Return what stores that a change is known; for the transaction that stores its event."""
        seen = {version.key(self._rows.doctype): version.modified}
        return lambda connection: polls.take(connection, self.id, seen)

    def noted(self, version: Version) -> None:
        """Take it that the transaction was committed."""
        self._seen[version.key(self._rows.doctype)] = version.modified

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
            self._known = False
            await self._rest(f"cannot store: {failed}", "free space on the journal's disk or check it")
        except Exception as failed:  # noqa: BLE001 (a row that nobody thought of must not end the source)
            log.failure("poll.stumbled", source=self.id)
            self._known = False
            await self._rest(f"{type(failed).__name__}, see the log", "it is tried again")
        else:
            self._failures = 0
            if self._failing is not None:
                self._failing = None
                log.info("poll.works_again", source=self.id)
            return True
        return False

    async def _look_through(self) -> None:
        self._zone = ZoneInfo((await self._gate.passed()).time_zone)
        if not self._known:
            await self._take_up()
        begin, after = self._floor, None
        while True:
            page = await self._rows.versions(begin, after)
            missing = [version for version in page if version.key(self._rows.doctype) not in self._seen]
            for start in range(0, len(missing), self._batch):
                part = missing[start : start + self._batch]
                await self._take(await self._rows.whole([version.name for version in part]), part[-1])
            if page:
                await self._move(page[-1])
            if len(page) < PAGE:
                return
            after = page[-1]

    async def _take_up(self) -> None:
        before, floor, seen = await self._database.read(lambda connection: polls.load(connection, self.id))
        if not before:
            if self._begin == "new":
                floor, there = await self._what_is_there()
                seen |= there
            taken = dict(seen)
            await self._database.write(lambda connection: polls.store(connection, self.id, floor, taken, ()))
        # What webhooks brought since is committed as well.
        self._floor, self._seen, self._known = floor, seen | self._seen, True

    async def _what_is_there(self) -> tuple[str | None, dict[str, str]]:
        newest = await self._rows.newest()
        if newest is None:
            return None, {}
        floor = self._settled(newest)
        seen: dict[str, str] = {}
        after = None
        while True:
            page = await self._rows.versions(floor, after)
            seen |= {version.key(self._rows.doctype): version.modified for version in page}
            if len(page) < PAGE:
                return floor, seen
            after = page[-1]

    async def _take(self, rows: Sequence[Row], last: Version) -> None:
        # One that was changed again meanwhile comes as it is now; perhaps a webhook has brought it.
        fresh = {row.version.key(self._rows.doctype): row for row in rows}
        fresh = {key: row for key, row in fresh.items() if key not in self._seen}
        events = [replace(self._lines.decode(row.body), key=key) for key, row in fresh.items()]
        floor, passed = self._passed(last)
        seen = {key: row.version.modified for key, row in fresh.items()}
        if self.on_batch is not None and events:
            self.on_batch(Batch.of(events), [(self._gate.name, len(events))])
        receipts = await self._ledger.append(
            self.id, events, also=lambda connection: polls.store(connection, self.id, floor, seen, passed)
        )
        self._gone_on(floor, passed)
        self._seen |= seen
        self.received += sum(not receipt.repeated for receipt in receipts)

    async def _move(self, last: Version) -> None:
        floor, passed = self._passed(last)
        if floor != self._floor:
            await self._database.write(lambda connection: polls.store(connection, self.id, floor, {}, passed))
            self._gone_on(floor, passed)

    def _passed(self, last: Version) -> tuple[str, list[str]]:
        """Return up to where everything is known once all up to ``last`` is taken, and what lies below."""
        floor = self._settled(last)
        if self._floor is not None:
            floor = max(floor, self._floor)
        return floor, [key for key, modified in self._seen.items() if modified <= floor]

    def _gone_on(self, floor: str, passed: list[str]) -> None:
        self._floor = floor
        for key in passed:
            self._seen.pop(key, None)

    def _settled(self, version: Version) -> str:
        return settled(version.modified, self._now(), self._zone, self._overlap)

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
