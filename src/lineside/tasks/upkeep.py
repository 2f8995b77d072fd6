"""The built-in tasks that keep the journal: ``journal-retention`` and ``journal-backup``."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

from msgspec import Meta, Struct

from lineside.journal.copies import back_up
from lineside.journal.retention import Retention
from lineside.model.errors import LinesideError
from lineside.tasks.context import Context, ThreadContext

TELL_EVERY = 0.25
"""Seconds between two signs of progress: a check has thousands in a second."""


class RetentionParams(Struct, frozen=True, forbid_unknown_fields=True):
    """What ``journal-retention`` is told: nothing; the bounds are those of ``[journal]``."""


class Removed(Struct, frozen=True):
    """What a run removed."""

    events: int


class JournalRetention:
    """Removes from the journal what is due and settled, now and not within the next minute.

    Args:
        retention: returns what does that in this gateway.

    """

    def __init__(self, retention: Callable[[], Retention]) -> None:
        self._retention = retention

    async def run(self, _: Context[RetentionParams]) -> Removed:
        """Sweep once."""
        return Removed(await self._retention().sweep())


class BackupParams(Struct, frozen=True, forbid_unknown_fields=True):
    """What ``journal-backup`` is told."""

    folder: str
    """Where the copies go, relative to the configuration; best on another disk. It is made when it is missing."""
    keep: Annotated[int, Meta(ge=1, le=10_000)] = 7
    """So many copies stay, the newest of them."""


class BackedUp(Struct, frozen=True):
    """What a run made."""

    path: str
    """Of the copy."""
    events: int
    """In it."""
    last: int
    """The last event's sequence."""
    bytes: int
    """Its size."""
    removed: int
    """Older copies that went."""


class JournalBackup:
    """Copies the journal while the gateway writes it, reads the copy back, and removes the oldest copies.

    It blocks, so it has a thread. A copy gets its name when it is whole and sound.

    Args:
        journal: its file.
        folder: of the copies.
        keep: so many of them stay.
        stopwatch: monotonic seconds.

    """

    def __init__(
        self,
        journal: Path,
        folder: Path,
        keep: int,
        stopwatch: Callable[[], float] = time.monotonic,
    ) -> None:
        self._journal = journal
        self._folder = folder
        self._keep = keep
        self._stopwatch = stopwatch
        name = re.escape(journal.stem)
        self._named = re.compile(rf"{name}-\d{{8}}T\d{{6}}Z\.db")
        self._unfinished = re.compile(rf"{name}-\d{{8}}T\d{{6}}Z\.db\.unfinished(-journal)?")

    def run(self, context: ThreadContext[BackupParams]) -> BackedUp:
        """Make one copy.

        Raises:
            LinesideError: it cannot be written, or is not sound; none that was there before is removed.
            Cancelled: the run was ended; nothing of the copy stays.

        """
        copy = self._folder / f"{self._journal.stem}-{context.now():%Y%m%dT%H%M%SZ}.db"
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            for name in self._those(self._unfinished):
                # Of a process that was killed over it.
                (self._folder / name).unlink(missing_ok=True)
        except OSError as failed:
            raise LinesideError(f"cannot write to {self._folder}: {failed.strerror}") from failed
        told = float("-inf")

        def tell(what: str, done: int, total: int | None) -> None:
            nonlocal told
            context.check()
            now = self._stopwatch()
            if now - told >= TELL_EVERY:
                told = now
                context.progress(done, total, what)

        found = back_up(self._journal, copy, progress=tell)
        return BackedUp(str(copy), found.events, found.last, copy.stat().st_size, self._prune(copy, context))

    def _prune(self, newest: Path, context: ThreadContext[BackupParams]) -> int:
        # The new one counts as the newest even where the clock was put back.
        others = sorted(self._those(self._named) - {newest.name}, reverse=True)
        removed = 0
        for name in others[self._keep - 1 :]:
            try:
                (self._folder / name).unlink(missing_ok=True)
                removed += 1
            except OSError as failed:
                context.log(f"cannot remove {self._folder / name}: {failed.strerror}")
        return removed

    def _those(self, named: re.Pattern[str]) -> set[str]:
        return {path.name for path in self._folder.iterdir() if named.fullmatch(path.name)}
