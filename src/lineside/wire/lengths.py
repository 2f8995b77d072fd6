"""Frames that begin with their length. Pure."""

from __future__ import annotations

from typing import Literal

from lineside.wire.framing import Fault


class LengthPrefixed:
    """Frames that begin with their length, as a whole number without a sign.

    A length that cannot be true is a fatal `Fault`: nothing tells where the next frame would begin.

    Args:
        size: bytes of the length: 1, 2 or 4.
        order: whether its highest byte comes first (``big``) or last.
        inclusive: the length counts its own bytes too.
        max_frame: bytes of a frame's contents.

    """

    astray = False

    def __init__(
        self, size: int, order: Literal["big", "little"], max_frame: int, *, inclusive: bool = False
    ) -> None:
        self._size = size
        self._order = order
        self._own = size if inclusive else 0
        self._max_frame = max_frame
        self._buffer = bytearray()
        self._lost = False

    @property
    def pending(self) -> int:
        """Bytes of a frame that has begun and not ended."""
        return len(self._buffer)

    @property
    def beginning(self) -> bytes:
        """The contents of a frame that has begun, as far as they came."""
        return bytes(self._buffer[self._size :])

    def feed(self, data: bytes) -> list[bytes | Fault]:
        """Return the contents of the frames that are complete; after a fatal fault nothing more."""
        found: list[bytes | Fault] = []
        if self._lost:
            return found
        self._buffer += data
        at = 0
        while len(self._buffer) - at >= self._size:
            told = int.from_bytes(self._buffer[at : at + self._size], self._order)
            length = told - self._own
            if not 0 <= length <= self._max_frame:
                found.append(self._lose(bytes(self._buffer[at : at + self._size]), told))
                return found
            begin = at + self._size
            if len(self._buffer) < begin + length:
                break
            contents = bytes(self._buffer[begin : begin + length])
            at = begin + length
            if contents.strip():
                found.append(contents)
        del self._buffer[:at]
        return found

    def close(self) -> list[Fault]:
        """Return nothing: every byte belongs to a frame."""
        return []

    def encode(self, contents: bytes) -> bytes:
        """Return contents with their length before them.

        Raises:
            ValueError: they are too long for it.

        """
        if len(contents) > self._most:
            raise ValueError(f"{len(contents)} bytes; a length of {self._size} bytes counts at most {self._most}")
        return (len(contents) + self._own).to_bytes(self._size, self._order) + contents

    def answer(self, line: bytes) -> bytes:
        """Return an answer with its length before it. What the length cannot count is cut off at its end."""
        return self.encode(line[: self._most].decode("utf-8", "ignore").encode())

    @property
    def _most(self) -> int:
        return int(256**self._size) - 1 - self._own

    def _lose(self, prefix: bytes, told: int) -> Fault:
        self._lost = True
        self._buffer.clear()
        wrong = (
            f"less than its own {self._size}"
            if told < self._own
            else f"at most {self._max_frame + self._own} are taken"
        )
        return Fault(prefix, f"length: a frame of {told} bytes is announced, {wrong}", fatal=True)
