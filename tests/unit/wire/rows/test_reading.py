"""What the rows of a file say."""

from __future__ import annotations

import re
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from lineside.model.batch import Batch
from lineside.wire.csv import Csv
from lineside.wire.decoding import Reading
from lineside.wire.jsonl import JsonLines
from lineside.wire.rows.cutting import LineRows, QuotedRows, cutter
from lineside.wire.rows.forms import RowForm, Surveyed, Trailer
from lineside.wire.rows.reading import About, CsvSheet, Decoded, NoRows

CELLS = st.sampled_from(['a"b', "", 'x;"', "ü", '"q"', "l\nm", "1", "007", " 5 ", "9" * 16])
ABOUT = About("file", 'a"b.csv', "ab")


def csv_form(
    columns: tuple[str, ...] = (),
    *,
    header: bool = True,
    encoding: str = "utf-8",
    trailer: str = "",
    **reading: Any,
) -> RowForm:
    form = Csv(columns, ";", reading=Reading(encoding=encoding, **reading))
    return RowForm(
        lambda: cutter(encoding, QuotedRows(";", '"', 500)),
        lambda sender: CsvSheet(form, sender, header=header),
        header,
        Trailer(re.compile(trailer), encoding) if trailer else None,
    )


JSON = RowForm(lambda: cutter("utf-8", LineRows(500)), lambda sender: Decoded(JsonLines("id", None), sender))


def read(form: RowForm, data: bytes) -> Batch:
    reader = form.reader(ABOUT, "acme")
    return reader.batch(reader.feed(data) + reader.end(), 5)


def bodies(form: RowForm, data: bytes) -> list[Any]:
    return [msgspec.json.decode(body) if body else None for body in read(form, data).bodies]


def survey(form: RowForm, data: bytes) -> Surveyed:
    looks = form.survey()
    assert looks is not None
    looks.feed(data)
    return looks.end()


class CsvFiles(SynchronousTestCase):
    """CSV, with and without a header."""

    def test_the_header_names_the_fields_and_each_row_says_where_it_is_from(self) -> None:
        """Codes keep their zeros; raw bytes are kept of bad rows only."""
        batch = read(csv_form(), b'code; qty \n007;1\nshort\n"8\n8";2\n')
        self.assertEqual(
            {"file": {"name": 'a"b.csv', "hash": "ab", "row": 5}, "code": "007", "qty": "1"},
            msgspec.json.decode(batch.bodies[0]),
        )
        self.assertEqual("8\n8", msgspec.json.decode(batch.bodies[2])["code"])
        self.assertEqual({1: "csv: 1 columns, not 2"}, batch.errors)
        self.assertEqual({1: b"short"}, batch.raws)
        self.assertEqual("acme", batch.event(0).device)

    def test_a_column_may_be_called_anything(self) -> None:
        """Names of headers are text of partners."""
        data = b'a""b;c\\d;\xc3\xa9 e\n1;2;3\n4;5;6\n'
        found, _ = bodies(csv_form(), data)
        del found["file"]
        self.assertEqual({'a""b': "1", "c\\d": "2", "é e": "3"}.items(), found.items())

    def test_only_the_columns_that_are_wanted_are_taken(self) -> None:
        """Others may come and go; one that is missing refuses the file."""
        form = csv_form(("qty", "code"))
        self.assertEqual({"code", "qty", "file"}, bodies(form, b"x;code;qty\n1;2;3\n")[0].keys())
        wrong = {
            b"x;code\n1;2\n": "no column qty",
            b"code;qty;code\n": 'two columns "code"',
            b"\xff;code;qty\n": "is not utf-8",
        }
        for data, told in wrong.items():
            self.assertIn(told, str(self.assertRaises(NoRows, read, form, data)))
        self.assertIn("no column id", str(self.assertRaises(NoRows, read, csv_form(dedupe="id"), b"a\n1\n")))

    def test_keys_and_types_are_those_of_lines(self) -> None:
        """A number that is none is a bad row."""
        batch = read(csv_form(dedupe="no", device="at", types={"qty": "int"}), b"no;at;qty\nx;dock;1\ny;;z\n")
        self.assertEqual(["x", None], batch.keys)
        self.assertEqual("dock", batch.event(0).device)
        self.assertEqual({1: "csv: qty is no whole number"}, batch.errors)

    @given(
        st.lists(
            st.lists(
                st.sampled_from(['a"b', "", 'x;"', "ü", '"q"', "l\nm", "1", "007", " 5 ", "9" * 16]),
                min_size=1,
                max_size=3,
            ),
            max_size=6,
        )
    )
    def test_all_at_once_and_one_by_one_are_the_same(self, table: list[list[str]]) -> None:
        """What is quick for a good file takes no bad row for a good one."""
        data = "\n".join(";".join(row) for row in table).encode("cp1252")
        form = csv_form(("a", "b"), header=False, encoding="cp1252", dedupe="a", types={"b": "int"})
        rows = list(form.reader(ABOUT, "s").feed(data + b"\n"))
        reader = form.reader(ABOUT, "s")
        if rows:
            together = list(reader.batch(rows, 1))
            alone = [reader.batch([row], place).event(0) for place, row in enumerate(rows, 1)]
            self.assertEqual(alone, together)

    def test_cp1252_and_utf16_are_read(self) -> None:
        """A byte that the encoding does not know spoils its row alone."""
        self.assertEqual("5 €", bodies(csv_form(encoding="cp1252"), b"a\n5 \x80\n")[0]["a"])
        self.assertEqual(
            {1: "encoding: byte 1 is not cp1252"}, read(csv_form(encoding="cp1252"), b"a\nb\n\x81\n").errors
        )


class JsonFiles(SynchronousTestCase):
    """One object a line."""

    def test_objects_stay_as_they_are(self) -> None:
        """What is none is a bad row; so is one with a field of our own name."""
        data = b'{"id":1.50}\n  { }\n[1]\n{"file":1}\n{"n":{"file":2}}\n'
        batch = read(JSON, data)
        self.assertEqual(b'{"file":{"name":"a\\"b.csv","hash":"ab","row":5},"id":1.50}', batch.bodies[0])
        self.assertEqual({"file"}, msgspec.json.decode(batch.bodies[1]).keys())
        self.assertEqual({2, 3}, batch.errors.keys())
        self.assertEqual({2: b"[1]", 3: b'{"file":1}'}, batch.raws)
        self.assertEqual({"n", "file"}, msgspec.json.decode(batch.bodies[4]).keys())
        self.assertEqual(["1.5", None, None, None, None], batch.keys)


class Trailers(SynchronousTestCase):
    """The last row that says how many there are."""

    FORM = csv_form(trailer=r"END;(?P<count>\d+)")

    def test_the_count_must_be_right(self) -> None:
        """The header and the trailer itself are no rows."""
        self.assertEqual(Surveyed(rows=2), survey(self.FORM, b"a\n1\n2\nEND;2\n"))
        self.assertEqual(Surveyed(rows=0), survey(self.FORM, b"a\nEND;0"))
        told = survey(self.FORM, b"a\n1\nEND;2").refusal
        self.assertEqual("trailer: it says 2 rows, the file has 1", told)

    def test_a_file_without_one_may_have_been_cut(self) -> None:
        """Whatever stands in its place."""
        for data in (b"", b"a\n", b"a\n1\n2\n", b"END;0\n", b"a\nEND;\n", b'a\n"END;1', b"a\n1\nEND;1\n2\n"):
            told = survey(self.FORM, data).refusal
            self.assertEqual("trailer: the last row is no trailer; the file may have been cut", told, data)
