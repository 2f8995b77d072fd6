"""The journal as one source sees it while it is watched."""

from __future__ import annotations

from collections.abc import Callable
from sqlite3 import Connection

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from lineside.journal.log import SqliteJournal
from lineside.model.batch import Batch, Receipts
from lineside.model.errors import SourcePaused
from lineside.model.event import Event, Page, Receipt, Record, Seq
from lineside.model.traffic import Traffic

log = Logger()

SLOW = 2.0
"""Seconds until a commit is synced that are too many."""
SAY_AGAIN = 60.0
"""Seconds between two lines of the log about it."""


class WatchedJournal:
    """The `Journal` for one source: what it appends is counted in its `Traffic`, a call at a time.

    A disk on which that takes too long is told in the log, as ``journal.slow``.

    Args:
        journal: where everything goes.
        traffic: the source's.
        clock: must follow a monotonic clock.
        now_ns: the wall clock, for people.

    """

    def __init__(
        self, journal: SqliteJournal, traffic: Traffic, clock: IReactorTime, now_ns: Callable[[], int]
    ) -> None:
        self._journal = journal
        self._traffic = traffic
        self._clock = clock
        self._now_ns = now_ns
        self._said = float("-inf")
        self.on_undecodable: list[Callable[[str, Seq, str], None]] = []
        """Each is called with the source, the sequence and the error of what became a dead letter at once."""
        self.paused = False
        """A person stopped the source: nothing is appended."""

    async def append(
        self, source: str, events: list[Event], *, also: Callable[[Connection], None] | None = None
    ) -> list[Receipt]:
        """Append as the journal does."""
        batches = [Batch.of(events)] if events else []
        return [
            receipt for receipts in await self.append_batches(source, batches, also=also) for receipt in receipts
        ]

    async def append_batches(
        self,
        source: str,
        batches: list[Batch],
        *,
        also: Callable[[Connection], None] | None = None,
        note: Callable[[Connection, list[Receipts]], None] | None = None,
    ) -> list[Receipts]:
        """Append as the journal does, and store ``also`` and ``note`` in the same transaction.

        Raises:
            SourcePaused: a person stopped the source; nothing was stored.

        """
        if self.paused:
            raise SourcePaused(f"the source is paused: lineside resume source {source}")
        began = self._clock.seconds()
        self._traffic.heard, self._traffic.heard_ns = began, self._now_ns()
        told = await self._journal.append_batches(source, batches, also=also, note=note)
        now = self._clock.seconds()
        if now - began > SLOW:
            self._say_slow(source, now - began, now)
        undecodable = sum(len(receipts.errors) for receipts in told)
        if undecodable:
            self._tell_undecodable(source, told)
        self._traffic.stored(sum(receipts.count for receipts in told), undecodable, now - began, now)
        return told

    async def read(self, after: Seq, *, sources: frozenset[str] | None, limit: int) -> Page:
        """Read as from the journal."""
        return await self._journal.read(after, sources=sources, limit=limit)

    def on_commit(self, published: Callable[[list[Record]], None]) -> Callable[[], None]:
        """Listen as to the journal."""
        return self._journal.on_commit(published)

    def pause(self, paused: bool) -> None:
        """Take no events, or take them again."""
        self.paused = paused

    def came(self, batch: Batch, senders: list[tuple[str, int]]) -> None:
        """Take note of who sent a batch; see `Traffic.came`."""
        self._traffic.came(batch, senders, self._clock.seconds(), self._now_ns())

    def _tell_undecodable(self, source: str, told: list[Receipts]) -> None:
        for tell in self.on_undecodable:
            for receipts in told:
                for receipt in receipts if receipts.errors else ():
                    if receipt.error is not None:
                        tell(source, receipt.seq, receipt.error)

    def _say_slow(self, source: str, seconds: float, now: float) -> None:
        if now - self._said >= SAY_AGAIN:
            self._said = now
            log.warn(
                "journal.slow",
                source=source,
                seconds=round(seconds, 1),
                remedy="see what else uses the journal's disk, and whether it fails (journalctl -k)",
            )
