"""How much the journal holds, how much its disk has left, and when that is too much or too little."""

from __future__ import annotations

import math
import os
from typing import TYPE_CHECKING

from msgspec import Struct

from lineside.model.sizes import size_text

if TYPE_CHECKING:
    # The configuration takes its bounds from here, and a question to a running gateway needs no database.
    from sqlite3 import Connection

REMOVE_ABOVE = 0.85
"""The share of ``max_size`` above which settled events are removed, however young."""
GO_ON_BELOW = 0.95
"""The share of ``max_size`` below which events are taken again."""
GO_ON_ABOVE = 1.2
"""How much more than ``min_free`` has to be free before events are taken again."""
LEAST_SHARE = 1 / 20
"""Without ``min_free``, so much of a small disk is left free."""
LEAST_FREE = 500_000_000
"""Without ``min_free``, so many bytes of a large disk."""
SLACK = 1 / 8
"""As a share of what is used, how much of the file may be free: new events take it, and nothing has to be moved."""
LEAST_SLACK = 16 * 1024 * 1024


class Keeping(Struct, frozen=True):
    """How long events are kept, and how much room they may take."""

    retain: float = math.inf
    """Seconds."""
    max_size: int | None = None
    """Bytes."""
    min_free: int | None = None
    """Bytes of the disk that are to stay free; None for `LEAST_FREE` or `LEAST_SHARE`, whichever is less."""


class Usage(Struct, frozen=True):
    """The room there is, in bytes."""

    size: int
    """Of the journal's file."""
    used: int
    """Of it, by what is kept."""
    disk_free: int
    """What an ordinary user may still take."""
    disk_size: int


def measure(connection: Connection) -> Usage:
    """Return how much room the journal takes and has. Asks the file system, so call it on a thread of the store."""
    (page,), (pages,), (free,) = (
        connection.execute(f"PRAGMA {fact}").fetchone() for fact in ("page_size", "page_count", "freelist_count")
    )
    path = connection.execute("PRAGMA database_list").fetchone()[2]
    disk = os.statvfs(path)
    return Usage(
        size=pages * page,
        used=(pages - free) * page,
        disk_free=disk.f_bavail * disk.f_frsize,
        disk_size=disk.f_blocks * disk.f_frsize,
    )


def slack(used: int) -> int:
    """Return how many free bytes a file may have beside so many that are used."""
    return max(LEAST_SLACK, int(used * SLACK))


class Shortage(Struct, frozen=True):
    """Why no event is taken."""

    reason: str
    of_disk: bool
    """The disk is what is short; otherwise the journal has its ``max_size``."""


class HighWater:
    """Says when to refuse, before anything breaks; and goes on only when there is clearly room again."""

    def __init__(self, keeping: Keeping) -> None:
        self._keeping = keeping
        self._disk_short = False
        self._full = False

    def judge(self, usage: Usage) -> Shortage | None:
        """Return why events are to be refused from now on; None to take them."""
        least = self.least_free(usage)
        self._disk_short = usage.disk_free < least * (GO_ON_ABOVE if self._disk_short else 1)
        if self._disk_short:
            return Shortage(
                f"the journal's disk has {size_text(usage.disk_free)} left; {size_text(least)} are to stay free",
                True,
            )
        most = self._keeping.max_size
        self._full = most is not None and usage.used >= most * (GO_ON_BELOW if self._full else 1)
        if most is not None and self._full:
            return Shortage(f"the journal holds {size_text(usage.used)}; its max_size is {size_text(most)}", False)
        return None

    def crowded(self, used: int) -> bool:
        """Whether settled events are to be removed however young they are."""
        return self._keeping.max_size is not None and used > REMOVE_ABOVE * self._keeping.max_size

    def least_free(self, usage: Usage) -> int:
        """Return how many bytes of the disk are to stay free."""
        if self._keeping.min_free is not None:
            return self._keeping.min_free
        return min(LEAST_FREE, int(LEAST_SHARE * usage.disk_size))
