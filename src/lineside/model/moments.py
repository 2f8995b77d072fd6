"""Moments as text. Pure."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Literal


def utc_text(ns: int, timespec: Literal["milliseconds", "microseconds"]) -> str:
    """Return nanoseconds since 1970 as ISO 8601 in UTC, ending in Z; what is finer than ``timespec`` is cut off."""
    # A float cannot tell the last nanoseconds of a second from the next one.
    seconds, nanoseconds = divmod(ns, 1_000_000_000)
    stamp = datetime.fromtimestamp(seconds, UTC).replace(microsecond=nanoseconds // 1000, tzinfo=None)
    return stamp.isoformat(timespec=timespec) + "Z"
