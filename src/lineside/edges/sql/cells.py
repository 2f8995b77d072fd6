"""Values as databases give them, as JSON and as CSV. Pure."""

from __future__ import annotations

import csv
import math
from base64 import b64encode
from collections.abc import Iterable, Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from io import StringIO
from typing import Any

import msgspec

from lineside.wire import spreadsheets

_PLAIN = frozenset({str, int, bool, type(None), datetime, date, time})

encode_json = msgspec.json.Encoder(decimal_format="number", enc_hook=str).encode
"""Decimals as JSON numbers with all their digits, bytes as Base64, moments as ISO 8601, anything else as text."""


def plain(value: Any) -> Any:  # noqa: PLR0911 (one for each kind of value)
    """Return a value as `encode_json` takes it. A number that is none, and a time of day, become text."""
    if type(value) in _PLAIN:
        return value
    match value:
        case float() | Decimal() if not math.isfinite(value):
            return str(value)
        case timedelta():
            return clock_text(value)
        case memoryview() | bytearray():
            return bytes(value)
        case list() | tuple() | set() | frozenset():
            return [plain(item) for item in value]
        case dict():
            return {str(key): plain(item) for key, item in value.items()}
        case int() | float() | str() | bytes() | Decimal():
            return value
    return str(value)


def clock_text(value: timedelta) -> str:
    """Return MariaDB's TIME, which may be negative and longer than a day, as it writes it: ``-26:03:04.5``."""
    sign = "-" if value < timedelta() else ""
    seconds, fraction = divmod(abs(value), timedelta(seconds=1))
    minutes, second = divmod(seconds, 60)
    digits = f".{fraction.microseconds:06d}".rstrip("0") if fraction else ""
    return f"{sign}{minutes // 60:02d}:{minutes % 60:02d}:{second:02d}{digits}"


def csv_line(cells: Iterable[Any], *, guarded: bool) -> str:
    """Return a line of CSV (RFC 4180), its end included.

    Args:
        cells: as a database gave them. None and empty text are both an empty cell.
        guarded: text that a spreadsheet would take for a formula gets an apostrophe in front, with which a
            spreadsheet shows it as the text it is. Numbers are left alone.

    """
    line = StringIO()
    csv.writer(line).writerow([_cell(cell, guarded=guarded) for cell in cells])
    return line.getvalue()


def json_rows(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> list[bytes]:
    """Return each row as a JSON object."""
    return [encode_json({name: plain(cell) for name, cell in zip(columns, row, strict=True)}) for row in rows]


def _cell(value: Any, *, guarded: bool) -> str:
    match value:
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case int() | float() | Decimal():
            return str(value)
        case datetime() | date() | time():
            return value.isoformat()
        case timedelta():
            return clock_text(value)
    shaped = plain(value)
    if isinstance(shaped, bytes):
        shaped = b64encode(shaped).decode()
    text = shaped if isinstance(shaped, str) else encode_json(shaped).decode()
    return spreadsheets.guarded(text) if guarded else text
