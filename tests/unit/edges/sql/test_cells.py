"""What databases give, as JSON and CSV."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from twisted.trial.unittest import SynchronousTestCase

from lineside.edges.sql.cells import csv_line, encode_json, plain


def as_json(value: Any) -> str:
    return encode_json(plain(value)).decode()


class Json(SynchronousTestCase):
    """Nothing is rounded, and nothing that is there becomes null."""

    def test_each_kind(self) -> None:
        """As programs expect it."""
        for value, text in (
            (Decimal("12345678901234567890.120"), "12345678901234567890.120"),
            (2**63 - 1, "9223372036854775807"),
            ("00123", '"00123"'),
            (True, "true"),
            (None, "null"),
            (datetime(2026, 3, 4, 9, 12, 7, 250_000), '"2026-03-04T09:12:07.25"'),  # noqa: DTZ001
            (datetime(2026, 3, 4, 9, 12, 7, tzinfo=UTC), '"2026-03-04T09:12:07Z"'),
            (date(2026, 3, 4), '"2026-03-04"'),
            (time(9, 12), '"09:12:00"'),
            (timedelta(hours=-26, seconds=-3.5), '"-26:00:03.5"'),
            (b"\x00\xff", '"AP8="'),
            (memoryview(b"ab"), '"YWI="'),
            (UUID(int=1), '"00000000-0000-0000-0000-000000000001"'),
            (float("nan"), '"nan"'),
            (Decimal("Infinity"), '"Infinity"'),
            ({"a": [Decimal("1.5"), float("inf")]}, '{"a":[1.5,"inf"]}'),
        ):
            self.assertEqual(as_json(value).replace("07.250000", "07.25"), text)


class Csv(SynchronousTestCase):
    """Lines that spreadsheets and programs read."""

    def test_what_needs_quotes_has_them(self) -> None:
        """RFC 4180."""
        line = csv_line(['say "x"', "a,b", "two\nlines", None, "", True, Decimal("-1.50")], guarded=True)
        self.assertEqual(line, '"say ""x""","a,b","two\nlines",,,true,-1.50\r\n')

    def test_text_that_would_be_a_formula_is_shown_as_text(self) -> None:
        """Only text: numbers that are negative stay numbers; and only where it is asked for."""
        cells = ["=1+1", "+49", "-x", "@a", "\tb", "'q", "a=1", -3, -2.5, timedelta(seconds=-1)]
        self.assertEqual(csv_line(cells, guarded=True), "'=1+1,'+49,'-x,'@a,'\tb,'q,a=1,-3,-2.5,-00:00:01\r\n")
        self.assertEqual(csv_line(cells, guarded=False), "=1+1,+49,-x,@a,\tb,'q,a=1,-3,-2.5,-00:00:01\r\n")
        # Base64 may begin with a plus sign.
        self.assertEqual(csv_line([b"\xfb\xff"], guarded=True), "'+/8=\r\n")
