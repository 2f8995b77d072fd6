"""Rows into a table, each delivery once. Everything here blocks, on a thread of the pool."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import Any

from msgspec import Struct

from lineside.edges.sql.dialect import Dialect
from lineside.edges.sql.trouble import CommitUnknown, DatabaseFailed, Trouble


class Row(Struct, frozen=True):
    """A delivery as a row."""

    id: str
    columns: tuple[str, ...]
    values: tuple[Any, ...]
    """As the dialect binds them."""
    redelivered: bool = False
    """It may be there already."""


class Stored(Struct, frozen=True):
    """The table holds a row."""

    found: bool
    """It was there before."""


Outcome = Stored | Trouble


class Inserts:
    """Stores rows of one table.

    Args:
        dialect: of the database.
        table: its name.
        id_column: has a unique index: it makes a second row of one delivery impossible, whatever was lost.
        seconds: after which a statement is ended.

    """

    def __init__(self, dialect: Dialect, table: str, id_column: str, seconds: float) -> None:
        self._dialect = dialect
        self._table = dialect.quoted(table)
        self._id_column = dialect.quoted(id_column)
        self._seconds = seconds

    def store(self, connection: Any, rows: Sequence[Row]) -> list[Outcome]:
        """Store rows in one transaction; where the database refuses that, each in one of its own.

        Raises:
            CommitUnknown: all of them may be stored or not.
            DatabaseFailed: none of them is; it was none of the rows' fault.

        """
        try:
            return self._together(connection, rows)
        except DatabaseFailed as failed:
            if failed.trouble.kind not in {"duplicate", "constraint", "value"}:
                raise
        return [self._alone(connection, row) for row in rows]

    def find(self, connection: Any, ids: Iterable[str]) -> frozenset[str]:
        """Return which of these deliveries the table holds."""
        wanted = list(ids)
        if not wanted:
            return frozenset()
        marks = ", ".join(self._dialect.mark(number) for number in range(len(wanted)))
        sql = f"SELECT {self._id_column} FROM {self._table} WHERE {self._id_column} IN ({marks})"
        return frozenset(str(found) for (found,) in self._dialect.execute(connection, sql, wanted).fetchall())

    def _together(self, connection: Any, rows: Sequence[Row]) -> list[Outcome]:
        try:
            self._dialect.begin(connection, "write", self._seconds)
            found = self.find(connection, [row.id for row in rows if row.redelivered])
            missing = [row for row in rows if row.id not in found]
            for columns, alike in groupby(missing, key=lambda row: row.columns):
                self._insert(connection, columns, list(alike))
        except Exception as failed:
            trouble = self._dialect.explain(failed)
            if trouble.kind != "down":
                connection.rollback()
            raise DatabaseFailed(trouble) from failed
        self._commit(connection)
        return [Stored(row.id in found) for row in rows]

    def _alone(self, connection: Any, row: Row) -> Outcome:
        try:
            return self._together(connection, [row])[0]
        except CommitUnknown:
            raise
        except DatabaseFailed as failed:
            trouble = failed.trouble
            if trouble.kind == "down":
                # What was stored before is found there the next time.
                raise
        if trouble.kind == "duplicate" and self.find(connection, [row.id]):
            return Stored(found=True)
        return trouble

    def _insert(self, connection: Any, columns: tuple[str, ...], rows: list[Row]) -> None:
        names = ", ".join([self._id_column, *map(self._dialect.quoted, columns)])
        marks = ", ".join(self._dialect.mark(number) for number in range(len(columns) + 1))
        sql = f"INSERT INTO {self._table} ({names}) VALUES ({marks})"
        connection.cursor().executemany(sql, [(row.id, *row.values) for row in rows])

    def _commit(self, connection: Any) -> None:
        try:
            connection.cursor().execute("COMMIT")
        except Exception as failed:
            trouble = self._dialect.explain(failed)
            if trouble.kind in {"down", "overdue", "other"}:
                raise CommitUnknown(Trouble("down", trouble.reason, trouble.code)) from failed
            # A constraint that is checked late: PostgreSQL rolls back, SQLite leaves that to us.
            connection.rollback()
            raise DatabaseFailed(trouble) from failed
