"""A journal for those who cannot be told "send it again": appends wait until the disk takes them."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger

from lineside.background import Background
from lineside.model.batch import Batch, Receipts
from lineside.model.errors import JournalUnusable
from lineside.model.event import Event, Page, Receipt, Record, Seq
from lineside.model.ports import Journal

log = Logger()

AGAIN = 1.0
"""Seconds between two attempts to store."""


class PatientJournal:
    """A `Journal` for one source whose senders get no answers, and the `Part` that ends its waiting.

    What a disk refuses is kept and tried again, and what comes after it waits behind it, so that the order stays.
    How much may wait is up to who appends: a source reads nothing more from its devices when it is too much. Stop
    it after its source: what cannot be stored then either is lost, which is logged as ``lines.lost``.
    """

    def __init__(self, source: str, journal: Journal, clock: IReactorTime) -> None:
        self.name = f"source {source}'s waiting lines"
        self.problem: str | None = None
        self._source = source
        self._journal = journal
        self._clock = clock
        self._waiting: list[tuple[str, list[Batch], Deferred[list[Receipts]]]] = []
        self._pause: Deferred[None] | None = None
        self._storing = False
        self._stopping = False
        self._background = Background(self.name)

    async def start(self) -> None:
        """Nothing waits yet."""

    async def stop(self) -> None:
        """Try once more to store what waits; then give up."""
        self._stopping = True
        if self._pause is not None:
            self._pause.cancel()
        await self._background.finish()

    async def append(self, source: str, events: list[Event]) -> list[Receipt]:
        """Store events; see `append_batches`."""
        if not events:
            return []
        [receipts] = await self.append_batches(source, [Batch.of(events)])
        return list(receipts)

    async def append_batches(self, source: str, batches: list[Batch]) -> list[Receipts]:
        """Store batches, however long that takes.

        Raises:
            OSError, sqlite3.Error or JournalUnusable: it was stopped meanwhile; nothing of this call was stored.

        """
        stored: Deferred[list[Receipts]] = Deferred()
        self._waiting.append((source, batches, stored))
        if not self._storing:
            self._storing = True
            self._background.run("store", self._store_waiting())
        return await stored

    async def read(self, after: Seq, *, sources: frozenset[str] | None, limit: int) -> Page:
        """Return up to ``limit`` records above ``after``."""
        return await self._journal.read(after, sources=sources, limit=limit)

    def on_commit(self, published: Callable[[list[Record]], None]) -> Callable[[], None]:
        """Call ``published`` with each commit's new records, in order; returns a function that ends it."""
        return self._journal.on_commit(published)

    async def _store_waiting(self) -> None:
        try:
            while self._waiting:
                # What came while the last was stored is stored together.
                turn, self._waiting = self._waiting, []
                try:
                    receipts = await self._store([batch for _, batches, _ in turn for batch in batches], turn[0][0])
                except CancelledError:
                    raise
                except Exception as failed:  # noqa: BLE001 (each who waits is told, whatever it is)
                    for _, _, stored in turn:
                        stored.errback(failed)
                    continue
                place = 0
                for _, batches, stored in turn:
                    stored.callback(receipts[place : place + len(batches)])
                    place += len(batches)
        finally:
            self._storing = False

    async def _store(self, batches: list[Batch], source: str) -> list[Receipts]:
        while True:
            try:
                receipts = await self._journal.append_batches(source, batches)
            except (sqlite3.Error, OSError, JournalUnusable) as failed:
                self._alarm(failed)
                if self._stopping:
                    log.critical(
                        "lines.lost",
                        source=self._source,
                        lines=sum(map(len, batches)),
                        reason=str(failed),
                        remedy="see what the device holds itself; these lines were never stored",
                    )
                    raise
            else:
                if self.problem is not None:
                    self.problem = None
                    log.info("journal.writes_again", source=self._source)
                return receipts
            await self._wait()

    async def _wait(self) -> None:
        self._pause = deferLater(self._clock, AGAIN)
        try:
            await self._pause
        except CancelledError:
            if not self._stopping:
                raise
        finally:
            self._pause = None

    def _alarm(self, failed: Exception) -> None:
        if self.problem is None:
            self.problem = f"cannot store: {failed}"
            log.error(
                "journal.cannot_write",
                source=self._source,
                reason=str(failed),
                remedy="free space on the journal's disk or check it; what was read waits in memory",
            )
