"""Bytes of a channel in, requests of SFTP out (draft-ietf-secsh-filexfer-02, section 3)."""

from __future__ import annotations

from collections import deque

_LENGTH = 4
_LEAST = 5
"""Bytes of the shortest request: its kind, and its number or the version."""
_PIECES = 64
"""Pieces that are kept as they came: a client that sends byte by byte makes many, each much larger than a byte."""


class NoRequest(Exception):
    """What came is no request."""


class Requests:
    """Cuts what a channel brings into requests, whatever pieces it comes in.

    The pieces are joined once the request is whole, and each byte is copied once for it.

    Args:
        longest: bytes of a request that are taken.

    """

    def __init__(self, longest: int) -> None:
        self._longest = longest
        self._pieces: deque[bytes] = deque()
        self._at = 0
        self._size = 0
        self._length: int | None = None

    def __len__(self) -> int:
        """Return how many bytes wait."""
        return self._size

    def add(self, data: bytes) -> bool:
        """Take what came; whether `next` may have a request now."""
        self._pieces.append(data)
        self._size += len(data)
        if len(self._pieces) > _PIECES:
            self._join()
        return self._size >= (_LENGTH if self._length is None else self._length)

    def next(self) -> bytes | None:
        """Return the next request, from its kind on; None while it is not whole.

        Raises:
            NoRequest: it is too short or too long to be one.

        """
        if self._length is None:
            if self._size < _LENGTH:
                return None
            length = int.from_bytes(self._take(_LENGTH), "big")
            if not _LEAST <= length <= self._longest:
                raise NoRequest(f"a request of {length} bytes")
            self._length = length
        if self._size < self._length:
            return None
        length, self._length = self._length, None
        return self._take(length)

    def clear(self) -> None:
        """Forget what waits."""
        self._pieces.clear()
        self._at, self._size, self._length = 0, 0, None

    def _join(self) -> None:
        whole = b"".join(self._pieces)[self._at :]
        self._pieces = deque([whole])
        self._at = 0

    def _take(self, size: int) -> bytes:
        self._size -= size
        taken = []
        while size > 0:
            piece = self._pieces[0]
            end = self._at + size
            taken.append(memoryview(piece)[self._at : end])
            if end < len(piece):
                self._at = end
                break
            size = end - len(piece)
            self._at = 0
            self._pieces.popleft()
        return b"".join(taken)
