"""Pairs of a key and a value, such as ``ITEM=4711;QTY=5``. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import Struct

from lineside.model.event import Event
from lineside.wire.decoding import Misfit, Reading


class KeyValue(Struct, frozen=True):
    """Turns a frame of pairs into an event with a field for each, named as the device does.

    White space around keys and values does not count, but inside quotation marks; there may stand what parts pairs
    too, and a quotation mark twice for one. A pair of nothing is no pair.
    """

    delimiter: str = ";"
    """Between pairs."""
    assign: str = "="
    """Between a key and its value; the first one of a pair."""
    quotechar: str = '"'
    """Empty where the device knows no quotation marks."""
    reading: Reading = Reading()

    def decode(self, frame: bytes, sender: str | None = None) -> Event:
        """Return the frame's event; see `lineside.wire.decoding.Decoder`."""
        return self.reading.event("keyvalue", self._fields, frame, sender)

    def _fields(self, text: str) -> dict[str, str | None]:
        fields: dict[str, str | None] = {}
        for place, (key, value) in enumerate(self._pairs(text), 1):
            if not key:
                raise Misfit(f"pair {place} has no key")
            if key in fields:
                raise Misfit(f"pair {place} has a key that stood there before")
            fields[key] = value
        if not fields:
            raise Misfit("there is no pair")
        return fields

    def _pairs(self, text: str) -> Iterator[tuple[str, str]]:
        # Nothing is looked for further than its pair goes, so that time grows with the frame only.
        at = count = 0
        while at < len(text):
            end = self._end(text, at)
            assign = text.find(self.assign, at, end)
            if assign < 0:
                if text[at:end].strip():
                    raise Misfit(f'pair {count + 1} has no "{self.assign}"')
                at = end + len(self.delimiter)
                continue
            count += 1
            start = assign + len(self.assign)
            quoted = self._quotation(text, start, end)
            if quoted is None:
                value = text[start:end].strip()
            else:
                value, closed = self._unquote(text, quoted, count)
                end = self._end(text, closed)
                if text[closed:end].strip():
                    raise Misfit(f"pair {count} goes on after its quotation mark")
            yield text[at:assign].strip(), value
            at = end + len(self.delimiter)

    def _end(self, text: str, at: int) -> int:
        end = text.find(self.delimiter, at)
        return len(text) if end < 0 else end

    def _quotation(self, text: str, start: int, end: int) -> int | None:
        """Return the place after the mark that opens a value, if one does."""
        if not self.quotechar:
            return None
        while start < end and text[start].isspace():
            start += 1
        return start + 1 if text[start:end].startswith(self.quotechar) else None

    def _unquote(self, text: str, at: int, count: int) -> tuple[str, int]:
        """Return the value in quotation marks that begins at a place, and the place after its end."""
        parts = []
        while (end := text.find(self.quotechar, at)) >= 0:
            parts.append(text[at:end])
            at = end + 1
            if text[at : at + 1] != self.quotechar:
                return self.quotechar.join(parts), at
            at += 1
        raise Misfit(f"pair {count} has a quotation mark that is not closed")
