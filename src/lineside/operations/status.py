"""The gateway at a glance."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from sqlite3 import Connection

from lineside.journal import deadletters
from lineside.journal.capacity import Usage, measure
from lineside.journal.log import SqliteJournal
from lineside.journal.removal import Prospect, survey
from lineside.operations.registry import Operations
from lineside.operations.requests import ShowStatus
from lineside.operations.results import JournalStatus, KeptBy, RouteStatus, SourceStatus, Status
from lineside.operations.texts import moment
from lineside.store.database import Database


class StatusOperations:
    """What may be asked of the parts at work; ``sources`` and ``routes`` tell of them.

    Args:
        journal: open.
        database: the journal's.
        sources: those at work.
        routes: those at work.
        taken: of each route that is configured, whose records it takes.
        problem: why the journal takes no events at present.

    """

    def __init__(
        self,
        journal: SqliteJournal,
        database: Database,
        sources: Callable[[], list[SourceStatus]],
        routes: Callable[[], list[RouteStatus]],
        *,
        taken: Mapping[str, frozenset[str]],
        problem: Callable[[], str | None] = lambda: None,
    ) -> None:
        self._journal = journal
        self._database = database
        self._sources = sources
        self._routes = routes
        self._taken = taken
        self._problem = problem

    def register(self, operations: Operations) -> None:
        """Offer the operation."""
        operations.answer(ShowStatus, self.show)

    async def show(self, request: ShowStatus) -> Status:
        """Return the state of every part."""
        waiting, usage, prospect = await self._database.read(self._read)
        return Status(
            self._journal.epoch,
            self._journal.head,
            waiting,
            self._sources(),
            self._routes(),
            JournalStatus(
                size=usage.size,
                used=usage.used,
                disk_free=usage.disk_free,
                oldest=prospect.oldest,
                oldest_at=moment(prospect.oldest_ns) if prospect.oldest else None,
                kept_by=[KeptBy(pin.consumer, pin.floor, pin.consumer in self._taken) for pin in prospect.pins],
                problem=self._problem(),
            ),
        )

    def _read(self, connection: Connection) -> tuple[int, Usage, Prospect]:
        return deadletters.count(connection), measure(connection), survey(connection, self._taken)
