"""From a request's text to what is bound."""

from __future__ import annotations

from datetime import date, datetime, timedelta, timezone
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from lineside.edges.sql.parameters import QueryParameter, Wrong, bind, read
from lineside.edges.sql.queries import CSV, media_type
from lineside.operations.web import JSON


class Reading(SynchronousTestCase):
    """Each type takes what it names, and nothing else."""

    def test_what_is_taken(self) -> None:
        """With its exact value."""
        india = timezone(timedelta(hours=5, minutes=30))
        for kind, text, value in (
            ("string", "", ""),
            ("string", "00123", "00123"),
            ("integer", "-7", -7),
            ("number", "1e3", 1000.0),
            ("boolean", "TRUE", True),
            ("boolean", "0", False),
            ("date", "2026-03-04", date(2026, 3, 4)),
            ("datetime", "2026-03-04T09:12:07+05:30", datetime(2026, 3, 4, 9, 12, 7, tzinfo=india)),
            # As it arrives where nobody escaped the plus sign.
            ("datetime", "2026-03-04T09:12:07 05:30", datetime(2026, 3, 4, 9, 12, 7, tzinfo=india)),
            ("datetime", "2026-03-04 09:12", datetime(2026, 3, 4, 9, 12)),  # noqa: DTZ001
        ):
            self.assertEqual(read(kind, text), value)  # type: ignore[arg-type]

    def test_what_is_not(self) -> None:
        """Numbers that no column holds, moments that there are none of."""
        for kind, text in (
            ("string", "a\0b"),
            ("integer", "1.0"),
            ("integer", "9" * 19),
            ("integer", "٣"),
            ("number", "nan"),
            ("number", "1e999"),
            ("boolean", "yes"),
            ("date", "2026-02-30"),
            ("datetime", "soon"),
            ("datetime", "0001-01-01T00:00:00+23:00"),
        ):
            with self.assertRaisesRegex(ValueError, "^expected "):
                read(kind, text)  # type: ignore[arg-type]

    @given(st.sampled_from(["integer", "number", "boolean", "date", "datetime"]), st.text(max_size=30))
    def test_nothing_breaks_it(self, kind: Any, text: str) -> None:
        """Whatever is sent, it is a value or a `ValueError`."""
        try:
            read(kind, text)
        except ValueError as wrong:
            self.assertIn("expected", str(wrong))

    def test_who_is_wrong_is_named(self) -> None:
        """What is missing, what is unknown, and what has a default."""
        parameters = {
            "n": QueryParameter("n", "integer"),
            "line": QueryParameter("line", "string", "press", required=False),
            "until": QueryParameter("until", "date", None, required=False),
        }
        self.assertEqual(bind(parameters, {"n": "1"}), {"n": 1, "line": "press", "until": None})
        for given_, name in (({}, "n"), ({"n": "x"}, "n"), ({"n": "1", "m": "2"}, "m")):
            with self.assertRaises(Wrong) as wrong:
                bind(parameters, given_)
            self.assertEqual(wrong.exception.name, name)


class Accepting(SynchronousTestCase):
    """JSON or CSV, as the client likes best."""

    def test_by_its_header(self) -> None:
        """As RFC 9110 says; JSON where it does not care."""
        for accept, wanted in (
            (None, JSON),
            ("*/*", JSON),
            ("text/csv", CSV),
            ("text/*;q=0.9, application/json;q=0.5", CSV),
            ("text/html, */*;q=0.1", JSON),
            ("application/json;q=0, */*", CSV),
            ("TEXT/CSV; q=1", CSV),
            ("image/png", None),
            ("text/csv;q=0", None),
            ("text/csv;q=much", None),
        ):
            self.assertEqual(media_type(accept), wanted, accept)
