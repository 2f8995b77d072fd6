"""Values: what Frappe makes of them, what it refuses, what MariaDB refuses."""

from __future__ import annotations

from datetime import datetime

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from lineside.standin.doctypes import Field
from lineside.standin.errors import FrappeError
from lineside.standin.values import (
    cast,
    check,
    column_value,
    default_value,
    filter_value,
    shown_value,
    stamp_text,
    time_text,
)

NOW = datetime(2026, 3, 9, 8, 7, 6, 5)  # noqa: DTZ001 (the site's own naive time)


class Casting(SynchronousTestCase):
    def test_a_number_field_takes_anything_and_makes_it_a_number(self) -> None:
        """As measured: "abc" and null are 0, never an error."""
        self.assertEqual(
            [cast(Field("f", "Float"), v) for v in ("abc", None, "1,234.5", 7)], [0.0, 0.0, 1234.5, 7.0]
        )
        self.assertEqual([cast(Field("f", "Int"), v) for v in ("12.7", None, True, 2**60)], [12, 0, 1, 2**60])
        self.assertEqual([cast(Field("f", "Check"), v) for v in ("1", 5, "no")], [1, 1, 0])

    def test_text_stays_as_it_is_and_numbers_become_their_digits(self) -> None:
        """A code with leading zeros is carried through."""
        self.assertEqual([cast(Field("f"), v) for v in ("00123", 4711, True, "")], ["00123", "4711", "1", ""])

    def test_an_empty_unique_field_or_time_is_no_value(self) -> None:
        """Two documents without a value do not share one."""
        self.assertIsNone(cast(Field("f", unique=1), ""))
        self.assertIsNone(cast(Field("f", "Datetime"), ""))

    def test_an_object_is_text_only_in_a_json_field(self) -> None:
        """Elsewhere it is refused."""
        self.assertEqual(cast(Field("f", "JSON"), {"a": [1, 2]}), '{"a":[1,2]}')
        self.assertRaises(FrappeError, cast, Field("f"), [1])

    def test_defaults_are_filled_in(self) -> None:
        """Today and Now are the site's; anything else is cast like a value."""
        self.assertEqual(default_value(Field("f", "Date", default="Today"), NOW), "2026-03-09")
        self.assertEqual(default_value(Field("f", "Datetime", default="Now"), NOW), "2026-03-09 08:07:06.000005")
        self.assertEqual(default_value(Field("f", "Check", default="1"), NOW), 1)
        self.assertIsNone(default_value(Field("f"), NOW))


class Checking(SynchronousTestCase):
    def refused(self, field: Field, value: str | float) -> str:
        error: FrappeError = self.assertRaises(FrappeError, check, field, value, "Order 1")
        return error.exc_type

    def test_values_are_held_to_their_field(self) -> None:
        """Options, signs and lengths, each with its own error."""
        self.assertEqual(self.refused(Field("f", "Select", options="\nIN\nOUT"), "AWAY"), "ValidationError")
        self.assertEqual(self.refused(Field("f", "Int", non_negative=1), -1), "NonNegativeError")
        self.assertEqual(self.refused(Field("f"), "x" * 141), "CharacterLengthExceededError")
        self.assertEqual(self.refused(Field("f", length=3), "xxxx"), "CharacterLengthExceededError")

    def test_values_at_the_edge_pass(self) -> None:
        """140 characters, an option, an empty option, a zero."""
        check(Field("f"), "x" * 140, "Order 1")
        check(Field("f", "Select", options="\nIN\nOUT"), "IN", "Order 1")
        check(Field("f", "Select", options="\nIN\nOUT"), "", "Order 1")
        check(Field("f", "Int", non_negative=1), 0, "Order 1")
        check(Field("f", "Text Editor"), "x" * 5000, "Order 1")


class Columns(SynchronousTestCase):
    def test_a_naive_time_is_stored_whichever_way_it_is_written(self) -> None:
        """With a T or a space, with or without seconds and their fraction."""
        for text, stored in {
            "2026-01-02T03:04:05.123456": "2026-01-02 03:04:05.123456",
            "2026-01-02 03:04:05": "2026-01-02 03:04:05.000000",
            "2026-1-2 3:04": "2026-01-02 03:04:00.000000",
            "2026-01-02": "2026-01-02 00:00:00.000000",
            "2026-01-02 03:04:05.12": "2026-01-02 03:04:05.120000",
        }.items():
            self.assertEqual(column_value(Field("at", "Datetime"), text, "Order"), stored)

    def test_a_zone_an_offset_and_a_day_that_is_none_are_operational_errors(self) -> None:
        """As measured: 500, in MariaDB's words."""
        for text in ("2026-01-02T03:04:05Z", "2026-01-02T03:04:05+01:00", "2026-02-30 00:00:00", "nope"):
            error = self.assertRaises(FrappeError, column_value, Field("at", "Datetime"), text, "Order")
            self.assertEqual((error.exc_type, error.status), ("OperationalError", 500))
            self.assertIn(f"(1292, \"Incorrect datetime value: '{text}'", error.exception)

    def test_a_number_too_large_for_its_column_is_a_data_error(self) -> None:
        """As measured: 1e30 in a Float is refused with 500."""
        for field, value in ((Field("f", "Float"), 1e30), (Field("f", "Int"), 2**31), (Field("f", "Int"), "1e999")):
            error = self.assertRaises(FrappeError, column_value, field, cast(field, value), "Order")
            self.assertEqual((error.exc_type, error.status), ("DataError", 500))

    def test_whole_seconds_are_shown_without_a_fraction(self) -> None:
        """What was stored as six zeros was never sent."""
        self.assertEqual(shown_value(Field("at", "Datetime"), "2026-01-02 03:04:05.000000"), "2026-01-02 03:04:05")
        self.assertEqual(shown_value(Field("f"), "a.000000"), "a.000000")

    @given(st.datetimes(min_value=datetime(1000, 1, 1)), st.datetimes(min_value=datetime(1000, 1, 1)))  # noqa: DTZ001
    def test_stored_times_sort_as_times_do(self, one: datetime, other: datetime) -> None:
        """Text order is time order, and nothing is lost on the way in."""
        self.assertEqual(stamp_text(one) < stamp_text(other), one < other)
        self.assertEqual(time_text("Datetime", one.isoformat()), stamp_text(one))

    def test_a_filter_takes_the_form_of_its_column(self) -> None:
        """So that it compares as the stored value does."""
        self.assertEqual(filter_value(Field("at", "Datetime"), "2026-01-02"), "2026-01-02 00:00:00.000000")
        self.assertEqual(filter_value(Field("f", "Int"), "3"), 3)
        self.assertEqual(filter_value(Field("f"), 3), "3")
