"""When tasks are due: by intervals, by calendars, over days on which clocks are changed, and after outages."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from cronsim import CronSim
from hypothesis import example, given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from lineside.tasks.calendar import GRACE, MOST, SECOND, CatchUp, Cron, Every, NoSchedule, Plan, plan, upcoming

MINUTE = 60 * SECOND
CHANGES = {
    "Europe/Berlin": ("2026-03-29T01:00Z", "2026-10-25T01:00Z"),
    "America/New_York": ("2026-03-08T07:00Z", "2026-11-01T06:00Z"),
    "Australia/Lord_Howe": ("2026-10-03T15:30Z", "2026-04-04T15:00Z"),
}
"""Where clocks are set forward, and back; the last by half an hour."""


def ns(text: str) -> int:
    """Return a moment that is written down in ISO 8601, with its offset."""
    return round(datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()) * SECOND


def at(moment: int, zone: str) -> str:
    """Return what a clock on the wall shows."""
    return datetime.fromtimestamp(moment // SECOND, ZoneInfo(zone)).isoformat(" ", "minutes")


def numbers(field: str, end: int) -> set[int]:
    """Return the numbers that a field of an expression allows."""
    if field.startswith("*"):
        return set(range(0, end, int(field[2:] or 1)))
    first, _, last = field.partition("-")
    return set(range(int(first), int(last) + 1)) if last else {int(each) for each in field.split(",")}


class CalendarCase(SynchronousTestCase):
    """Looks at the moments of one day."""

    def due(self, expression: str, zone: str, day: str, count: int) -> list[str]:
        """Return the first moments of a day."""
        midnight = round(datetime.fromisoformat(day).replace(tzinfo=ZoneInfo(zone)).timestamp()) * SECOND
        return [at(moment, zone)[5:] for moment in upcoming(Cron(expression, zone), midnight - SECOND, count)]


class InBerlin(CalendarCase):
    """By an hour, between two and three."""

    zone = "Europe/Berlin"

    def test_a_job_whose_time_is_skipped_is_due_right_after(self) -> None:
        """What is due at half past two, on a night without that time, is due at three."""
        self.assertEqual(
            ["03-29 03:00+02:00", "03-30 02:30+02:00"], self.due("30 2 * * *", self.zone, "2026-03-29", 2)
        )

    def test_a_job_whose_time_comes_twice_is_due_once(self) -> None:
        """What is due at half past two, on a night that has it twice, is due the first time."""
        self.assertEqual(
            ["10-25 02:30+02:00", "10-26 02:30+01:00"], self.due("30 2 * * *", self.zone, "2026-10-25", 2)
        )

    def test_a_job_with_stars_follows_the_clock(self) -> None:
        """What is due each half hour is due each half hour that there is, neither more nor less."""
        self.assertEqual(
            ["03-29 01:30+01:00", "03-29 03:00+02:00", "03-29 03:30+02:00"],
            self.due("*/30 * * * *", self.zone, "2026-03-29", 6)[3:],
        )
        self.assertEqual(
            ["10-25 02:00+02:00", "10-25 02:30+02:00", "10-25 02:00+01:00", "10-25 02:30+01:00"],
            self.due("*/30 * * * *", self.zone, "2026-10-25", 8)[4:],
        )


class InNewYork(CalendarCase):
    """By an hour: forward at two, back at two to one."""

    zone = "America/New_York"

    def test_a_job_whose_time_is_skipped_is_due_right_after(self) -> None:
        """What is due at a quarter past two is due at three."""
        self.assertEqual(
            ["03-08 03:00-04:00", "03-09 02:15-04:00"], self.due("15 2 * * *", self.zone, "2026-03-08", 2)
        )

    def test_a_job_whose_time_comes_twice_is_due_once(self) -> None:
        """What is due at a quarter past one is due the first time."""
        self.assertEqual(
            ["11-01 01:15-04:00", "11-02 01:15-05:00"], self.due("15 1 * * *", self.zone, "2026-11-01", 2)
        )

    def test_a_job_with_stars_follows_the_clock(self) -> None:
        """An hourly one is due twenty-three and twenty-five times."""
        for day, hours in ("2026-03-08", 23), ("2026-11-01", 25):
            of_day = [each for each in self.due("0 * * * *", self.zone, day, 30) if each.startswith(day[5:])]
            self.assertEqual(hours, len(of_day))


class OnLordHoweIsland(CalendarCase):
    """By half an hour: forward at two to half past, back at two to half past one."""

    zone = "Australia/Lord_Howe"

    def test_a_job_whose_time_is_skipped_is_due_right_after(self) -> None:
        """What is due at a quarter past two is due at half past."""
        self.assertEqual(
            ["10-04 02:30+11:00", "10-05 02:15+11:00"], self.due("15 2 * * *", self.zone, "2026-10-04", 2)
        )

    def test_a_job_whose_time_comes_twice_is_due_once(self) -> None:
        """What is due at a quarter to two is due the first time; what is due at two, once as ever."""
        self.assertEqual(
            ["04-05 01:45+11:00", "04-06 01:45+10:30"], self.due("45 1 * * *", self.zone, "2026-04-05", 2)
        )
        self.assertEqual(
            ["04-05 02:00+10:30", "04-06 02:00+10:30"], self.due("0 2 * * *", self.zone, "2026-04-05", 2)
        )

    def test_a_job_with_stars_follows_the_clock(self) -> None:
        """Each twenty minutes from one to three is due as the clock shows it: some twice, none left out."""
        self.assertEqual(
            [
                *("04-05 01:00+11:00", "04-05 01:20+11:00", "04-05 01:40+11:00", "04-05 01:40+10:30"),
                *("04-05 02:00+10:30", "04-05 02:20+10:30", "04-05 02:40+10:30", "04-06 01:00+10:30"),
            ],
            self.due("*/20 1-2 * * *", self.zone, "2026-04-05", 8),
        )

    def test_a_job_with_seconds_is_due_on_that_night_too(self) -> None:
        """The first minute after the night's change is not passed over, from the day before neither."""
        self.assertEqual(
            ["04-04 02:00+11:00", "04-05 02:00+10:30", "04-06 02:00+10:30"],
            self.due("0 0 2 * * *", self.zone, "2026-04-04", 3),
        )


FIELD_OF_HOURS = st.sampled_from(["*", "*/2", "1", "2", "1-3", "0", "3", "1,2"])
FIELD_OF_MINUTES = st.sampled_from(["*", "*/7", "*/15", "0", "15", "30", "45", "5,35", "59"])
MOMENTS = st.builds(
    lambda zone, which, seconds: (zone, ns(CHANGES[zone][which]) + round(seconds * SECOND)),
    st.sampled_from(sorted(CHANGES)),
    st.integers(0, 1),
    st.floats(-90_000, 90_000),
)


class AgainstItsModels(SynchronousTestCase):
    """Whatever the expression, wherever and whenever it is asked."""

    @given(FIELD_OF_MINUTES, FIELD_OF_HOURS, MOMENTS)
    @example("30", "2", ("Europe/Berlin", ns("2026-10-25T00:30Z")))
    @example("30", "2", ("Europe/Berlin", ns("2026-10-25T01:00Z")))
    def test_asked_at_any_moment_it_says_what_cronsim_does(
        self, minutes: str, hours: str, where: tuple[str, int]
    ) -> None:
        """It goes on from every moment as cronsim does that began days before, also inside the changed hour."""
        zone, moment = where
        expression = f"{minutes} {hours} * * *"
        due = Cron(expression, zone).after(moment)
        self.assertGreater(due, moment)
        began = datetime.fromtimestamp(moment // SECOND, ZoneInfo(zone)) - timedelta(days=3)
        expected = next(
            found for each in CronSim(expression, began) if (found := round(each.timestamp()) * SECOND) > moment
        )
        if zone != "Australia/Lord_Howe" or "*" not in minutes + hours:
            self.assertEqual(at(expected, zone), at(due, zone))
        else:
            # There it leaves out the first minutes after a change.
            self.assertLessEqual(due, expected)

    @given(FIELD_OF_MINUTES, FIELD_OF_HOURS, MOMENTS)
    @example("*/20", "2", ("Australia/Lord_Howe", ns("2026-04-04T14:50Z")))
    @example("45", "*", ("Australia/Lord_Howe", ns("2026-10-03T15:15Z")))
    def test_with_stars_it_is_due_whenever_the_clock_shows_it(
        self, minutes: str, hours: str, where: tuple[str, int]
    ) -> None:
        """A job with a star is due at each minute that looks right, and at no other."""
        if "*" not in minutes + hours:
            minutes = "*/20"
        zone, moment = where
        of_minute, of_hour = numbers(minutes, 60), numbers(hours, 24)
        shown = moment // MINUTE
        while True:
            shown += 1
            clock = datetime.fromtimestamp(shown * 60, ZoneInfo(zone))
            if clock.minute in of_minute and clock.hour in of_hour:
                break
        due = Cron(f"{minutes} {hours} * * *", zone).after(moment)
        self.assertEqual(at(shown * MINUTE, zone), at(due, zone))

    @given(FIELD_OF_MINUTES, st.integers(0, 3_000_000_000))
    def test_without_changes_it_is_cronsim(self, minutes: str, second: int) -> None:
        """In UTC it says what cronsim says."""
        expression = f"{minutes} 3 * * 1-5"
        found = next(CronSim(expression, datetime.fromtimestamp(second, UTC)))
        self.assertEqual(round(found.timestamp()) * SECOND, Cron(expression, "UTC").after(second * SECOND))


class WithoutSense(SynchronousTestCase):
    """Texts that are no calendar."""

    def test_is_refused_at_once(self) -> None:
        """A text that is no expression, or whose day never comes, is told when it is configured, not when due."""
        for text in ("", "* * *", "61 * * * *", "0 0 30 2 *", "hourly"):
            self.assertRaises(NoSchedule, Cron, text, "UTC")

    def test_says_in_words_what_it_means(self) -> None:
        """People may read it."""
        self.assertEqual(
            "At 02:00 on Monday through Friday, Europe/Berlin", Cron("0 2 * * 1-5", "Europe/Berlin").words()
        )


def hourly(hour: int, minute: int = 0) -> int:
    return ns("2026-05-01T00:00Z") + (hour * 60 + minute) * MINUTE


class AfterAnOutage(SynchronousTestCase):
    """An hourly task whose gateway was away from six to nine, and comes back."""

    schedules = Cron("0 * * * *", "UTC"), Every(3600.0)

    def planned(self, catch_up: CatchUp, now: int) -> list[Plan]:
        """Return what is decided, by the calendar and by the interval."""
        return [plan(schedule, hourly(6), now, catch_up) for schedule in self.schedules]

    def test_none_is_made_up_for(self) -> None:
        """With ``none`` what was missed is counted and left."""
        for decided in self.planned("none", hourly(9, 30)):
            self.assertEqual(Plan([], 3, hourly(9)), decided)

    def test_but_what_is_due_right_now_is_no_miss(self) -> None:
        """Who is back within a minute of the moment is in time for it."""
        for decided in self.planned("none", hourly(9) + GRACE - 1):
            self.assertEqual(Plan([hourly(9)], 2, hourly(9)), decided)

    def test_once_makes_up_for_all_by_one(self) -> None:
        """With ``once`` there is one run, for the newest moment."""
        for decided in self.planned("once", hourly(9, 30)):
            self.assertEqual(Plan([hourly(9)], 2, hourly(9)), decided)

    def test_all_makes_up_for_each(self) -> None:
        """With ``all`` there is a run for each, the oldest first."""
        for decided in self.planned("all", hourly(9, 30)):
            self.assertEqual(Plan([hourly(7), hourly(8), hourly(9)], 0, hourly(9)), decided)

    def test_not_for_more_than_a_thousand(self) -> None:
        """A year by the second is not made up for: the newest are, and it says that there were more."""
        for schedule in Cron("* * * * * *", "UTC"), Every(1.0):
            now = hourly(0)
            decided = plan(schedule, now - 365 * 86_400 * SECOND, now, "all")
            self.assertEqual((MOST, True, now), (len(decided.due), decided.more, decided.due[-1]))

    def test_a_clock_that_was_set_back_decides_nothing(self) -> None:
        """Before the moment up to which it is decided, nothing is."""
        for catch_up in ("none", "once", "all"):
            for schedule in self.schedules:
                self.assertEqual(Plan([], 0, hourly(9)), plan(schedule, hourly(9), hourly(8), catch_up))

    @given(
        st.sampled_from(["none", "once", "all"]),
        st.sampled_from([Cron("*/5 * * * *", "Europe/Berlin"), Cron("30 2 * * *", "Europe/Berlin"), Every(600.0)]),
        st.lists(st.integers(0, 90 * 60), min_size=1, max_size=12),
    )
    def test_each_moment_is_decided_once(self, catch_up: CatchUp, schedule: Cron | Every, rests: list[int]) -> None:
        """However often and late it looks, each moment is started or skipped, none twice; the numbers add up."""
        began = now = last = ns("2026-10-24T23:00Z")
        due: list[int] = []
        skipped = 0
        for rest in rests:
            now += rest * SECOND
            decided = plan(schedule, last, now, catch_up)
            due += decided.due
            skipped += decided.skipped
            last = decided.through
        moments = []
        moment = began
        while (moment := schedule.after(moment)) <= now:
            moments.append(moment)
        self.assertEqual(sorted(set(due)), due)
        self.assertLessEqual(set(due), set(moments))
        self.assertEqual(len(moments), len(due) + skipped)
        if catch_up == "all":
            self.assertEqual(moments, due)
