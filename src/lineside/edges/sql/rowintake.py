"""The new rows of a table, as they become events: each once, whatever becomes of who looks."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from sqlite3 import Connection
from typing import Literal, Protocol

from lineside.edges.sql.cells import encode_json, plain
from lineside.edges.sql.newrows import NewRow, NewRows, Round
from lineside.edges.sql.places import Place, Reach, place_of, reach_of
from lineside.edges.sql.pool import Pool
from lineside.journal import polls
from lineside.model.batch import Batch
from lineside.model.event import Event, Receipt
from lineside.store.database import Database


class Ledger(Protocol):
    """Where the events go: the journal, with something of ours in the same transaction."""

    async def append(
        self, source: str, events: list[Event], *, also: Callable[[Connection], None] | None
    ) -> list[Receipt]:
        """Store events, and ``also``; both or neither, synced when it returns."""
        ...


class RowIntake:
    """Takes what is new in one table.

    How far it has come is stored in the transaction that stores the events: after a crash at any moment no row is
    lost, and none becomes two events, however long nobody looked.

    Args:
        place: the name under which that is stored.
        source: whose events rows become.
        pool: for reading.
        rows: finds what is new.
        ledger: the journal.
        database: the journal's, with the tables `lineside.journal.polls.POLLS`.
        address: where the rows come from, for people.
        within: seconds that one look may take.
        begin: where it begins that was never there before: with all rows, or with those to come.
        device: the column that names the device, if one does.
        prefix: of events' keys, for a source with rows of several tables.

    """

    def __init__(
        self,
        place: str,
        source: str,
        pool: Pool,
        rows: NewRows,
        ledger: Ledger,
        database: Database,
        *,
        address: str,
        within: float,
        begin: Literal["all", "new"] = "all",
        device: str | None = None,
        prefix: str = "",
    ) -> None:
        self.received = 0
        """Events that are new."""
        self.on_batch: Callable[[Batch, list[tuple[str, int]]], None] | None = None
        """Called with each batch before it is stored."""
        self._place = place
        self._source = source
        self._pool = pool
        self._rows = rows
        self._ledger = ledger
        self._database = database
        self._address = address
        self._within = within
        self._begin = begin
        self._device = device
        self._prefix = prefix
        self._reach: Reach | None = None
        self._seen: dict[str, Place] = {}
        self._known = False

    def doubt(self) -> None:
        """Take it that a transaction may have failed or not: the next look begins with what is stored."""
        self._known = False

    async def look(self) -> bool:
        """Take what is new, a batch at most; return whether there may be more.

        Raises:
            DatabaseFailed: the database did not answer.

        """
        if not self._known:
            await self._take_up()
        reach, seen = self._reach, self._seen
        found = await self._pool.run(
            lambda connection: self._rows.look(connection, reach, seen), within=self._within
        )
        if found.fresh or found.late:
            await self._store(found)
        elif found.reach != self._reach:
            await self._move(found.reach)
        return found.more

    async def _take_up(self) -> None:
        before, text, places = await self._database.read(lambda connection: polls.load(connection, self._place))
        reach = None if text is None else reach_of(text)
        seen = {identity: place_of(place) for identity, place in places.items()}
        if not before and self._begin == "new":
            reach, window = await self._pool.run(self._rows.newest, within=self._within)
            seen = {place.identity: place for place in window}
        if not before:
            await self._database.write(lambda connection: _keep(connection, self._place, reach, seen.values(), ()))
        self._reach, self._seen, self._known = reach, seen, True

    async def _store(self, found: Round) -> None:
        # What a database's own order of text gives twice is taken once.
        rows = [row for row in (*found.late, *found.fresh) if row.place.identity not in self._seen]
        events = [
            Event(
                encode_json({name: plain(cell) for name, cell in row.columns.items()}),
                key=self._prefix + row.place.identity,
                device=self._named(row),
            )
            for row in rows
        ]
        reach = found.reach
        assert reach is not None
        lowest = self._rows.lowest(reach.swept)
        taken = [row.place for row in rows if self._rows.value_of(row.place) > lowest]
        passed = self._passed(reach)
        if self.on_batch is not None and events:
            self.on_batch(Batch.of(events), [(self._address, len(events))])
        receipts = await self._ledger.append(
            self._source,
            events,
            also=lambda connection: _keep(connection, self._place, reach, taken, passed),
        )
        self._gone_on(reach, passed)
        self._seen.update((place.identity, place) for place in taken)
        self.received += sum(not receipt.repeated for receipt in receipts)

    async def _move(self, reach: Reach | None) -> None:
        """Store that all up to here was swept, where that found nothing."""
        assert reach is not None
        passed = self._passed(reach)
        await self._database.write(lambda connection: _keep(connection, self._place, reach, (), passed))
        self._gone_on(reach, passed)

    def _passed(self, reach: Reach) -> list[str]:
        """Return what need not be remembered any more."""
        lowest = self._rows.lowest(reach.swept)
        return [identity for identity, place in self._seen.items() if not self._rows.value_of(place) > lowest]

    def _gone_on(self, reach: Reach, passed: Iterable[str]) -> None:
        self._reach = reach
        for identity in passed:
            del self._seen[identity]

    def _named(self, row: NewRow) -> str | None:
        name = None if self._device is None else row.columns.get(self._device)
        return None if name is None else str(name)


def _keep(
    connection: Connection, source: str, reach: Reach | None, taken: Iterable[Place], passed: Iterable[str]
) -> None:
    seen = {place.identity: place.stored() for place in taken}
    polls.store(connection, source, None if reach is None else reach.stored(), seen, passed)
