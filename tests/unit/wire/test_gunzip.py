"""Gzip is unpacked as it comes, and never more of it at a time than fits."""

from __future__ import annotations

import gzip
import zlib

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from lineside.wire.gunzip import PIECE, Gunzip, NotGzip


def unpacked(pieces: list[bytes]) -> bytes:
    """Return what is in the gzip."""
    gunzip = Gunzip()
    out = b"".join(piece for packed in pieces for piece in gunzip.feed(packed))
    gunzip.end()
    return out


class Unpacking(SynchronousTestCase):
    """One stream."""

    @given(st.lists(st.binary(max_size=200), min_size=1, max_size=3), st.integers(1, 50))
    def test_pieces_and_members_make_no_difference(self, members: list[bytes], size: int) -> None:
        """Members follow one another (RFC 1952, section 2.2), wherever the pieces are cut."""
        packed = b"".join(map(gzip.compress, members))
        self.assertEqual(
            unpacked([packed[at : at + size] for at in range(0, len(packed), size)]), b"".join(members)
        )

    def test_much_in_little_comes_in_pieces(self) -> None:
        """A bomb of 32 MB in 32 KB is never unpacked at once, and all of it comes."""
        gunzip = Gunzip()
        sizes = [len(piece) for piece in gunzip.feed(gzip.compress(b" " * (32 << 20)))]
        gunzip.end()
        self.assertEqual((sum(sizes), max(sizes)), (32 << 20, PIECE))

    def test_what_is_no_gzip_is_said(self) -> None:
        """Plain text, another packing, a damaged end, one that was cut off, and nothing at all."""
        packed = gzip.compress(b"hello")
        for wrong in (b'{"a":1}', zlib.compress(b"x"), packed[:-3] + b"abc", packed[:-1], packed + b"more", b""):
            self.assertRaises(NotGzip, unpacked, [wrong])
