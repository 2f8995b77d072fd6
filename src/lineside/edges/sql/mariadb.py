"""MariaDB, through PyMySQL."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import pymysql
from pymysql.cursors import SSCursor

from lineside.edges.sql.columns import Column, Kind, Table
from lineside.edges.sql.dialect import Address, Rows, Use
from lineside.edges.sql.statements import Statement
from lineside.edges.sql.trouble import Kind as TroubleKind
from lineside.edges.sql.trouble import Trouble, one_line

READ_SECONDS = 3600
"""Seconds without a byte after which a read gives up: past any time that a statement may take. A server that hangs
is cut off by the pool, long before."""

_KINDS: Mapping[str, Kind] = {
    **dict.fromkeys(("tinyint", "smallint", "mediumint", "int", "bigint", "year"), "integer"),
    **dict.fromkeys(("float", "double"), "float"),
    **dict.fromkeys(("char", "varchar", "tinytext", "text", "mediumtext", "longtext", "uuid"), "text"),
    **dict.fromkeys(("binary", "varbinary", "tinyblob", "blob", "mediumblob", "longblob"), "binary"),
    "decimal": "decimal",
    "date": "date",
    "time": "time",
    "datetime": "datetime",
    "timestamp": "instant",
}
_TROUBLES: Mapping[int, TroubleKind] = {
    # Nobody there, or no room (https://mariadb.com/kb/en/mariadb-error-code-reference/).
    **dict.fromkeys((2002, 2003, 2005, 2006, 2013, 2014, 1021, 1037, 1040, 1041, 1053, 1077, 1079), "down"),
    **dict.fromkeys((1080, 1114, 1129, 1152, 1153, 1159, 1160, 1161, 1203, 1226, 1290, 1836, 1927), "down"),
    **dict.fromkeys((1044, 1045, 1049, 1130, 1142, 1143, 1227, 1370, 1410, 1698, 1820, 2059), "denied"),
    **dict.fromkeys((1205, 1206, 1213), "busy"),
    **dict.fromkeys((1022, 1062, 1169, 1586), "duplicate"),
    **dict.fromkeys((1048, 1216, 1217, 1364, 1369, 1451, 1452, 1644, 3819, 4025), "constraint"),
    **dict.fromkeys((1264, 1265, 1292, 1365, 1366, 1367, 1406, 1411, 1441, 1690, 1526, 3140, 4038), "value"),
    **dict.fromkeys((1317, 1969, 3024), "overdue"),
    **dict.fromkeys((1054, 1064, 1146, 1136, 1110, 1305, 1792, 1222, 1052, 1060, 1267, 1271, 1347), "statement"),
}


class MariaDB:
    """The `lineside.edges.sql.dialect.Dialect` of MariaDB."""

    module = "pymysql"
    keeps_offsets = False

    def __init__(self, address: Address) -> None:
        self.address = address

    def arguments(self, use: Use) -> dict[str, Any]:
        """Return what PyMySQL's ``connect`` takes."""
        at = self.address
        where = {"unix_socket": at.host} if at.host.startswith("/") else {"host": at.host, "port": at.port or 3306}
        tls: dict[str, Any] = {"ssl_disabled": True}
        if at.tls:
            tls = {"ssl": ssl.create_default_context(cafile=None if at.ca is None else str(at.ca))}
        return {
            **where,
            **tls,
            "user": at.user,
            "password": at.password,
            "database": at.database,
            "charset": "utf8mb4",
            "autocommit": True,
            "connect_timeout": max(1, round(at.connect_timeout)),
            # The greeting's, too, for which the other one does not count; `prepare` sets that of statements.
            "read_timeout": max(1, round(at.connect_timeout)),
            "write_timeout": max(1, round(at.connect_timeout)),
            "program_name": "lineside",
        }

    def prepare(self, connection: Any, use: Use) -> None:
        """Make writes strict, moments UTC's, and readers unable to write."""
        connection._read_timeout = connection._write_timeout = READ_SECONDS
        with connection.cursor() as cursor:
            if use == "read":
                cursor.execute("SET SESSION TRANSACTION READ ONLY")
                return
            # A lenient server would cut text off, and make 0 of what is no number.
            cursor.execute("SET SESSION sql_mode = 'TRADITIONAL'")
            cursor.execute("SET SESSION time_zone = '+00:00'")

    def answers(self, connection: Any) -> bool:
        """Ping the server."""
        try:
            connection.ping(reconnect=False)
        except (pymysql.Error, OSError):
            return False
        return True

    def cut(self, connection: Any) -> None:
        """Shut the socket down: reading and writing end at once, on whatever thread."""
        with suppress(OSError, AttributeError):
            connection._sock.shutdown(socket.SHUT_RDWR)

    def begin(self, connection: Any, use: Use, seconds: float) -> None:
        """Begin a transaction."""
        with connection.cursor() as cursor:
            cursor.execute("SET SESSION max_statement_time = %s", (round(seconds, 3),))
            if use == "write":
                cursor.execute("SET SESSION innodb_lock_wait_timeout = %s", (max(1, int(seconds / 2)),))
            cursor.execute("START TRANSACTION READ ONLY" if use == "read" else "START TRANSACTION READ WRITE")

    def sql(self, statement: Statement) -> str:
        """Return it with ``%(name)s``; PyMySQL puts values in as literals, escaped for the connection's charset."""
        return statement.pyformat()

    def bound(self, value: Any) -> Any:
        """Moments are UTC's without saying so: PyMySQL leaves an offset out."""
        if isinstance(value, datetime) and value.tzinfo is not None:
            return value.astimezone(UTC).replace(tzinfo=None)
        return value

    def execute(self, connection: Any, sql: str, values: Mapping[str, Any] | Sequence[Any] = ()) -> Any:
        """Execute one statement."""
        cursor = connection.cursor()
        # With values, however few, a percent sign is a placeholder's; without, it is none.
        cursor.execute(sql, values)
        return cursor

    def open_rows(self, connection: Any, sql: str, values: Mapping[str, Any]) -> Rows:
        """Execute a query whose rows are read from the socket as they are fetched."""
        cursor: Rows = connection.cursor(SSCursor)
        cursor.execute(sql, values)  # type: ignore[attr-defined]
        return cursor

    def close_rows(self, connection: Any, rows: Any) -> bool:
        """Hang up where rows are left: PyMySQL would read all of them first."""
        result = getattr(rows, "_result", None)
        left = result is not None and bool(result.unbuffered_active)
        if result is not None and left:
            result.unbuffered_active = False
            rows.connection = None
        else:
            rows.close()
        return not left

    def explain(self, failed: BaseException) -> Trouble:
        """Go by the server's number."""
        if isinstance(failed, pymysql.Error):
            number = failed.args[0] if failed.args and isinstance(failed.args[0], int) else 0
            words = str(failed.args[-1]) if failed.args else type(failed).__name__
            kind = _TROUBLES.get(number)
            if kind is None:
                # PyMySQL's own complaint about a connection that is gone has no number of a server's.
                kind = "down" if isinstance(failed, pymysql.InterfaceError) or number in {0, 4031} else "other"
            return Trouble(kind, one_line(words), str(number or ""))
        if isinstance(failed, OSError | EOFError):
            return Trouble("down", one_line(str(failed)))
        return Trouble("other", one_line(f"{type(failed).__name__}: {failed}"))

    def quoted(self, name: str) -> str:
        """Return it between grave accents."""
        return ".".join("`" + part.replace("`", "``").replace("%", "%%") + "`" for part in name.split("."))

    def mark(self, number: int) -> str:
        """Return ``%s``."""
        return "%s"

    def table(self, connection: Any, name: str) -> Table | None:
        """Describe a table from ``information_schema``."""
        schema, _, short = name.rpartition(".")
        # DATABASE() where the name says none.
        place = (schema or None, short)
        columns = self.execute(
            connection,
            """SELECT column_name, data_type, column_type, is_nullable,
                      column_default IS NOT NULL OR extra <> '', character_maximum_length
               FROM information_schema.columns
               WHERE table_schema = COALESCE(%s, DATABASE()) AND table_name = %s ORDER BY ordinal_position""",
            place,
        ).fetchall()
        if not columns:
            return None
        unique = self.execute(
            connection,
            """SELECT MAX(column_name) FROM information_schema.statistics
               WHERE table_schema = COALESCE(%s, DATABASE()) AND table_name = %s AND non_unique = 0
               GROUP BY index_name HAVING COUNT(*) = 1 AND MAX(sub_part) IS NULL""",
            place,
        ).fetchall()
        engine = self.execute(
            connection,
            """SELECT t.engine IS NULL OR e.transactions = 'YES'
               FROM information_schema.tables t LEFT JOIN information_schema.engines e ON e.engine = t.engine
               WHERE t.table_schema = COALESCE(%s, DATABASE()) AND t.table_name = %s""",
            place,
        ).fetchall()
        return Table(
            name,
            {
                column: Column(
                    column,
                    "boolean" if full == "tinyint(1)" else _KINDS.get(kind, "other"),
                    full,
                    nullable == "YES",
                    bool(filled),
                    length if _KINDS.get(kind) == "text" else None,
                )
                for column, kind, full, nullable, filled, length in columns
            },
            frozenset(column for (column,) in unique),
            all(transactional for (transactional,) in engine),
        )

    def id_column(self, table: str, column: str) -> tuple[str, str]:
        """Return the statements."""
        where, what = self.quoted(table), self.quoted(column)
        return (
            f"ALTER TABLE {where} ADD COLUMN {what} CHAR(32) CHARACTER SET ascii NULL UNIQUE",
            f"ALTER TABLE {where} ADD UNIQUE ({what})",
        )
