"""A SQL table as a target: each delivery becomes one row, whatever the network does."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import groupby
from typing import Any
from zoneinfo import ZoneInfo

from msgspec.structs import replace
from twisted.internet.defer import CancelledError
from twisted.logger import Logger

from lineside.edges.sql.columns import Table, Unfit, fitted, why_no_document, why_no_id
from lineside.edges.sql.inserts import Inserts, Row, Stored
from lineside.edges.sql.pool import Pool
from lineside.edges.sql.trouble import CommitUnknown, DatabaseFailed, Trouble
from lineside.model.outcome import Blocked, Delivered, Outcome, Refused, Retry, TargetDown
from lineside.model.ports import Delivery, Ready

log = Logger()

CHECK_USER = "check the database's user and password, and what it may do there"
TRY_AGAIN = "mend the statement's cause in the table or the route"


class SqlTarget:
    """The `lineside.model.ports.Target` that inserts rows.

    Exactly-once rests on the unique ``id_column``: every row carries its delivery id, what may have been stored is
    looked up before it is sent again, and the index refuses whatever slips through. A delivery's ``doctype`` is the
    table's name, its document the row's columns.

    Args:
        pool: for writing.
        id_column: holds the delivery id.
        timeout: seconds for one batch, looking up included.
        tables: those that are looked at when the database answers, so that what is missing shows at the start.

    """

    def __init__(self, pool: Pool, id_column: str, timeout: float, tables: Iterable[str] = ()) -> None:
        self._pool = pool
        self._id_column = id_column
        self._timeout = timeout
        self._zone = ZoneInfo(pool.dialect.address.time_zone)
        self._expected = tuple(dict.fromkeys(tables))
        self._tables: dict[str, Table] = {}

    async def probe(self) -> Ready | TargetDown | Blocked:
        """Look at the tables that are expected. Never raises.

        A table that is not as it should be is logged, and blocks its routes alone.
        """
        try:
            for name in self._expected:
                self._tables.pop(name, None)
                unfit = await self.check(name)
                if unfit is not None:
                    log.error("sql.table_unfit", table=name, reason=unfit.reason, remedy=unfit.remedy)
            if not self._expected:
                await self._pool.run(self._pool.dialect.answers, within=self._timeout)
        except CancelledError:
            raise
        except DatabaseFailed as failed:
            if failed.trouble.kind == "denied":
                return Blocked(failed.trouble.reason, CHECK_USER)
            return TargetDown(failed.trouble.reason)
        except Exception:  # noqa: BLE001 - the port promises an answer; the failure is logged
            log.failure("sql.unexpected")
            return TargetDown("an internal error, see the log")
        return Ready(self._pool.dialect.address.time_zone)

    async def check(self, name: str, document: Mapping[str, Any] | None = None) -> Unfit | None:
        """Return what keeps documents out of a table; None where nothing does.

        Args:
            name: the table's.
            document: with the columns that are to be filled; None where that is not known.

        Raises:
            DatabaseFailed: the table cannot be looked at.

        """
        table = self._tables.get(name)
        if table is None:
            dialect = self._pool.dialect
            table = await self._pool.run(lambda connection: dialect.table(connection, name), within=self._timeout)
            if table is None:
                user = dialect.address.user
                may = f", or {user} may not see it" if user else ""
                return Unfit(
                    f"there is no table {name} in {dialect.address.place}{may}", "make it, or mend the route"
                )
            unfit = why_no_id(table, self._id_column, *dialect.id_column(name, self._id_column))
            if unfit is not None:
                return unfit
            self._tables[name] = table
        unfit = None if document is None else why_no_document(table, document, self._id_column)
        if unfit is not None:
            # Somebody may add what is missing.
            del self._tables[name]
        return unfit

    async def deliver(self, batch: list[Delivery]) -> list[Outcome]:
        """Insert rows, those of one table in one transaction; outcomes in the same order.

        Never raises but for cancellation, which cuts the connection.
        """
        outcomes: dict[str, Outcome] = {}
        down: TargetDown | None = None
        ordered = sorted({each.id: each for each in batch}.values(), key=lambda each: each.doctype)
        for name, together in groupby(ordered, key=lambda each: each.doctype):
            deliveries = list(together)
            if down is not None:
                outcomes.update((each.id, down) for each in deliveries)
                continue
            done = await self._carry_out(name, deliveries)
            outcomes.update(done)
            lost = next((each for each in done.values() if isinstance(each, TargetDown)), None)
            down = None if lost is None else replace(lost, sent=False)
        return [outcomes[each.id] for each in batch]

    async def _carry_out(self, name: str, deliveries: list[Delivery]) -> dict[str, Outcome]:
        try:
            return await self._insert(name, deliveries)
        except CancelledError:
            raise
        except DatabaseFailed as failed:
            return dict.fromkeys((each.id for each in deliveries), self._outcome(failed.trouble, name))
        except Exception:  # noqa: BLE001 - the port promises an outcome; the failure is logged
            log.failure("sql.unexpected")
            again = Retry("an internal error, see the log", ambiguous=True)
            return dict.fromkeys((each.id for each in deliveries), again)

    async def _insert(self, name: str, deliveries: list[Delivery]) -> dict[str, Outcome]:
        outcomes: dict[str, Outcome] = {}
        rows = []
        for each in deliveries:
            # Those of one route have the same columns; another route may lead into the same table.
            unfit = await self.check(name, each.document)
            if unfit is not None:
                outcomes[each.id] = Blocked(unfit.reason, unfit.remedy)
                continue
            row = self._row(self._tables[name], each)
            if isinstance(row, Row):
                rows.append(row)
            else:
                outcomes[each.id] = row
        if not rows:
            return outcomes
        inserts = Inserts(self._pool.dialect, name, self._id_column, self._timeout)
        try:
            done = await self._pool.run(lambda connection: inserts.store(connection, rows), within=self._timeout)
        except DatabaseFailed as failed:
            if isinstance(failed, CommitUnknown) or failed.trouble.kind == "overdue":
                return outcomes | await self._look_up(inserts, rows, failed.trouble)
            raise
        for row, outcome in zip(rows, done, strict=True):
            if isinstance(outcome, Stored):
                outcomes[row.id] = Delivered(row.id, outcome.found)
            else:
                outcomes[row.id] = self._outcome(outcome, name)
        return outcomes

    async def _look_up(self, inserts: Inserts, rows: list[Row], why: Trouble) -> dict[str, Outcome]:
        """Find out what became of rows whose commit was not answered.

        That a row is not there is not final: the server may be at it still. Only the index makes the retry safe.
        """
        ids = [row.id for row in rows]
        found = await self._pool.run(lambda connection: inserts.find(connection, ids), within=self._timeout)
        lost = Retry(f"the commit was not answered: {why.reason}", ambiguous=True)
        return {each: Delivered(each, found=True) if each in found else lost for each in ids}

    def _row(self, table: Table, delivery: Delivery) -> Row | Refused:
        values = []
        for name, value in delivery.document.items():
            column = table.columns[name]
            try:
                values.append(self._pool.dialect.bound(fitted(column, value, self._zone)))
            except ValueError as wrong:
                return Refused("value", f"{table.name}.{name} ({column.type}): {wrong}")
        return Row(delivery.id, tuple(delivery.document), tuple(values), delivery.redelivered)

    def _outcome(self, trouble: Trouble, name: str) -> Outcome:
        match trouble.kind:
            case "down":
                return TargetDown(trouble.reason, certain=not trouble.connected)
            case "denied":
                return Blocked(trouble.reason, CHECK_USER)
            case "statement":
                self._tables.pop(name, None)
                return Blocked(trouble.reason, TRY_AGAIN)
            case "duplicate" | "constraint" | "value":
                return Refused(trouble.kind, trouble.reason, trouble.code or None)
            case _:
                return Retry(trouble.reason)
