"""A query's rows as JSON and as CSV. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lineside.edges.sql.cells import csv_line, encode_json, json_rows
from lineside.edges.sql.rowstream import Cause
from lineside.edges.sql.trouble import DatabaseFailed, Trouble

_WHY: dict[Cause, str] = {"rows": "the query has more rows than max_rows", "time": "the query's timeout is over"}


class JsonForm:
    """``{"columns": [...], "rows": [{...}, ...], "count": 2, "truncated": null}``.

    ``truncated`` is null, ``"rows"`` or ``"time"``.
    """

    def __init__(self) -> None:
        self._columns: list[str] = []
        self._begun = False

    def head(self, columns: list[str]) -> bytes:
        """Return the beginning.

        Raises:
            DatabaseFailed: two columns have one name, so that an object would lose one.

        """
        double = next((name for name in columns if columns.count(name) > 1), None)
        if double is not None:
            reason = f'two columns are called "{double}"; give one another name with AS'
            raise DatabaseFailed(Trouble("statement", reason))
        self._columns = columns
        return b'{"columns":' + encode_json(columns) + b',"rows":['

    def rows(self, rows: Sequence[Sequence[Any]]) -> bytes:
        """Return rows as objects."""
        comma = b"," if self._begun and rows else b""
        self._begun = self._begun or bool(rows)
        return comma + b",".join(json_rows(self._columns, rows))

    def tail(self, count: int, truncated: Cause | None) -> bytes:
        """Return the end."""
        return b'],"count":%d,"truncated":' % count + encode_json(truncated) + b"}"


class CsvForm:
    """Lines of CSV: the columns' names, the rows, and where rows are missing a last line that says so.

    Args:
        guarded: see `lineside.edges.sql.cells.csv_line`.

    """

    def __init__(self, *, guarded: bool) -> None:
        self._guarded = guarded

    def head(self, columns: list[str]) -> bytes:
        """Return the columns' names."""
        return csv_line(columns, guarded=self._guarded).encode()

    def rows(self, rows: Sequence[Sequence[Any]]) -> bytes:
        """Return rows as lines."""
        return "".join(csv_line(row, guarded=self._guarded) for row in rows).encode()

    def tail(self, count: int, truncated: Cause | None) -> bytes:
        """Return the line that says that rows are missing; CSV has no other place for it."""
        return b"" if truncated is None else f"# truncated after {count} rows: {_WHY[truncated]}\r\n".encode()
