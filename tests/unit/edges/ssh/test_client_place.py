"""How far a file was taken: told again by what was before, whatever the pieces are and wherever it stopped."""

from __future__ import annotations

from functools import partial

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from lineside.edges.ssh.client.place import OVERLAP, Place, Taking, place_of
from lineside.wire.framing import Delimited, Fault

FRAMING = partial(Delimited, b"\n", 3_000, 4_000)
LINES = st.lists(st.binary(max_size=40).map(lambda line: line.replace(b"\n", b" ")), max_size=60)


def pieces(content: bytes, cuts: list[int]) -> list[bytes]:
    """Return content cut where it is told, as far as it goes."""
    found, at = [], 0
    for cut in cuts:
        found.append(content[at : at + cut])
        at += cut
    return [*found, content[at:]]


class Places(SynchronousTestCase):
    """A place in a file."""

    @given(LINES, st.lists(st.integers(1, 60), max_size=30), st.lists(st.integers(0, 20), max_size=6))
    def test_each_line_is_taken_once(self, lines: list[bytes], cuts: list[int], stops: list[int]) -> None:
        """However the file comes in pieces, and wherever it is stopped and begun again from what was stored."""
        content = b"".join(b"%d %s\n" % (number, line) for number, line in enumerate(lines))
        stored, taken = Place("/log").stored(), []
        for stop in [*stops, 10_000]:
            place = place_of(stored)
            taking = Taking(place, FRAMING())
            for piece in pieces(content[place.known_from :], cuts)[:stop]:
                fed = taking.feed(piece)
                assert fed is not None
                taken += fed[0]
                if fed[0]:
                    stored = fed[1].stored()
            if stop == 10_000:
                self.assertTrue(taking.recognised)
        self.assertEqual(
            [b"%d %s" % (number, line.removesuffix(b"\r")) for number, line in enumerate(lines)], taken
        )
        self.assertEqual(len(content), place_of(stored).offset)

    def test_only_what_is_near_the_place_is_kept(self) -> None:
        """However large the file is."""
        content = b"".join(b"%06d\n" % number for number in range(10_000))
        taking = Taking(Place("/log"), FRAMING())
        fed = taking.feed(content + b"no end")
        assert fed is not None
        self.assertEqual(Place("/log", len(content), content[-OVERLAP:]), fed[1])
        self.assertEqual(b"no end", taking.rest)

    def test_another_file_is_told_by_what_was_before(self) -> None:
        """With its first byte that is another, or where it has too few."""
        place = Place("/log", 5_000, b"x" * OVERLAP)
        self.assertEqual(5_000 - OVERLAP, place.known_from)
        self.assertIsNone(Taking(place, FRAMING()).feed(b"y"))
        taking = Taking(place, FRAMING())
        self.assertEqual(([], place), taking.feed(b"x" * (OVERLAP - 1)))
        self.assertIsNone(taking.recognised)
        self.assertEqual(([], place), taking.feed(b"x"))
        self.assertTrue(taking.recognised)
        self.assertIsNone(Taking(place, FRAMING()).feed(b"x" * (OVERLAP - 1) + b"y"))

    def test_a_line_that_is_too_long_is_kept_in_part_and_passed(self) -> None:
        """Over many pieces, of which none is kept."""
        taking = Taking(Place("/log"), FRAMING())
        for _ in range(100):
            fed = taking.feed(b"x" * 1_000)
        fed = taking.feed(b"x\nnext\n")
        assert fed is not None
        [fault, line] = fed[0]
        assert isinstance(fault, Fault)
        self.assertEqual((4_000, b"next"), (len(fault.data), line))
        self.assertEqual(100_007, fed[1].offset)
        self.assertEqual(b"x" * (OVERLAP - 6) + b"\nnext\n"[-6:], fed[1].last)
