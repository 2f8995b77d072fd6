"""SQLite, through Python's own module."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any
from urllib.parse import quote

from lineside.edges.sql.columns import Column, Kind, Table
from lineside.edges.sql.dialect import Address, Rows, Use
from lineside.edges.sql.statements import Statement
from lineside.edges.sql.trouble import Kind as TroubleKind
from lineside.edges.sql.trouble import Trouble, one_line

BUSY_SECONDS = 5.0
"""How long another process may hold the file before a transaction gives up."""

_READS = frozenset(
    {sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_FUNCTION, sqlite3.SQLITE_RECURSIVE}
) | {sqlite3.SQLITE_TRANSACTION}
_TROUBLES: Mapping[int, TroubleKind] = {
    sqlite3.SQLITE_BUSY: "busy",
    sqlite3.SQLITE_LOCKED: "busy",
    sqlite3.SQLITE_INTERRUPT: "overdue",
    sqlite3.SQLITE_CONSTRAINT: "constraint",
    sqlite3.SQLITE_MISMATCH: "value",
    sqlite3.SQLITE_TOOBIG: "value",
    sqlite3.SQLITE_RANGE: "value",
    sqlite3.SQLITE_ERROR: "statement",
    sqlite3.SQLITE_AUTH: "statement",
    **dict.fromkeys((sqlite3.SQLITE_PERM, sqlite3.SQLITE_READONLY), "denied"),
    **dict.fromkeys((sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR), "down"),
    **dict.fromkeys((sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB), "down"),
}
_DUPLICATES = frozenset(
    {sqlite3.SQLITE_CONSTRAINT_UNIQUE, sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY, sqlite3.SQLITE_CONSTRAINT_ROWID}
)


class SQLite:
    """The `lineside.edges.sql.dialect.Dialect` of SQLite."""

    module = "sqlite3"
    keeps_offsets = False

    def __init__(self, address: Address) -> None:
        self.address = address

    def arguments(self, use: Use) -> dict[str, Any]:
        """Return what sqlite3's ``connect`` takes. A file that is missing is never made."""
        mode = "ro" if use == "read" else "rw"
        return {
            "database": f"file:{quote(str(self.address.path))}?mode={mode}",
            "uri": True,
            "isolation_level": None,
            "check_same_thread": False,
            "timeout": BUSY_SECONDS,
        }

    def prepare(self, connection: Any, use: Use) -> None:
        """Let readers do nothing but read, and keep foreign keys."""
        if use == "read":
            connection.execute("PRAGMA query_only = ON")
            connection.set_authorizer(_only_reads)
        else:
            connection.execute("PRAGMA foreign_keys = ON")

    def answers(self, connection: Any) -> bool:
        """A file is always there."""
        return True

    def cut(self, connection: Any) -> None:
        """Interrupt the statement."""
        connection.interrupt()

    def begin(self, connection: Any, use: Use, seconds: float) -> None:
        """Begin a transaction. SQLite ends no statement by itself: `cut` does."""
        if use == "write":
            connection.execute(f"PRAGMA busy_timeout = {round(min(BUSY_SECONDS, seconds / 2) * 1000)}")
        connection.execute("BEGIN" if use == "read" else "BEGIN IMMEDIATE")

    def sql(self, statement: Statement) -> str:
        """Return it with ``:name``."""
        return statement.named()

    def bound(self, value: Any) -> Any:
        """Moments are text as SQLite's own functions write it."""
        match value:
            case datetime():
                return value.isoformat(" ")
            case date() | time():
                return value.isoformat()
            case Decimal():
                return str(value)
            case bool():
                return int(value)
            case _:
                return value

    def execute(self, connection: Any, sql: str, values: Mapping[str, Any] | Sequence[Any] = ()) -> Any:
        """Execute one statement."""
        return connection.execute(sql, values)

    def open_rows(self, connection: Any, sql: str, values: Mapping[str, Any]) -> Rows:
        """Begin a query; its rows are found as they are fetched."""
        rows: Rows = connection.execute(sql, values)
        return rows

    def close_rows(self, connection: Any, rows: Any) -> bool:
        """Close the cursor."""
        rows.close()
        return True

    def explain(self, failed: BaseException) -> Trouble:
        """Go by SQLite's number."""
        if isinstance(failed, sqlite3.Error):
            extended = getattr(failed, "sqlite_errorcode", 0)
            kind = "duplicate" if extended in _DUPLICATES else _TROUBLES.get(extended & 0xFF, "other")
            name = getattr(failed, "sqlite_errorname", "")
            if isinstance(failed, sqlite3.ProgrammingError | sqlite3.InterfaceError) and not extended:
                kind = "statement"
            return Trouble(kind, one_line(f"{failed}"), name)
        if isinstance(failed, OverflowError | UnicodeEncodeError):
            return Trouble("value", one_line(str(failed)))
        kind = "down" if isinstance(failed, OSError) else "other"
        return Trouble(kind, one_line(f"{type(failed).__name__}: {failed}"))

    def quoted(self, name: str) -> str:
        """Return it between double quotes."""
        return ".".join('"' + part.replace('"', '""') + '"' for part in name.split("."))

    def mark(self, number: int) -> str:
        """Return ``?``."""
        return "?"

    def table(self, connection: Any, name: str) -> Table | None:
        """Describe a table by SQLite's table-valued functions."""
        schema, _, short = name.rpartition(".")
        where = (short, schema or "main")
        columns = connection.execute(
            """SELECT name, type, "notnull", dflt_value IS NOT NULL, pk FROM pragma_table_info(?, ?)""", where
        ).fetchall()
        if not columns:
            return None
        unique = connection.execute(
            """SELECT MAX(info.name) FROM pragma_index_list(?1, ?2) list, pragma_index_info(list.name, ?2) info
               WHERE list."unique" AND NOT list.partial GROUP BY list.name HAVING COUNT(*) = 1""",
            where,
        ).fetchall()
        keys = sum(bool(pk) for *_, pk in columns)
        return Table(
            name,
            {
                column: Column(
                    column,
                    _kind(declared),
                    declared or "of no type",
                    not required,
                    # The only key of a whole number is the row's number, which SQLite gives.
                    bool(filled or (pk and keys == 1 and declared.upper() == "INTEGER")),
                )
                for column, declared, required, filled, pk in columns
            },
            frozenset(column for (column,) in unique if column is not None),
        )

    def id_column(self, table: str, column: str) -> tuple[str, str]:
        """Return the statements; SQLite adds no unique column in one."""
        index = f"CREATE UNIQUE INDEX {self.quoted(f'{table}_{column}'.replace('.', '_'))} ON {self.quoted(table)}"
        index += f" ({self.quoted(column)})"
        return f"ALTER TABLE {self.quoted(table)} ADD COLUMN {self.quoted(column)} TEXT; {index}", index


def _only_reads(action: int, *_: object) -> int:
    return sqlite3.SQLITE_OK if action in _READS else sqlite3.SQLITE_DENY


def _kind(declared: str) -> Kind:
    """Return what a declared type holds: its affinity (https://www.sqlite.org/datatype3.html), and moments."""
    text = declared.upper()
    for word, kind in _WORDS:
        if word in text:
            return kind
    return "other"


_WORDS: tuple[tuple[str, Kind], ...] = (
    ("DATETIME", "datetime"),
    ("TIMESTAMP", "datetime"),
    ("DATE", "date"),
    ("TIME", "time"),
    ("BOOL", "boolean"),
    ("JSON", "json"),
    ("INT", "integer"),
    ("CHAR", "text"),
    ("CLOB", "text"),
    ("TEXT", "text"),
    ("BLOB", "binary"),
    ("REAL", "float"),
    ("FLOA", "float"),
    ("DOUB", "float"),
    ("NUMERIC", "decimal"),
    ("DECIMAL", "decimal"),
)
