"""Values with a delimiter between them, in named columns. Pure."""

from __future__ import annotations

import csv

from msgspec import Struct

from lineside.model.event import Event
from lineside.wire.decoding import Misfit, Reading


class Csv(Struct, frozen=True):
    """Turns a frame of values into an event with one field for each named column.

    A value in quotation marks may hold the delimiter, and a quotation mark twice for one.
    """

    columns: tuple[str, ...]
    """In their order; one without a name is left out."""
    delimiter: str = ","
    quotechar: str = '"'
    """Empty where the device knows no quotation marks."""
    strip: bool = False
    """White space around values does not count."""
    reading: Reading = Reading()

    def decode(self, frame: bytes, sender: str | None = None) -> Event:
        """Return the frame's event; see `lineside.wire.decoding.Decoder`."""
        return self.reading.event("csv", self._fields, frame, sender)

    def _fields(self, text: str) -> dict[str, str | None]:
        try:
            rows = list(
                csv.reader(
                    [text],
                    delimiter=self.delimiter,
                    quotechar=self.quotechar or None,
                    quoting=csv.QUOTE_MINIMAL if self.quotechar else csv.QUOTE_NONE,
                    strict=True,
                )
            )
        except csv.Error as wrong:
            reason = "a line end outside quotation marks" if "new-line" in str(wrong) else str(wrong)
            raise Misfit(reason) from wrong
        values = rows[0] if rows else []
        if len(values) != len(self.columns):
            raise Misfit(f"{len(values)} columns, not {len(self.columns)}")
        named = zip(self.columns, values, strict=True)
        return {name: value.strip() if self.strip else value for name, value in named if name}
