"""The built-in task ``sql-poll``: new rows of a table become events, each once."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from random import Random
from typing import Annotated, Literal

from msgspec import Meta, Struct
from twisted.internet.defer import DeferredLock

from lineside.delivery.backoff import Backoff
from lineside.edges.sql.newrows import NewRows
from lineside.edges.sql.pool import Pool
from lineside.edges.sql.rowintake import RowIntake
from lineside.edges.sql.trouble import DatabaseFailed
from lineside.model.errors import LinesideError
from lineside.store.database import Database
from lineside.tasks.context import Context
from lineside.tasks.sources import Filling, TaskSources

AWAY = Backoff((1.0, 2.0, 5.0, 15.0, 30.0), jitter=0.2)
"""Seconds between two attempts while the database is away."""

Column = Annotated[str, Meta(min_length=1, max_length=128)]


class SqlPollParams(Struct, frozen=True, forbid_unknown_fields=True):
    """What ``sql-poll`` is told."""

    database: str
    """In which of the ``[databases]`` the table is."""
    table: Annotated[str, Meta(min_length=1, max_length=257)]
    """The table, or a view."""
    key: Column
    """The column that names a row. Without ``modified`` it is a whole number that increases."""
    into: str
    """The source that gets the events; of the type ``tasks``."""
    modified: Column | None = None
    """The column with the moment of a row's last change: a changed row is an event again."""
    columns: tuple[Column, ...] = ()
    """Which columns an event has; none for all."""
    device: Column | None = None
    """The column that names the device."""
    batch: Annotated[int, Meta(ge=1, le=10_000)] = 500
    """Rows that are read, and stored, at a time."""
    overlap: Annotated[float, Meta(gt=0, le=86_400)] = 300.0
    """With ``modified``: seconds by which each look goes back, for rows that were committed late."""
    overlap_keys: Annotated[int, Meta(ge=0, le=1_000_000)] = 1_000
    """Without ``modified``: how many numbers each look goes back, for the same reason."""
    begin: Literal["all", "new"] = "all"
    """Where it begins that was never there before: with all rows, or with those to come."""
    within: Annotated[float, Meta(gt=0, le=600)] = 30.0
    """Seconds that one look may take."""

    def __post_init__(self) -> None:
        if self.device is not None and self.columns and self.device not in self.columns:
            raise ValueError(f"device: {self.device} is not among the columns")


class Taken(Struct, frozen=True):
    """What a run found."""

    events: int
    """That are new."""


class Unpolled(LinesideError):
    """The database does not give the rows; the text says what to do."""


class SqlPoll:
    """Looks for new rows, once a run.

    How far it has come is stored for each task, source and table in the transaction that stores the events: a run
    that is killed, cancelled or fails at any moment loses no row, and the next one makes no second event of any.

    Args:
        pools: by database, what makes connections for reading; not started.
        sources: which get the events.
        journal: its database, with the tables `lineside.journal.polls.POLLS`.
        random: for delays.

    """

    def __init__(
        self,
        pools: Mapping[str, Callable[[], Pool]],
        sources: TaskSources,
        journal: Database,
        random: Random,
    ) -> None:
        self._pools = pools
        self._sources = sources
        self._journal = journal
        self._random = random
        self._looking: defaultdict[str, DeferredLock] = defaultdict(DeferredLock)

    async def run(self, context: Context[SqlPollParams]) -> Taken:
        """Take all that is new; while the database is away wait for it.

        Raises:
            NoSource: there is no source to take the events.
            Unpolled: there is no such database, table or column, or the user may not read it.

        """
        asked = context.params
        self._sources.way(asked.into)
        if asked.database not in self._pools:
            raise Unpolled(f'there is no database "{asked.database}"; add a table [databases.{asked.database}]')
        place = f"task:{context.task}:{asked.into}:{asked.database}:{asked.table}"
        # Two at a time would find the same.
        lock = self._looking[place]
        await lock.acquire()
        try:
            pool = self._pools[asked.database]()
            await pool.start()
            try:
                return Taken(await self._look_until_done(place, pool, context))
            finally:
                await pool.stop()
        finally:
            lock.release()

    async def _look_until_done(self, place: str, pool: Pool, context: Context[SqlPollParams]) -> int:
        asked = context.params
        rows = NewRows(
            pool.dialect,
            asked.table,
            asked.key,
            asked.modified,
            asked.columns,
            batch=asked.batch,
            overlap=asked.overlap_keys if asked.modified is None else asked.overlap,
            seconds=asked.within,
        )
        intake = RowIntake(
            place,
            asked.into,
            pool,
            rows,
            Filling(self._sources),
            self._journal,
            address=f"{asked.table} in {pool.dialect.address.place}",
            within=asked.within,
            begin=asked.begin,
            device=asked.device,
            prefix=f"{asked.database}/{asked.table}/",
        )
        intake.on_batch = lambda batch, _: context.progress(intake.received + len(batch))
        failures = 0
        while True:
            try:
                while await intake.look():
                    failures = 0
            except DatabaseFailed as failed:
                if failed.trouble.kind not in _PASSING:
                    remedy = _REMEDIES.get(failed.trouble.kind, "see what the database's log says of it")
                    raise Unpolled(f"{failed.trouble.reason}; {remedy}") from failed
                failures += 1
                context.progress(intake.received, message=f"waits for the database: {failed.trouble.reason}")
                await context.sleep(AWAY.delay(failures, self._random))
            else:
                return intake.received


_PASSING = frozenset({"down", "busy"})
_REMEDIES = {
    "denied": "check the database's user and password, and let it SELECT from the table",
    "statement": "check the task's table and columns",
    "overdue": "is there an index on the key, and on modified?",
}
