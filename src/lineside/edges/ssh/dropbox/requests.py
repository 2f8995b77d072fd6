"""Bytes of a channel in, requests of SFTP out (draft-ietf-secsh-filexfer-02, section 3)."""

from __future__ import annotations

import struct
from typing import NamedTuple

_LEAST = 5
"""Bytes after the length in the shortest request: its kind and its number, or the version."""
_PIECES = 64
"""Pieces that are kept as they came; a client that sends a byte at a time makes many, and each takes more than a byte."""


class NoRequest(Exception):
    """What came is no request."""


class Request(NamedTuple):
    """A request as it came."""

    kind: int
    body: bytes
    """From its number on."""


class Requests:
    """Cuts what a channel brings into requests, whatever pieces it comes in.

    A piece is put to the others once a request is whole, so that the bytes of a file are copied twice, however large
    the requests of its client are.

    Args:
        longest: bytes of a request that are taken.

    """

    def __init__(self, longest: int) -> None:
        self._longest = longest
        self._whole = b""
        self._at = 0
        self._pieces: list[bytes] = []
        self._size = 0
        self._wanted = 4

    def __len__(self) -> int:
        """Return how many bytes wait."""
        return self._size

    def add(self, data: bytes) -> bool:
        """Take what came; whether `next` may have a request that it did not have before."""
        self._pieces.append(data)
        self._size += len(data)
        if len(self._pieces) > _PIECES:
            self._pieces = [b"".join(self._pieces)]
        return self._size >= self._wanted

    def next(self) -> Request | None:
        """Return the next request; None while it is not whole.

        Raises:
            NoRequest: it is too short or too long to be one.

        """
        if self._size < self._wanted:
            return None
        self._have(4)
        (length,) = struct.unpack_from("!L", self._whole, self._at)
        if not _LEAST <= length <= self._longest:
            raise NoRequest(f"a request of {length} bytes")
        self._wanted = 4 + length
        if self._size < self._wanted:
            return None
        self._have(self._wanted)
        begin, self._at = self._at, self._at + self._wanted
        self._size -= self._wanted
        self._wanted = 4
        return Request(self._whole[begin + 4], self._whole[begin + 5 : self._at])

    def clear(self) -> None:
        """Forget what waits."""
        self._whole, self._at, self._size, self._wanted = b"", 0, 0, 4
        self._pieces.clear()

    def _have(self, size: int) -> None:
        if len(self._whole) - self._at < size:
            self._whole = b"".join((self._whole[self._at :], *self._pieces))
            self._at = 0
            self._pieces.clear()
