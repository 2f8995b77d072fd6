"""Framings and formats as the configuration has them, and what it says where they are wrong."""

from __future__ import annotations

from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from lineside.assemble.config import load
from lineside.assemble.linessettings import LinesSourceSettings
from lineside.assemble.rehearsal import Rehearsal
from lineside.assemble.settings import Settings
from lineside.assemble.translation import decoder_of, framing_of
from lineside.model.errors import ConfigurationError
from lineside.wire.csv import Csv
from lineside.wire.decoding import Decoder, Reading
from lineside.wire.fixed import Column, FixedWidth
from lineside.wire.framing import Delimited, Framing
from lineside.wire.jsonl import JsonLines
from lineside.wire.keyvalue import KeyValue
from lineside.wire.lengths import LengthPrefixed
from lineside.wire.pattern import Pattern
from lineside.wire.raw import Raw
from lineside.wire.stxetx import StxEtx

REST = """
[targets.erp]
type = "frappe"
url = "http://127.0.0.1:1"
api_key = { env = "KEY" }
api_secret = { env = "SECRET" }

[routes.note]
doctype = "ToDo"
document = { description = "{{ payload }}" }

[sources.press]
type = "lines"
listen = "tcp:7001:interface=127.0.0.1"
"""


def read(press: str) -> Settings:
    path = Path("lineside.toml")
    path.write_text(REST + press, encoding="utf-8")
    return load(path, {}, secrets=False)


def press(text: str) -> LinesSourceSettings:
    return read(text).lines["press"]


class Formats(SynchronousTestCase):
    """From the file to a decoder."""

    def test_a_name_is_enough_where_there_is_nothing_to_say(self) -> None:
        """The format with its defaults."""
        for name, decoder in (("json", JsonLines()), ("keyvalue", KeyValue()), ("raw", Raw())):
            self.assertEqual(decoder, decoder_of(press(f'format = "{name}"')))

    def test_a_table_says_the_rest(self) -> None:
        """In the source itself; every key arrives."""
        source = press(
            """
            dedupe = "code"
            device = "by"
            [sources.press.format]
            type = "csv"
            columns = ["code", "", "by", "kg"]
            delimiter = ";"
            quotechar = ""
            strip = true
            encoding = "cp1252"
            types = { kg = "decimal" }
            decimal = ","
            """
        )
        reading = Reading("code", "by", "cp1252", {"kg": "decimal"}, ",")
        self.assertEqual(Csv(("code", "", "by", "kg"), ";", "", True, reading), decoder_of(source))

    def test_a_format_may_have_a_name_of_its_own(self) -> None:
        """Several sources can speak it."""
        settings = read(
            """
            format = "label"
            [sources.other]
            type = "lines"
            listen = "tcp:7002"
            public = true
            format = "label"
            dedupe = "code"
            [formats.label]
            type = "fixed"
            length = 20
            pad = true
            strip = false
            columns = [
                { name = "code", width = 8 },
                { name = "lot", start = 11, width = 5 },
                { name = "x", width = 1 },
            ]
            """
        )
        columns = (Column("code", 0, 8), Column("lot", 10, 5), Column("x", 15, 1))
        self.assertEqual(FixedWidth(columns, 20, False, True), decoder_of(settings.lines["press"]))
        self.assertEqual(
            FixedWidth(columns, 20, False, True, Reading("code")), decoder_of(settings.sources["other"])
        )

    def test_the_other_formats_arrive_whole(self) -> None:
        """Each key is more than a word in the reference."""
        self.assertEqual(
            KeyValue("|", ":", "'", Reading(types={"n": "int"})),
            decoder_of(
                press(
                    """
                    [sources.press.format]
                    type = "keyvalue"
                    delimiter = "|"
                    assign = ":"
                    quotechar = "'"
                    types = { n = "int" }
                    """
                )
            ),
        )
        self.assertEqual(
            Raw("code", "hex", Reading(encoding="latin-1")),
            decoder_of(press('format = { type = "raw", field = "code", form = "hex", encoding = "latin-1" }')),
        )
        decoder: Decoder = decoder_of(press("format = { type = 'regex', pattern = '(?P<a>.*),(?P<b>.*)' }"))
        assert isinstance(decoder, Pattern)
        self.assertEqual("(?P<a>.*),(?P<b>.*)", decoder.pattern.pattern)
        self.assertLess(decoder.longest, 65_536)

    def test_only_devices_that_speak_json_are_answered_by_default(self) -> None:
        """Others were on the shop floor before, and mostly cannot read answers; who can is said."""
        self.assertTrue(press("").ack)
        self.assertTrue(press('framing = "cr"').ack)
        self.assertFalse(press('format = "raw"').ack)
        self.assertTrue(press('format = "raw"\nack = true').ack)


class Framings(SynchronousTestCase):
    """From the file to what finds the frames."""

    def framing(self, text: str) -> Framing:
        make = framing_of(press(f"max_line = 100\n{text}"))
        assert make is not None
        return make()

    def test_lines_that_end_with_lf_need_none(self) -> None:
        """They have a way of their own; it is the default."""
        self.assertIsNone(framing_of(press("")))
        self.assertIsNone(framing_of(press('framing = { type = "lf" }')))

    def test_each_framing_is_what_its_keys_say(self) -> None:
        """Told by what one frame looks like."""
        for text, kind, frame in (
            ('framing = "crlf"', Delimited, b"A1\r\n"),
            ('framing = "cr"', Delimited, b"A1\r"),
            ('framing = "stx-etx"', StxEtx, b"\x02A1\x03"),
            ('framing = { type = "stx-etx", checksum = "lrc" }', StxEtx, b"\x02A1\x03\x73"),
            ('framing = { type = "stx-etx", checksum = "lrc", covers = "data" }', StxEtx, b"\x02A1\x03\x70"),
            ('framing = { type = "stx-etx", checksum = "lrc", covers = "stx-etx" }', StxEtx, b"\x02A1\x03\x71"),
            ('framing = { type = "stx-etx", dle = true }', StxEtx, b"\x10\x02A1\x10\x03"),
            ('framing = "length"', LengthPrefixed, b"\x00\x02A1"),
            (
                'framing = { type = "length", size = 4, order = "little", inclusive = true }',
                LengthPrefixed,
                b"\x06\x00\x00\x00A1",
            ),
        ):
            framing = self.framing(text)
            self.assertIsInstance(framing, kind)
            self.assertEqual(frame, framing.encode(b"A1"))
        ack_nak = self.framing('framing = { type = "stx-etx", answers = "ack-nak" }')
        self.assertEqual(b"\x06", ack_nak.answer(b"OK 1"))

    def test_max_line_bounds_every_framing(self) -> None:
        """A frame of one byte more is a fault."""
        for text in ('framing = "crlf"', 'framing = "cr"', 'framing = "stx-etx"', 'framing = "length"'):
            framing = self.framing(text)
            [taken, refused] = framing.feed(framing.encode(b"x" * 100) + framing.encode(b"x" * 101))
            self.assertEqual(b"x" * 100, taken)
            self.assertNotIsInstance(refused, bytes)


class Examples(SynchronousTestCase):
    """What `[[tests]]` may hold for such sources, and what `lineside test` makes of it."""

    def decoded(self, source: str, sample: str | dict[str, object]) -> list[tuple[object, str | None]]:
        lines = Rehearsal(read(source), "press", lambda: 1).example(sample)
        return [(line.event.body.decode() or line.event.error, line.event.key) for line in lines]

    def test_text_is_what_stands_in_a_frame(self) -> None:
        """Without marks, length and checksum; in the source's encoding; a line may have its end."""
        columns = 'format = { type = "csv", columns = ["code", "name"], encoding = "cp1252" }\ndedupe = "code"'
        expected = [('{"code":"00123","name":"Müller"}', "00123")]
        for framing in ('"lf"', '"cr"', '"crlf"', '"length"', '{ type = "stx-etx", checksum = "lrc" }'):
            self.assertEqual(expected, self.decoded(f"{columns}\nframing = {framing}", "00123,Müller"))
        self.assertEqual(expected, self.decoded(f'{columns}\nframing = "cr"', "00123,Müller\r"))
        self.assertEqual([], self.decoded(f'{columns}\nframing = "length"', " "))

    def test_a_table_is_the_fields(self) -> None:
        """As decoded, whatever the format; the key is found in it."""
        source = 'format = "keyvalue"\ndedupe = "id"'
        self.assertEqual([('{"id":"7","n":1}', "7")], self.decoded(source, {"id": "7", "n": 1}))

    def test_what_the_encoding_does_not_have_is_told(self) -> None:
        """A test that cannot be is not one that passes."""
        problem = self.assertRaises(
            ValueError, self.decoded, 'format = { type = "raw", encoding = "ascii" }', "Müller"
        )
        self.assertEqual("ascii has no letters for the input", str(problem))

    def test_a_frame_that_is_not_over_is_said_to_be(self) -> None:
        """`lineside try` shows what it would be; a gateway waits."""
        for framing, data in (('"cr"', b"A\rB"), ('"stx-etx"', b"\x02A\x03\x02B"), ('"length"', b"\0\1A\0\2B")):
            settings = read(f'format = "raw"\nframing = {framing}')
            lines = list(Rehearsal(settings, "press", lambda: 1).lines([data]))
            self.assertEqual([(1, True, b"A"), (2, False, b"B")], [(e.line, e.ended, e.event.raw) for e in lines])


class Mistakes(SynchronousTestCase):
    """What is wrong is told with its place, and what is known."""

    def assertProblems(self, text: str, *expected: str) -> None:
        wrong = self.assertRaises(ConfigurationError, read, text)
        self.assertEqual([f"lineside.toml: {problem}" for problem in expected], wrong.problems)

    def test_what_is_not_known(self) -> None:
        """Names, kinds and keys, inside tables of either kind too."""
        known = "known: json, csv, keyvalue, regex, fixed, raw"
        self.assertProblems(
            'format = "cvs"', f'sources.press.format: unknown format "cvs"; did you mean "csv"?; {known}'
        )
        self.assertProblems(
            'format = { type = "cvs" }',
            f'sources.press.format.type: unknown type "cvs"; did you mean "csv"?; {known}',
        )
        self.assertProblems("format = { strip = true }", f"sources.press.format.type: is missing; {known}")
        self.assertProblems("[formats.a]\nstrip = true", f"formats.a.type: is missing; {known}")
        self.assertProblems(
            "framing = 3", 'sources.press.framing: expected a name such as "lf", or a table, got a whole number'
        )
        self.assertProblems(
            'framing = { type = "length", endian = "big", size = 3 }',
            "sources.press.framing.size: a length has 1, 2 or 4 bytes",
            "sources.press.framing.endian: unknown key",
        )
        self.assertProblems(
            'format = { type = "csv", colums = ["a"], columns = ["a"] }',
            'sources.press.format.colums: unknown key; did you mean "columns"?',
        )
        self.assertProblems(
            'format = { type = "fixed", columns = [{ name = "a", wide = 3 }] }',
            "sources.press.format.columns[0].width: is missing",
            'sources.press.format.columns[0].wide: unknown key; did you mean "width"?',
        )

    def test_what_a_format_needs(self) -> None:
        """A csv without columns, two of one name, a pattern that is none."""
        self.assertProblems('format = "csv"', "sources.press.format.columns: is missing")
        self.assertProblems(
            'format = { type = "csv", columns = ["a", "a"] }', 'sources.press.format.columns: "a" stands here twice'
        )
        self.assertProblems(
            'format = { type = "csv", columns = [""] }',
            "sources.press.format.columns: at least one column has a name",
        )
        self.assertProblems(
            "format = { type = 'regex', pattern = '[0-9]+' }",
            "sources.press.format.pattern: it has no named group such as (?P<code>[0-9]+); "
            "each one becomes a field",
        )
        self.assertProblems(
            'format = { type = "raw", encoding = "utf-16" }',
            'sources.press.format.encoding: "utf-16" does not write ASCII as it is; devices that speak it are not '
            "understood",
        )

    def test_fields_that_no_event_has(self) -> None:
        """A key that is misspelt would make every line new."""
        columns = 'format = { type = "csv", columns = ["code", "qty"]'
        self.assertProblems(
            f'dedupe = "cod"\n{columns} }}',
            'sources.press.dedupe: the format csv has no field "cod"; did you mean "code"?; known: code, qty',
        )
        self.assertProblems(
            f'{columns}, types = {{ qyt = "int" }} }}',
            'sources.press.format: types has "qyt", which is no field; did you mean "qty"?',
        )
        self.assertProblems(
            f'{columns}, types = {{ qty = "integer" }} }}',
            'sources.press.format.types.qty: unknown value "integer"; did you mean "int"?; '
            "known: int, decimal, bool",
        )
        read('dedupe = "any.thing"\nformat = "keyvalue"')

    def test_a_broken_format_is_told_once(self) -> None:
        """Not again for every source that speaks it."""
        self.assertProblems(
            'format = "label"\n[formats.label]\ntype = "csv"\ncolumns = []',
            "formats.label.columns: must not be empty",
        )

    def test_a_format_of_ones_own_has_a_name_of_its_own(self) -> None:
        """What `format = "raw"` means does not depend on the rest of the file."""
        self.assertProblems(
            '[formats.raw]\ntype = "json"', "formats.raw: raw is a format of its own; choose another name"
        )
