"""Working hours: when a plant works, in its own time zone. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from msgspec import Struct

DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_DAY = "|".join(DAYS)
_SHIFT = re.compile(
    rf"(?:(?P<first>{_DAY})(?:-(?P<last>{_DAY}))? )?(?P<begin>\d\d:\d\d)-(?P<end>\d\d:\d\d)",
    re.ASCII | re.IGNORECASE,
)
_EXAMPLE = "Mon-Fri 06:00-22:00, Sat 06:00-14:00"
DAY = 24 * 60


class Shift(Struct, frozen=True):
    """One span of the working week; it may end on the next day."""

    days: frozenset[int]
    """On which it begins; Monday is 0."""
    begin: int
    """Minutes after midnight."""
    end: int
    """Minutes after that midnight; more than `DAY` where it ends on the next day."""


def parse_hours(text: str) -> tuple[Shift, ...]:
    """Return working hours such as ``Mon-Fri 06:00-22:00, Sat 06:00-14:00``; without days they are every day's.

    A shift whose end is not after its beginning ends on the next day.

    Raises:
        ValueError: says what is wrong, in one line.

    """
    return tuple(_shift(part.strip()) for part in text.split(","))


def _shift(text: str) -> Shift:
    found = _SHIFT.fullmatch(text)
    if found is None:
        raise ValueError(f'"{text}" is no working time such as "{_EXAMPLE}"')
    first = DAYS.index(found["first"].title()) if found["first"] else 0
    last = DAYS.index(found["last"].title()) if found["last"] else first if found["first"] else len(DAYS) - 1
    # "Sat-Mon" goes round the week's end.
    days = frozenset((first + place) % 7 for place in range((last - first) % 7 + 1))
    begin, end = _minutes(found["begin"]), _minutes(found["end"])
    if begin == DAY:
        raise ValueError(f'"{text}": a day begins at 00:00')
    return Shift(days, begin, end if end > begin else end + DAY)


def _minutes(text: str) -> int:
    hours, minutes = map(int, text.split(":"))
    if minutes > 59 or 60 * hours + minutes > DAY:
        raise ValueError(f'"{text}" is no time of the day')
    return 60 * hours + minutes


class Hours:
    """Tells whether, and for how long, it is working time. Times are seconds since 1970 (UTC).

    A shift goes from its first minute on the clock on the wall to its last: it is an hour shorter or longer in the
    night in which the clocks are changed.
    """

    def __init__(self, shifts: tuple[Shift, ...], zone: str) -> None:
        self._shifts = shifts
        self._zone = ZoneInfo(zone)

    def at_work(self, at: float) -> bool:
        """Tell whether this is working time."""
        return any(begin <= at < end for begin, end in self._spans(at, at))

    def worked(self, since: float, until: float, enough: float) -> float:
        """Return the seconds of working time between two times, or ``enough`` where there are more."""
        total = 0.0
        reached = since
        for begin, end in self._spans(since, until):
            # Shifts may overlap: no second counts twice.
            reached = max(reached, begin)
            total += max(0.0, min(end, until) - reached)
            reached = max(reached, end)
            if total >= enough:
                return enough
        return total

    def _spans(self, since: float, until: float) -> Iterator[tuple[float, float]]:
        """Yield the shifts that may touch these times, by their beginnings."""
        day = datetime.fromtimestamp(since, self._zone).date() - timedelta(days=1)
        last = datetime.fromtimestamp(until, self._zone).date()
        while day <= last:
            today = [shift for shift in self._shifts if day.weekday() in shift.days]
            yield from sorted(
                (self._moment(day, shift.begin, 0), self._moment(day, shift.end, 1)) for shift in today
            )
            day += timedelta(days=1)

    def _moment(self, day: date, minutes: int, fold: int) -> float:
        days, minutes = divmod(minutes, DAY)
        at = datetime.combine(day + timedelta(days=days), time(minutes // 60, minutes % 60, fold=fold), self._zone)
        return at.astimezone(UTC).timestamp()
