"""Where the rows of a file begin and end, however its bytes are cut."""

from __future__ import annotations

import csv

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from lineside.wire.rows.cutting import BadRow, LineRows, QuotedRows, Row, Rows, cutter

MESS = st.text('ab,"\r\n', max_size=60).map(str.encode)
CELLS = st.lists(st.lists(st.text('a",\n ', max_size=5), min_size=2, max_size=4), max_size=8)
SIZES = st.integers(1, 30)


def cut(rows: Rows, data: bytes, size: int = 1 << 20) -> list[Row]:
    found = [row for start in range(0, len(data), size) for row in rows.feed(data[start : start + size])]
    return found + rows.end()


def quoted(most: int = 1000) -> QuotedRows:
    return QuotedRows(",", '"', most)


class Lines(SynchronousTestCase):
    """Rows that are lines."""

    def test_line_ends_are_lf_or_crlf_and_the_last_may_be_missing(self) -> None:
        """Empty lines are no rows."""
        self.assertEqual([b"a", b"b", b"c", b"d"], cut(LineRows(9), b"a\r\nb\n\n\r\nc\r\nd"))

    def test_a_long_row_is_kept_in_part(self) -> None:
        """The next one is whole again; its end does not count as its bytes."""
        found = cut(LineRows(3), b"abcd\nabc\r\nab\n", 2)
        bad = BadRow(b"abc", "too_long: more than 3 bytes; the first 3 are kept")
        self.assertEqual([bad, b"abc", b"ab"], found)

    @given(MESS, SIZES)
    def test_chunks_make_no_difference(self, data: bytes, size: int) -> None:
        """Whatever is in the file."""
        self.assertEqual(cut(LineRows(5), data), cut(LineRows(5), data, size))


class Quoted(SynchronousTestCase):
    """Rows of CSV."""

    @given(CELLS, SIZES, st.sampled_from(["\n", "\r\n"]))
    def test_what_python_writes_is_found_row_by_row(self, table: list[list[str]], size: int, end: str) -> None:
        """Line ends in quotation marks belong to their row."""

        class Written(list[str]):
            def write(self, text: str) -> int:
                self.append(text)
                return len(text)

        written = Written()
        csv.writer(written, lineterminator=end).writerows(table)
        found = cut(quoted(), "".join(written).encode(), size)
        self.assertEqual([text.removesuffix(end).encode() for text in written], found)

    @given(MESS, SIZES)
    def test_chunks_make_no_difference(self, data: bytes, size: int) -> None:
        """Also where quotation marks stand anywhere, and rows are too long."""
        self.assertEqual(cut(quoted(12), data), cut(quoted(12), data, size))

    def test_a_mark_inside_a_value_is_a_letter(self) -> None:
        """Inches are no quotation."""
        self.assertEqual([b'5" pipe,3', b"6,4"], cut(quoted(), b'5" pipe,3\n6,4\n'))

    def test_a_mark_that_never_closes_spoils_its_own_row_alone(self) -> None:
        """The rows after it are read afresh, at the file's end and where a row has its full length."""
        for most, end in ((1000, b"\n"), (12, b"\n"), (1000, b"\r\n"), (14, b"\r\n")):
            first, *others = cut(quoted(most), end.join([b'"open,1', b"b,2", b"c,3", b"d,4", b""]))
            self.assertEqual(b'"open,1', first.data if isinstance(first, BadRow) else first)
            self.assertEqual([b"b,2", b"c,3", b"d,4"], others)

    def test_a_file_of_open_marks_costs_what_it_is_long(self) -> None:
        """After as many bytes as it has, what stays open is one bad row: nothing is looked at for ever."""
        line = b'"a" "x,"'
        data = (line + b"\n") * 2_000
        looked = 0

        class Counting(QuotedRows):
            def _add(self, line: Row) -> list[Row]:
                nonlocal looked
                looked += 1
                return super()._add(line)

        found = cut(Counting(",", '"', 900), data, 4096)
        self.assertLess(looked, 3 * 2_000)
        self.assertTrue(all(isinstance(row, BadRow) for row in found))
        kept = b"".join(row.data if isinstance(row, BadRow) else row for row in found)
        self.assertEqual(2_000 * len(line), len(kept.replace(b"\n", b"")))


class Encodings(SynchronousTestCase):
    """Files that are no ASCII."""

    @given(st.text("aß€,\U0001f600", min_size=1), SIZES, st.sampled_from(["utf-16", "utf-16-le", "utf-32"]))
    @settings(max_examples=50)
    def test_wide_characters_are_cut_as_utf8(self, text: str, size: int, encoding: str) -> None:
        """A byte order mark is no part of the first row."""
        rows = cutter(encoding, LineRows(1000))
        self.assertEqual([text.encode(), b"end"], cut(rows, f"{text}\r\nend".encode(encoding), size))

    def test_a_broken_character_spoils_its_row_alone(self) -> None:
        """Half of a pair becomes bytes that are no UTF-8 in that row."""
        data = "a\n".encode("utf-16-le") + b"\x00\xd8" + "\nb\n".encode("utf-16-le")
        first, bad, last = cut(cutter("utf-16-le", LineRows(100)), data, 3)
        self.assertEqual((b"a", b"b"), (first, last))
        assert isinstance(bad, bytes)
        self.assertRaises(UnicodeDecodeError, bad.decode)

    @given(SIZES)
    def test_a_mark_before_utf8_is_left_out(self, size: int) -> None:
        """Spreadsheets write it; in another encoding the same bytes are letters."""
        self.assertEqual([b"a", b"b"], cut(cutter("utf-8", LineRows(9)), b"\xef\xbb\xbfa\nb", size))
        self.assertEqual([b"\xef\xbb\xbfa"], cut(cutter("cp1252", LineRows(9)), b"\xef\xbb\xbfa", size))
        self.assertEqual([b"a"], cut(cutter("utf-8", LineRows(9)), b"a", size))
