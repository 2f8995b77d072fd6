"""What templates can do to a value beyond Jinja's own filters. Pure."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime, tzinfo
from typing import Any

import msgspec
from jinja2 import ChainableUndefined, Environment, pass_context, pass_environment
from jinja2 import filters as jinja
from jinja2.runtime import Context, Undefined

from lineside.model.fields import MISSING, lookup

SITE_ZONE = "the target's time zone"
"""The context's entry that holds the `tzinfo` (or None); no template can spell this name."""

LARGEST = 22 * 1_048_576
"""Characters of a text, or entries of a list, that anything in a template may result in."""

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_TOO_LATE = 100_000_000_000
"""Seconds; the year 5138. A larger stamp counts milliseconds or less."""
_ABSENT = object()


class BadValue(Exception):
    """A filter cannot take the value it was given; ``str()`` says why, and never what the value is."""


@pass_context
def site_time(context: Context, value: object) -> object:
    """Return a moment as a Frappe site writes it: ``YYYY-MM-DD HH:MM:SS.ffffff`` in the site's time zone.

    ``value`` is ISO 8601 text, taken as site time where it has no offset, or seconds since 1970 (UTC).
    A site stores naive times only and fails on an offset (contract, section 10).
    """
    if _is_absent(value):
        return value
    zone = context[SITE_ZONE]
    try:
        moment = _moment(value)
        if moment.tzinfo is not None:
            if not isinstance(zone, tzinfo):
                raise BadValue("site_time: the target's time zone is not known yet")
            moment = moment.astimezone(zone).replace(tzinfo=None)
    except (OverflowError, OSError, ValueError) as wrong:
        raise BadValue("site_time: the time is out of range") from wrong
    return moment.isoformat(" ", "microseconds")


def number(value: object) -> object:
    """Return a number, or text with a decimal point and no thousands separator, as a float."""
    if _is_absent(value):
        return value
    if isinstance(value, str) and _NUMBER.fullmatch(value.strip()):
        value = float(value)
    elif isinstance(value, bool) or not isinstance(value, int | float):
        raise BadValue("number: expected digits with at most one decimal point, such as 12.5")
    result = float(value)
    if not math.isfinite(result):
        raise BadValue("number: the number is too large")
    return result


def strict_int(value: object, default: object = _ABSENT, base: int = 10) -> object:
    """Jinja's ``int``, but what is no number is an error unless a default is given: 0 would be a wrong document."""
    return value if _is_absent(value) else _given(jinja.do_int(value, default, base), "int")  # type: ignore[arg-type]


def strict_float(value: object, default: object = _ABSENT) -> object:
    """Jinja's ``float``, but what is no number is an error unless a default is given."""
    return value if _is_absent(value) else _given(jinja.do_float(value, default), "float")  # type: ignore[arg-type]


def as_text(value: object) -> str:
    """Return how a value reads inside a text: null as nothing, and what is no string as JSON."""
    if isinstance(value, str):
        return value
    if isinstance(value, Undefined):
        return str(value)
    if value is None:
        return ""
    if isinstance(value, float) and not math.isfinite(value):
        raise BadValue("the number is too large")
    try:
        return msgspec.json.encode(value).decode()
    except TypeError as wrong:
        raise BadValue(f"a {type(value).__name__} has no place in a text") from wrong


@pass_environment
def join(
    environment: Environment,
    value: Iterable[object],
    d: str = "",
    attribute: str | int | None = None,
) -> str:
    """Jinja's ``join``, of the same texts that ``{{ ... }}`` would write."""
    if attribute is not None:
        value = map(jinja.make_attrgetter(environment, attribute), value)
    size, parts = 0, []
    for part in map(as_text, value):
        size += len(part) + len(d)
        if size > LARGEST:
            raise BadValue("the result is too large")
        parts.append(part)
    return d.join(parts)


def rows(value: object, **fields: object) -> object:
    """Return a list of objects as the rows of a child table.

    Args:
        value: the list.
        fields: for each field of a row the path of its value in an object: ``codes.EN``. With ``?`` at its end the
            field is left out where the object has none, or null. Text that begins with ``=`` is, without it, the
            value of every row.

    """
    if _is_absent(value):
        return value
    if isinstance(value, str) or not isinstance(value, Sequence):
        raise BadValue("rows: expected a list of objects")
    made = []
    for place, item in enumerate(value, 1):
        row: dict[str, object] = {}
        for name, path in fields.items():
            if not isinstance(path, str):
                raise BadValue(f"rows: {name} needs the path of a field, such as 'qty'")
            if path.startswith("="):
                row[name] = path[1:]
                continue
            found = lookup(item, path.removesuffix("?"))
            if found is MISSING and not path.endswith("?"):
                raise BadValue(f"rows: row {place} has no field {path}")
            if not path.endswith("?") or (found is not MISSING and found is not None):
                row[name] = found
        made.append(row)
    return made


def demand(value: object) -> None:
    """Raise the error of a missing field, where ``value`` is one."""
    if isinstance(value, Undefined):
        value._fail_with_undefined_error()


FILTERS: Mapping[str, Callable[..., Any]] = {
    "site_time": site_time,
    "number": number,
    "int": strict_int,
    "float": strict_float,
    "string": as_text,
    "join": join,
    "rows": rows,
}


def _moment(value: object) -> datetime:
    if isinstance(value, str):
        try:
            return datetime.fromisoformat(value.strip().upper())
        except ValueError as wrong:
            raise BadValue("site_time: the text is no ISO 8601 date and time") from wrong
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise BadValue("site_time: expected ISO 8601 text or seconds since 1970")
    if not math.isfinite(value):
        raise BadValue("site_time: the time is out of range")
    if abs(value) >= _TOO_LATE:
        raise BadValue("site_time: expected seconds since 1970; for milliseconds write (at / 1000) | site_time")
    return datetime.fromtimestamp(value, UTC)


def _is_absent(value: object) -> bool:
    # In a document a missing field is an error at once; in a condition it stays absent.
    if isinstance(value, Undefined) and not isinstance(value, ChainableUndefined):
        demand(value)
    return isinstance(value, ChainableUndefined)


def _given(value: object, name: str) -> object:
    if value is _ABSENT:
        raise BadValue(f"{name}: the value is no number; {name}(default=...) would say what to take instead")
    return value
