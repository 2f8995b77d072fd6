"""Fields out of frames of each kind, and no letter of a code is ever changed."""

from __future__ import annotations

import csv
import io
import json

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from lineside.model.batch import Batch
from lineside.wire.csv import Csv
from lineside.wire.decoding import Decoder, Misfit, Reading, batches_of, encoding_problem, typed
from lineside.wire.fixed import Column, FixedWidth
from lineside.wire.jsonl import JsonLines
from lineside.wire.keyvalue import KeyValue
from lineside.wire.pattern import Pattern, compile_pattern
from lineside.wire.raw import Raw

KEYED = Reading(dedupe="code", device="by")
PATTERN = Pattern(compile_pattern(r"(?P<code>[^/]*)/(?P<by>.*)"), 1000, KEYED)
DECODERS: list[tuple[Decoder, str]] = [
    (Csv(("code", "by"), reading=KEYED), "{},S1"),
    (KeyValue(reading=KEYED), "code={};by=S1"),
    (PATTERN, "{}/S1"),
    (FixedWidth((Column("code", 0, 10), Column("by", 10, 2)), reading=KEYED), "{:10}S1"),
]
CODES = ("00123", "10E5", "1e3", "007", "+5", "-0", "0x10", "1_000", "true", "None", "null", "1.10", "NaN", "12,5")


def fields(decoder: Decoder, frame: bytes) -> object:
    event = decoder.decode(frame)
    assert event.error is None, event.error
    return json.loads(event.body)


class EveryFormat(SynchronousTestCase):
    """What holds for all of them."""

    def test_codes_stay_as_they_are(self) -> None:
        """In the field, in the key, and in the bytes that are kept: text is never guessed to be anything else."""
        for decoder, form in DECODERS:
            for code in CODES:
                if "," in code and isinstance(decoder, Csv):
                    continue
                frame = form.format(code).encode()
                event = decoder.decode(frame, "10.0.0.5")
                self.assertIsNone(event.error)
                self.assertEqual({"code": code, "by": "S1"}, json.loads(event.body))
                self.assertEqual((frame, code, "S1"), (event.raw, event.key, event.device))

    def test_without_a_field_for_it_the_device_is_the_sender(self) -> None:
        """As with JSON; and without a field for the key there is none."""
        event = KeyValue(reading=Reading("id", "by")).decode(b"a=1", "10.0.0.5")
        self.assertEqual((None, "10.0.0.5"), (event.key, event.device))

    @given(
        st.sampled_from([*(decoder for decoder, _ in DECODERS), Raw(), Raw("x", "base64")]), st.binary(max_size=80)
    )
    def test_no_frame_is_too_strange(self, decoder: Decoder, frame: bytes) -> None:
        """Whatever bytes come, they are an object, or kept with a reason; nothing raises."""
        event = decoder.decode(frame, "10.0.0.5")
        self.assertEqual(frame, event.raw)
        if event.error is None:
            self.assertIsInstance(json.loads(event.body), dict)
        else:
            self.assertRegex(event.error, r"^(csv|keyvalue|regex|fixed|raw|encoding): .")
            self.assertEqual((b"", "10.0.0.5"), (event.body, event.device))

    @given(st.lists(st.sampled_from([b"a,b", b"x", b"\xff", b"c,d"]), min_size=1, max_size=9))
    def test_many_frames_are_the_same_as_each(self, frames: list[bytes]) -> None:
        """What arrives together is decoded as if it came one by one; JSON keeps its faster way."""
        decoder = Csv(("code", "by"), reading=KEYED)
        batch = batches_of(decoder)(frames, "10.0.0.5")
        self.assertEqual([decoder.decode(frame, "10.0.0.5") for frame in frames], list(batch))
        json_batch: Batch = batches_of(JsonLines())([b"{}"], None)
        self.assertEqual([JsonLines().decode(b"{}")], list(json_batch))

    def test_letters_of_other_encodings(self) -> None:
        """Text comes out as Unicode; what the encoding does not have is kept, with the place."""
        for encoding, frame in (("cp1252", b"M\xfcller \x80"), ("utf-8-sig", "\ufeffMüller €".encode())):
            self.assertEqual({"data": "Müller €"}, fields(Raw(reading=Reading(encoding=encoding)), frame))
        self.assertEqual("encoding: byte 2 is not utf-8", Raw().decode(b"M\xfcller").error)
        self.assertEqual(
            "encoding: byte 1 is not cp1252", Raw(reading=Reading(encoding="cp1252")).decode(b"\x81").error
        )

    def test_only_encodings_that_hold_ascii(self) -> None:
        """Marks and delimiters are ASCII; and an encoding that interprets escapes would change codes."""
        for name in ("utf-8", "utf-8-sig", "cp1252", "latin-1", "shift_jis", "gbk", "ascii"):
            self.assertIsNone(encoding_problem(name), name)
        for name in ("utf-16", "cp500", "utf-7", "raw_unicode_escape", "idna"):
            self.assertIn("does not write ASCII as it is", encoding_problem(name) or "", name)
        for name in ("utf8x", "rot13", "hex", "a\0b"):
            self.assertIn("unknown encoding", encoding_problem(name) or "", name)


class Types(SynchronousTestCase):
    """Fields that are asked to be no text."""

    def number(self, kind: str, text: str, decimal: str = ".") -> str:
        reading = Reading(types={"n": kind}, decimal=decimal)  # type: ignore[arg-type, dict-item]
        event = Raw("n", reading=reading).decode(text.encode())
        return event.error or event.body.decode().removeprefix('{"n":').removesuffix("}")

    def test_digits_stay_the_same(self) -> None:
        """Only what JSON does not bear is left out: a plus, zeros before, a comma."""
        for kind, text, number in (
            ("int", "5", "5"),
            ("int", "00123", "123"),
            ("int", "+7", "7"),
            ("int", "-   12", "-12"),
            ("int", "-0", "0"),
            ("int", "9" * 18, "9" * 18),
            ("decimal", "1.250", "1.250"),
            ("decimal", "-0012.50", "-12.50"),
            ("decimal", ".5", "0.5"),
            ("decimal", "+ .5", "0.5"),
            ("decimal", "7.", "7"),
            ("decimal", "-0.00", "0.00"),
            ("bool", "YES", "true"),
            ("bool", "off", "false"),
            ("int", "  ", "null"),
            ("bool", "", "null"),
        ):
            self.assertEqual(number, self.number(kind, text), (kind, text))
        self.assertEqual("-1234.5", self.number("decimal", "-1234,5", ","))

    def test_what_is_no_number_is_never_made_one(self) -> None:
        """It is told by the field's name; exponents and thousands are no digits."""
        for kind, text in (
            ("int", "1.0"),
            ("int", "10E5"),
            ("int", "1_000"),
            ("int", "0x10"),
            ("int", "-"),
            ("int", "٣"),
            ("int", "1 2"),
            ("decimal", "10E5"),
            ("decimal", "1,5"),
            ("decimal", "1.234.5"),
            ("decimal", "."),
            ("decimal", "NaN"),
            ("bool", "maybe"),
        ):
            self.assertRegex(self.number(kind, text), "^raw: n is n", (kind, text))

    def test_a_frame_of_zeros_holds_nobody_up(self) -> None:
        """Time grows with the frame and no faster, or one device would stop all the others for hours."""
        for strange in ("0" * 2**20 + "x", "1" * 2**20 + "x", "-" + " " * 2**20 + "x"):
            with self.assertRaises(Misfit):
                typed("QTY", strange, "int")
        self.assertEqual("0", self.number("int", "0" * 2**20))

    def test_no_digit_is_lost_in_a_number(self) -> None:
        """Where a reader's float or 64 bits could not hold it, it has to stay text."""
        self.assertEqual("raw: n has 19 digits; a number of this type has at most 18", self.number("int", "1" * 19))
        self.assertEqual(
            "raw: n has 16 digits; a number of this type has at most 15", self.number("decimal", "1." + "1" * 15)
        )

    @given(st.decimals(-(10**9), 10**9, places=4, allow_nan=False))
    def test_every_decimal_keeps_its_value(self, value: object) -> None:
        """Read back as a number it is the same."""
        text = f"{value:f}"
        number = typed("n", text, "decimal")
        assert number is not None
        assert not isinstance(number, bool)
        self.assertEqual(float(text), json.loads(bytes(number)))


class CsvTests(SynchronousTestCase):
    """Values with a delimiter."""

    def test_dialects(self) -> None:
        """Semicolons, tabs, other quotation marks or none, white space around."""
        for decoder, frame, expected in (
            (Csv(("a", "b"), ";"), b'"x;""y""";2', {"a": 'x;"y"', "b": "2"}),
            (Csv(("a", "b"), "\t", "'"), b"'x\ty'\t2", {"a": "x\ty", "b": "2"}),
            (Csv(("a", "b"), quotechar=""), b'6" pipe,"2"', {"a": '6" pipe', "b": '"2"'}),
            (Csv(("a", "b"), strip=True), b" x , 2 ", {"a": "x", "b": "2"}),
            (Csv(("a", "b")), b" x , 2 ", {"a": " x ", "b": " 2 "}),
            (Csv(("a", "", "c")), b"1,2,3", {"a": "1", "c": "3"}),
            (Csv(("a", "b")), b'"two\nlines",2', {"a": "two\nlines", "b": "2"}),
        ):
            self.assertEqual(expected, fields(decoder, frame))

    def test_what_does_not_fit_is_told(self) -> None:
        """Columns missing or too many, marks that are not closed."""
        decoder = Csv(("a", "b"))
        for frame, reason in (
            (b"1", "csv: 1 columns, not 2"),
            (b"1,2,3", "csv: 3 columns, not 2"),
            (b'"1,2', "csv: unexpected end of data"),
            (b'"1"x,2', "csv: ',' expected after '\"'"),
            (b"1\n2,3", "csv: a line end outside quotation marks"),
        ):
            self.assertEqual(reason, decoder.decode(frame).error)

    @given(st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\r\n")), min_size=3, max_size=3))
    def test_what_other_programs_write_is_read(self, values: list[str]) -> None:
        """Any text comes back from what Python's own writer makes of it."""
        written = io.StringIO()
        csv.writer(written).writerow(values)
        frame = written.getvalue().removesuffix("\r\n").encode()
        self.assertEqual(dict(zip("abc", values, strict=True)), fields(Csv(("a", "b", "c")), frame))


class KeyValueTests(SynchronousTestCase):
    """Pairs."""

    def test_pairs_as_devices_write_them(self) -> None:
        """With spaces, quotation marks, empty values, a delimiter at the end, and names of their own."""
        for decoder, frame, expected in (
            (KeyValue(), b"ITEM=4711;QTY=5", {"ITEM": "4711", "QTY": "5"}),
            (KeyValue(), b' A = 1 ; B="x;""y"" " ;; C=;', {"A": "1", "B": 'x;"y" ', "C": ""}),
            (KeyValue(), b"URL=a=b;DB1.DBW4=7", {"URL": "a=b", "DB1.DBW4": "7"}),
            (KeyValue("|", ":", ""), b'A:"1"|B:2', {"A": '"1"', "B": "2"}),
            (KeyValue(" ", "=", "'"), b"A=1  B='x y' C=", {"A": "1", "B": "x y", "C": ""}),
            (KeyValue(", ", " -> "), b"A -> 1, B -> 2", {"A": "1", "B": "2"}),
        ):
            self.assertEqual(expected, fields(decoder, frame))

    def test_what_does_not_fit_is_told_by_its_place(self) -> None:
        """Never by its contents."""
        for frame, reason in (
            (b"A=1;B", 'pair 2 has no "="'),
            (b"A=1;=2", "pair 2 has no key"),
            (b"A=1;A=2", "pair 2 has a key that stood there before"),
            (b'A="1', "pair 1 has a quotation mark that is not closed"),
            (b'A="1"2;B=3', "pair 1 goes on after its quotation mark"),
            (b" ;; ", "there is no pair"),
        ):
            self.assertEqual(f"keyvalue: {reason}", KeyValue().decode(frame).error)

    @given(
        st.dictionaries(
            st.text("ABCäß1.", min_size=1), st.text(st.characters(codec="utf-8")), min_size=1, max_size=5
        )
    )
    def test_any_value_can_be_quoted(self, pairs: dict[str, str]) -> None:
        """Delimiters, quotation marks and line ends come back."""
        quoted = (f'{key}="{value.replace(chr(34), chr(34) * 2)}"' for key, value in pairs.items())
        self.assertEqual(pairs, fields(KeyValue(), ";".join(quoted).encode()))


class FixedTests(SynchronousTestCase):
    """Columns at fixed places."""

    COLUMNS = (Column("code", 0, 6), Column("qty", 8, 3))

    def test_columns_are_characters(self) -> None:
        """Not bytes; what no column covers is left out, spaces around values too, unless they count."""
        frame = "Büro  --  7 rest".encode()
        self.assertEqual({"code": "Büro", "qty": "7"}, fields(FixedWidth(self.COLUMNS), frame))
        self.assertEqual({"code": "Büro  ", "qty": "  7"}, fields(FixedWidth(self.COLUMNS, strip=False), frame))

    def test_a_frame_that_was_cut_is_no_event(self) -> None:
        """Unless its device is known to leave out spaces at the end."""
        error = FixedWidth(self.COLUMNS).decode(b"00123   1").error
        self.assertEqual("fixed: 9 characters, at least 11", error)
        padded = FixedWidth(self.COLUMNS, pad=True)
        self.assertEqual({"code": "00123", "qty": "1"}, fields(padded, b"00123   1"))

    def test_the_whole_length_can_be_asked_for(self) -> None:
        """A frame of another layout is found."""
        decoder = FixedWidth(self.COLUMNS, length=12)
        self.assertEqual("fixed: 11 characters, not 12", decoder.decode(b"x" * 11).error)
        self.assertEqual("fixed: 13 characters, not 12", decoder.decode(b"x" * 13).error)
        self.assertIsNone(decoder.decode(b"x" * 12).error)
        self.assertEqual(
            "fixed: 13 characters, not 12", FixedWidth(self.COLUMNS, length=12, pad=True).decode(b"x" * 13).error
        )


class RawTests(SynchronousTestCase):
    """Frames as they are."""

    def test_text_or_bytes(self) -> None:
        """Base64 and hexadecimal digits hold any bytes; each may be the key."""
        for decoder, expected in (
            (Raw("code", reading=Reading("code")), "A1"),
            (Raw("code", "base64", Reading("code")), "QTE="),
            (Raw("code", "hex", Reading("code")), "4131"),
        ):
            self.assertEqual({"code": expected}, fields(decoder, b"A1"))
            self.assertEqual(expected, decoder.decode(b"A1").key)
        self.assertEqual({"data": "ff00"}, fields(Raw(form="hex"), b"\xff\x00"))
