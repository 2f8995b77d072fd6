"""A field's value: as Frappe keeps it in memory, in its column, and in an answer. Pure.

A value passes three times: `cast` when a document is made, `check` when it is validated, `column_value`
when it is stored. Times lie in their columns with six digits of a second, so that text order is time order.
"""

from __future__ import annotations

import math
import re
from datetime import datetime
from typing import Any

import msgspec

from lineside.standin.doctypes import INTEGER_TYPES, TIME_TYPES, Field
from lineside.standin.errors import bad_value, out_of_range, thrown

Value = str | int | float | None

MAX_INTEGER = 2**31 - 1
MAX_LONG = 2**63 - 1
MAX_REAL = 10**12
"""A Float is decimal(21,9): so many digits before the point."""

DATA_LENGTH = 140
SHORT_TEXT = frozenset({"Autocomplete", "Barcode", "Color", "Data", "Dynamic Link", "Link", "Phone", "Select"})

STAMP = re.compile(r"(\d{4})-(\d{1,2})-(\d{1,2})(?:[T ](\d{1,2}):(\d{1,2})(?::(\d{1,2})(?:\.(\d{1,6})\d*)?)?)?")
CLOCK = re.compile(r"(\d{1,2}):(\d{1,2})(?::(\d{1,2})(?:\.(\d{1,6})\d*)?)?")
NUMBER = re.compile(r"\s*([+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)\s*")


def cast(field: Field, value: object) -> Value:
    """Return a value as Frappe holds it before it is stored; numbers are never refused, only made 0.

    Raises:
        FrappeError: a list or an object stands where one value belongs.

    """
    if field.fieldtype == "Check":
        return int(bool(_integer(value)))
    if field.fieldtype in INTEGER_TYPES:
        return _integer(value)
    if field.is_number:
        return _real(value)
    if value is None or (value == "" and (field.fieldtype in TIME_TYPES or field.unique)):
        return None
    return _text(field, value)


def check(field: Field, value: Value, where: str) -> None:
    """Hold a value to its field's rules; ``where`` names the document in messages.

    Raises:
        FrappeError: it is none of the options, negative or too long.

    """
    if field.fieldtype == "Select" and isinstance(value, str) and value and field.options:
        options = [option.strip() for option in field.options.split("\n")]
        if value not in options:
            allowed = ", ".join(f'"{option}"' for option in options if option)
            raise thrown("ValidationError", f'{field.title} cannot be "{value}". It should be one of {allowed}')
    elif field.non_negative and isinstance(value, int | float) and value < 0:
        raise thrown("NonNegativeError", f"{where}: Value cannot be negative for {field.title}")
    elif isinstance(value, str) and field.fieldtype in SHORT_TEXT:
        longest = field.length or DATA_LENGTH
        if len(value) > longest:
            raise thrown(
                "CharacterLengthExceededError",
                f"{where}: '{field.title}' ({value}) will get truncated, as max characters allowed is {longest}",
            )


def column_value(field: Field, value: Value, table: str) -> Value:
    """Return what the column takes.

    Raises:
        FrappeError: MariaDB refuses it: no such date, a time with a zone, a number too large.

    """
    if isinstance(value, int | float):
        _hold_range(field, value)
        return value
    if value is None or field.fieldtype not in TIME_TYPES:
        return value
    stored = time_text(field.fieldtype, value)
    if stored is None:
        raise bad_value(field.fieldtype.lower(), value, table, field.fieldname)
    return stored


def same(field: Field, one: Value, other: Value) -> bool:
    """Return whether two values, shown or just given, are the same in their column; empty is empty."""
    if field.fieldtype in TIME_TYPES:
        one = time_text(field.fieldtype, str(one)) if one else None
        other = time_text(field.fieldtype, str(other)) if other else None
    return (one or None) == (other or None)


def shown_value(field: Field, value: Any) -> Value:
    """Return a column's value as answers show it: whole seconds without a fraction."""
    if isinstance(value, str) and field.fieldtype in {"Datetime", "Time"}:
        return value.removesuffix(".000000")
    return value  # type: ignore[no-any-return]


def time_text(fieldtype: str, text: str) -> str | None:
    """Return a naive date or time as its column holds it, None when MariaDB would refuse it."""
    if fieldtype == "Time":
        found = CLOCK.fullmatch(text)
        parts = found.groups() if found else None
        day: tuple[str, ...] = ("2000", "1", "1")
    else:
        found = STAMP.fullmatch(text)
        parts = found.groups()[3:] if found else None
        day = found.group(1, 2, 3) if found else ("", "", "")
    if parts is None:
        return None
    hour, minute, second, fraction = parts
    try:
        stamp = datetime(  # noqa: DTZ001 (the site's own naive time)
            int(day[0]),
            int(day[1]),
            int(day[2]),
            int(hour or 0),
            int(minute or 0),
            int(second or 0),
            int((fraction or "0").ljust(6, "0")),
        )
    except ValueError:
        return None
    if fieldtype == "Date":
        return stamp.date().isoformat()
    if fieldtype == "Time":
        return stamp.time().isoformat("microseconds")
    return stamp_text(stamp)


def stamp_text(stamp: datetime) -> str:
    """Return a point in time as a Datetime column holds it."""
    return stamp.isoformat(" ", "microseconds")


def default_value(field: Field, now: datetime) -> Value:
    """Return a new document's value for a field that was not given."""
    if field.default is None:
        return cast(field, None)
    word = field.default.lower()
    if word == "today" and field.fieldtype in {"Date", "Datetime"}:
        return now.date().isoformat()
    if word == "now" and field.fieldtype in TIME_TYPES:
        return now.time().isoformat("microseconds") if field.fieldtype == "Time" else stamp_text(now)
    return cast(field, field.default)


def filter_value(field: Field, value: object) -> Value:
    """Return a filter's value in the form of the column it is compared with."""
    if field.is_number:
        return _real(value) if field.fieldtype not in INTEGER_TYPES else _whole(_real(value))
    if value is None:
        return None
    text = str(value).strip(" ")
    return (time_text(field.fieldtype, text) or text) if field.fieldtype in TIME_TYPES else text


def _text(field: Field, value: object) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, list | dict):
        if field.fieldtype != "JSON":
            raise thrown("ValidationError", f"Value for {field.title} cannot be a list")
        return msgspec.json.encode(value).decode()
    return str(int(value)) if isinstance(value, bool) else str(value)


def _whole(number: float) -> float:
    return int(number) if number.is_integer() and abs(number) <= MAX_LONG else number


def _integer(value: object) -> int:
    if isinstance(value, int):
        return int(value)
    number = _real(value)
    return int(number) if math.isfinite(number) else MAX_LONG + 1


def _real(value: object) -> float:
    if isinstance(value, bool | int | float):
        return 0.0 if math.isnan(value) else float(value)
    found = NUMBER.fullmatch(value.replace(",", "")) if isinstance(value, str) else None
    return float(found[1]) if found else 0.0


def _hold_range(field: Field, value: float) -> None:
    if field.fieldtype in INTEGER_TYPES:
        largest = MAX_LONG if field.fieldtype == "Long Int" else MAX_INTEGER
    else:
        largest = MAX_REAL
    if abs(value) > largest:
        raise out_of_range(field.fieldname)
