"""Bodies of HTTP as they come: packed, cut anywhere, and full of what no door may fail at."""

from __future__ import annotations

import gzip

from hypothesis import given
from hypothesis import strategies as st
from tests.rig.hostile import JSONS, WORST, bent, fuzzed
from twisted.trial.unittest import SynchronousTestCase

from lineside.wire.decoding import batches_of
from lineside.wire.gunzip import PIECE, Gunzip, NotGzip
from lineside.wire.jsonitems import JsonItems, LineItems, Malformed
from lineside.wire.jsonl import JsonLines

MOST = 50
CUTS = st.lists(st.integers(1, 30), min_size=1, max_size=5)
ARRAYS = st.lists(JSONS, max_size=4).map(lambda items: b"[" + b",".join(items) + b"]")


def cut(data: bytes, sizes: list[int]) -> list[bytes]:
    """Return bytes in pieces, of which no more than 2,000 are small."""
    pieces, at, number = [], 0, 0
    while at < len(data) and number < 2_000:
        size = sizes[number % len(sizes)]
        pieces.append(data[at : at + size])
        at += size
        number += 1
    return [*pieces, data[at:]]


class Bodies(SynchronousTestCase):
    """What is found in them."""

    @fuzzed
    @given(st.sampled_from([JsonItems, LineItems]), ARRAYS | JSONS, CUTS)
    def test_the_cuts_make_no_difference(
        self, kind: type[JsonItems | LineItems], body: bytes, sizes: list[int]
    ) -> None:
        """The same items, or the same complaint; of none more is kept than is taken."""
        outcomes = []
        for pieces in ([body], cut(body, sizes)):
            items, found = kind(MOST), []
            try:
                for piece in pieces:
                    found += items.feed(piece)
                found += items.end()
                outcomes.append((found, ""))
            except Malformed as wrong:
                # What ended in the piece with the fault is lost to the caller, as it says.
                outcomes.append(([], str(wrong)))
            self.assertLessEqual(max((len(each.data) for each in found), default=0), MOST)
        self.assertEqual(*outcomes)

    @fuzzed
    @given(bent(st.binary(max_size=300).map(gzip.compress)), CUTS)
    def test_packed_bytes_come_out_or_are_refused(self, packed: bytes, sizes: list[int]) -> None:
        """Whatever the cuts; nothing but `NotGzip` is raised."""
        outcomes: list[bytes | None] = []
        for pieces in ([packed], cut(packed, sizes)):
            unpacking, found = Gunzip(), b""
            try:
                for piece in pieces:
                    found += b"".join(unpacking.feed(piece))
                unpacking.end()
                outcomes.append(found)
            except NotGzip:
                outcomes.append(None)
        self.assertEqual(*outcomes)

    def test_a_bomb_comes_in_pieces(self) -> None:
        """Ten MB out of ten KB, 64 KiB at a time."""
        sizes = [len(piece) for piece in Gunzip().feed(gzip.compress(bytes(10_000_000), 9))]
        self.assertEqual((10_000_000, PIECE), (sum(sizes), max(sizes)))


class Lines(SynchronousTestCase):
    """JSON of a line, an item or a webhook."""

    @fuzzed
    @given(st.lists(JSONS | st.sampled_from(WORST), min_size=1, max_size=8))
    def test_many_are_the_same_as_each(self, frames: list[bytes]) -> None:
        """Each is an event or a dead letter with all of its bytes, and the faster way finds the same."""
        lines = JsonLines("a", "b")
        each = [lines.decode(frame, "gate") for frame in frames]
        self.assertEqual(each, list(batches_of(lines)(frames, "gate")))
        for frame, event in zip(frames, each, strict=True):
            self.assertEqual(frame, event.raw if event.error else event.body)
