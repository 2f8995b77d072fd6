"""The typed parameters of a named query: from the text of a request to what is bound. Pure."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from typing import Any, Literal

from msgspec import Struct

Type = Literal["string", "integer", "number", "boolean", "date", "datetime"]

_INTEGER = re.compile(r"[+-]?\d{1,19}", re.ASCII)
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_BOOLEANS = {"true": True, "1": True, "false": False, "0": False}


class Wrong(ValueError):
    """A parameter cannot be taken; ``name`` is its name, and the text says why."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"{name}: {reason}")
        self.name = name


class QueryParameter(Struct, frozen=True):
    """One parameter of a query."""

    name: str
    type: Type
    default: Any = None
    """As it is bound."""
    required: bool = True
    """If not, ``default`` is bound where it is not given; None for NULL."""
    description: str = ""

    @property
    def schema(self) -> dict[str, Any]:
        """JSON Schema 2020-12."""
        schema = dict(_SCHEMAS[self.type])
        if self.default is not None:
            moment = isinstance(self.default, date | datetime)
            schema["default"] = self.default.isoformat() if moment else self.default
        return schema

    def bound(self, text: str | None) -> Any:
        """Return the value to bind for a request's text; None where it was not given.

        Raises:
            Wrong: it is missing, or no such value.

        """
        if text is None:
            if self.required:
                raise Wrong(self.name, "is missing")
            return self.default
        try:
            return read(self.type, text)
        except ValueError as wrong:
            raise Wrong(self.name, str(wrong)) from wrong


def bind(parameters: Mapping[str, QueryParameter], given: Mapping[str, str]) -> dict[str, Any]:
    """Return what is bound by name.

    Raises:
        Wrong: for the first one that cannot be taken.

    """
    for name in given:
        if name not in parameters:
            raise Wrong(name, "this query has no such parameter")
    return {name: parameter.bound(given.get(name)) for name, parameter in parameters.items()}


def read(kind: Type, text: str) -> Any:
    """Return the value that a text stands for. A datetime without an offset stays without.

    Raises:
        ValueError: says what was expected.

    """
    try:
        value = _READERS[kind](text)
    except (ValueError, KeyError, OverflowError) as wrong:
        raise ValueError(f"expected {_EXPECTED[kind]}") from wrong
    return value


def _string(text: str) -> str:
    if "\0" in text:
        raise ValueError
    return text


def _integer(text: str) -> int:
    if not _INTEGER.fullmatch(text) or not -(2**63) <= int(text) < 2**63:
        raise ValueError
    return int(text)


def _number(text: str) -> float:
    if not _NUMBER.fullmatch(text) or not math.isfinite(float(text)):
        raise ValueError
    return float(text)


def _datetime(text: str) -> datetime:
    # A plus sign that a client did not escape arrives as a space.
    moment = datetime.fromisoformat(re.sub(r" (\d\d:?\d\d)$", r"+\1", text) if "T" in text else text)
    if moment.tzinfo is not None:
        moment.astimezone(UTC)
    return moment


_READERS: Mapping[Type, Callable[[str], Any]] = {
    "string": _string,
    "integer": _integer,
    "number": _number,
    "boolean": lambda text: _BOOLEANS[text.lower()],
    "date": date.fromisoformat,
    "datetime": _datetime,
}
_EXPECTED: Mapping[Type, str] = {
    "string": "text without NUL",
    "integer": "a whole number of at most 64 bits",
    "number": "a number",
    "boolean": "true or false",
    "date": "a date such as 2026-03-04",
    "datetime": "a moment such as 2026-03-04T09:12:07Z",
}
_SCHEMAS: Mapping[Type, Mapping[str, Any]] = {
    "string": {"type": "string"},
    "integer": {"type": "integer", "minimum": -(2**63), "maximum": 2**63 - 1},
    "number": {"type": "number"},
    "boolean": {"type": "boolean"},
    "date": {"type": "string", "format": "date"},
    "datetime": {"type": "string", "format": "date-time"},
}
