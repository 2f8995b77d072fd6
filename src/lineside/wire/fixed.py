"""Columns at fixed places. Pure."""

from __future__ import annotations

from msgspec import Struct

from lineside.model.event import Event
from lineside.wire.decoding import Misfit, Reading


class Column(Struct, frozen=True):
    """A column of a frame."""

    name: str
    start: int
    """Its first character, from 0."""
    width: int
    """Characters."""

    @property
    def end(self) -> int:
        """The place after its last character."""
        return self.start + self.width


class FixedWidth(Struct, frozen=True):
    """Turns a frame into an event with one field for each column. What stands between columns is left out."""

    columns: tuple[Column, ...]
    length: int | None = None
    """Characters of a whole frame; None for any that reaches to the end of the last column."""
    strip: bool = True
    """Spaces around values do not count."""
    pad: bool = False
    """A shorter frame is taken as if spaces filled it up, for devices that leave out those at the end."""
    reading: Reading = Reading()

    def decode(self, frame: bytes, sender: str | None = None) -> Event:
        """Return the frame's event; see `lineside.wire.decoding.Decoder`."""
        return self.reading.event("fixed", self._fields, frame, sender)

    def _fields(self, text: str) -> dict[str, str | None]:
        least = self.length or max(column.end for column in self.columns)
        if self.length is not None and len(text) > self.length:
            raise Misfit(f"{len(text)} characters, not {self.length}")
        if len(text) < least:
            if not self.pad:
                raise Misfit(f"{len(text)} characters, {'not' if self.length else 'at least'} {least}")
            text = text.ljust(least)
        values = ((column.name, text[column.start : column.end]) for column in self.columns)
        return {name: value.strip(" ") if self.strip else value for name, value in values}
