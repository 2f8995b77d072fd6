"""What a device would have sent, for each format."""

from __future__ import annotations

import msgspec
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from lineside.wire.csv import Csv
from lineside.wire.decoding import Decoder, Reading
from lineside.wire.encoding import NotWritable, encode
from lineside.wire.fixed import Column, FixedWidth
from lineside.wire.jsonl import JsonLines
from lineside.wire.keyvalue import KeyValue
from lineside.wire.pattern import Pattern, compile_pattern
from lineside.wire.raw import Raw

TEXT = st.text(st.characters(codec="latin-1", exclude_categories=["Cc"]), max_size=12)
FIELDS = st.fixed_dictionaries({"item": TEXT, "note": TEXT})
LATIN = Reading(encoding="latin-1")


class RoundTrip(SynchronousTestCase):
    """A source that reads what was made up for it reads just that."""

    def assert_read(self, decoder: Decoder, fields: dict[str, str]) -> None:
        event = decoder.decode(encode(decoder, fields))
        self.assertIsNone(event.error)
        self.assertEqual(fields, msgspec.json.decode(event.body))

    @given(fields=FIELDS)
    def test_values_with_a_delimiter_between_them(self, fields: dict[str, str]) -> None:
        """Delimiters and quotation marks inside of values come through."""
        self.assert_read(Csv(("item", "note"), ";", reading=LATIN), fields)

    @given(fields=FIELDS)
    def test_pairs(self, fields: dict[str, str]) -> None:
        """So do white space around values, and what parts pairs."""
        self.assert_read(KeyValue(reading=LATIN), fields)

    @given(fields=FIELDS)
    def test_columns(self, fields: dict[str, str]) -> None:
        """Columns stand at their places, also with a gap between them."""
        columns = (Column("item", 0, 12), Column("note", 14, 12))
        self.assert_read(
            FixedWidth(columns, strip=False, reading=LATIN), {k: v.ljust(12) for k, v in fields.items()}
        )

    @given(fields=FIELDS)
    def test_json(self, fields: dict[str, str]) -> None:
        """An object."""
        self.assert_read(JsonLines(None, None), fields)

    def test_frames_as_they_are(self) -> None:
        """Text stays, and digits become the bytes that they stand for."""
        self.assertEqual(b"4006381", encode(Raw("code"), {"code": "4006381"}))
        self.assert_read(Raw("data", "hex"), {"data": "00ff10"})
        self.assert_read(Raw("data", "base64"), {"data": "AP8Q"})


class Refusals(SynchronousTestCase):
    """What no frame can hold."""

    def test_says_why(self) -> None:
        """In words, instead of a frame that means something else."""
        pattern = r"(?P<code>[0-9]+)"
        decoder: Decoder
        for decoder, fields, problem in (
            (Csv(("a",), ";", ""), {"a": "x;y"}, "there are no quotation marks"),
            (KeyValue(quotechar=""), {"a": "x;y"}, "there are no quotation marks"),
            (KeyValue(), {"a=b": "x"}, "'a=b' cannot be a key"),
            (FixedWidth((Column("a", 0, 2),)), {"a": "xyz"}, "a has 2 characters, the value 3"),
            (Raw("a", "hex"), {"a": "xy"}, "a is no hex"),
            (Raw("a", reading=Reading(encoding="latin-1")), {"a": "\u20ac"}, "latin-1 has no letters for them"),
            (Pattern(compile_pattern(pattern), 99), {"code": "1"}, "cannot be made up"),
        ):
            with self.assertRaises(NotWritable) as caught:
                encode(decoder, fields)
            self.assertIn(problem, str(caught.exception))
