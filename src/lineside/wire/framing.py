"""How devices part one message from the next: what every framing promises, and those that end with a mark. Pure."""

from __future__ import annotations

from typing import Literal, Protocol

from msgspec import Struct

from lineside.model.event import Event
from lineside.wire.lines import content, too_long

CUT_SHORT = " are kept"
"""Ends the reason of a frame of which only the beginning was kept; see `lineside.wire.lines.too_long`."""

FORGED = "forged"
"""The code of a frame whose sender is not the device that it names: it stays one, however it is decoded."""


class Fault(Struct, frozen=True):
    """Bytes of a stream that make no frame: kept, with the reason."""

    data: bytes
    """What was kept of them."""
    error: str
    """``code: reason``, as in `lineside.model.event.Event`."""
    answered: bool = True
    """False for bytes between frames: their sender waits for no answer, and would take it for that of a frame."""
    fatal: bool = False
    """Where the next frame begins cannot be told any more: nothing further is found in this stream."""

    def event(self, sender: str | None) -> Event:
        """Return it as an undecodable event."""
        return Event(b"", raw=self.data, device=sender, error=self.error)


class Framing(Protocol):
    """Finds the frames of one device's stream, and frames its answers. One for each connection.

    What is found is the same however the stream is cut into chunks. Memory is bounded, whatever comes. Empty
    frames and those of white space are a device's signs of life, and are not told.
    """

    @property
    def pending(self) -> int:
        """Bytes of a frame that has begun and not ended."""
        ...

    @property
    def beginning(self) -> bytes:
        """The contents of a frame that has begun, as far as they are kept."""
        ...

    @property
    def astray(self) -> bool:
        """Bytes came that belong to no frame, and were not told yet."""
        ...

    def feed(self, data: bytes) -> list[bytes | Fault]:
        """Return the contents of the frames that ended in a chunk, and what was no frame, in their order."""
        ...

    def close(self) -> list[Fault]:
        """Return what is left that belongs to no frame; the stream is at its end."""
        ...

    def encode(self, contents: bytes) -> bytes:
        """Return contents as one frame, as the device itself would send them.

        Raises:
            ValueError: they cannot stand in such a frame.

        """
        ...

    def answer(self, line: bytes) -> bytes:
        """Return one answer of `lineside.wire.answers`, without its line end, as the device is to get it."""
        ...


def decodable_again(error: str) -> bool:
    """Tell whether the bytes that were kept with an error are one whole frame, as its device meant it.

    Only then may they be decoded once more, with another configuration: half a frame, a frame whose checksum is
    wrong and the noise between two frames might well make sense to a decoder, and be a wrong event.
    """
    code, _, reason = error.partition(": ")
    if code == "too-long":
        return not reason.endswith(CUT_SHORT)
    return code not in {"stray", "cut", "checksum", "dle", "length", FORGED}


class Delimited:
    """Frames that end with a mark: LF (a CR before it belongs to it), CR LF, or CR (an LF after it belongs to it).

    Args:
        end: the mark.
        max_frame: bytes of a frame's contents; a longer one is a `Fault`.
        max_kept: bytes that are kept of that.

    """

    astray = False

    def __init__(self, end: Literal[b"\n", b"\r\n", b"\r"], max_frame: int, max_kept: int) -> None:
        self._end: bytes = end
        self._max_frame = max_frame
        self._max_kept = max_kept
        self._held = b""
        """A first half of the mark at the end of a chunk."""
        self._kept = bytearray()
        self._size = 0

    @property
    def pending(self) -> int:
        """Bytes of a frame that has begun and not ended."""
        return self._size + len(self._held)

    @property
    def beginning(self) -> bytes:
        """The contents of a frame that has begun, as far as they are kept."""
        return self._contents(bytes(self._kept) + self._held)

    def feed(self, data: bytes) -> list[bytes | Fault]:
        """Return the contents of the frames that ended, and those that are too long."""
        data = self._held + data
        self._held = b""
        if len(self._end) > 1 and data.endswith(self._end[:1]):
            self._held = self._end[:1]
            data = data[:-1]
        *ended, rest = data.split(self._end)
        found: list[bytes | Fault] = []
        for part in ended:
            self._add(part)
            self._take(found)
        self._add(rest)
        return found

    def close(self) -> list[Fault]:
        """Return nothing: every byte belongs to a frame."""
        return []

    def encode(self, contents: bytes) -> bytes:
        """Return contents with the mark at their end.

        Raises:
            ValueError: they hold the mark, or would lose a byte to it.

        """
        if self._contents(contents) != contents or self._end in contents:
            raise ValueError("the contents cannot be told from their end")
        return contents + self._end

    def answer(self, line: bytes) -> bytes:
        """Return an answer with the mark at its end."""
        return line + self._end

    def _add(self, part: bytes) -> None:
        self._size += len(part)
        self._kept += part[: self._max_kept - len(self._kept)]

    def _take(self, found: list[bytes | Fault]) -> None:
        frame, size = bytes(self._kept), self._size
        self._kept.clear()
        self._size = 0
        if self._end == b"\r" and frame.startswith(b"\n"):
            frame, size = frame[1:], size - 1
        if size > self._max_frame:
            found.append(overlong(frame, size, self._max_frame))
        elif said := self._contents(frame):
            found.append(said)

    def _contents(self, frame: bytes) -> bytes:
        if self._end == b"\n":
            return content(frame)
        return frame.removeprefix(b"\n" if self._end == b"\r" else b"") if frame.strip() else b""


def overlong(kept: bytes, size: int, max_frame: int) -> Fault:
    """Return the fault of a frame of ``size`` bytes."""
    return Fault(kept, too_long(kept, size, max_frame, None).error or "")
