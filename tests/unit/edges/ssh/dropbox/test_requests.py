"""Requests of SFTP come whole out of a channel's bytes, whatever pieces these come in."""

from __future__ import annotations

import tracemalloc
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from lineside.edges.ssh.dropbox.requests import NoRequest, Requests

LONGEST = 300


def framed(request: bytes) -> bytes:
    """Return a request as it is sent."""
    return len(request).to_bytes(4, "big") + request


def all_of(requests: Requests) -> list[bytes]:
    """Return what is whole."""
    found = []
    while (request := requests.next()) is not None:
        found.append(request)
    return found


class Cutting(SynchronousTestCase):
    """`lineside.edges.ssh.dropbox.requests`."""

    @given(st.lists(st.binary(min_size=5, max_size=LONGEST)), st.lists(st.integers(0, 2_000)), st.booleans())
    @settings(deadline=None)
    def test_the_pieces_do_not_matter(self, sent: list[bytes], cuts: list[int], at_once: bool) -> None:
        """What was sent comes out, in its order, be it asked for with each piece or at the end; nothing is left."""
        stream = b"".join(map(framed, sent))
        edges = [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]
        requests = Requests(LONGEST)
        found: list[bytes] = []
        for begin, end in pairwise(edges):
            ready = requests.add(stream[begin:end])
            if at_once:
                came = all_of(requests)
                self.assertTrue(ready or not came)
                found += came
        found += all_of(requests)
        self.assertEqual(found, sent)
        self.assertEqual(len(requests), 0)

    def test_what_is_no_request_is_told(self) -> None:
        """One too short for a kind and a number, or longer than any may be; as soon as its length is there."""
        for length in (0, 4, LONGEST + 1, 0xFFFF_FFFF):
            requests = Requests(LONGEST)
            self.assertTrue(requests.add(length.to_bytes(4, "big")))
            self.assertRaises(NoRequest, requests.next)

    def test_what_is_forgotten_does_not_come_back(self) -> None:
        """After what was no request, the next one would be cut at the wrong place."""
        requests = Requests(LONGEST)
        requests.add(framed(b"\1whole") + framed(b"\1half of it")[:8])
        requests.next()
        requests.clear()
        self.assertEqual(len(requests), 0)
        requests.add(framed(b"\2other"))
        self.assertEqual(all_of(requests), [b"\2other"])

    def test_bytes_one_by_one_take_hardly_more_room_than_they_are(self) -> None:
        """A client cannot make much of little: each piece by itself would be forty times its byte."""
        requests = Requests(1 << 20)
        requests.add((1 << 20).to_bytes(4, "big"))
        pieces = [bytes((number % 251,)) * 2 for number in range(20_000)]
        tracemalloc.start()
        try:
            for piece in pieces:
                requests.add(bytes(bytearray(piece)))
            held, _ = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        self.assertLess(held, 4 * len(requests))
