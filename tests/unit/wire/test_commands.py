"""Commands to devices and their replies, as bytes."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from lineside.wire.commands import (
    LONGEST,
    Reply,
    encode_command,
    encode_reply,
    parse_command,
    parse_reply,
    payload_of,
)

identifiers = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", fullmatch=True)
one_line = st.text(st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"]))


class Payloads(SynchronousTestCase):
    """What is sent to a device."""

    def test_a_text_goes_out_letter_by_letter(self) -> None:
        """And any other value as JSON, on one line."""
        self.assertEqual(payload_of("TARE 00.50"), b"TARE 00.50")
        self.assertEqual(payload_of({"set": {"lamp": "rot", "on": True}}), b'{"set":{"lamp":"rot","on":true}}')
        self.assertEqual(payload_of({"text": "a\nb"}), b'{"text":"a\\nb"}')
        self.assertEqual(payload_of(None), b"null")

    def test_a_text_cannot_carry_a_second_command(self) -> None:
        """Nor a mark of any framing."""
        for text in ("a\nCMD 2 OPEN", "a\r", "\x02a\x03", "a\x00", "a\x85b", "a\u2028b", "\ud800"):
            self.assertIn("one line", str(self.assertRaises(ValueError, payload_of, text)))

    def test_a_payload_is_bounded(self) -> None:
        """By its bytes, as text and as JSON."""
        self.assertEqual(len(payload_of("a" * LONGEST)), LONGEST)
        self.assertRaises(ValueError, payload_of, "ä" * (LONGEST // 2 + 1))
        self.assertRaises(ValueError, payload_of, ["a" * LONGEST])

    @given(identifiers, one_line)
    def test_a_device_reads_what_was_sent(self, identifier: str, text: str) -> None:
        """Whatever the id and the text."""
        frame = encode_command(identifier, payload_of(text[:1000]))
        self.assertNotIn(b"\n", frame)
        self.assertEqual(parse_command(frame), (identifier, text[:1000].encode()))


class Replies(SynchronousTestCase):
    """What devices say to commands."""

    @given(identifiers, one_line.filter(lambda text: text.partition(" ")[0] != "ERR"), st.booleans())
    def test_the_gateway_reads_what_a_device_replies(self, identifier: str, text: str, error: bool) -> None:
        """A reply, or an error with the device's words."""
        reply = Reply(identifier, text, error)
        self.assertEqual(parse_reply(encode_reply(reply)), reply)

    def test_err_alone_is_an_error(self) -> None:
        """And only as a word of its own."""
        self.assertEqual(parse_reply(b"RES 7 ERR"), Reply("7", "", True))
        self.assertEqual(parse_reply(b"RES 7 ERROR 5"), Reply("7", "ERROR 5"))
        self.assertEqual(parse_reply(b"RES 7"), Reply("7", ""))

    def test_what_is_no_reply_is_a_frame_like_any_other(self) -> None:
        """Nothing is guessed."""
        for frame in (b"RES", b"RES ", b"RES  7", b"res 7 a", b"RES -7 a", b"RES 7\ta", b" RES 7", b'{"RES": 7}'):
            self.assertIsNone(parse_reply(frame), frame)
        self.assertIsNone(parse_command(b"OK 7"))

    def test_bytes_that_are_no_text_are_escaped(self) -> None:
        """A reply in another code page is an answer all the same."""
        self.assertEqual(parse_reply(b"RES 7 gr\xfcn"), Reply("7", "gr\\xfcn"))
