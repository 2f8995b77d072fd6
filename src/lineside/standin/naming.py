"""What a new document is called. Pure: counters and random names are passed in."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import datetime
from random import Random
from typing import Any

from lineside.standin.doctypes import DocType
from lineside.standin.errors import FrappeError, thrown

HASH_LETTERS = "0123456789abcdefghijklmnopqrstuv"
HASH_LENGTH = 10
MAX_NAME = 140

BRACED = re.compile(r"\{([^{}]+)\}")

STAMPS: dict[str, Callable[[datetime], str]] = {
    "YYYY": lambda now: f"{now.year:04}",
    "YY": lambda now: f"{now.year % 100:02}",
    "MM": lambda now: f"{now.month:02}",
    "DD": lambda now: f"{now.day:02}",
    "WW": lambda now: f"{now:%V}",
}
"""What these parts of a series stand for."""

Counter = Callable[[str], int]
"""Counts up the series with this prefix and returns its new value."""


def hash_name(random: Random) -> str:
    """Return a random name as Frappe gives to documents without a naming rule."""
    return "".join(random.choices(HASH_LETTERS, k=HASH_LENGTH))


def is_random(doctype: DocType) -> bool:
    """Whether a clash of names is answered with another name instead of an error."""
    return doctype.autoname in {"", "hash"}


def new_name(
    doctype: DocType, values: Mapping[str, Any], count: Counter, now: datetime, random_name: Callable[[], str]
) -> str:
    """Return a new document's name by its DocType's ``autoname``.

    A name that the sender gave counts only for ``prompt``, as in Frappe 15 (contract, section 3).

    Raises:
        FrappeError: the field that gives the name is empty, or the name is not allowed.

    """
    kind, colon, rest = doctype.autoname.partition(":")
    if is_random(doctype):
        return random_name()
    if doctype.autoname == "prompt":
        name = _given(values.get("name"), "Please set the document name")
    elif kind == "field" and colon:
        name = _given(values.get(rest), f"{_title(doctype, rest)} is required")
    elif kind == "naming_series" and colon:
        pattern = _given(values.get("naming_series"), "Naming Series mandatory")
        name = series_name(pattern if "#" in pattern else f"{pattern}.#####", values, count, now)
    elif kind == "format" and colon:
        name = BRACED.sub(lambda found: _braced(found[1], values, count, now), rest)
    else:
        name = series_name(doctype.autoname, values, count, now)
    return checked(name)


def checked(name: str) -> str:
    """Return a name if Frappe would take it.

    Raises:
        FrappeError: it holds ``<`` or ``>``, or is too long.

    """
    if "<" in name or ">" in name:
        raise thrown("NameError", "Name cannot contain special characters like '<', '>'")
    if len(name) > MAX_NAME:
        raise thrown("CharacterLengthExceededError", f"Name can be {MAX_NAME} characters long, not {len(name)}")
    return name


def amended_name(original: str, *, itself_amended: bool) -> str:
    """Return the name of a document that amends another: ``X-1``, then ``X-2``."""
    stem, dash, number = original.rpartition("-")
    if itself_amended and dash and number.isdigit():
        return f"{stem}-{int(number) + 1}"
    return f"{original}-1"


def series_name(pattern: str, values: Mapping[str, Any], count: Counter, now: datetime) -> str:
    """Return the next name of a series such as ``HR-.YYYY.-.#####``: parts between dots, ``#`` the digits."""
    name = ""
    for part in pattern.split("."):
        if part.startswith("#"):
            name += str(count(name)).zfill(len(part))
        else:
            name += _part(part, values, now)
    return name


def _part(part: str, values: Mapping[str, Any], now: datetime) -> str:
    if part in STAMPS:
        return STAMPS[part](now)
    braced = BRACED.fullmatch(part)
    if braced:
        return str(values.get(braced[1]) or "")
    return part


def _braced(part: str, values: Mapping[str, Any], count: Counter, now: datetime) -> str:
    if part.startswith("#"):
        return str(count("")).zfill(len(part))
    if part in STAMPS:
        return _part(part, values, now)
    return str(values.get(part) or "")


def _given(value: object, otherwise: str) -> str:
    text = "" if value is None else str(value).strip()
    if not text:
        raise _required(otherwise)
    return text


def _required(text: str) -> FrappeError:
    return thrown("ValidationError", text)


def _title(doctype: DocType, fieldname: str) -> str:
    return doctype.by_name[fieldname].title
