"""A table's columns, and a document's values as they need them. Pure."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from datetime import UTC, date, datetime, time, tzinfo
from decimal import Decimal
from typing import Any, Literal

import msgspec
from msgspec import Struct

from lineside.model.wording import did_you_mean

Kind = Literal[
    "integer",
    "decimal",
    "float",
    "boolean",
    "text",
    "json",
    "date",
    "time",
    "datetime",
    "instant",
    "binary",
    "other",
]
"""``datetime`` is the time on a wall clock; ``instant`` a moment, whatever the zone it is shown in."""

_INTEGER = re.compile(r"[+-]?\d+", re.ASCII)
_ID = 32
"""Characters of a delivery id."""


class Column(Struct, frozen=True):
    """One column."""

    name: str
    kind: Kind
    type: str
    """As the database calls it."""
    nullable: bool = True
    filled: bool = False
    """The database fills it where nothing is given."""
    length: int | None = None
    """Characters that it holds, where that is limited."""


class Table(Struct, frozen=True):
    """A table."""

    name: str
    columns: Mapping[str, Column]
    unique: frozenset[str]
    """The columns that have a unique index of their own."""
    transactional: bool = True


class Unfit(Struct, frozen=True):
    """What keeps documents out of a table, and what to do about it."""

    reason: str
    remedy: str


def why_no_id(table: Table, id_column: str, ddl: str, index: str) -> Unfit | None:
    """Return why a table cannot hold delivery ids exactly once; None where it can.

    Args:
        table: as it is.
        id_column: where the ids go.
        ddl: the statement that adds the column with its index.
        index: the statement that adds the index alone.

    """
    if not table.transactional:
        return Unfit(
            f"the table {table.name} knows no transactions: half of a batch could stay",
            f"ALTER TABLE {table.name} ENGINE=InnoDB",
        )
    column = table.columns.get(id_column)
    if column is None:
        return Unfit(f"the table {table.name} has no column {id_column} for the delivery id", ddl)
    if column.kind not in {"text", "other"} or (column.length is not None and column.length < _ID):
        return Unfit(
            f"the column {table.name}.{id_column} is {column.type}, which holds no delivery id of {_ID} characters",
            f"make it varchar({_ID})",
        )
    if id_column not in table.unique:
        return Unfit(
            f"the column {table.name}.{id_column} has no unique index: a document could be stored twice", index
        )
    return None


def why_no_document(table: Table, document: Mapping[str, Any], id_column: str) -> Unfit | None:
    """Return why no document with these fields fits a table; None where it may."""
    for name in document:
        if name not in table.columns:
            return Unfit(
                f"the table {table.name} has no column {name}",
                f"mend the route's document{did_you_mean(name, table.columns)}",
            )
    for column in table.columns.values():
        needed = not column.nullable and not column.filled and column.name != id_column
        if needed and column.name not in document:
            return Unfit(
                f"the column {table.name}.{column.name} must have a value, and the document has none for it",
                "add it to the route's document, or give the column a default",
            )
    return None


def fitted(column: Column, value: Any, zone: tzinfo) -> Any:
    """Return a document's value as its column needs it.

    Args:
        column: decides; what it holds as text stays the text it is, to the last character.
        value: as templates make them: None, a bool, int, float, str, list or dict.
        zone: of wall clocks.

    Raises:
        ValueError: the column cannot hold it; says what was expected, not what came.

    """
    if value is None:
        if not column.nullable and not column.filled:
            raise ValueError("must not be null")
        return None
    if column.kind == "other":
        return value if isinstance(value, str | int | float) else msgspec.json.encode(value).decode()
    return _FITTINGS[column.kind](column, value, zone)


def _integer(column: Column, value: Any, zone: tzinfo) -> int:
    match value:
        case bool():
            if column.type.lower() in {"tinyint", "tinyint(1)", "boolean", "bool"}:
                return int(value)
        case int():
            return value
        case float() if value.is_integer():
            return int(value)
        case str() if _INTEGER.fullmatch(value):
            return int(value)
    raise ValueError("expected a whole number")


def _decimal(column: Column, value: Any, zone: tzinfo) -> Decimal:
    number = None
    if isinstance(value, int | float | str) and not isinstance(value, bool):
        try:
            number = Decimal(str(value))
        except ArithmeticError:
            number = None
    if number is None or not number.is_finite():
        raise ValueError("expected a number")
    return number


def _float(column: Column, value: Any, zone: tzinfo) -> float:
    return float(_decimal(column, value, zone))


def _boolean(column: Column, value: Any, zone: tzinfo) -> bool:
    if value in (0, 1, "0", "1"):
        return bool(int(value))
    raise ValueError("expected true or false")


def _text(column: Column, value: Any, zone: tzinfo) -> str:
    text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    if "\0" in text:
        raise ValueError("no column of text holds NUL")
    if column.length is not None and len(text) > column.length:
        raise ValueError(f"the column holds {column.length} characters, and there are {len(text)}")
    return text


def _json(column: Column, value: Any, zone: tzinfo) -> str:
    return msgspec.json.encode(value).decode()


def _binary(column: Column, value: Any, zone: tzinfo) -> bytes:
    if not isinstance(value, str):
        raise ValueError("expected text, which is stored as UTF-8")
    return value.encode()


def _date(column: Column, value: Any, zone: tzinfo) -> date:
    if isinstance(value, str):
        try:
            return date.fromisoformat(value)
        except ValueError:
            # A moment has a date, too: that of the wall's calendar.
            return _wall(value, zone).date()
    raise ValueError("expected a date such as 2026-03-04")


def _time(column: Column, value: Any, zone: tzinfo) -> time:
    try:
        moment = time.fromisoformat(value)
    except (TypeError, ValueError) as wrong:
        raise ValueError("expected a time such as 09:12:07") from wrong
    if moment.tzinfo is not None:
        raise ValueError("a time of day without a date has no offset")
    return moment


def _datetime(column: Column, value: Any, zone: tzinfo) -> datetime:
    return _wall(value, zone)


def _instant(column: Column, value: Any, zone: tzinfo) -> datetime:
    return _moment(value, zone).astimezone(UTC)


def _wall(value: Any, zone: tzinfo) -> datetime:
    return _moment(value, zone).astimezone(zone).replace(tzinfo=None)


def _moment(value: Any, zone: tzinfo) -> datetime:
    try:
        moment = datetime.fromisoformat(value)
        moment = moment.replace(tzinfo=zone) if moment.tzinfo is None else moment
        moment.astimezone(UTC)
    except (TypeError, ValueError, OverflowError) as wrong:
        raise ValueError("expected a moment such as 2026-03-04T09:12:07Z") from wrong
    if not math.isfinite(moment.timestamp()):
        raise ValueError("expected a moment")
    return moment


_FITTINGS = {
    "integer": _integer,
    "decimal": _decimal,
    "float": _float,
    "boolean": _boolean,
    "text": _text,
    "json": _json,
    "binary": _binary,
    "date": _date,
    "time": _time,
    "datetime": _datetime,
    "instant": _instant,
}
