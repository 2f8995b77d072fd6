"""Log-ins that failed, counted by who sent them, so that whoever tries many fills no record. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

FEW = 5
"""Senders that are told apart in one round; the others are counted together."""
KNOWN = 1_000
"""Senders that are counted each by itself."""


class FailedLogins:
    """The failures since the last `take`."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._more = 0

    def __bool__(self) -> bool:
        return bool(self._counts)

    def add(self, where: str) -> None:
        """Count one."""
        if where in self._counts or len(self._counts) < KNOWN:
            self._counts[where] += 1
        else:
            self._more += 1

    def take(self) -> Iterator[tuple[str, Mapping[str, Any]]]:
        """Yield where they came from and what is to be said of them, the busiest first; and forget them."""
        counts, self._counts, more, self._more = self._counts, Counter(), self._more, 0
        ranked = counts.most_common()
        for where, failures in ranked[:FEW]:
            yield where, {"failures": failures}
        rest = sum(failures for _, failures in ranked[FEW:]) + more
        if rest:
            yield "elsewhere", {"failures": rest, "senders": len(ranked) - FEW}
