"""Regular expressions take frames apart, and never the gateway's time."""

from __future__ import annotations

import json
import re

from hypothesis import given, reject, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from lineside.wire.decoding import Reading
from lineside.wire.pattern import Pattern, compile_pattern
from lineside.wire.patterncost import STEPS, longest_match

SCALE = r"(?P<state>ST|US),(?P<kind>GS|NT),(?P<weight>[+-]? *\d+\.\d+) *(?P<unit>kg|g|lb)"


def decoder(text: str, **options: object) -> Pattern:
    return Pattern(compile_pattern(text), longest_match(text), Reading(**options))  # type: ignore[arg-type]


class Patterns(SynchronousTestCase):
    """What becomes of a frame."""

    def test_named_groups_are_the_fields(self) -> None:
        """Each is its text; one that took no part is null."""
        event = decoder(r"(?P<code>\w+)(?: (?P<note>.+))?", dedupe="code").decode(b"10E5", "10.0.0.7")
        self.assertEqual({"code": "10E5", "note": None}, json.loads(event.body))
        self.assertEqual((b"10E5", "10E5", "10.0.0.7"), (event.raw, event.key, event.device))

    def test_the_whole_frame_has_to_match(self) -> None:
        """A frame that goes on after the match is another kind of frame, and is kept."""
        event = decoder(SCALE).decode(b"ST,GS,+  1.250kg;")
        self.assertEqual(("regex: the pattern does not match", b"ST,GS,+  1.250kg;"), (event.error, event.raw))

    def test_a_frame_that_would_take_too_long_is_not_matched(self) -> None:
        """It is kept with a reason that says what the pattern bears."""
        text = r"(?P<a>.*),(?P<b>.*),(?P<c>.*)"
        longest = longest_match(text)
        self.assertIsNone(decoder(text).decode(b"1,2,3".ljust(longest)).error)
        error = decoder(text).decode(b"," * (longest + 1)).error
        self.assertEqual(f"regex: {longest + 1} characters; with this pattern at most {longest} are matched", error)


class Costs(SynchronousTestCase):
    """What an expression may cost is known before it is used."""

    def test_what_may_double_with_each_character_is_refused(self) -> None:
        """The message says how to write it."""
        for text in (
            r"(?P<a>(a+)+)b",
            r"(?P<a>(\d+\s?)*)$",
            r"(?P<a>(?:x|x)*)y",
            r"(?P<a>(?:ab|a|b)*)",
            r"(?P<a>(?:.*?,)+)",
            r"(?P<a>(?:a|ab)*+)",
        ):
            with self.assertRaisesRegex(ValueError, "it repeats what holds a repetition or a choice itself"):
                compile_pattern(text)

    def test_what_is_no_pattern_for_fields_is_refused(self) -> None:
        """Syntax, a missing name, repetition in a look-ahead and flags inside are each told in a line."""
        for text, reason in (
            ("(", "it is no regular expression: missing"),
            (r"\d+", "it has no named group"),
            (r"(?P<a>x)(?=y*)", "look-ahead"),
            (r"(?P<a>(?i:x))", "flags of its own"),
            ("(?P<a>" + "x?" * 30 + ")", "30 of its repetitions and choices may share characters"),
        ):
            with self.assertRaisesRegex(ValueError, re.escape(reason)):
                compile_pattern(text)

    def test_clear_patterns_are_matched_at_any_length(self) -> None:
        """Where each character has one place, time grows with the frame only."""
        for text in (
            r"(?P<a>[^,]+),(?P<b>[^,]*),(?P<c>.*)",
            r"(?P<code>\w+) (?P<qty>\d+) (?P<note>.*)",
            r"(?P<n>\d{1,6})-(?P<c>[A-Z]+)",
            r"(?P<a>(?:\d++,)*)",
            r"(?P<kind>kg|lb)(?P<rest>.*)",
        ):
            self.assertGreaterEqual(longest_match(text), STEPS - 2, text)

    def test_each_repetition_that_shares_characters_shortens_what_is_matched(self) -> None:
        """Also where something between the pairs tells them apart: their ways multiply."""
        lengths = [longest_match(rf"(?P<a>{text})") for text in (".*", ".*.*", ".*.*.*", ".*.*.*.*")]
        self.assertEqual(sorted(lengths, reverse=True), lengths)
        self.assertEqual(longest_match("(?P<a>a*a*a*)"), longest_match("(?P<a>a*a*)ba*a*"))
        self.assertEqual(longest_match("(?P<a>a*a*)"), longest_match("(?P<a>(?:a|ab)b)c"))

    def test_letters_that_are_the_same_but_for_their_case_are_shared(self) -> None:
        """Also those of which one is far beyond the other, such as the long s and the Kelvin sign."""
        shared = longest_match("(?P<a>a*a*)z")
        for char in map(chr, range(0x80, 0x3000)):
            for other in "iks\xe5\xb5\xdf\xff":
                if re.fullmatch(re.escape(other), char, re.IGNORECASE):
                    self.assertEqual(shared, longest_match(f"(?i)(?P<a>{char}*{other}*)z"), char)
                    self.assertEqual(shared, longest_match(f"(?i)(?P<a>{other}*{char}*)z"), char)
        self.assertLess(shared, longest_match("(?i)(?P<a>[a-z]*)[0-9]*"))

    @settings(max_examples=40, deadline=None)
    @given(
        st.lists(
            st.sampled_from(
                ["a", "b", ".", "[ab]", "[^a]", "a*", "b?", ".*", "[^b]+", "(?:a|b*)", "(?:ab)?", "a{1,3}"]
            ),
            min_size=1,
            max_size=7,
        ),
        st.sampled_from([b"a", b"ab", b"b", b"aab"]),
    )
    def test_no_frame_takes_long(self, parts: list[str], unit: bytes) -> None:
        """A frame of the longest length, made to fail at its end, is dealt with: the test ends."""
        text = f"(?P<all>{''.join(parts)})!"
        try:
            longest = min(longest_match(text), 20_000)
        except ValueError:
            reject()
        frame = (unit * longest)[: longest - 1] + b"?"
        self.assertEqual("regex: the pattern does not match", decoder(text).decode(frame).error)
