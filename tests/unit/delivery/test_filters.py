"""What templates can do to a value beyond Jinja's own filters."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from lineside.delivery.templates import RenderError, compile_template, scope
from lineside.model.event import Event, Record, Seq

RECORD = Record(Seq(1), "ab", "gate", 0, Event(b"{}"))
SITE_TIME = compile_template("{{ at | site_time }}", "time")
ZONES = st.sampled_from(["UTC", "Asia/Kolkata", "Europe/Berlin", "America/New_York", "Pacific/Apia"]).map(ZoneInfo)
MOMENTS = st.datetimes(datetime(1971, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001


def site_time(at: Any, zone: str | None = "Asia/Kolkata") -> str:
    """Render a moment for a site in a zone."""
    text: str = SITE_TIME.render(scope(RECORD, {"at": at}, None if zone is None else ZoneInfo(zone)))
    return text


def apply(expression: str, x: object) -> Any:
    """Render an expression over one field."""
    return compile_template(f"{{{{ x | {expression} }}}}", "x").render(scope(RECORD, {"x": x}, None))


class SiteTime(SynchronousTestCase):
    """The filter `site_time`."""

    @given(moment=MOMENTS, zone=ZONES, sent_in=ZONES)
    def test_keeps_the_moment_whatever_the_offset(
        self, moment: datetime, zone: ZoneInfo, sent_in: ZoneInfo
    ) -> None:
        """A moment sent with any offset reads as the site's own clock did then, without an offset."""
        text = SITE_TIME.render(scope(RECORD, {"at": moment.astimezone(sent_in).isoformat()}, zone))
        wall = moment.astimezone(zone).replace(tzinfo=None)
        self.assertEqual(wall, datetime.strptime(text, "%Y-%m-%d %H:%M:%S.%f"))  # noqa: DTZ007

    def test_takes_what_devices_send(self) -> None:
        """ISO text with Z, an offset, a comma, nanoseconds, lower case or in short, and seconds since 1970."""
        expected = "2026-03-02 12:30:00.500000"
        for at in (
            "2026-03-02T07:00:00.5Z",
            "2026-03-02t07:00:00.500z",
            " 2026-03-02 08:00:00,5+01:00 ",
            "20260302T070000.5Z",
            "2026-03-02T07:00:00.500000999Z",
            1_772_434_800.5,
        ):
            self.assertEqual(expected, site_time(at))
        self.assertEqual("2026-03-02 12:30:00.000000", site_time(1_772_434_800))

    def test_naive_text_is_the_sites_time_already(self) -> None:
        """It needs no zone to be known."""
        self.assertEqual("2026-03-02 07:00:00.000000", site_time("2026-03-02T07:00:00", None))
        self.assertEqual("2026-03-02 00:00:00.000000", site_time("2026-03-02"))

    def test_says_what_it_cannot_take(self) -> None:
        """A wrong time becomes a dead letter, never a wrong document."""
        for at, zone, reason in (
            ("yesterday", "UTC", "site_time: the text is no ISO 8601 date and time"),
            ("2026-02-30", "UTC", "site_time: the text is no ISO 8601 date and time"),
            ("", "UTC", "site_time: the text is no ISO 8601 date and time"),
            (None, "UTC", "site_time: expected ISO 8601 text or seconds since 1970"),
            (True, "UTC", "site_time: expected ISO 8601 text or seconds since 1970"),
            ([], "UTC", "site_time: expected ISO 8601 text or seconds since 1970"),
            ("0001-01-01T00:00:00Z", "America/New_York", "site_time: the time is out of range"),
            (-99_000_000_000, "UTC", "site_time: the time is out of range"),
            (
                1_772_434_800_000,
                "UTC",
                "site_time: expected seconds since 1970; for milliseconds write (at / 1000) | site_time",
            ),
            ("2026-03-02T07:00:00Z", None, "site_time: the target's time zone is not known yet"),
        ):
            with self.assertRaises(RenderError) as caught:
                site_time(at, zone)
            self.assertEqual(reason, caught.exception.reason)


class Numbers(SynchronousTestCase):
    """`number`, `int` and `float`: no wrong quantity ever goes through."""

    @given(st.floats(allow_nan=False, allow_infinity=False))
    def test_number_reads_what_a_float_writes(self, value: float) -> None:
        """Every finite number comes back exactly."""
        self.assertEqual(value, apply("number", repr(value)))

    def test_number_is_a_float(self) -> None:
        """Whatever it was made of."""
        for value, expected in ((" +12.50 ", 12.5), ("7", 7.0), (7, 7.0), (".5", 0.5), ("1e3", 1000.0)):
            result = apply("number", value)
            self.assertEqual(expected, result)
            self.assertIs(float, type(result))

    def test_number_guesses_at_nothing(self) -> None:
        """A comma may be a decimal sign or a thousands separator: both are refused, as is what is no number."""
        for value in ("1,5", "1.234,5", "1_000", "12 kg", "", "nan", "inf", "0x10", "١٢", True, None, [1], "1e999"):
            self.assertRaises(RenderError, apply, "number", value)

    def test_int_and_float_never_make_a_zero_of_nonsense(self) -> None:
        """Jinja's own take 0 for what is no number; here a default must be asked for."""
        self.assertEqual(12, apply("int", "12"))
        self.assertEqual(12, apply("int", "12.9"))
        self.assertEqual(26, apply("int(base=16)", "1a"))
        self.assertEqual(12.5, apply("float", "12.5"))
        for name in ("int", "float"):
            for value in ("twelve", "", None):
                self.assertRaises(RenderError, apply, name, value)
            self.assertEqual(0, apply(f"{name}(0)", "twelve"))
            self.assertEqual(-1, apply(f"{name}(default=-1)", None))


class Rows(SynchronousTestCase):
    """The filter `rows`."""

    LINES = ({"code": "a", "more": {"qty": 2}, "note": None}, {"code": "b", "more": {"qty": 3.5}, "note": "x"})

    def test_a_list_of_any_length_becomes_a_child_table(self) -> None:
        """Fields are found by their paths; what may be missing is left out, and a constant is every row's."""
        made = apply("rows(item='code', qty='more.qty', text='note?', no='gone?', store='=Stores - L')", self.LINES)
        first, second = made
        self.assertEqual({"item": "a", "qty": 2, "store": "Stores - L"}, first)
        self.assertEqual({"item": "b", "qty": 3.5, "text": "x", "store": "Stores - L"}, second)
        self.assertEqual([], apply("rows(item='code')", []))

    def test_what_is_missing_makes_no_wrong_document(self) -> None:
        """A row without a field that it needs, and a value that is no list, are errors that say where."""
        wrong = {
            "rows(item='gone')": "row 1 has no field gone",
            "rows(item=1)": "item needs the path of a field",
        }
        for expression, told in wrong.items():
            self.assertIn(told, str(self.assertRaises(RenderError, apply, expression, self.LINES)))
        for value in ("text", 7, {"code": "a"}):
            self.assertIn(
                "a list of objects", str(self.assertRaises(RenderError, apply, "rows(item='code')", value))
            )
