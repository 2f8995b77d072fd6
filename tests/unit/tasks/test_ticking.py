"""Schedules on a clock that the test turns: ticks on a grid, clocks that are set, disks that refuse."""

from __future__ import annotations

from twisted.internet.defer import Deferred, fail
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from lineside.tasks.calendar import SECOND, CatchUp, Cron, Every, Plan, Schedule
from lineside.tasks.task import Task
from lineside.tasks.ticking import LOOK_EVERY, Calendar, Interval

MIDNIGHT = 1_764_547_200 * SECOND
"""2025-12-01 in UTC."""
HOUR = 3_600


class TickingCase(SynchronousTestCase):
    """A schedule, and what it asked for."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.ahead = 0.0
        self.asked: list[Plan] = []
        self.full = False
        self.slow: Deferred[None] | None = None

    def wall_ns(self) -> int:
        return MIDNIGHT + round((self.clock.seconds() + self.ahead) * SECOND)

    async def ask(self, due: Plan) -> None:
        """Take what was decided, unless the disk refuses; be as slow about it as the test wants."""
        if self.full:
            await fail(OSError("database or disk is full"))
        self.asked.append(due)
        if self.slow is not None:
            await self.slow

    def task(self, schedule: Schedule, catch_up: CatchUp = "once") -> Task:
        return Task("due", lambda context: None, schedule=schedule, catch_up=catch_up)

    def interval(self, seconds: float, last: float | None = None, catch_up: CatchUp = "once") -> Interval:
        """Start an interval that was last decided ``last`` seconds after midnight."""
        interval = Interval(self.task(Every(seconds), catch_up), self.clock, self.wall_ns, self.ask)
        self.start(interval, last)
        return interval

    def calendar(self, expression: str, last: float | None = None, catch_up: CatchUp = "once") -> Calendar:
        calendar = Calendar(self.task(Cron(expression, "UTC"), catch_up), self.clock, self.wall_ns, self.ask)
        self.start(calendar, last)
        return calendar

    def start(self, schedule: Interval | Calendar, last: float | None) -> None:
        last_ns = None if last is None else MIDNIGHT + round(last * SECOND)
        self.successResultOf(Deferred.fromCoroutine(schedule.start(last_ns)))
        self.addCleanup(schedule.stop)

    @property
    def due(self) -> list[float]:
        """The moments asked for, in seconds since midnight."""
        return [(moment - MIDNIGHT) / SECOND for due in self.asked for moment in due.due]

    @property
    def skipped(self) -> int:
        return sum(due.skipped for due in self.asked)


class Intervals(TickingCase):
    """Every so many seconds."""

    def test_ticks_on_its_grid(self) -> None:
        """The first tick comes after one interval, and the others exactly one after the other."""
        self.interval(10.0)
        self.clock.pump([0.25] * 140)
        self.assertEqual([10.0, 20.0, 30.0], self.due)

    def test_a_late_tick_moves_no_other(self) -> None:
        """A reactor that was busy makes a tick late, and the next is on the grid again; the drift is told."""
        interval = self.interval(10.0)
        self.clock.pump([10.0, 13.0, 7.0])
        self.assertEqual([10.0, 23.0, 30.0], self.due)
        self.assertEqual((3, 0, 0.0, 3.0), self.drift(interval))

    def drift(self, interval: Interval) -> tuple[int, int, float, float]:
        drift = interval.drift
        return drift.ticks, drift.skipped, drift.last, drift.worst

    def test_ticks_that_come_together_are_one(self) -> None:
        """What the reactor slept through is one tick; the others are counted as skipped."""
        interval = self.interval(10.0)
        self.clock.pump([10.0, 35.0, 5.0])
        self.assertEqual(([10.0, 45.0, 50.0], 2), (self.due, self.skipped))
        self.assertEqual((3, 2, 5.0), (*self.drift(interval)[:2], interval.drift.worst))

    def test_never_asks_twice_at_once(self) -> None:
        """While the disk still takes one tick, the next ones wait, and are skipped where they come together."""
        self.interval(10.0)
        self.slow = Deferred()
        self.clock.pump([10.0, 10.0, 10.0, 2.0])
        self.assertEqual([10.0], self.due)
        slow, self.slow = self.slow, None
        slow.callback(None)
        self.clock.pump([8.0, 10.0])
        self.assertEqual(([10.0, 40.0, 50.0], 2), (self.due, self.skipped))

    def test_a_refusing_disk_skips_and_counts(self) -> None:
        """A tick that could not be stored is not made up for, but counted with the next one that is."""
        self.interval(10.0)
        self.full = True
        self.clock.pump([10.0, 10.0])
        self.full = False
        self.clock.pump([10.0, 10.0])
        self.assertEqual(([30.0, 40.0], 2), (self.due, self.skipped))

    def test_goes_on_with_its_grid_after_a_restart(self) -> None:
        """A gateway that was away for a moment does not begin the interval anew."""
        self.clock.advance(26.0)
        self.interval(10.0, last=20.0)
        self.clock.pump([4.0, 10.0])
        self.assertEqual([30.0, 40.0], self.due)

    def test_makes_up_for_what_was_missed(self) -> None:
        """After an outage ``catch_up`` decides, and then the grid goes on."""
        self.clock.advance(380.0)
        for catch_up, expected, skipped in (
            ("none", [400.0], 3),
            ("once", [300.0, 400.0], 2),
            ("all", [100.0, 200.0, 300.0, 400.0], 0),
        ):
            self.asked.clear()
            interval = self.interval(100.0, last=0.0, catch_up=catch_up)  # type: ignore[arg-type]
            self.clock.advance(20.0)
            interval.stop()
            self.clock.advance(-20.0)
            self.assertEqual((expected, skipped), (self.due, self.skipped), catch_up)

    def test_does_not_wait_for_a_clock_that_was_set_back(self) -> None:
        """Where the last tick lies in the future, the next comes after one interval."""
        self.interval(10.0, last=HOUR)
        self.clock.pump([10.0, 10.0])
        self.assertEqual([10.0, 20.0], self.due)

    def test_does_not_care_for_the_wall_clock(self) -> None:
        """Setting the clock makes no tick come sooner, later or not at all."""
        self.interval(10.0)
        for ahead in -HOUR, HOUR, 0.0:
            self.ahead = ahead
            self.clock.advance(10.0)
        self.assertEqual(3, len(self.due))

    def test_says_when_it_is_due(self) -> None:
        """The next moment is told by the wall clock, from the start to the stop."""
        interval = self.interval(10.0)
        moments = [interval.next_ns]
        self.clock.advance(10.0)
        moments.append(interval.next_ns)
        interval.stop()
        self.assertEqual([MIDNIGHT + 10 * SECOND, MIDNIGHT + 20 * SECOND, None], [*moments, interval.next_ns])


class Calendars(TickingCase):
    """By the wall clock."""

    def pass_time(self, seconds: float) -> None:
        """Let time pass as a reactor does that is never late."""
        self.clock.pump([1.0] * round(seconds))

    def test_is_due_at_its_moments(self) -> None:
        """A run is asked for at each moment, exactly then."""
        calendar = self.calendar("*/2 * * * *")
        self.pass_time(300)
        self.assertEqual(([120.0, 240.0], MIDNIGHT + 360 * SECOND), (self.due, calendar.next_ns))

    def test_a_clock_set_forward_makes_it_due(self) -> None:
        """Moments that the clock jumped over are missed ones, noticed within half a minute."""
        self.calendar("0 * * * *", catch_up="all")
        self.ahead = 3 * HOUR + 5.0
        self.pass_time(LOOK_EVERY)
        self.assertEqual([1.0 * HOUR, 2.0 * HOUR, 3.0 * HOUR], self.due)

    def test_a_clock_set_back_asks_for_the_same_moment_again(self) -> None:
        """The moments come again, for the same occasion, which the runs know: two wishes, one run."""
        self.calendar("0 * * * *")
        self.pass_time(HOUR + 60)
        self.ahead = -600.0
        self.pass_time(660)
        self.assertEqual([1.0 * HOUR, 1.0 * HOUR], self.due)

    def test_a_clock_that_was_wrong_for_a_while_keeps_nothing_waiting(self) -> None:
        """After a year ahead and back, the next moment of the day is due as ever."""
        self.calendar("0 * * * *", catch_up="once")
        self.ahead = 365 * 24.0 * HOUR
        self.pass_time(LOOK_EVERY)
        self.ahead = 0.0
        self.pass_time(HOUR)
        self.assertEqual(1.0 * HOUR, self.due[-1])
        self.assertEqual(2, len(self.due))

    def test_begins_after_what_was_decided(self) -> None:
        """After an outage ``catch_up`` decides; a new task has missed nothing."""
        self.clock.advance(3.5 * HOUR)
        for last, catch_up, expected in (
            (None, "all", []),
            (0.5 * HOUR, "none", []),
            (0.5 * HOUR, "once", [3.0 * HOUR]),
            (0.5 * HOUR, "all", [1.0 * HOUR, 2.0 * HOUR, 3.0 * HOUR]),
            (9.0 * HOUR, "all", []),
        ):
            self.asked.clear()
            self.calendar("0 * * * *", last, catch_up).stop()  # type: ignore[arg-type]
            self.assertEqual(expected, self.due, (last, catch_up))

    def test_a_refusing_disk_loses_no_moment(self) -> None:
        """A moment that could not be stored is asked for again, soon."""
        self.calendar("0 * * * *")
        self.full = True
        self.pass_time(HOUR + 20)
        self.full = False
        self.pass_time(LOOK_EVERY)
        self.assertEqual([1.0 * HOUR], self.due)

    def test_asks_for_nothing_after_its_stop(self) -> None:
        """A stopped calendar leaves no timer behind, also in the middle of a wish."""
        calendar = self.calendar("0 * * * *")
        self.slow = Deferred()
        self.pass_time(HOUR)
        calendar.stop()
        self.assertEqual([], self.clock.getDelayedCalls())
