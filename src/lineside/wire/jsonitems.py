"""The items of a body as they come: of a JSON array, of lines of JSON (NDJSON), or a single one. Pure.

Only where an item begins and ends is found here; what is inside is for its decoder. So a bad item costs no other.
"""

from __future__ import annotations

import re
from typing import Protocol

from msgspec import Struct

_SPACE = b" \t\n\r"
_STRING = rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"'
_BETWEEN = re.compile(rb'[^"{}\[\],]*+(?:' + _STRING + rb'[^"{}\[\],]*+)*+', re.DOTALL)
"""Up to what may end an item."""
_INSIDE = re.compile(rb'[^"{}\[\]]*+(?:' + _STRING + rb'[^"{}\[\]]*+)*+', re.DOTALL)
"""Up to what changes the depth."""
_TEXT = re.compile(rb'[^"\\]*+(?:\\.[^"\\]*+)*+', re.DOTALL)
"""Up to the end of a string that began in an earlier piece."""
_QUOTE, _BACKSLASH, _COMMA, _OPEN, _CLOSE = b'"\\,[]'
_OPENING = frozenset(b"[{")
EMPTY = "the body is empty"


class Malformed(ValueError):
    """Where the next item is cannot be told; the text is a reason, without the body's contents."""


class Item(Struct, frozen=True):
    """One item, without white space around it."""

    data: bytes
    """Of one larger than is taken, the beginning."""
    size: int
    """Bytes it had, also where ``data`` holds fewer."""


class Items(Protocol):
    """Finds the items of one body."""

    def feed(self, data: bytes) -> list[Item]:
        """Take the next piece, of whatever size; return the items that end in it.

        Raises:
            Malformed: nothing more can be found. Items that ended in this piece are lost to the caller.

        """
        ...

    def end(self) -> list[Item]:
        """The body ends; return what ends with it.

        Raises:
            Malformed: it was cut off, or is empty.

        """
        ...


class _Kept:
    """An item that grows, as far as it is kept; the same whatever the pieces are."""

    __slots__ = ("_data", "_most", "_size", "_space")

    def __init__(self, most: int) -> None:
        self._most = most
        self._data = bytearray()
        self._size = 0
        self._space = 0
        """Bytes of white space at its end so far."""

    def add(self, piece: bytes) -> None:
        if not self._size:
            piece = piece.lstrip(_SPACE)
        said = len(piece.rstrip(_SPACE))
        self._space = len(piece) - said + (0 if said else self._space)
        self._size += len(piece)
        if len(self._data) < self._most:
            self._data += piece[: self._most - len(self._data)]

    def take(self, last: bytes) -> Item | None:
        """Return the item that ends with ``last``, and begin anew; None where there is only white space."""
        if not self._size:
            # It came in one piece, as nearly all do.
            whole = last.strip(_SPACE)
            return Item(whole[: self._most], len(whole)) if whole else None
        self.add(last)
        size = self._size - self._space
        item = Item(bytes(self._data[:size]), size)
        self._data.clear()
        self._size = self._space = 0
        return item


class JsonItems:
    """The items of a JSON array; or a body that is none, as one item.

    Args:
        most: bytes that are kept of an item.

    """

    def __init__(self, most: int) -> None:
        self._kept = _Kept(most)
        self._begun = False
        self._array = False
        self._ended = False
        self._owing = False
        """An item must come: a comma stood before."""
        self._depth = 0
        self._string = False
        self._escaped = False

    def feed(self, data: bytes) -> list[Item]:
        """Take the next piece; see `Items.feed`."""
        if not self._begun:
            data = data.lstrip(_SPACE)
            if not data:
                return []
            self._begun = True
            if data[0] == _OPEN:
                self._array = True
                data = data[1:]
        if not self._array:
            self._kept.add(data)
            return []
        return self._scan(data)

    def end(self) -> list[Item]:
        """The body ends; see `Items.end`."""
        if self._array:
            if not self._ended:
                raise Malformed("the array does not end")
            return []
        item = self._kept.take(b"")
        if item is None:
            raise Malformed(EMPTY)
        return [item]

    def _scan(self, data: bytes) -> list[Item]:
        items: list[Item] = []
        start = at = 0
        size = len(data)
        while at < size and not self._ended:
            if self._string:
                at = self._pass_text(data, at)
                continue
            found = (_INSIDE if self._depth else _BETWEEN).match(data, at)
            assert found is not None
            at = found.end()
            if at == size:
                break
            mark = data[at]
            at += 1
            if mark == _QUOTE:
                # Its end is not in this piece.
                self._string = True
            elif mark in _OPENING:
                self._depth += 1
            elif self._depth:
                self._depth -= 1
            elif mark in {_COMMA, _CLOSE}:
                self._finish(data[start : at - 1], items, closing=mark == _CLOSE)
                start = at
        if self._ended:
            if data[start:].strip(_SPACE):
                raise Malformed("something follows after the array's end")
        elif start < size:
            self._kept.add(data[start:])
        return items

    def _pass_text(self, data: bytes, at: int) -> int:
        if self._escaped:
            self._escaped = False
            return at + 1
        found = _TEXT.match(data, at)
        assert found is not None
        at = found.end()
        if at < len(data):
            # A backslash stands here only as the piece's last byte.
            self._escaped = data[at] == _BACKSLASH
            self._string = self._escaped
            at += 1
        return at

    def _finish(self, last: bytes, items: list[Item], *, closing: bool) -> None:
        item = self._kept.take(last)
        if item is not None:
            items.append(item)
        elif self._owing or not closing:
            raise Malformed("an item of the array is missing beside a comma")
        self._owing = not closing
        self._ended = closing


class LineItems:
    """The items of a body with one on each line; empty lines are none.

    Args:
        most: bytes that are kept of an item.

    """

    def __init__(self, most: int) -> None:
        self._kept = _Kept(most)
        self._empty = True

    def feed(self, data: bytes) -> list[Item]:
        """Take the next piece; see `Items.feed`."""
        *ended, rest = data.split(b"\n")
        items = [item for item in map(self._kept.take, ended) if item is not None]
        self._kept.add(rest)
        if items:
            self._empty = False
        return items

    def end(self) -> list[Item]:
        """Take the last line, whose end need not be there; see `Items.end`."""
        item = self._kept.take(b"")
        if item is not None:
            return [item]
        if self._empty:
            raise Malformed(EMPTY)
        return []
