"""Keeps SQLite's log short without a commit that waits for it."""

from __future__ import annotations

import os
import sqlite3
from contextlib import suppress
from sqlite3 import Connection

from lineside.store.commits import roll_back
from lineside.store.workers import Worker

PAGES = 2_000
"""Pages of the log from which on it is to be copied into the file: 8 MB."""
AT_MOST = 4 * PAGES
"""Pages from which on SQLite does it in the next commit: where a disk cannot keep up, writes wait for it."""
FIRST = 32
"""Commits before the first time; how many pages a commit has is not known yet."""
LEAST = 16
"""Commits from one time to the next: while somebody reads an old state for long, the log grows whatever is done."""


class LogClearing:
    """Copies what is committed from the log into the file, in two parts.

    Most of it goes on the reader's thread, while writes go on. What they add meanwhile is little, and goes on the
    writer's thread: so there is a moment at which the file has all of it, and SQLite begins the log anew. It syncs
    the file only then; so that this, too, is little, the file is synced before.

    Args:
        writer: the writer's thread.
        writing: its connection.
        reader: the reader's thread.
        reading: its connection.
        file: the database's file, open. POSIX drops a process's locks on a file when any descriptor of it is closed
            (fcntl(2)): this one must stay open until the connections are closed.

    """

    def __init__(
        self, writer: Worker, writing: Connection, reader: Worker, reading: Connection, *, file: int
    ) -> None:
        self._writer = writer
        self._writing = writing
        self._reader = reader
        self._reading = reading
        self._file = file
        self._commits = 0
        self._due = FIRST
        self._under_way = False

    def committed(self) -> None:
        """Count a commit. On the writer's thread."""
        self._commits += 1
        if self._commits >= self._due and not self._under_way:
            self._under_way = True
            self._reader.do(self._copy_most)

    def _copy_most(self) -> None:
        # A disk that refuses is told by those who write.
        with suppress(sqlite3.Error, OSError, MemoryError):
            copy_log(self._reading)
            os.fsync(self._file)
        self._writer.do(self._copy_rest)

    def _copy_rest(self) -> None:
        pages = 0
        with suppress(sqlite3.Error, MemoryError):
            pages = copy_log(self._writing)
        self._due = max(LEAST, self._commits * PAGES // max(pages, 1))
        self._commits = 0
        self._under_way = False


def copy_log(connection: Connection) -> int:
    """Copy what is committed and nobody's older state hinders; returns how many pages the log has."""
    roll_back(connection)
    _, pages, _ = connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
    return int(pages)
