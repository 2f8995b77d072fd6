"""A stream of bytes becomes the same frames however it is cut, and one bad frame costs no other."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from lineside.model.event import Seq
from lineside.wire.answers import REASON_LIMIT, encode_err, encode_ok
from lineside.wire.framing import Delimited, Fault, Framing, decodable_again
from lineside.wire.lengths import LengthPrefixed
from lineside.wire.lines import content, split, too_long
from lineside.wire.stxetx import StxEtx

MAX, KEPT = 20, 50


def framings(most: int, kept: int) -> dict[str, Callable[[], Framing]]:
    return {
        "lf": partial(Delimited, b"\n", most, kept),
        "crlf": partial(Delimited, b"\r\n", most, kept),
        "cr": partial(Delimited, b"\r", most, kept),
        "stx-etx": partial(StxEtx, most, kept),
        "stx-etx lrc": partial(StxEtx, most, kept, checksum=True),
        "stx-etx lrc of all": partial(StxEtx, most, kept, checksum=True, covers="stx-etx"),
        "dle": partial(StxEtx, most, kept, dle=True),
        "dle lrc": partial(StxEtx, most, kept, dle=True, checksum=True, covers="data"),
        "length 1": partial(LengthPrefixed, 1, "big", most),
        "length 2": partial(LengthPrefixed, 2, "little", most, inclusive=True),
        "length 4": partial(LengthPrefixed, 4, "big", most),
    }


FRAMINGS = framings(MAX, KEPT)
WIDE = framings(5_000, 5_000)
RESYNCHRONISE = [name for name in FRAMINGS if not name.startswith("length")]
NOISE = st.lists(st.sampled_from([b"\x02", b"\x03", b"\x10", b"\r", b"\n", b"\x00", b"A", b"xyz", b" "])).map(
    b"".join
)
SAID = st.binary(min_size=1, max_size=MAX).filter(bytes.strip)


def cut(data: bytes, sizes: list[int]) -> list[bytes]:
    chunks, number = [], 0
    while data:
        size = sizes[number % len(sizes)]
        chunks.append(data[:size])
        data = data[size:]
        number += 1
    return chunks


def fed(framing: Framing, chunks: list[bytes]) -> list[bytes | Fault]:
    return [found for chunk in chunks for found in framing.feed(chunk)]


class EveryFraming(SynchronousTestCase):
    """What holds for all of them."""

    @given(
        st.sampled_from(sorted(FRAMINGS)), NOISE | st.binary(max_size=200), st.lists(st.integers(1, 9), min_size=1)
    )
    def test_the_cuts_make_no_difference(self, name: str, data: bytes, sizes: list[int]) -> None:
        """Frames, faults and what is left are the same in one chunk and in many; nothing raises."""
        whole, parted = FRAMINGS[name](), FRAMINGS[name]()
        self.assertEqual(fed(whole, [data]), fed(parted, cut(data, sizes)))
        self.assertEqual((whole.pending, whole.beginning), (parted.pending, parted.beginning))
        self.assertEqual(whole.astray, parted.astray)
        self.assertEqual(whole.close(), parted.close())

    @given(st.sampled_from(sorted(FRAMINGS)), st.lists(SAID, max_size=6))
    def test_what_is_framed_is_found(self, name: str, said: list[bytes]) -> None:
        """Encoded contents come back as they were, one by one; what cannot be framed is refused first."""
        framing = FRAMINGS[name]()
        sent, data = [], b""
        for contents in said:
            try:
                data += framing.encode(contents)
            except ValueError:
                continue
            sent.append(contents)
        self.assertEqual(sent, fed(framing, [data]))
        self.assertEqual(0, framing.pending)

    @given(st.sampled_from(RESYNCHRONISE), NOISE | st.binary(max_size=100), SAID)
    def test_after_garbage_a_good_frame_is_found(self, name: str, garbage: bytes, said: bytes) -> None:
        """At the latest the second frame after any bytes is whole again: the first may end what they began."""
        framing = FRAMINGS[name]()
        try:
            frame = framing.encode(said)
        except ValueError:
            return
        framing.feed(garbage)
        self.assertEqual(said, framing.feed(frame + frame)[-1])

    @given(st.sampled_from(sorted(FRAMINGS)))
    def test_empty_frames_are_signs_of_life(self, name: str) -> None:
        """They are no frames, and no faults."""
        framing = FRAMINGS[name]()
        empty = b"".join(FRAMINGS[name]().encode(b"x").replace(b"x", b"") for _ in range(3))
        if name in {"lf", "crlf", "cr", "stx-etx", "dle"}:
            self.assertEqual([], framing.feed(empty))
        elif name.startswith("length"):
            self.assertEqual([], framing.feed({"1": b"\0", "2": b"\2\0", "4": b"\0\0\0\0"}[name[-1]] * 3))

    @given(st.sampled_from(sorted(FRAMINGS)), st.text(max_size=2 * REASON_LIMIT))
    def test_every_answer_can_be_framed(self, name: str, reason: str) -> None:
        """Whatever a reason says, it is a frame that the device can read; with a short length its end may miss."""
        frames = FRAMINGS[name]()
        for answer in (encode_ok(Seq(7)), encode_err("csv", reason)):
            line = answer.removesuffix(b"\n")
            [found] = WIDE[name]().feed(frames.answer(line))
            assert isinstance(found, bytes)
            found.decode()
            self.assertTrue(line == found or (name == "length 1" and line.startswith(found) and len(found) > 250))

    def test_memory_is_bounded_whatever_comes(self) -> None:
        """A frame without end, noise without end: what is kept has a bound, what is told says how much it was."""
        for name in RESYNCHRONISE:
            framing = FRAMINGS[name]()
            start = {"s": b"\x02", "d": b"\x10\x02"}.get(name[0], b"")
            framing.feed(start)
            for _ in range(100):
                self.assertEqual([], framing.feed(b"y" * 1000))
                self.assertLessEqual(len(framing.beginning), KEPT)
            [fault] = framing.feed(
                {"lf": b"\n", "crlf": b"\r\n", "cr": b"\r"}.get(name, b"\x10\x03z" if "dle" in name else b"\x03z")
            )[:1]
            assert isinstance(fault, Fault)
            self.assertEqual("too-long: 100000 bytes, at most 20 are taken; the first 50 are kept", fault.error)
            self.assertEqual(b"y" * KEPT, fault.data)


class Lines(SynchronousTestCase):
    """Frames that end with a mark."""

    @given(st.lists(st.sampled_from([b"\n", b"\r\n", b"a", b"bc", b"\xff", b" ", b"0123456789" * 3])).map(b"".join))
    def test_lf_is_the_same_as_for_lines(self, data: bytes) -> None:
        """One framing, whether by the fast way or by this one."""
        expected: list[bytes | Fault] = []
        for frame in split([data], KEPT):
            if not frame.ended:
                continue
            if frame.size > MAX:
                expected.append(Fault(frame.data, too_long(frame.data, frame.size, MAX, None).error or ""))
            elif said := content(frame.data):
                expected.append(said)
        self.assertEqual(expected, Delimited(b"\n", MAX, KEPT).feed(data))

    def test_crlf_ends_with_both(self) -> None:
        """Either alone is part of what a device says."""
        self.assertEqual([b"a\rb\nc", b"d\r"], FRAMINGS["crlf"]().feed(b"a\rb\nc\r\nd\r\r\n"))

    def test_cr_bears_the_lf_of_others(self) -> None:
        """A scanner may be set to CR or to CR LF."""
        self.assertEqual([b"a", b"b", b"c\nd"], FRAMINGS["cr"]().feed(b"a\rb\r\nc\nd\r\n\r"))


class BetweenMarks(SynchronousTestCase):
    """STX, ETX and what happens to them on a line."""

    def test_what_scales_send_around_frames_means_nothing(self) -> None:
        """White space and the signals of a link."""
        self.assertEqual([b"A", b"B"], FRAMINGS["stx-etx"]().feed(b"\x05\x02A\x03\r\n\x04\x00\x05\x02B\x03\x06"))

    def test_noise_between_frames_is_kept_and_has_no_answer(self) -> None:
        """The frame before and the one after are whole, and their answers stay theirs."""
        self.assertEqual(
            [b"A", Fault(b"?\xff!", "stray: 3 bytes between frames", answered=False), b"B"],
            FRAMINGS["stx-etx"]().feed(b"\x02A\x03\r\n?\xff!\x02B\x03"),
        )

    def test_noise_without_end_is_told_in_pieces(self) -> None:
        """All of it is kept."""
        framing = FRAMINGS["stx-etx"]()
        found = framing.feed(b"0123456789" * 5)
        self.assertEqual([b"0123456789" * 2] * 2, [fault.data for fault in found if isinstance(fault, Fault)])
        self.assertTrue(framing.astray)
        self.assertEqual([Fault(b"0123456789", "stray: 10 bytes between frames", answered=False)], framing.close())

    def test_a_frame_without_its_stx_is_a_fault_up_to_its_etx(self) -> None:
        """Its sender waits for an answer, and gets it before the next frame; a checksum belongs to it."""
        self.assertEqual(
            [Fault(b"A1\x03", "stray: 3 bytes of a frame without its STX"), b"B"],
            FRAMINGS["stx-etx"]().feed(b"A1\x03\r\n\x02B\x03"),
        )
        self.assertEqual(
            [Fault(b"A1\x03\x02", "stray: 4 bytes of a frame without its STX"), b"B"],
            FRAMINGS["stx-etx lrc"]().feed(b"A1\x03\x02\x02B\x03\x41"),
        )

    def test_a_checksum_that_looks_like_a_mark_costs_no_frame_to_come(self) -> None:
        """After the rest of a frame an STX may be its checksum or the next frame's begin: it counts as both."""
        framing = FRAMINGS["stx-etx lrc"]()
        framing.feed(b"\x01\x03")
        self.assertEqual([b"\0", b"\0"], [each for each in framing.feed(b"\x02\0\x03\x03" * 2) if each == b"\0"])

    def test_a_frame_without_its_etx_is_a_fault_up_to_the_next(self) -> None:
        """The next one is whole."""
        self.assertEqual(
            [Fault(b"A1", "cut: the next frame began after 2 bytes, without an ETX before"), b"B"],
            FRAMINGS["stx-etx"]().feed(b"\x02A1\x02B\x03"),
        )

    def test_one_stx_after_another_is_a_sign_of_life(self) -> None:
        """A frame of nothing is none, whatever ends it: a stuck device would make a dead letter of each byte."""
        self.assertEqual([b"B"], FRAMINGS["stx-etx"]().feed(b"\x02" * 1000 + b"B\x03"))
        self.assertEqual([b"B"], FRAMINGS["dle"]().feed(b"\x10\x02" * 1000 + b"B\x10\x03"))

    def test_a_checksum_may_be_any_byte(self) -> None:
        """Also one that looks like a mark."""
        framing = FRAMINGS["stx-etx lrc"]()
        for contents in (b"\x41\x40", b"\x41\x41", b"\x41\x51\x10"):
            frame = framing.encode(contents)
            self.assertEqual([contents], framing.feed(frame))
        self.assertEqual({0x02, 0x03}, {framing.encode(contents)[-1] for contents in (b"A@", b"AA")})

    def test_a_wrong_checksum_is_a_fault(self) -> None:
        """What came and what it should have been are told; the contents are kept."""
        self.assertEqual(
            [Fault(b"A1", "checksum: 0x72 came, 0x73 is that of what came before it"), b"A1"],
            FRAMINGS["stx-etx lrc"]().feed(b"\x02A1\x03\x72\x02A1\x03\x73"),
        )

    def test_marks_may_stand_in_frames_with_dle(self) -> None:
        """Every byte may; a DLE that is not doubled makes the frame a fault."""
        framing = FRAMINGS["dle"]()
        self.assertEqual([b"\x02\x03\x10"], framing.feed(b"\x10\x02\x02\x03\x10\x10\x10\x03"))
        [fault] = framing.feed(b"\x10\x02A\x10BC\x10\x03")
        self.assertEqual(Fault(b"A\x10BC", "dle: 0x42 after a single DLE"), fault)

    def test_ack_and_nak_say_only_whether_to_send_again(self) -> None:
        """What is kept as a dead letter is not sent again; a broken frame is, as it was meant."""
        framing = StxEtx(MAX, KEPT, ack_nak=True)
        self.assertEqual(
            [b"\x06", b"\x06", b"\x15", b"\x15", b"\x15"],
            [
                framing.answer(line)
                for line in (b"OK 7", b"ERR csv no", b"ERR unavailable", b"ERR busy", b"ERR checksum wrong")
            ],
        )


class Lengths(SynchronousTestCase):
    """Frames that begin with their length."""

    def test_a_length_that_cannot_be_ends_the_stream(self) -> None:
        """Where the next frame begins cannot be told: what follows is not guessed at."""
        framing = FRAMINGS["length 2"]()
        self.assertEqual(
            [b"A1", Fault(b"GE", "length: a frame of 17735 bytes is announced, at most 22 are taken", fatal=True)],
            framing.feed(b"\x04\x00A1GET / HTTP/1.1"),
        )
        self.assertEqual([], framing.feed(b"\x04\x00A1"))
        self.assertEqual(
            [Fault(b"\x01\x00", "length: a frame of 1 bytes is announced, less than its own 2", fatal=True)],
            FRAMINGS["length 2"]().feed(b"\x01\x00"),
        )

    def test_a_frame_that_its_length_cannot_count_is_refused(self) -> None:
        """Before anything of it is sent."""
        self.assertRaises(ValueError, FRAMINGS["length 1"]().encode, b"x" * 256)


class Again(SynchronousTestCase):
    """Which bytes may be decoded once more."""

    def test_only_whole_frames_are_decoded_again(self) -> None:
        """Half a code is another code."""
        whole = ("json: no", "csv: 3 columns, not 4", "encoding: no", "too-long: 30 bytes, at most 20 are taken")
        parts = ("stray: 3 bytes", "cut: no", "checksum: no", "dle: no", "length: no")
        self.assertEqual([True] * 4, [decodable_again(error) for error in whole])
        self.assertEqual([False] * 5, [decodable_again(error) for error in parts])
        self.assertFalse(decodable_again(too_long(b"xy", 30, 20, None).error or ""))
