"""Frames between STX and ETX, as scales and readers send them, with a checksum or DLE before the marks. Pure."""

from __future__ import annotations

import re
from enum import Enum, auto
from functools import reduce
from operator import xor
from typing import Literal

from lineside.wire.answers import Err, parse
from lineside.wire.framing import Fault, overlong

STX, ETX, ACK, DLE, NAK = b"\x02", b"\x03", b"\x06", b"\x10", b"\x15"

IDLE = b"\x00\x04\x05\x06\x15\x16\t\n\v\f\r "
"""What between two frames means nothing: NUL, EOT, ENQ, ACK, NAK, SYN and white space."""

_MARK = re.compile(b"[\x02\x03]")
_ESCAPE = re.compile(b"\x10")

Covers = Literal["data", "data-etx", "stx-etx"]


class _Place(Enum):
    OUTSIDE = auto()
    INSIDE = auto()
    CHECKSUM = auto()
    """The next byte is the checksum of a frame."""
    LOST_CHECKSUM = auto()
    """The next byte is the checksum of a frame whose beginning was lost."""


class StxEtx:
    """Frames that begin with STX and end with ETX.

    After bytes that make no sense the next STX begins a frame again. A frame whose STX was lost is a fault up to
    its ETX, one whose ETX was lost up to the next STX; an STX right after another says nothing. Other bytes between
    frames are faults without an answer, of at most ``max_frame`` bytes each, but for those of `IDLE`.

    Args:
        max_frame: bytes of a frame's contents; a longer one is a `Fault`.
        max_kept: bytes that are kept of that.
        checksum: whether an LRC, the exclusive or of bytes, follows ETX.
        covers: the bytes it is made of: the contents alone, with ETX, or with STX and ETX.
        dle: DLE stands before both marks, and a DLE in the contents is sent twice. The checksum is made of the
            contents before that, and of the marks without DLE.
        ack_nak: answers are ACK, or NAK where the frame is to be sent again, instead of text in a frame.

    """

    def __init__(
        self,
        max_frame: int,
        max_kept: int,
        *,
        checksum: bool = False,
        covers: Covers = "data-etx",
        dle: bool = False,
        ack_nak: bool = False,
    ) -> None:
        self._max_frame = max_frame
        self._max_kept = max_kept
        self._checksum = checksum
        self._covers = covers
        self._dle = dle
        self._ack_nak = ack_nak
        self._search = (_ESCAPE if dle else _MARK).search
        self._place = _Place.OUTSIDE
        self._escaped = False
        """DLE came, and what follows it decides."""
        self._stray = bytearray()
        self._kept = bytearray()
        self._size = 0
        self._bad_escape: int | None = None

    @property
    def pending(self) -> int:
        """Bytes of a frame that has begun and not ended."""
        return self._size + len(STX) if self._place in {_Place.INSIDE, _Place.CHECKSUM} else 0

    @property
    def beginning(self) -> bytes:
        """The contents of a frame that has begun, as far as they are kept."""
        return bytes(self._kept)

    @property
    def astray(self) -> bool:
        """Bytes came that belong to no frame, and were not told yet."""
        return bool(self._stray)

    def feed(self, data: bytes) -> list[bytes | Fault]:
        """Return the contents of the frames that ended, and what was no frame."""
        found: list[bytes | Fault] = []
        at = 0
        while at < len(data):
            if self._place in {_Place.CHECKSUM, _Place.LOST_CHECKSUM}:
                self._check(data[at : at + 1], found)
                at += 1
            elif self._escaped:
                self._escaped = False
                self._after_escape(data[at : at + 1], found)
                at += 1
            else:
                mark = self._search(data, at)
                end = mark.start() if mark else len(data)
                if end > at:
                    self._take(data[at:end], found)
                at = end + 1
                if mark is None:
                    break
                if self._dle:
                    self._escaped = True
                else:
                    self._meet(mark[0], found)
        return found

    def close(self) -> list[Fault]:
        """Return the bytes since the last frame."""
        faults: list[bytes | Fault] = []
        if self._escaped and self._place is _Place.OUTSIDE:
            self._take(DLE, faults)
        self._tell_stray(faults, answered=self._place is _Place.LOST_CHECKSUM)
        return [fault for fault in faults if isinstance(fault, Fault)]

    def encode(self, contents: bytes) -> bytes:
        """Return contents between the marks.

        Raises:
            ValueError: they hold a mark, and there is no DLE to tell it by.

        """
        lrc = bytes([self._lrc(contents)]) if self._checksum else b""
        if self._dle:
            return b"".join((DLE, STX, contents.replace(DLE, DLE + DLE), DLE, ETX, lrc))
        if _MARK.search(contents):
            raise ValueError("the contents hold STX or ETX, which only DLE could tell from the marks")
        return b"".join((STX, contents, ETX, lrc))

    def answer(self, line: bytes) -> bytes:
        """Return an answer between the marks, or as ACK or NAK. What is kept as a dead letter is acknowledged."""
        if not self._ack_nak:
            return self.encode(line)
        told = parse(line)
        again = isinstance(told, Err) and (told.again or told.code == "checksum")
        return NAK if again else ACK

    def _after_escape(self, byte: bytes, found: list[bytes | Fault]) -> None:
        if byte in {STX, ETX}:
            self._meet(byte, found)
        elif self._place is _Place.OUTSIDE:
            self._take(DLE + byte, found)
        else:
            if byte != DLE and self._bad_escape is None:
                self._bad_escape = byte[0]
            self._take(byte if byte == DLE else DLE + byte, found)

    def _meet(self, mark: bytes, found: list[bytes | Fault]) -> None:
        if mark == STX:
            if self._place is _Place.INSIDE and self._size:
                reason = f"cut: the next frame began after {self._size} bytes, without an ETX before"
                found.append(Fault(bytes(self._kept), reason))
            self._tell_stray(found, answered=False)
            self._begin()
        elif self._place is _Place.INSIDE:
            self._place = _Place.CHECKSUM
            if not self._checksum:
                self._end(found)
        elif not self._stray:
            self._take(ETX, found)
        elif self._checksum:
            self._stray += ETX
            self._place = _Place.LOST_CHECKSUM
        else:
            self._stray += ETX
            self._tell_stray(found, answered=True)

    def _take(self, part: bytes, found: list[bytes | Fault]) -> None:
        if self._place is _Place.INSIDE:
            self._size += len(part)
            self._kept += part[: self._max_kept - len(self._kept)]
            return
        while part:
            if not self._stray:
                part = part.lstrip(IDLE)
            room = self._max_frame - len(self._stray)
            self._stray += part[:room]
            part = part[room:]
            if part:
                # Full, and there is more of it.
                self._tell_stray(found, answered=False)

    def _check(self, byte: bytes, found: list[bytes | Fault]) -> None:
        if self._place is _Place.LOST_CHECKSUM:
            self._stray += byte
            self._tell_stray(found, answered=True)
            if byte == STX and not self._dle:
                # It may be the next frame's: taken for a checksum alone, it could cost every frame to come.
                self._begin()
            else:
                self._place = _Place.OUTSIDE
            return
        expected = self._lrc(bytes(self._kept))
        if self._size <= self._max_frame and expected != byte[0]:
            reason = f"checksum: {byte[0]:#04x} came, {expected:#04x} is that of what came before it"
            found.append(Fault(bytes(self._kept), reason))
            self._place = _Place.OUTSIDE
            return
        self._end(found)

    def _end(self, found: list[bytes | Fault]) -> None:
        self._place = _Place.OUTSIDE
        contents = bytes(self._kept)
        if self._size > self._max_frame:
            found.append(overlong(contents, self._size, self._max_frame))
        elif self._bad_escape is not None:
            found.append(Fault(contents, f"dle: {self._bad_escape:#04x} after a single DLE"))
        elif contents.strip():
            found.append(contents)

    def _begin(self) -> None:
        self._place = _Place.INSIDE
        self._kept.clear()
        self._size = 0
        self._bad_escape = None

    def _tell_stray(self, found: list[bytes | Fault], *, answered: bool) -> None:
        stray = bytes(self._stray)
        self._stray.clear()
        if stray:
            where = "of a frame without its STX" if answered else "between frames"
            found.append(Fault(stray, f"stray: {len(stray)} bytes {where}", answered=answered))

    def _lrc(self, contents: bytes) -> int:
        covered = {"data": contents, "data-etx": contents + ETX, "stx-etx": STX + contents + ETX}[self._covers]
        return reduce(xor, covered, 0)
