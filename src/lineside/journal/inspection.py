"""Finds damage before it is met: a quick look when the gateway starts, then all of the journal by and by."""

from __future__ import annotations

import sqlite3
from functools import partial
from sqlite3 import Connection
from typing import Any

import msgspec
from msgspec import Struct
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall, deferLater
from twisted.logger import Logger

from lineside.background import Background
from lineside.journal.segments import unpack
from lineside.model.errors import JournalClosed, JournalUnusable
from lineside.store.database import Database

log = Logger()

EVERY = 86_400.0
"""Seconds between two inspections."""
REST = 0.05
"""Seconds between two steps, for those who deliver: they read on the same thread."""
ROWS = 500
"""Rows that are read in one step, at most."""
BYTES = 512 * 1024
"""Bytes after which a step ends: some milliseconds, and some 10 MB a second with the rests between."""
NEWEST = 32
"""Segments that are read at the start."""
SEGMENTS = "segment"

Place = tuple[Any, ...]
"""The key of the row that was read last."""


class Table(Struct, frozen=True):
    """A table, and the columns by which its rows can be told apart."""

    name: str
    key: tuple[str, ...]


class Inspection:
    """The `Part` that reads the journal once it is open, and each day again.

    A start reads some rows of each table and the newest events, and fails where they are damaged. The others are
    read while the gateway works. What is damaged there is logged as ``journal.damaged``; it may be old and settled,
    so nothing else is done about it. Indexes are not looked at: ``lineside journal check`` does it.

    Args:
        database: open.
        clock: must follow a monotonic clock.

    """

    name = "inspection"

    def __init__(self, database: Database, clock: IReactorTime) -> None:
        self._database = database
        self._clock = clock
        self._work = Background(self.name)
        self._looping = LoopingCall(self._begin)
        self._looping.clock = clock

    async def start(self) -> None:
        """Take the quick look; the rest follows by itself.

        Raises:
            JournalUnusable: what it reads is damaged.

        """
        try:
            await self._database.read(look)
        except sqlite3.Error as failed:
            raise JournalUnusable(f"cannot read the journal: {failed}; check its disk (journalctl -k)") from failed
        self._looping.start(EVERY)

    async def stop(self) -> None:
        """End, after the step that is under way."""
        if self._looping.running:
            self._looping.stop()
        self._work.cancel()
        await self._work.finish()

    def _begin(self) -> object:
        return self._work.run("inspection", self._read_all())

    async def _read_all(self) -> None:
        for table in await self._database.read(tables):
            place: Place | None = ()
            while place is not None:
                try:
                    place = await self._database.read(partial(read_some, table=table, after=place))
                except JournalClosed:
                    return
                except (JournalUnusable, sqlite3.Error) as damage:
                    # What is behind it in this table cannot be reached.
                    log.critical(
                        "journal.damaged",
                        table=table.name,
                        after=", ".join(map(str, place or ())) or None,
                        reason=str(damage.__cause__ if isinstance(damage.__cause__, sqlite3.Error) else damage),
                        remedy="lineside journal check says what is damaged; restore a backup, and check the disk",
                    )
                    break
                await deferLater(self._clock, REST)


def look(connection: Connection) -> None:
    """Read some rows of each table, and the newest segments.

    Raises:
        JournalUnusable: a segment cannot be decoded.
        sqlite3.Error: a page cannot be read, or is damaged.

    """
    for table in tables(connection):
        if table.name != SEGMENTS:
            read_some(connection, table=table, after=())
    rows = connection.execute(
        "SELECT first, last, format, events FROM segment ORDER BY first DESC LIMIT ?", (NEWEST,)
    )
    for row in rows:
        _decode(*row)


def tables(connection: Connection) -> list[Table]:
    """Return all tables."""
    names = connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite%'")
    found = []
    for (name,) in names.fetchall():
        columns = connection.execute("SELECT name FROM pragma_table_info(?) WHERE pk ORDER BY pk", (name,))
        found.append(Table(name, tuple(column for (column,) in columns) or ("rowid",)))
    return found


def read_some(connection: Connection, *, table: Table, after: Place) -> Place | None:
    """Read rows behind a place, in the order of their key; returns where it stopped, None at the table's end.

    Raises:
        JournalUnusable: a segment cannot be decoded.
        sqlite3.Error: a page cannot be read, or is damaged.

    """
    key = ", ".join(f'"{column}"' for column in table.key)
    what = "first, first, last, format, events" if table.name == SEGMENTS else f"{key}, *"
    behind = f"WHERE ({key}) > ({', '.join('?' * len(table.key))})" if after else ""
    size = 0
    for read, row in enumerate(
        connection.execute(f'SELECT {what} FROM "{table.name}" {behind} ORDER BY {key}', after), 1
    ):
        values = row[len(table.key) :]
        if table.name == SEGMENTS:
            _decode(*values)
        size += sum(len(value) for value in values if isinstance(value, bytes | str))
        if read == ROWS or size >= BYTES:
            return tuple(row[: len(table.key)])
    return None


def _decode(first: int, last: int, form: int, blob: bytes) -> None:
    try:
        count = sum(1 for _ in unpack(form, blob))
    except (msgspec.DecodeError, ValueError, IndexError) as wrong:
        raise JournalUnusable(f"events {first} to {last} cannot be decoded: {wrong}") from wrong
    if count != last - first + 1:
        raise JournalUnusable(f"of the events {first} to {last} {count} are there")
