"""The alarms of the last minutes, for whoever looks at the gateway and not at its log."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from twisted.internet.interfaces import IReactorTime
from twisted.logger import ILogObserver, LogEvent, LogLevel, LogPublisher, formatEvent
from zope.interface import implementer

from lineside.operations.results import Alarm
from lineside.operations.texts import moment

MOST = 100
RECENT = 900.0
"""Seconds for which an alarm is shown."""
LONGEST = 500
"""Characters of what an alarm tells."""
_LEVELS = (LogLevel.warn, LogLevel.error, LogLevel.critical)


@implementer(ILogObserver)
class RecentAlarms:
    """The `Part` that keeps what Lineside logs as a warning or worse: the newest `MOST` of the last `RECENT` s.

    Args:
        publisher: of the log.
        clock: tells what is old; must follow a monotonic clock.
        now_ns: the wall clock, for people.

    """

    name = "alarms"

    def __init__(self, publisher: LogPublisher, clock: IReactorTime, now_ns: Callable[[], int]) -> None:
        self._publisher = publisher
        self._clock = clock
        self._now_ns = now_ns
        self._kept: deque[tuple[float, Alarm]] = deque(maxlen=MOST)

    async def start(self) -> None:
        """Listen to the log."""
        self._publisher.addObserver(self)

    async def stop(self) -> None:
        """Listen no more."""
        self._publisher.removeObserver(self)

    def __call__(self, event: LogEvent) -> None:
        """Keep an event that is an alarm."""
        level = event.get("log_level")
        if level in _LEVELS and str(event.get("log_namespace", "")).startswith("lineside"):
            facts = " ".join(
                f"{name}={value}"
                for name, value in event.items()
                if not name.startswith("log_") and isinstance(value, str | int | float)
            )
            alarm = Alarm(moment(self._now_ns()), level.name, formatEvent(event), facts[:LONGEST])
            self._kept.append((self._clock.seconds(), alarm))

    def recent(self) -> list[Alarm]:
        """Return those of the last `RECENT` seconds, the newest first."""
        since = self._clock.seconds() - RECENT
        return [alarm for at, alarm in reversed(self._kept) if at >= since]
