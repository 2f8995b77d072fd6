"""Consumers: list, forget, rewind."""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from functools import partial

from lineside.journal import consumers
from lineside.journal.consumers import Remembered
from lineside.journal.log import SqliteJournal
from lineside.model.errors import LinesideError, NotFound
from lineside.model.event import NO_SEQ, Seq
from lineside.operations.registry import Operations
from lineside.operations.requests import ForgetConsumer, ListConsumers, RewindConsumer
from lineside.operations.results import ConsumerList, ConsumerSummary
from lineside.store.database import Database


class ConsumerOperations:
    """What may be asked of the places that routes have in the journal.

    Args:
        journal: open.
        database: the journal's.
        routes: ids of the routes that the configuration has.
        running: whether couriers work; a consumer at work cannot be rewound.

    """

    def __init__(
        self, journal: SqliteJournal, database: Database, routes: AbstractSet[str], *, running: bool
    ) -> None:
        self._journal = journal
        self._database = database
        self._routes = routes
        self._running = running

    def register(self, operations: Operations) -> None:
        """Offer the operations."""
        operations.answer(ListConsumers, self.list_consumers)
        operations.answer(ForgetConsumer, self.forget)
        operations.answer(RewindConsumer, self.rewind)

    async def list_consumers(self, request: ListConsumers) -> ConsumerList:
        """Return every place that the journal remembers, also those of routes that are gone."""
        return ConsumerList([self._summarize(one) for one in await self._database.read(consumers.remembered)])

    async def forget(self, request: ForgetConsumer) -> ConsumerSummary:
        """Remove the place of a route that is gone.

        Raises:
            NotFound: there is none of this name.
            LinesideError: the route is still configured.

        """
        one = await self._get(request.id)
        if one.id in self._routes:
            raise LinesideError(f"route {one.id} is still in the configuration; remove it there first")
        await self._database.write(partial(consumers.forget, consumer=one.id))
        return ConsumerSummary(one.id, False, one.floor, self._journal.head, 0, 0, one.dead_letters)

    async def rewind(self, request: RewindConsumer) -> ConsumerSummary:
        """Let a route deliver again what came after ``to``; the ERP's unique field keeps it from doubling.

        Raises:
            NotFound: there is none of this name.
            LinesideError: the gateway runs, or ``to`` lies ahead.

        """
        one = await self._get(request.id)
        if self._running:
            raise LinesideError("stop the gateway first: a route at work cannot be rewound")
        if not NO_SEQ <= request.to <= one.cursor:
            raise LinesideError(f"{request.to} lies not between 0 and {one.cursor}, where {one.id} stands")
        to = Seq(request.to)
        await self._database.write(partial(consumers.rewind, consumer=one.id, to=to))
        return self._summarize(await self._get(one.id))

    def _summarize(self, one: Remembered) -> ConsumerSummary:
        return ConsumerSummary(
            id=one.id,
            route=one.id in self._routes,
            floor=one.floor,
            head=self._journal.head,
            gaps=one.gaps,
            backlogs=one.backlogs,
            dead_letters=one.dead_letters,
        )

    async def _get(self, identifier: str) -> Remembered:
        for one in await self._database.read(consumers.remembered):
            if one.id == identifier:
                return one
        raise NotFound(f"the journal remembers no consumer {identifier}")
