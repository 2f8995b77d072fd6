"""Gzip (RFC 1952) as it comes, in pieces of bounded size however much is packed into a few bytes. Pure."""

from __future__ import annotations

import zlib
from collections.abc import Iterator

PIECE = 64 * 1024
"""Bytes of a piece, at most."""
_GZIP = 16 + zlib.MAX_WBITS


class NotGzip(ValueError):
    """This is no gzip, it is damaged, or it was cut off."""


class Gunzip:
    """Unpacks one stream of one or several members."""

    def __init__(self) -> None:
        self._member = zlib.decompressobj(_GZIP)
        self._inside = True

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Yield what ``data`` holds, `PIECE` bytes at a time; take all of it before the next call.

        Raises:
            NotGzip: it cannot be unpacked.

        """
        more = False
        while data or more:
            if self._member.eof:
                self._member = zlib.decompressobj(_GZIP)
            try:
                piece = self._member.decompress(data, PIECE)
            except zlib.error as wrong:
                raise NotGzip("this is no gzip, or it is damaged") from wrong
            self._inside = not self._member.eof
            data = self._member.unconsumed_tail if self._inside else self._member.unused_data
            # All may be read of what is not yet unpacked.
            more = self._inside and len(piece) == PIECE
            if piece:
                yield piece

    def end(self) -> None:
        """The stream ends.

        Raises:
            NotGzip: in the middle of a member, or before the first.

        """
        if self._inside:
            raise NotGzip("the gzip was cut off")
