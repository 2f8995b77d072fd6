"""Finds the rows of a table that were not there before. Everything here blocks, on a thread of the pool."""

from __future__ import annotations

from collections.abc import Container, Sequence
from itertools import islice
from typing import Any

from msgspec import Struct

from lineside.edges.sql.dialect import Dialect
from lineside.edges.sql.places import ORDERED, Place, Reach, before
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
    reach: Reach | None
    """How far it has come once both are taken; None while there is no row."""
    more: bool
    """There may be more at once."""


class NewRows:
    """Looks at one table.

    Rows are read in the order of their key; with ``modified`` in the order of their last change, so that a row
    that is changed is found again. A transaction that takes long may commit rows below those that were found
    already; so what was found is swept, by its key alone: from ``overlap`` below where the sweep before ended,
    however many rows came in between. Each look that finds no full batch sweeps; under a load that leaves none,
    each does that is an overlap further.

    What is promised: a row is found that, when it becomes visible, lies less than ``overlap`` below the last one
    visible then. For all those that a sweep could not see lie less than that below the last one which it saw.

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

    def newest(self, connection: Any) -> tuple[Reach | None, list[Place]]:
        """Return how far the last row is, and the places that lie within the overlap below it, its own too."""
        self._dialect.begin(connection, "read", self._seconds)
        backwards = ", ".join(f"{column} DESC" for column in self._order)
        sql = f"SELECT {', '.join(self._order)} FROM {self._table} WHERE {self._given} ORDER BY {backwards} LIMIT 1"
        found = [self._place(row) for row in self._dialect.execute(connection, sql).fetchall()]
        reach = Reach(found[0], found[0]) if found else None
        window = self._window(connection, reach) if reach is not None else []
        connection.rollback()
        return reach, window

    def look(self, connection: Any, reach: Reach | None, seen: Container[str]) -> Round:
        """Return rows behind ``reach``, and where a sweep is due those before its end that were not ``seen``."""
        self._dialect.begin(connection, "read", self._seconds)
        fresh = self._after(connection, None if reach is None else reach.last)
        full = len(fresh) == self._batch
        late: list[NewRow] = []
        left = False
        # What is fresh was read first: whatever the sweep does not see lies above an overlap before that.
        swept = reach is None or not full or self._is_far(reach)
        if reach is not None and swept:
            missed = [place for place in self._window(connection, reach) if place.identity not in seen]
            left = len(missed) > self._batch
            late = self._at(connection, list(islice(missed, self._batch)))
        connection.rollback()
        last = fresh[-1].place if fresh else None if reach is None else reach.last
        if last is not None:
            reach = Reach(last, last if reach is None or (swept and not left) else reach.swept)
        return Round(fresh, late, reach, left or full)

    def lowest(self, place: Place) -> Any:
        """Return where the overlap below a place begins: all is swept up to the place, so nothing below counts."""
        try:
            return before(self.value_of(place), self._overlap)
        except (ValueError, OverflowError) as wrong:
            column = self._modified or self._key
            raise DatabaseFailed(Trouble("statement", f"the column {column} gives no order: {wrong}")) from wrong

    def value_of(self, place: Place) -> Any:
        """Return what is compared with `lowest`."""
        return place.key if self._modified is None else place.modified

    @property
    def _given(self) -> str:
        return " AND ".join(f"{column} IS NOT NULL" for column in self._order)

    def _is_far(self, reach: Reach) -> bool:
        return bool(self.lowest(reach.last) >= self.value_of(reach.swept))

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

    def _window(self, connection: Any, reach: Reach) -> list[Place]:
        column, mark = self._order[0], self._dialect.mark
        sql = f"SELECT {', '.join(self._order)} FROM {self._table}"
        sql += f" WHERE {column} > {mark(0)} AND {column} <= {mark(1)} ORDER BY {', '.join(self._order)}"
        values = [self._bound(self.lowest(reach.swept)), self._bound(self.value_of(reach.last))]
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
