"""How far a file on a host was taken, so that it can be told again whether a file is that one. Pure."""

from __future__ import annotations

import msgspec
from msgspec import Struct

from lineside.wire.framing import Fault, Framing

OVERLAP = 1_024
"""Bytes before the place by which a file is known again."""


class Place(Struct, frozen=True):
    """Where a file goes on."""

    path: str
    offset: int = 0
    """Bytes of it that are events."""
    last: bytes = b""
    """The latest of these, `OVERLAP` at most."""

    @property
    def known_from(self) -> int:
        """The first of the bytes by which it is known again."""
        return self.offset - len(self.last)

    def stored(self) -> str:
        """Return it as text; see `place_of`."""
        return msgspec.json.encode(self).decode()


def place_of(text: str) -> Place:
    """Return what `Place.stored` gave."""
    return msgspec.json.decode(text, type=Place)


class Taking:
    """Finds the frames of a file from a place on, and tells the place behind each piece's last one.

    Args:
        place: where it begins, between two frames.
        framing: a new one.

    """

    def __init__(self, place: Place, framing: Framing) -> None:
        self._place = place
        self._framing = framing
        self._window = place.last
        """The latest bytes of what came."""
        self._came = place.offset
        self._expected = place.last

    @property
    def recognised(self) -> bool | None:
        """Whether it is the file of the place; None while that cannot be told."""
        return True if not self._expected else None

    @property
    def rest(self) -> bytes:
        """The contents of a frame that has no end."""
        return self._framing.beginning

    def feed(self, data: bytes) -> tuple[list[bytes | Fault], Place] | None:
        """Take the next piece, the first of which begins at `Place.known_from`.

        Returns:
            The frames that ended, and the place behind them; None where this is another file.

        """
        if self._expected:
            known = min(len(self._expected), len(data))
            if data[:known] != self._expected[:known]:
                return None
            self._expected, data = self._expected[known:], data[known:]
        found = self._framing.feed(data) if data else []
        self._came += len(data)
        window = self._window + data
        if found:
            # They ended in this piece: what has not, began in it.
            end = len(window) - self._framing.pending
            self._place = Place(
                self._place.path, self._came - self._framing.pending, window[max(0, end - OVERLAP) : end]
            )
        self._window = window[-OVERLAP:]
        return found, self._place
