"""When a task is due: by an interval or by a calendar, and what is made up for after an outage. Pure.

Moments are nanoseconds since 1970 in UTC.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from typing import Literal, Protocol
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError
from msgspec import Struct

CatchUp = Literal["none", "once", "all"]

SECOND = 1_000_000_000
"""In nanoseconds."""
GRACE = 60 * SECOND
"""A moment that is reached so late is still reached in time: nothing was missed."""
MOST = 1_000
"""Missed moments that are made up for at once, the newest of them."""


class NoSchedule(ValueError):
    """A text is no cron expression, or one whose moment never comes."""


class Schedule(Protocol):
    """Knows the moments at which a task is due."""

    def after(self, moment: int) -> int:
        """Return the first one later than ``moment``."""
        ...


class Every(Struct, frozen=True):
    """Each ``seconds``, counted from whatever moment it is asked for."""

    seconds: float

    def after(self, moment: int) -> int:
        """Return the moment one interval later."""
        return moment + max(1, round(self.seconds * SECOND))


class Cron(Struct, frozen=True):
    """By a cron expression in a time zone, as Debian's cron(8) treats the days on which clocks are changed.

    A job at a fixed time that the change skips is due right after it; one whose time comes twice is due once. A job
    with a star in its minutes or hours follows the clock as it goes.
    """

    expression: str
    """Five fields, or six with the seconds first."""
    zone: str
    """IANA name."""

    def __post_init__(self) -> None:
        try:
            self.after(0)
        except (CronSimError, StopIteration) as wrong:
            raise NoSchedule(str(wrong) or "no day is ever one of these") from wrong

    def after(self, moment: int) -> int:
        """Return the first moment later than ``moment``."""
        zone = ZoneInfo(self.zone)
        start = datetime.fromtimestamp(moment // SECOND, zone)
        due = self._first(start, moment)
        found = datetime.fromtimestamp(due // SECOND, zone)
        # cronsim goes by whole hours, and so passes over what comes right after a change by half of one.
        for other in _odd_changes(zone, {start.date(), start.date() + timedelta(days=1), found.date()}):
            if start < other < found:
                due = min(due, self._first(other.astimezone(zone), moment))
        return due

    def _first(self, start: datetime, moment: int) -> int:
        for found in CronSim(self.expression, start):
            # In an hour that comes twice, what is due once was due the first time.
            if (due := int(found.timestamp()) * SECOND) > moment:
                return due
        raise StopIteration

    def words(self) -> str:
        """Return what it says, in English."""
        return f"{CronSim(self.expression, datetime.now(UTC)).explain()}, {self.zone}"


class Plan(Struct, frozen=True):
    """What to do now by a schedule."""

    due: list[int]
    """Moments to start a run for, the oldest first."""
    skipped: int
    """Moments that are not made up for."""
    through: int
    """Everything up to this moment is decided."""
    more: bool = False
    """Even more were skipped, which nobody counted."""


def plan(schedule: Schedule, last: int, now: int, catch_up: CatchUp) -> Plan:
    """Decide on the moments after ``last`` and up to ``now``.

    Of those that were missed, by `GRACE` or because a later one is due as well, ``catch_up`` says which are made up
    for: none, the newest alone, or each, though no more than the newest `MOST`.
    """
    moments, more = _between(schedule, last, now)
    if not moments:
        return Plan([], 0, last)
    in_time = now - moments[-1] < GRACE
    match catch_up:
        case "all":
            due = moments[-MOST:]
        case "once":
            due = moments[-1:]
        case _:
            due = moments[-1:] if in_time else []
    return Plan(due, len(moments) - len(due), moments[-1], more)


def _odd_changes(zone: ZoneInfo, days: set[date]) -> Iterator[datetime]:
    """Yield, in UTC, moments right before a clock is changed by no whole hours, and before it shows new times."""
    for day in days:
        first, last = (datetime.combine(each, time(), zone) for each in (day, day + timedelta(days=1)))
        before, after = (each.utcoffset() or timedelta() for each in (first, last))
        if (after - before) % timedelta(hours=1):
            low, high = int(first.timestamp()), int(last.timestamp())
            while high - low > 1:
                middle = (low + high) // 2
                if datetime.fromtimestamp(middle, zone).utcoffset() == before:
                    low = middle
                else:
                    high = middle
            changed = datetime.fromtimestamp(high - 1, UTC)
            yield changed
            yield changed + abs(after - before)


def upcoming(schedule: Schedule, now: int, count: int) -> list[int]:
    """Return the next ``count`` moments."""
    moments: list[int] = []
    for _ in range(count):
        moments.append(schedule.after(moments[-1] if moments else now))
    return moments


def _between(schedule: Schedule, last: int, now: int) -> tuple[list[int], bool]:
    """Return the moments after ``last`` up to ``now``; True with it where the oldest of too many are left out."""
    more = False
    while True:
        moments: list[int] = []
        moment = last
        while len(moments) < 2 * MOST and (moment := schedule.after(moment)) <= now:
            moments.append(moment)
        if len(moments) < 2 * MOST:
            return moments, more
        # A calendar of seconds after a year would take minutes to go through.
        more = True
        apart = (moments[-1] - moments[0]) // (len(moments) - 1)
        last = max(moments[-MOST], now - apart * MOST)
