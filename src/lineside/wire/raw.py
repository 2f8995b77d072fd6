"""Frames as they are, in one field. Pure."""

from __future__ import annotations

import base64
from typing import Literal

import msgspec
from msgspec import Struct

from lineside.model.event import Event
from lineside.wire.decoding import Reading


class Raw(Struct, frozen=True):
    """Turns every frame into an event with one field, its text, Base64 or hexadecimal digits."""

    field: str = "data"
    form: Literal["text", "base64", "hex"] = "text"
    reading: Reading = Reading()

    def decode(self, frame: bytes, sender: str | None = None) -> Event:
        """Return the frame's event; see `lineside.wire.decoding.Decoder`."""
        if self.form == "text":
            return self.reading.event("raw", lambda text: {self.field: text}, frame, sender)
        digits = base64.b64encode(frame).decode() if self.form == "base64" else frame.hex()
        return Event(
            msgspec.json.encode({self.field: digits}),
            raw=frame,
            key=digits if self.reading.dedupe == self.field else None,
            device=digits if self.reading.device == self.field else sender,
        )
