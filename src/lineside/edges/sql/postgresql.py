"""PostgreSQL, through psycopg 3."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

import psycopg

from lineside.edges.sql.columns import Column, Kind, Table
from lineside.edges.sql.dialect import Address, Rows, Use
from lineside.edges.sql.statements import Statement
from lineside.edges.sql.trouble import Kind as TroubleKind
from lineside.edges.sql.trouble import Trouble, one_line

_KINDS: Mapping[str, Kind] = {
    **dict.fromkeys(("int2", "int4", "int8"), "integer"),
    **dict.fromkeys(("float4", "float8"), "float"),
    **dict.fromkeys(("text", "varchar", "bpchar", "name", "citext", "uuid"), "text"),
    **dict.fromkeys(("json", "jsonb"), "json"),
    "numeric": "decimal",
    "bool": "boolean",
    "date": "date",
    "time": "time",
    "timestamp": "datetime",
    "timestamptz": "instant",
    "bytea": "binary",
}
# https://www.postgresql.org/docs/current/errcodes-appendix.html; the first two characters are the class.
_CLASSES: Mapping[str, TroubleKind] = {
    "08": "down",
    "53": "down",
    "57": "down",
    "58": "down",
    "28": "denied",
    "3D": "denied",
    "40": "busy",
    "55": "busy",
    "22": "value",
    "23": "constraint",
    "44": "constraint",
    "42": "statement",
    "25": "statement",
    "0A": "statement",
    "3F": "statement",
    "P0": "constraint",
}
_CODES: Mapping[str, TroubleKind] = {
    "23505": "duplicate",
    "42501": "denied",
    "57014": "overdue",
    "25P02": "other",
    "25P03": "down",
    "25P04": "overdue",
    "53400": "other",
    "40003": "down",
}


class PostgreSQL:
    """The `lineside.edges.sql.dialect.Dialect` of PostgreSQL."""

    module = "psycopg"
    keeps_offsets = True

    def __init__(self, address: Address) -> None:
        self.address = address

    def arguments(self, use: Use) -> dict[str, Any]:
        """Return what psycopg's ``connect`` takes; the options are libpq's."""
        at = self.address
        tls = {"sslmode": "disable"}
        if at.tls:
            tls = {"sslmode": "verify-full", "sslrootcert": "system" if at.ca is None else str(at.ca)}
        password = {"password": at.password} if at.password else {}
        options = "-c default_transaction_read_only=on" if use == "read" else ""
        return {
            **tls,
            **password,
            "host": at.host,
            "port": at.port or 5432,
            "user": at.user,
            "dbname": at.database,
            "autocommit": True,
            "connect_timeout": max(2, round(at.connect_timeout)),
            "application_name": "lineside",
            "client_encoding": "UTF8",
            "options": f"{options} -c idle_in_transaction_session_timeout=900000",
            # A peer that is gone without a word is noticed.
            "keepalives_idle": 10,
            "keepalives_interval": 5,
            "keepalives_count": 3,
            "tcp_user_timeout": 30_000,
        }

    def prepare(self, connection: Any, use: Use) -> None:
        """Nothing is left to be said."""

    def answers(self, connection: Any) -> bool:
        """Ask for nothing."""
        try:
            connection.execute("SELECT 1")
        except (psycopg.Error, OSError):
            return False
        return True

    def cut(self, connection: Any) -> None:
        """Shut the socket down: whoever waits for it goes on at once, with an error."""
        with suppress(OSError, psycopg.Error):
            descriptor = os.dup(connection.fileno())
            with socket.socket(fileno=descriptor) as its_socket:
                its_socket.shutdown(socket.SHUT_RDWR)

    def begin(self, connection: Any, use: Use, seconds: float) -> None:
        """Begin a transaction."""
        milliseconds = max(1, round(seconds * 1000))
        connection.execute(
            f"BEGIN {'ISOLATION LEVEL REPEATABLE READ READ ONLY' if use == 'read' else 'READ WRITE'}; "
            f"SET LOCAL statement_timeout = {milliseconds}; SET LOCAL lock_timeout = {max(1, milliseconds // 2)}"
        )

    def sql(self, statement: Statement) -> str:
        """Return it with ``%(name)s``; values travel beside the statement, never in it."""
        return statement.pyformat()

    def bound(self, value: Any) -> Any:
        """Return it as it is."""
        return value

    def execute(self, connection: Any, sql: str, values: Mapping[str, Any] | Sequence[Any] = ()) -> Any:
        """Execute one statement."""
        return connection.execute(sql, values)

    def open_rows(self, connection: Any, sql: str, values: Mapping[str, Any]) -> Rows:
        """Declare a cursor for a query. Only a query can be declared, and only one."""
        cursor = connection.cursor(name="lineside")
        try:
            cursor.execute(sql, values)
        except BaseException:
            self.close_rows(connection, cursor)
            raise
        rows: Rows = cursor
        return rows

    def close_rows(self, connection: Any, rows: Any) -> bool:
        """Close the cursor."""
        try:
            rows.close()
        except (psycopg.Error, OSError):
            # Only once its connection is closed does it let itself be closed without a word to the server.
            connection.close()
            rows.close()
            return False
        return True

    def explain(self, failed: BaseException) -> Trouble:
        """Go by the SQLSTATE; an error without one is the connection's."""
        if not isinstance(failed, psycopg.Error):
            kind: TroubleKind = "down" if isinstance(failed, OSError | EOFError) else "other"
            return Trouble(kind, one_line(f"{type(failed).__name__}: {failed}"))
        state = failed.sqlstate
        if state is None:
            words = str(failed)
            refused = "authentication failed" in words or "no pg_hba.conf entry" in words or "no password" in words
            lost = isinstance(failed, psycopg.OperationalError | psycopg.InterfaceError)
            kind = ("denied" if refused or "does not exist" in words else "down") if lost else "value"
            if isinstance(failed, psycopg.ProgrammingError):
                kind = "statement"
            return Trouble(kind, one_line(words))
        # The first line says it; the others quote rows.
        words = failed.diag.message_primary or str(failed)
        return Trouble(_CODES.get(state) or _CLASSES.get(state[:2], "other"), one_line(words), state)

    def quoted(self, name: str) -> str:
        """Return it between double quotes."""
        return ".".join('"' + part.replace('"', '""').replace("%", "%%") + '"' for part in name.split("."))

    def mark(self, number: int) -> str:
        """Return ``%s``."""
        return "%s"

    def table(self, connection: Any, name: str) -> Table | None:
        """Describe a table from the catalogue."""
        found = connection.execute("SELECT to_regclass(%s)::oid", (self.quoted(name),)).fetchone()
        if found is None or found[0] is None:
            return None
        (oid,) = found
        columns = connection.execute(
            """SELECT a.attname, t.typname, format_type(a.atttypid, a.atttypmod), NOT a.attnotnull,
                      a.atthasdef OR a.attidentity <> '' OR a.attgenerated <> '',
                      CASE WHEN t.typname IN ('varchar', 'bpchar') AND a.atttypmod > 4 THEN a.atttypmod - 4 END
               FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
               WHERE a.attrelid = %s AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum""",
            (oid,),
        ).fetchall()
        unique = connection.execute(
            """SELECT a.attname FROM pg_index i
               JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0]
               WHERE i.indrelid = %s AND i.indisunique AND i.indimmediate AND i.indisvalid AND i.indnkeyatts = 1
                     AND i.indpred IS NULL AND i.indexprs IS NULL""",
            (oid,),
        ).fetchall()
        return Table(
            name,
            {
                column: Column(column, _KINDS.get(kind, "other"), full, nullable, filled, length)
                for column, kind, full, nullable, filled, length in columns
            },
            frozenset(column for (column,) in unique),
        )

    def id_column(self, table: str, column: str) -> tuple[str, str]:
        """Return the statements."""
        where, what = self.quoted(table), self.quoted(column)
        return (
            f"ALTER TABLE {where} ADD COLUMN {what} varchar(32) UNIQUE",
            f"ALTER TABLE {where} ADD UNIQUE ({what})",
        )
