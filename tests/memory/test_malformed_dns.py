"""Packets that nobody should send: no crash, no line in the log, no answer outside the zone."""

from __future__ import annotations

from hypothesis import given, seed, settings
from hypothesis import strategies as st
from tests.rig.malformed_dns import NAMES, Judge, mutated
from twisted.trial.unittest import SynchronousTestCase

HEADERS = st.tuples(*[st.sampled_from([0, 1, 2, 0x0100, 0x8000, 0x7800, 0xFFFF]) for _ in range(6)])
LABELS = st.lists(st.binary(min_size=1, max_size=63), max_size=5)
JUDGE = Judge()
TAILS = st.binary(max_size=80)


class Malformed(SynchronousTestCase):
    """Some thousands of packets; the hundred thousand are in tests/acceptance."""

    def test_real_packets_that_were_mutilated(self) -> None:
        """Three thousand, the same each time; among them are some of every kind of answer."""
        judge = Judge()
        for packet in mutated(1, 3_000):
            judge.ask(packet)
        self.assertLessEqual({0, 1, 3, 5}, judge.codes.keys())

    @seed(20_261_201)
    @settings(max_examples=300)
    @given(HEADERS, LABELS, TAILS)
    def test_packets_made_of_parts(self, header: tuple[int, ...], labels: list[bytes], tail: bytes) -> None:
        """Headers that count wrongly, names of any bytes, and whatever comes after them."""
        name = b"".join(bytes((len(label),)) + label for label in labels)
        counts = b"".join(number.to_bytes(2, "big") for number in header)
        for begin in (counts, b"\0\1\1\0\0\1\0\0\0\0\0\0"):
            JUDGE.ask(begin + name + tail)
            JUDGE.ask(begin + name + b"\x05plant\x07example\0\0\1\0\1" + tail)

    @seed(20_261_201)
    @settings(max_examples=100)
    @given(st.binary(max_size=600))
    def test_any_bytes(self, packet: bytes) -> None:
        """Also none at all."""
        JUDGE.ask(packet)

    def test_the_packets_are_what_they_say(self) -> None:
        """The same seed makes the same packets, another one others, and few of them are questions still."""
        first, again, other = (list(mutated(number, 200)) for number in (1, 1, 2))
        self.assertEqual(first, again)
        self.assertNotEqual(first, other)
        self.assertGreater(len(set(first)), 190)
        self.assertTrue(NAMES)
