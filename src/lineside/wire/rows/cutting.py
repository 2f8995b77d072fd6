"""Where one row of a file ends and the next begins. Pure."""

from __future__ import annotations

import codecs
import re
from typing import Protocol

from msgspec import Struct

LARGEST = 1_048_576
"""Bytes that a row may have at most, whatever is configured."""


class BadRow(Struct, frozen=True):
    """Bytes that make no row: kept, with the reason."""

    data: bytes
    """What was kept of them."""
    error: str
    """``code: reason``, as in `lineside.model.event.Event`."""


Row = bytes | BadRow


class Rows(Protocol):
    """Finds the rows of one file.

    They are the same however the file is cut into chunks. Memory is bounded by the longest row that is allowed.
    Empty lines between rows are none.
    """

    def feed(self, data: bytes) -> list[Row]:
        """Return the rows that ended in a chunk, without their line ends."""
        ...

    def end(self) -> list[Row]:
        """Return what is left at the end of the file, whose last line end may be missing."""
        ...


class _Lines:
    """What stands before each LF, empty lines and CR included.

    Args:
        most: bytes of a line; a longer one is a `BadRow`.

    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._begun = bytearray()
        self._over = False

    def feed(self, data: bytes) -> list[Row]:
        first, *others = data.split(b"\n")
        self._keep(first)
        if not others:
            return []
        last = others.pop()
        lines = [self._take()]
        # One more for a CR that belongs to the end.
        if max(map(len, others), default=0) <= self._most:
            lines += others
        else:
            lines += [self._fit(line, over=False) for line in others]
        self._keep(last)
        return lines

    def end(self) -> list[Row]:
        return [self._take()] if self._begun or self._over else []

    def _keep(self, part: bytes) -> None:
        room = self._most + 1 - len(self._begun)
        if len(part) > room:
            self._over = True
        self._begun += part[: max(room, 0)]

    def _take(self) -> Row:
        line, over = bytes(self._begun), self._over
        self._begun.clear()
        self._over = False
        return self._fit(line, over=over)

    def _fit(self, line: bytes, *, over: bool) -> Row:
        return too_long(line, self._most) if over or len(line) - line.endswith(b"\r") > self._most else line


class LineRows:
    """Rows that end with LF or CR LF.

    Args:
        most: bytes of a row without its end; a longer one is kept up to there, as a `BadRow`.

    """

    def __init__(self, most: int) -> None:
        self._lines = _Lines(most)

    def feed(self, data: bytes) -> list[Row]:
        """Take a chunk; see `Rows.feed`."""
        return _without_ends(self._lines.feed(data))

    def end(self) -> list[Row]:
        """Take the last row; see `Rows.end`."""
        return _without_ends(self._lines.end())


def _without_ends(lines: list[Row]) -> list[Row]:
    rows = [line[:-1] if isinstance(line, bytes) and line.endswith(b"\r") else line for line in lines]
    return [row for row in rows if row]


class QuotedRows:
    """Rows of CSV: a value in quotation marks may hold line ends.

    A quotation mark counts where a value begins, as for Python's `csv`. Where one that opened does not close within
    ``most`` bytes, or before the file ends, its line alone is a `BadRow`, and the rows go on after it: one stray
    mark does not take all that follows with it. A file of such marks gets that only for as many bytes as it has;
    what is left open after that is one bad row as a whole.

    Args:
        delimiter: one ASCII character between values.
        quotechar: one ASCII character.
        most: bytes of a row without its end.

    """

    def __init__(self, delimiter: str, quotechar: str, most: int) -> None:
        self._lines = _Lines(most)
        self._most = most
        self._quote = quotechar.encode()
        quote, delimit = re.escape(self._quote), re.escape(delimiter.encode())
        closed = b"(?:[^%b]|%b%b)*+%b[^%b]*+" % (quote, quote, quote, quote, delimit)
        value = b"(?:%b%b|(?!%b)[^%b]*+)" % (quote, closed, quote, delimit)
        flags = re.DOTALL
        self._whole = re.compile(b"%b(?:%b%b)*+" % (value, delimit, value), flags).fullmatch
        self._closes = re.compile(b"%b(?:%b%b)*+" % (closed, delimit, value), flags).fullmatch
        self._open: list[bytes] = []
        """Lines of a row in which a quotation mark is open."""
        self._size = 0
        self._fed = 0
        self._rescued = 0

    def feed(self, data: bytes) -> list[Row]:
        """Take a chunk; see `Rows.feed`."""
        self._fed += len(data)
        if self._quote not in data and not self._open:
            lines = self._lines.feed(data)
            # Only the line that had begun before may hold one.
            first, others = self._join(lines[:1]), lines[1:]
            return first + (self._join(others) if self._open else _without_ends(others))
        return self._join(self._lines.feed(data))

    def end(self) -> list[Row]:
        """Take the last row; see `Rows.end`."""
        rows = self._join(self._lines.end())
        while self._open:
            rows += self._give_up()
        return _without_ends(rows)

    def _join(self, lines: list[Row]) -> list[Row]:
        rows: list[Row] = []
        for line in lines:
            rows += self._add(line)
        return _without_ends(rows)

    def _add(self, line: Row) -> list[Row]:
        rows: list[Row] = []
        while self._open and (isinstance(line, BadRow) or self._size + len(line) + 1 > self._most):
            rows += self._give_up()
        if isinstance(line, BadRow):
            return [*rows, line]
        if not self._open:
            if self._quote not in line or self._whole(line):
                return [*rows, line]
            self._open, self._size = [line], len(line)
            return rows
        self._open.append(line)
        self._size += len(line) + 1
        if self._quote in line and self._closes(line):
            rows.append(b"\n".join(self._open))
            self._open, self._size = [], 0
        return rows

    def _give_up(self) -> list[Row]:
        lines, self._open = self._open, []
        size, self._size = self._size, 0
        self._rescued += size
        if self._rescued > self._fed + self._most:
            return [BadRow(b"\n".join(lines).rstrip(b"\r"), UNCLOSED)]
        rows: list[Row] = [BadRow(lines[0].rstrip(b"\r"), UNCLOSED)]
        for line in lines[1:]:
            rows += self._add(line)
        return rows


UNCLOSED = "csv: a quotation mark that opens a value is not closed"


def too_long(line: bytes, most: int) -> BadRow:
    """Return a row that is longer than it may be."""
    return BadRow(line[:most], f"too_long: more than {most} bytes; the first {most} are kept")


class Recoded:
    """Rows of a file in an encoding in which line ends are no single bytes, such as UTF-16; they are cut as UTF-8.

    What is no such text becomes bytes that are no UTF-8 either, so that its row alone is found bad.

    Args:
        rows: cuts what is UTF-8.
        encoding: such as ``utf-16``, with a byte order mark or big-endian, or ``utf-16-le``.

    """

    def __init__(self, rows: Rows, encoding: str) -> None:
        self._rows = rows
        self._decoder = codecs.getincrementaldecoder(encoding)("lineside.no_text")
        self._first = True

    def feed(self, data: bytes) -> list[Row]:
        """Take a chunk; see `Rows.feed`."""
        return self._rows.feed(self._utf8(self._decoder.decode(data)))

    def end(self) -> list[Row]:
        """Take the last row; see `Rows.end`."""
        rows = self._rows.feed(self._utf8(self._decoder.decode(b"", final=True)))
        return rows + self._rows.end()

    def _utf8(self, text: str) -> bytes:
        if self._first and text:
            self._first = False
            text = text.removeprefix("\ufeff")
        return text.encode("utf-8", "surrogatepass")


def _no_text(wrong: UnicodeError) -> tuple[str, int]:
    assert isinstance(wrong, UnicodeDecodeError)
    # Half of a surrogate pair: what it becomes in `Recoded` is no UTF-8.
    return "\udc80", wrong.end


codecs.register_error("lineside.no_text", _no_text)


class Marked:
    """Rows of a file in UTF-8, at whose beginning a byte order mark may stand."""

    def __init__(self, rows: Rows) -> None:
        self._rows = rows
        self._begun: bytes | None = b""

    def feed(self, data: bytes) -> list[Row]:
        """Take a chunk; see `Rows.feed`."""
        if self._begun is None:
            return self._rows.feed(data)
        self._begun += data
        if len(self._begun) < len(codecs.BOM_UTF8):
            return []
        return self._rows.feed(self._rest())

    def end(self) -> list[Row]:
        """Take the last row; see `Rows.end`."""
        return [*self._rows.feed(self._rest()), *self._rows.end()]

    def _rest(self) -> bytes:
        begun, self._begun = self._begun or b"", None
        return begun.removeprefix(codecs.BOM_UTF8)


def is_cut_by_bytes(encoding: str) -> bool:
    """Whether a file of an encoding can be cut before it is decoded: it holds ASCII as it is."""
    ascii_ = bytes(range(128))
    return ascii_.decode(encoding, "replace") == ascii_.decode("ascii")


def cutter(encoding: str, rows: Rows) -> Rows:
    """Return what cuts a file of an encoding as ``rows`` does."""
    if not is_cut_by_bytes(encoding):
        return Recoded(rows, encoding)
    return Marked(rows) if codecs.lookup(encoding).name in {"utf-8", "utf-8-sig"} else rows
