"""The gateway at a glance."""

from __future__ import annotations

from collections.abc import Callable

from lineside.journal import deadletters
from lineside.journal.log import SqliteJournal
from lineside.operations.registry import Operations
from lineside.operations.requests import RouteStatus, ShowStatus, SourceStatus, Status
from lineside.store.database import Database


class StatusOperations:
    """What may be asked of the parts at work; ``sources`` and ``routes`` tell of them."""

    def __init__(
        self,
        journal: SqliteJournal,
        database: Database,
        sources: Callable[[], list[SourceStatus]],
        routes: Callable[[], list[RouteStatus]],
    ) -> None:
        self._journal = journal
        self._database = database
        self._sources = sources
        self._routes = routes

    def register(self, operations: Operations) -> None:
        """Offer the operation."""
        operations.answer(ShowStatus, self.show)

    async def show(self, request: ShowStatus) -> Status:
        """Return the state of every part."""
        waiting = await self._database.read(deadletters.count)
        return Status(self._journal.epoch, self._journal.head, waiting, self._sources(), self._routes())
