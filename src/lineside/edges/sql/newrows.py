"""Finds the rows of a table that were not there before. Everything here blocks, on a thread of the pool."""

from __future__ import annotations

from collections.abc import Container, Sequence
from itertools import islice
from typing import Any

from msgspec import Struct

from lineside.edges.sql.dialect import Dialect
from lineside.edges.sql.places import ORDERED, Place, before
from lineside.edges.sql.trouble import DatabaseFailed, Trouble


class NewRow(Struct, frozen=True):
    """A row that was found."""

    place: Place
    columns: dict[str, Any]
    """As the database gave them."""


class Round(Struct, frozen=True):
    """What one look at the table found."""

    fresh: list[NewRow]
    """Behind the last one, in order."""
    late: list[NewRow]
    """Committed below it, after it was found."""
    more: bool
    """There may be more at once."""


class NewRows:
    """Looks at one table.

    Rows are read in the order of their key; with ``modified`` in the order of their last change, so that a row
    that is changed is found again. A transaction that takes long may commit rows below those that were found
    already; so each time everything is looked at once more that lies up to ``overlap`` below, by its key alone.

    Args:
        dialect: of the database.
        table: or view.
        key: the column that names a row; without ``modified`` a whole number that increases.
        modified: the column with the moment of the last change.
        columns: those that are read; none for all.
        batch: rows that are read at a time.
        overlap: of keys, or with ``modified`` of seconds.
        seconds: after which a statement is ended.

    """

    def __init__(
        self,
        dialect: Dialect,
        table: str,
        key: str,
        modified: str | None,
        columns: Sequence[str],
        *,
        batch: int,
        overlap: float,
        seconds: float,
    ) -> None:
        self._dialect = dialect
        self._batch = batch
        self._overlap = overlap
        self._seconds = seconds
        self._key = key
        self._modified = modified
        self._table = dialect.quoted(table)
        self._order = [dialect.quoted(name) for name in ([modified] if modified else []) + [key]]
        wanted = list(dict.fromkeys([*columns, key, *([modified] if modified else [])]))
        self._hidden = frozenset(wanted) - frozenset(columns) if columns else frozenset()
        self._columns = ", ".join(dialect.quoted(name) for name in wanted) if columns else "*"

    def newest(self, connection: Any) -> tuple[Place | None, list[Place]]:
        """Return the last row's place, and those that lie within the overlap below it, itself too."""
        self._dialect.begin(connection, "read", self._seconds)
        backwards = ", ".join(f"{column} DESC" for column in self._order)
        sql = f"SELECT {', '.join(self._order)} FROM {self._table} WHERE {self._given} ORDER BY {backwards} LIMIT 1"
        found = [self._place(row) for row in self._dialect.execute(connection, sql).fetchall()]
        window = self._window(connection, found[0]) if found else []
        connection.rollback()
        return (found[0] if found else None), window

    def look(self, connection: Any, last: Place | None, seen: Container[str]) -> Round:
        """Return rows behind ``last``, and within the overlap before it those whose identity was not ``seen``."""
        self._dialect.begin(connection, "read", self._seconds)
        fresh = self._after(connection, last)
        late: list[NewRow] = []
        left = False
        if last is not None and len(fresh) < self._batch:
            missed = [place for place in self._window(connection, last) if place.identity not in seen]
            left = len(missed) > self._batch
            late = self._at(connection, list(islice(missed, self._batch)))
        connection.rollback()
        return Round(fresh, late, left or len(fresh) == self._batch)

    def lowest(self, last: Place) -> Any:
        """Return where the overlap below a place begins: what lies below is looked at no more."""
        try:
            return before(last.key if self._modified is None else last.modified, self._overlap)
        except (ValueError, OverflowError) as wrong:
            column = self._modified or self._key
            raise DatabaseFailed(Trouble("statement", f"the column {column} gives no order: {wrong}")) from wrong

    def value_of(self, place: Place) -> Any:
        """Return what is compared with `lowest`."""
        return place.key if self._modified is None else place.modified

    @property
    def _given(self) -> str:
        return " AND ".join(f"{column} IS NOT NULL" for column in self._order)

    def _after(self, connection: Any, last: Place | None) -> list[NewRow]:
        mark = self._dialect.mark
        where, values = self._given, []
        if last is not None and self._modified is None:
            where, values = f"{self._order[0]} > {mark(0)}", [last.key]
        elif last is not None:
            moment, key = self._order
            where = f"({moment} > {mark(0)} OR ({moment} = {mark(1)} AND {key} > {mark(2)}))"
            values = [last.modified, last.modified, last.key]
        sql = f"SELECT {self._columns} FROM {self._table} WHERE {where}"
        sql += f" ORDER BY {', '.join(self._order)} LIMIT {self._batch}"
        return self._rows(connection, sql, values)

    def _window(self, connection: Any, last: Place) -> list[Place]:
        column, mark = self._order[0], self._dialect.mark
        sql = f"SELECT {', '.join(self._order)} FROM {self._table}"
        sql += f" WHERE {column} > {mark(0)} AND {column} <= {mark(1)} ORDER BY {', '.join(self._order)}"
        values = [self._bound(self.lowest(last)), self._bound(self.value_of(last))]
        return [self._place(row) for row in self._dialect.execute(connection, sql, values).fetchall()]

    def _at(self, connection: Any, places: list[Place]) -> list[NewRow]:
        if not places:
            return []
        marks = ", ".join(self._dialect.mark(number) for number in range(len(places)))
        sql = f"SELECT {self._columns} FROM {self._table} WHERE {self._order[-1]} IN ({marks})"
        sql += f" ORDER BY {', '.join(self._order)}"
        return self._rows(connection, sql, [self._bound(place.key) for place in places])

    def _rows(self, connection: Any, sql: str, values: list[Any]) -> list[NewRow]:
        cursor = self._dialect.execute(connection, sql, [self._bound(value) for value in values])
        names = [column[0] for column in cursor.description]
        places = [names.index(name) for name in ([self._modified] if self._modified else []) + [self._key]]
        return [
            NewRow(
                self._place([row[at] for at in places]),
                {name: cell for name, cell in zip(names, row, strict=True) if name not in self._hidden},
            )
            for row in cursor.fetchall()
        ]

    def _bound(self, value: Any) -> Any:
        # A moment goes back as it came: with an offset only where the column has one.
        return value if self._dialect.keeps_offsets else self._dialect.bound(value)

    def _place(self, row: Sequence[Any]) -> Place:
        place = Place(row[-1], row[0] if self._modified is not None else None)
        if not isinstance(place.key, ORDERED) or isinstance(place.key, bool):
            raise DatabaseFailed(Trouble("statement", f"the column {self._key} is no key that can be kept"))
        if self._modified is None and not isinstance(place.key, int):
            reason = f"the column {self._key} is no whole number; only with modified may a key be anything else"
            raise DatabaseFailed(Trouble("statement", reason))
        return place
