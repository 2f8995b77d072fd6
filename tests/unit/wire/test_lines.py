"""A stream of bytes becomes the same lines however it is cut."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from lineside.model.event import Event
from lineside.wire.lines import Frame, content, contents, split, too_long

STREAMS = st.lists(st.sampled_from([b"\n", b"\r\n", b"a", b"bc", b"\xff", b" "])).map(b"".join)


def cut(data: bytes, size: int) -> list[bytes]:
    return [data[start : start + size] for start in range(0, len(data), size)]


class Splitting(SynchronousTestCase):
    """Lines out of chunks."""

    def test_lines_are_counted_with_the_empty_ones(self) -> None:
        """A line's number is the one an editor shows; the last line says that its end is missing."""
        self.assertEqual(
            list(split([b"one\n\nthr", b"ee\r\nfour"], 100)),
            [
                Frame(1, b"one", 3, True),
                Frame(2, b"", 0, True),
                Frame(3, b"three\r", 6, True),
                Frame(4, b"four", 4, False),
            ],
        )

    def test_a_line_comes_as_soon_as_it_ends(self) -> None:
        """Whoever watches a slow stream sees each line at once."""
        stream = iter([b"one\ntw", b"o\n"])
        lines = split(stream, 100)
        self.assertEqual(next(lines).data, b"one")
        self.assertEqual(next(stream), b"o\n")

    @given(STREAMS, st.integers(1, 9), st.integers(0, 4))
    def test_the_cuts_make_no_difference(self, data: bytes, size: int, kept: int) -> None:
        """All bytes are counted, at most so many of a line are kept, whatever the chunks."""
        lines = data.split(b"\n")
        expected = [Frame(number, line[:kept], len(line), True) for number, line in enumerate(lines, 1)]
        last = expected.pop()
        if last.size:
            expected.append(Frame(last.number, last.data, last.size, False))
        self.assertEqual(list(split(cut(data, size), kept)), expected)


class Contents(SynchronousTestCase):
    """What a line says."""

    def test_one_cr_at_the_end_belongs_to_the_line_end(self) -> None:
        """A second one, or one within, is the device's own."""
        self.assertEqual(content(b"a\rb\r\r"), b"a\rb\r")
        self.assertEqual(content(b" a "), b" a ")

    def test_white_space_is_a_sign_of_life(self) -> None:
        """It says nothing."""
        self.assertEqual({content(line) for line in (b"", b"\r", b" ", b"\t \r")}, {b""})

    def test_the_reason_of_an_over_long_line_says_what_is_kept(self) -> None:
        """Nobody takes a part for the whole."""
        self.assertEqual(
            too_long(b"xyz", 3, 2, "scanner"),
            Event(b"", raw=b"xyz", device="scanner", error="too-long: 3 bytes, at most 2 are taken"),
        )
        self.assertEqual(
            too_long(b"xy", 3, 1, None).error, "too-long: 3 bytes, at most 1 are taken; the first 2 are kept"
        )


class ManyContents(SynchronousTestCase):
    """What many lines say."""

    @given(st.lists(st.sampled_from([b"", b" ", b"\r", b"a", b"a\r", b"a\r\r", b"\ra", b" a "]), min_size=1))
    def test_many_lines_say_what_each_says(self, lines: list[bytes]) -> None:
        """Together they lose their CR, and the empty ones are left out, as one by one."""
        self.assertEqual([said for line in lines if (said := content(line))], contents(lines))
