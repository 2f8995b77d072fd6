"""Asks databases what a gateway would find out by using them: who may in, which tables are prepared."""

from __future__ import annotations

from functools import partial
from typing import Any

from twisted.internet.defer import CancelledError

from lineside.assemble.databases import SqlTargetPart, dialect_of
from lineside.assemble.settings import Settings
from lineside.assemble.soundings import Sounding
from lineside.assemble.sqlsettings import SqlSourceSettings
from lineside.edges.sql.newrows import NewRows
from lineside.edges.sql.pool import Pool
from lineside.edges.sql.trouble import DatabaseFailed, DriverMissing


async def sound_tables(reactor: Any, settings: Settings, name: str) -> Sounding:
    """Look at the tables that routes fill at the target ``name``. Nothing is changed there.

    Never raises but for cancellation.
    """
    path = f"targets.{name}"
    sounding = Sounding([], [], [])
    try:
        part = SqlTargetPart(reactor, name, settings)
    except DriverMissing:
        # It is told with the database.
        return sounding
    await part.start()
    try:
        for key, route in settings.routes.items():
            if settings.target_of(route) == name and route.table is not None:
                unfit = await part.target.check(route.table, route.document)
                if unfit is None:
                    sounding.found.append(f"{path}: {route.table} has what the route {key} fills, and a unique id")
                else:
                    sounding.problems.append(f"routes.{key}: {unfit.reason}; {unfit.remedy}")
    except CancelledError:
        raise
    except DatabaseFailed as failed:
        sounding.problems.append(f"{path}: {failed}; is the database running, and may its user see the tables?")
    finally:
        await part.stop()
    return sounding


async def sound_database(reactor: Any, settings: Settings, name: str) -> Sounding:
    """Connect to a database to read, and look at the tables that are polled there.

    Never raises but for cancellation.
    """
    path = f"databases.{name}"
    table = settings.databases[name]
    sounding = Sounding([], [], [])
    try:
        dialect = dialect_of(table, name)
    except DriverMissing as missing:
        sounding.problems.append(str(missing))
        return sounding
    within = table.connect_timeout + 5.0
    pool = Pool(reactor, dialect, f"check of {name}", size=1, use="read")
    await pool.start()
    try:
        await pool.run(dialect.answers, within=within)
        sounding.found.append(f"{path}: answers, {dialect.address.place}")
        for key, source in settings.sources.items():
            if not isinstance(source, SqlSourceSettings) or source.database != name:
                continue
            rows = NewRows(
                dialect,
                source.table,
                source.key,
                source.modified,
                source.columns,
                batch=1,
                overlap=0,
                seconds=within,
            )
            try:
                await pool.run(partial(rows.look, reach=None, seen=()), within=within)
                sounding.found.append(f"sources.{key}: {source.table} can be read")
            except DatabaseFailed as failed:
                sounding.problems.append(f"sources.{key}: {failed}; check the source's table and columns")
    except CancelledError:
        raise
    except DatabaseFailed as failed:
        sounding.problems.append(f"{path}: {failed}; is the database running, and are user and password right?")
    finally:
        await pool.stop()
    return sounding
