"""Where a poll is in its table: values that order rows, kept as text from one start to the next. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from msgspec import Struct


class Place(Struct, frozen=True):
    """A row's place in the order in which a table is read."""

    key: Any
    """As the database gives it."""
    modified: Any = None
    """When the row was changed last; None where rows are ordered by their key alone."""

    @property
    def identity(self) -> str:
        """What names the row, and the version of it: the event's own key."""
        return _text(self.key) if self.modified is None else f"{_text(self.key)}@{_text(self.modified)}"

    def stored(self) -> str:
        """Return it as text that `place_of` reads."""
        return "\n".join(_stored(value) for value in (self.key, self.modified))


def place_of(text: str) -> Place:
    """Return a place from its stored text."""
    key, _, modified = text.partition("\n")
    return Place(_restored(key), _restored(modified))


class Reach(Struct, frozen=True):
    """How far a poll has come."""

    last: Place
    """Of the rows that were found, the last in order."""
    swept: Place
    """Up to here all that was visible at some moment was found, and nothing visible then lay below unseen: what
    comes later lies above an overlap before it. At or before ``last``."""

    def stored(self) -> str:
        """Return it as text that `reach_of` reads."""
        return f"{self.last.stored()}\n{self.swept.stored()}"


def reach_of(text: str) -> Reach:
    """Return what `Reach.stored` gave, or what `Place.stored` did: it was stored alone where each look swept."""
    lines = text.split("\n")
    last = place_of("\n".join(lines[:2]))
    return Reach(last, place_of("\n".join(lines[2:])) if len(lines) > 2 else last)


def before(value: Any, overlap: float) -> Any:
    """Return the value that lies ``overlap`` below: so many of a number, so many seconds of a moment.

    A moment that SQLite keeps as text comes back in the form it has there, so that texts are still in order.

    Raises:
        ValueError: nothing can be taken from it.

    """
    match value:
        case bool():
            pass
        case int():
            return value - int(overlap)
        case float():
            return value - overlap
        case Decimal():
            return value - Decimal(str(overlap))
        case datetime():
            return value - timedelta(seconds=overlap)
        case date():
            # It has no hours to go back by.
            return value - timedelta(days=max(1, int(overlap // 86_400)))
        case str():
            return _text_before(value, overlap)
    raise ValueError(f"a {type(value).__name__} is neither a number nor a moment")


def _text_before(value: str, overlap: float) -> str:
    try:
        moment = datetime.fromisoformat(value) - timedelta(seconds=overlap)
    except ValueError as wrong:
        raise ValueError("the text is no moment such as 2026-03-04 09:12:07") from wrong
    if len(value) <= len("2026-03-04"):
        return (moment - timedelta(days=1)).date().isoformat()
    fraction = "." in value
    digits = len(value.partition(".")[2].rstrip("Z").partition("+")[0]) if fraction else 0
    text = moment.isoformat(value[10], "milliseconds" if digits == 3 else "microseconds" if fraction else "seconds")
    return text.replace("+00:00", "Z") if value.endswith("Z") else text


def _text(value: Any) -> str:
    match value:
        case datetime() | date():
            return value.isoformat()
        case bytes():
            return value.hex()
    return str(value)


_KINDS: Mapping[str, tuple[type, Callable[[str], Any]]] = {
    "i": (int, int),
    "f": (float, float),
    "n": (Decimal, Decimal),
    "s": (str, lambda text: bytes.fromhex(text).decode()),
    "m": (datetime, datetime.fromisoformat),
    "d": (date, date.fromisoformat),
    "u": (UUID, UUID),
    "b": (bytes, bytes.fromhex),
}
_LETTERS = {kind: letter for letter, (kind, _) in _KINDS.items()}


def _stored(value: Any) -> str:
    if value is None:
        return "-"
    letter = _LETTERS[type(value)]
    # Text may hold anything, line ends too.
    return f"{letter}{value.encode().hex() if letter == 's' else _text(value)}"


def _restored(text: str) -> Any:
    return None if text == "-" else _KINDS[text[0]][1](text[1:])


ORDERED = tuple(_LETTERS)
"""The types of values that can be a place."""
