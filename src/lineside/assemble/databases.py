"""The databases of a configuration with all that rests on them: queries, targets, and tables that are polled."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from random import Random
from typing import Any

from lineside.assemble.parts import JournalPart
from lineside.assemble.settings import Settings
from lineside.assemble.sqlsettings import (
    DatabaseSettings,
    QuerySettings,
    SqlSourceSettings,
    SqlTargetSettings,
)
from lineside.delivery.budget import Budget
from lineside.edges.sql.dialect import Address, Dialect
from lineside.edges.sql.newrows import NewRows
from lineside.edges.sql.parameters import QueryParameter
from lineside.edges.sql.poll import SqlSource
from lineside.edges.sql.pool import Pool
from lineside.edges.sql.queries import Query, endpoints
from lineside.edges.sql.statements import parse
from lineside.edges.sql.target import SqlTarget
from lineside.edges.sql.trouble import DriverMissing
from lineside.journal.watched import WatchedJournal
from lineside.model.ports import Part
from lineside.operations.results import SourceStatus
from lineside.operations.web import Endpoint

DRIVERS = {"mariadb": ("pymysql", "PyMySQL"), "postgresql": ("psycopg", "psycopg")}
"""By the kind of database: the module that speaks to it, and the package that has it."""


def dialect_of(settings: DatabaseSettings, name: str) -> Dialect:
    """Return what speaks to a database.

    Raises:
        DriverMissing: its package is not installed.

    """
    module, package = DRIVERS.get(settings.type, (None, ""))
    if module is not None and find_spec(module) is None:
        raise DriverMissing(
            f"databases.{name}: {package} is not installed; pip install 'lineside[{settings.type}]'"
        )
    address = Address(
        settings.type,
        settings.database or "",
        settings.host or "",
        settings.port or 0,
        settings.user or "",
        "" if settings.password is None else settings.password.reveal(),
        settings.path,
        settings.time_zone,
        settings.tls,
        settings.ca,
        settings.connect_timeout,
    )
    match settings.type:
        case "mariadb":
            from lineside.edges.sql.mariadb import MariaDB  # noqa: PLC0415 (its driver may be missing)

            return MariaDB(address)
        case "postgresql":
            from lineside.edges.sql.postgresql import PostgreSQL  # noqa: PLC0415 (its driver may be missing)

            return PostgreSQL(address)
        case "sqlite":
            from lineside.edges.sql.sqlite import SQLite  # noqa: PLC0415 (as the others)

            return SQLite(address)


class SqlTargetPart:
    """The `Part` that holds the connections of one target.

    Raises:
        DriverMissing: its database's driver is not installed.

    """

    def __init__(self, reactor: Any, name: str, settings: Settings) -> None:
        table = settings.targets[name]
        assert isinstance(table, SqlTargetSettings)
        self.name = f"target {name}"
        self.budget = Budget()
        dialect = dialect_of(settings.databases[table.database], table.database)
        self._pool = Pool(reactor, dialect, self.name, size=table.concurrency, use="write")
        self.target = SqlTarget(self._pool, table.id_column, table.timeout, settings.tables_of(name))

    async def start(self) -> None:
        """Make room for connections, which are made when they are needed."""
        await self._pool.start()

    async def stop(self) -> None:
        """Close what is open."""
        await self._pool.stop()


class Databases:
    """What a gateway does with databases beside delivering to them.

    Args:
        reactor: with threads; its timers must follow a monotonic clock.
        settings: of the whole gateway.
        store: the journal.
        journals: by source, where its events go.
        random: for delays.

    Raises:
        DriverMissing: a database's driver is not installed.

    """

    def __init__(
        self,
        reactor: Any,
        settings: Settings,
        store: JournalPart,
        journals: Mapping[str, WatchedJournal],
        random: Random,
    ) -> None:
        pools: dict[str, Pool] = {}
        for query in settings.queries.values():
            name = query.database
            if name not in pools:
                table = settings.databases[name]
                pools[name] = Pool(
                    reactor, dialect_of(table, name), f"queries of {name}", size=table.query_connections, use="read"
                )
        self.parts: list[Part] = [*pools.values()]
        """The connections of queries."""
        self.endpoints: list[Endpoint] = endpoints(
            [_query(name, query, pools[query.database]) for name, query in settings.queries.items()], reactor
        )
        """Over which queries are asked."""
        self.sources = [
            _source(reactor, name, settings, journals[name], store, random)
            for name, source in settings.sources.items()
            if isinstance(source, SqlSourceSettings)
        ]
        """The tables that are polled."""

    @property
    def status(self) -> list[SourceStatus]:
        """What is told of the tables that are polled."""
        return [
            SourceStatus(source.id, source.address, 0, source.intake.received, 0, problem=source.problem)
            for source in self.sources
        ]


def _query(name: str, settings: QuerySettings, pool: Pool) -> Query:
    return Query(
        name,
        settings.database,
        pool,
        parse(settings.sql, pool.dialect.address.type),
        {
            key: QueryParameter(
                key,
                each.type,
                each.bound_default(),
                required=each.default is None and not each.optional,
                description=each.description,
            )
            for key, each in settings.parameters.items()
        },
        settings.description,
        settings.max_rows,
        settings.timeout,
        settings.permission,
        settings.guard_formulas,
    )


def _source(
    reactor: Any, name: str, settings: Settings, journal: WatchedJournal, store: JournalPart, random: Random
) -> SqlSource:
    table = settings.sources[name]
    assert isinstance(table, SqlSourceSettings)
    dialect = dialect_of(settings.databases[table.database], table.database)
    rows = NewRows(
        dialect,
        table.table,
        table.key,
        table.modified,
        table.columns,
        batch=table.batch,
        overlap=table.overlap_keys if table.modified is None else table.overlap,
        seconds=table.timeout,
    )
    source = SqlSource(
        name,
        Pool(reactor, dialect, f"source {name}", size=1, use="read"),
        rows,
        journal,
        store.database,
        reactor,
        random,
        address=f"{table.table} in {dialect.address.place}",
        every=table.every,
        within=table.timeout,
        begin=table.begin,
        device=table.device,
    )
    source.intake.on_batch = journal.came
    return source
