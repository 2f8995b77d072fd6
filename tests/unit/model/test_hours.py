"""Working hours, also in the nights in which the clocks are changed."""

from __future__ import annotations

from datetime import datetime

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from lineside.model.hours import Hours, parse_hours

HOUR = 3600.0
WEEK = 1e9


def at(text: str) -> float:
    """Return an ISO time as seconds since 1970."""
    return datetime.fromisoformat(text).timestamp()


def hours(text: str, zone: str = "Europe/Berlin") -> Hours:
    return Hours(parse_hours(text), zone)


class Reading(SynchronousTestCase):
    """`parse_hours`."""

    def test_days_and_times(self) -> None:
        """Ranges of days, one day, every day, round the week's end, and through the night."""
        week, saturday = parse_hours("Mon-Fri 06:00-22:00, sat 06:00-14:00")
        self.assertEqual((sorted(week.days), week.begin, week.end), ([0, 1, 2, 3, 4], 360, 1320))
        self.assertEqual((sorted(saturday.days), saturday.end), ([5], 840))
        [daily] = parse_hours("00:00-24:00")
        self.assertEqual((len(daily.days), daily.begin, daily.end), (7, 0, 1440))
        [round_the_end] = parse_hours("Sat-Mon 08:00-12:00")
        self.assertEqual(sorted(round_the_end.days), [0, 5, 6])
        [night] = parse_hours("Sun-Thu 22:00-06:00")
        self.assertEqual((night.begin, night.end), (1320, 1800))

    def test_what_is_none_is_told_in_one_line(self) -> None:
        """With an example, or with the time that is none."""
        for text in ("", "always", "Mon 6-22", "Mo-Fr 06:00-22:00", "Mon-Fri 06:00-22:00,"):
            with self.assertRaisesRegex(ValueError, 'is no working time such as "Mon-Fri'):
                parse_hours(text)
        for text in ("25:00-26:00", "06:60-07:00"):
            with self.assertRaisesRegex(ValueError, "is no time of the day"):
                parse_hours(text)
        with self.assertRaisesRegex(ValueError, "a day begins at 00:00"):
            parse_hours("24:00-06:00")


class Working(SynchronousTestCase):
    """`Hours`."""

    def test_from_the_first_minute_to_before_the_last(self) -> None:
        """In the plant's zone, not in that of the box."""
        week = hours("Mon-Fri 06:00-22:00", "Asia/Kolkata")
        self.assertFalse(week.at_work(at("2026-03-02T05:59:59+05:30")))
        self.assertTrue(week.at_work(at("2026-03-02T06:00+05:30")))
        self.assertTrue(week.at_work(at("2026-03-02T21:59:59+05:30")))
        self.assertFalse(week.at_work(at("2026-03-02T22:00+05:30")))
        self.assertFalse(week.at_work(at("2026-03-01T12:00+05:30")))

    def test_a_night_shift_belongs_to_the_day_on_which_it_begins(self) -> None:
        """Friday's early morning is Thursday's shift; Saturday's is nobody's."""
        nights = hours("Sun-Thu 22:00-06:00")
        self.assertTrue(nights.at_work(at("2026-03-06T05:00+01:00")))
        self.assertFalse(nights.at_work(at("2026-03-07T05:00+01:00")))

    def test_a_weekend_does_not_count(self) -> None:
        """From Friday 21:55 to Monday 06:04 a plant worked for nine minutes."""
        week = hours("Mon-Fri 06:00-22:00")
        self.assertEqual(week.worked(at("2026-03-06T21:55+01:00"), at("2026-03-09T06:04+01:00"), WEEK), 9 * 60)

    def test_no_second_counts_twice(self) -> None:
        """Shifts may overlap."""
        both = hours("06:00-14:00, 12:00-18:00")
        self.assertEqual(both.worked(at("2026-03-02T00:00+01:00"), at("2026-03-02T23:00+01:00"), WEEK), 12 * HOUR)

    def test_enough_is_enough(self) -> None:
        """A journal of ten years asks no more than the question needs."""
        self.assertEqual(hours("00:00-24:00").worked(0.0, at("2026-03-02T00:00+01:00"), 600.0), 600.0)

    def test_the_nights_in_which_the_clocks_are_changed(self) -> None:
        """A shift from 22 to 6 is seven hours long in March and nine in October."""
        nights = hours("22:00-06:00")
        march = nights.worked(at("2026-03-28T20:00+01:00"), at("2026-03-29T08:00+02:00"), WEEK)
        october = nights.worked(at("2026-10-24T20:00+02:00"), at("2026-10-25T08:00+01:00"), WEEK)
        self.assertEqual((march, october), (7 * HOUR, 9 * HOUR))

    def test_an_hour_that_is_twice_there_or_not_at_all(self) -> None:
        """02:00 to 03:00 is no time in March, and two hours in October."""
        odd = hours("02:00-03:00")
        march = odd.worked(at("2026-03-29T00:00+01:00"), at("2026-03-29T12:00+02:00"), WEEK)
        october = odd.worked(at("2026-10-25T00:00+02:00"), at("2026-10-25T12:00+01:00"), WEEK)
        self.assertEqual((march, october), (0.0, 2 * HOUR))

    @given(st.integers(0, 2 * 366 * 24 * 4), st.integers(0, 40))
    def test_the_sum_is_that_of_its_moments(self, quarter: int, quarters: int) -> None:
        """Whatever night of two years: what is worked is what is working time, quarter of an hour by quarter."""
        week = hours("Mon-Fri 06:00-22:00, Sat 22:00-06:00")
        begin = at("2026-01-01T00:00+00:00") + 900 * quarter
        moments = [begin + 900 * place for place in range(quarters)]
        self.assertEqual(
            week.worked(begin, begin + 900 * quarters, WEEK), 900 * sum(week.at_work(moment) for moment in moments)
        )
