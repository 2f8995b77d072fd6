"""The formats of files: what finds rows, what decodes them, and what is looked at before any counts. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Protocol, TypeVar

from msgspec import Struct

from lineside.model.batch import Batch
from lineside.wire.rows.cutting import BadRow, Row, Rows
from lineside.wire.rows.reading import About, Sheet, tell_origin

T = TypeVar("T")


class FileReader(Protocol[T]):
    """Reads one file: pieces of it are fed, and rows come out, which are decoded apart, if at all."""

    def feed(self, data: bytes) -> list[T]:
        """Return the rows that ended in a piece.

        Raises:
            NoRows: nothing of this file can be read.

        """
        ...

    def end(self) -> list[T]:
        """Return what is left at the end; raises as `feed`."""
        ...

    def batch(self, rows: list[T], first: int) -> Batch:
        """Return the events of rows, at least one, that follow one another from the number ``first`` on."""
        ...


class Surveyed(Struct, frozen=True):
    """What a look through a whole file has found."""

    refusal: str | None = None
    """``code: reason`` why no row of it is to become an event."""
    rows: int | None = None
    """How many rows count; None for all."""
    reply: bytes | None = None
    """What its sender is answered in its own format."""


class Survey(Protocol):
    """Looks through one file before any of its rows becomes an event."""

    def feed(self, data: bytes) -> None:
        """Take a piece; raises `NoRows` where the file is refused at once."""
        ...

    def end(self) -> Surveyed:
        """Return what was found."""
        ...


class FileForm(Protocol):
    """One source's format of files."""

    def survey(self) -> Survey | None:
        """Return what is to look through a file first; None where nothing needs to."""
        ...

    def reader(self, about: About, sender: str) -> FileReader[Any]:
        """Return what reads one file."""
        ...


class RowReader:
    """Reads a file of rows.

    Args:
        rows: finds them.
        sheet: decodes them.
        about: the file.

    """

    def __init__(self, rows: Rows, sheet: Sheet, about: About) -> None:
        self._rows = rows
        self._sheet = sheet
        self._about = about

    def feed(self, data: bytes) -> list[Row]:
        """Take a piece; see `FileReader.feed`."""
        return self._sheet.data(self._rows.feed(data))

    def end(self) -> list[Row]:
        """Take the end; see `FileReader.end`."""
        return self._sheet.data(self._rows.end())

    def batch(self, rows: list[Row], first: int) -> Batch:
        """Decode rows; see `FileReader.batch`."""
        return tell_origin(self._sheet.decode(rows), self._about, first)


class Trailer(Struct, frozen=True):
    """The last row of a file, which says how many there are."""

    pattern: re.Pattern[str]
    """Matches it as a whole; the group ``count`` is the number."""
    encoding: str


class TrailerSurvey:
    """Holds a file to what its last row says."""

    def __init__(self, rows: Rows, trailer: Trailer, *, header: bool) -> None:
        self._rows = rows
        self._trailer = trailer
        self._header = header
        self._count = 0
        self._last: Row | None = None

    def feed(self, data: bytes) -> None:
        """Take a piece; see `Survey.feed`."""
        self._add(self._rows.feed(data))

    def end(self) -> Surveyed:
        """Compare; see `Survey.end`."""
        self._add(self._rows.end())
        count = self._count - 1 - self._header
        said = self._said()
        if said is None or count < 0:
            return Surveyed("trailer: the last row is no trailer; the file may have been cut")
        if said != count:
            return Surveyed(f"trailer: it says {said} rows, the file has {count}")
        return Surveyed(rows=count)

    def _add(self, rows: list[Row]) -> None:
        if rows:
            self._count += len(rows)
            self._last = rows[-1]

    def _said(self) -> int | None:
        if self._last is None or isinstance(self._last, BadRow):
            return None
        try:
            found = self._trailer.pattern.fullmatch(self._last.decode(self._trailer.encoding))
        except UnicodeError:
            return None
        if found is None or not re.fullmatch("[0-9]{1,15}", found["count"] or ""):
            return None
        return int(found["count"])


class RowForm(Struct, frozen=True):
    """A format of rows."""

    rows: Callable[[], Rows]
    """Makes what cuts one file."""
    sheet: Callable[[str], Sheet]
    """Makes what decodes the rows of one file, by its sender."""
    header: bool = False
    """Whether the first row holds names."""
    trailer: Trailer | None = None

    def survey(self) -> Survey | None:
        """Return what counts the rows, where a trailer tells how many there should be."""
        return None if self.trailer is None else TrailerSurvey(self.rows(), self.trailer, header=self.header)

    def reader(self, about: About, sender: str) -> FileReader[Row]:
        """Return what reads one file."""
        return RowReader(self.rows(), self.sheet(sender), about)
