"""What every side of `durable_tasks` shares: the sheet on which each run signs when it begins, and the figures.

Python's standard library alone, for it is imported by the peers in their own environment too.
"""

from __future__ import annotations

import os
import resource
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

ROW = 30
"""Bytes of a signature: the run's number, and the moment by the monotonic clock, which all processes share."""
ALLOWED = 120.0
"""Seconds after which a side that has not done its runs has failed."""
TICKS = os.sysconf("SC_CLK_TCK")


class Sheet:
    """The file on which runs sign, of one process or of many; nothing is synced."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def sign(self, number: int) -> None:
        """Say that run ``number`` has begun now."""
        os.write(self._file, b"%09d %019d\n" % (number, time.monotonic_ns()))

    def signed(self) -> int:
        """Return how many have signed."""
        return os.fstat(self._file).st_size // ROW

    def begun(self, runs: int) -> list[int]:
        """Return when each of ``runs`` began, by their numbers.

        Raises:
            SystemExit: one did not begin, or began twice.

        """
        found: dict[int, int] = {}
        for row in Path(self._path).read_bytes().splitlines():
            number, moment = map(int, row.split())
            if number in found:
                raise SystemExit(f"run {number} was begun twice")
            found[number] = moment
        if found.keys() != set(range(runs)):
            raise SystemExit(f"of {runs} runs {len(found)} were begun")
        return [found[number] for number in range(runs)]


def wait_for(sheet: Sheet, runs: int) -> None:
    """Return once so many have signed; looks each 2 ms, and blocks."""
    deadline = time.monotonic() + ALLOWED
    while sheet.signed() < runs:
        if time.monotonic() > deadline:
            raise SystemExit(f"of {runs} runs {sheet.signed()} were begun within {ALLOWED:g} s")
        time.sleep(0.002)


def processor_seconds(others: Iterable[int] = ()) -> float:
    """Return what this process, its children that have ended and ``others`` were on a processor, in all threads."""
    used = 0.0
    for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN):
        usage = resource.getrusage(who)
        used += usage.ru_utime + usage.ru_stime
    for process in others:
        figures = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
        # With those of its children that have ended: a worker that forks has one for each run.
        used += sum(map(int, figures[11:15])) / TICKS
    return used


def quantiles(values: list[float]) -> dict[str, float]:
    """Return the median, the 99th percentile and the greatest, in milliseconds, of seconds."""
    ordered = sorted(values)
    return {
        "p50_ms": round(ordered[len(ordered) // 2] * 1e3, 3),
        "p99_ms": round(ordered[min(len(ordered) - 1, len(ordered) * 99 // 100)] * 1e3, 3),
        "max_ms": round(ordered[-1] * 1e3, 3),
    }


def executed(first_ns: int, ended_ns: int, runs: int, used: float) -> dict[str, Any]:
    """Return the figures of runs that waited: from the first one's beginning until the last one's end is stored."""
    seconds = (ended_ns - first_ns) / 1e9
    return {"per_second": runs / seconds, "cpu_us": 1e6 * used / runs}
