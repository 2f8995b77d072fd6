"""What became of each row, for who sent the file: answer files, which appear whole and survive every crash."""

from __future__ import annotations

import csv
import sqlite3
from collections.abc import Callable, Mapping
from io import StringIO
from pathlib import Path

from twisted.internet.defer import CancelledError
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger

from lineside.background import Background
from lineside.edges.files import spool
from lineside.edges.files.aside import Aside
from lineside.edges.files.intake import Places
from lineside.journal import files
from lineside.journal.files import Fate, Owed
from lineside.model.event import NO_SEQ, Seq
from lineside.store.database import Database
from lineside.wakeup import Wakeup
from lineside.wire.spreadsheets import guarded

log = Logger()

SUFFIX = ".result.csv"
REPLY = ".contrl.edi"
COLUMNS = ("row", "sequence", "status", "document", "error")
PAGE = 2_000
"""Rows that are looked up at a time."""
EVERY = 1.0
"""Seconds from one look at what is owed to the next."""
PATIENCE = 30.0
"""Seconds, at most, from one close look at a file whose routes are busy to the next."""
OLD = 3_600.0
"""Seconds after which nobody writes a draft any more: who did has died."""
AT_ONCE = 100
"""Files that are looked at in one go."""


class Answers:
    """The `Part` that answers one source's senders.

    An answer is written when every row is settled. Where that takes longer than ``partial_after``, one that says
    ``pending`` comes first.

    Args:
        id: the source's name.
        places: folders, by sender.
        database: the journal's.
        floors: by the id of each consumer that takes the source's events, below what nothing is unsettled there.
        clock: must follow a monotonic clock.
        now_ns: the wall clock.
        partial_after: seconds after which an answer is written although rows are pending.
        aside: the thread on which answers are written.

    """

    def __init__(
        self,
        id: str,  # noqa: A002 (what the configuration calls it)
        places: Callable[[str], Places],
        database: Database,
        floors: Callable[[], Mapping[str, Seq]],
        clock: IReactorTime,
        now_ns: Callable[[], int],
        *,
        partial_after: float,
        aside: Aside,
    ) -> None:
        self.id = id
        self.name = f"answers of {id}"
        self.problem: str | None = None
        """What hinders it, in a line."""
        self._places = places
        self._database = database
        self._floors = floors
        self._clock = clock
        self._now_ns = now_ns
        self._partial_after = partial_after
        self._aside = aside
        self._work = Background(self.name)
        self._wakeup = Wakeup()
        self._swept: set[Path] = set()
        self._replied: set[tuple[int, str, int]] = set()
        self._looks: dict[tuple[int, str], tuple[float, float]] = {}
        """When a file is to be looked at closely again, and after how long the next time."""

    async def start(self) -> None:
        """Begin to answer; what is owed of an earlier process first."""
        self._aside.start()
        self._work.run("answer", self._answer_all())

    async def stop(self) -> None:
        """Answer no more; what is owed is answered after the next start."""
        self._work.cancel()
        await self._work.finish()
        self._aside.stop()

    def look(self) -> None:
        """A file may be answered."""
        self._wakeup.set()

    async def _answer_all(self) -> None:
        while True:
            try:
                owed = await self._answer_some()
            except CancelledError:
                raise
            except Exception as failed:  # noqa: BLE001 (a full disk, say: answers must outlive it)
                self._stumble(failed)
                owed = True
            else:
                if self.problem is not None:
                    self.problem = None
                    log.info("answers.work_again", source=self.id)
            if owed:
                await deferLater(self._clock, EVERY)
            else:
                await self._wakeup.wait()

    def _stumble(self, failed: Exception) -> None:
        remedy = "see that the outbox can be written, and has room"
        if self.problem is None:
            if isinstance(failed, OSError | sqlite3.Error):
                log.warn("answers.failing", source=self.id, reason=str(failed), remedy=remedy)
            else:
                log.failure("answers.stumbled", source=self.id)
        self.problem = f"answers cannot be written: {failed}; {remedy}"

    async def _answer_some(self) -> bool:
        """Write what can be written; return whether more is owed."""
        after, left = 0, False
        seen: set[tuple[int, str]] = set()
        while True:
            here = after
            page = await self._database.read(
                lambda connection: files.owed(connection, self.id, AT_ONCE, here)  # noqa: B023
            )
            for owed in page:
                seen.add((owed.file.id, owed.name))
                left = not await self._answer(owed) or left
            if len(page) < AT_ONCE:
                break
            after = page[-1].file.id
        for known in self._looks.keys() - seen:
            del self._looks[known]
        if not seen:
            self._replied.clear()
        return left

    async def _answer(self, owed: Owed) -> bool:
        """Write an answer where it is due; return whether it is whole."""
        file, outbox = owed.file, self._places(owed.file.sender).outbox
        if outbox is None:
            if file.state != "waiting":
                await self._mark(owed, whole=True)
            return file.state != "waiting"
        if outbox not in self._swept:
            before = self._now_ns() / 1e9 - OLD
            await self._aside.run(lambda: spool.sweep(outbox, before))
            self._swept.add(outbox)
        path = outbox / (spool.plain(owed.name) + SUFFIX)
        known = (file.id, owed.name, owed.taken_ns)
        reply = file.reply
        if reply is not None and known not in self._replied:
            goal = outbox / (spool.plain(owed.name) + REPLY)
            await self._aside.run(lambda: spool.write(goal, [reply]))
            self._replied.add(known)
        late = self._now_ns() - owed.taken_ns >= self._partial_after * 1e9
        partial = late and owed.answered == "no"
        if file.state == "refused":
            refusal = _line("", "", "refused", "", file.reason or "")
            await self._aside.run(lambda: spool.write(path, [_line(*COLUMNS), refusal]))
            await self._mark(owed, whole=True)
            return True
        floors = dict(self._floors())
        settled = file.state == "read" and min(floors.values(), default=file.last) >= file.last
        if not (settled or partial or (file.state == "read" and self._look_closely(owed))):
            return False
        whole = await self._write(owed, path, floors, partial=partial)
        if whole or partial:
            await self._mark(owed, whole=whole)
            log.info("file.answered", source=self.id, file=owed.name, sender=file.sender, whole=whole)
        return whole

    def _look_closely(self, owed: Owed) -> bool:
        """Whether to look at each row again: an older record may hold the floor down that is none of the file's."""
        known = (owed.file.id, owed.name)
        now = self._clock.seconds()
        due, rest = self._looks.get(known, (now, EVERY))
        if now < due:
            return False
        self._looks[known] = (now + rest, min(2 * rest, PATIENCE))
        return True

    async def _mark(self, owed: Owed, *, whole: bool) -> None:
        await self._database.write(
            lambda connection: files.answered(connection, owed, "whole" if whole else "partly")
        )

    async def _write(self, owed: Owed, path: Path, floors: dict[str, Seq], *, partial: bool) -> bool:
        """Write the rows' fates; where some are pending only if ``partial``. Return whether none is."""
        draft: spool.Draft | None = None
        whole, row = owed.file.state == "read", 0
        try:
            while True:
                after = row
                fates = await self._database.read(
                    lambda connection: files.fates(connection, owed.file.id, floors, after, PAGE)  # noqa: B023
                )
                whole = whole and all(fate.status != "pending" for fate in fates)
                if not whole and not partial:
                    return False
                if draft is None:
                    draft = await self._aside.run(lambda: spool.Draft(path))
                    await self._add(draft, _line(*COLUMNS))
                await self._add(draft, b"".join(map(_told, fates)))
                if not fates:
                    break
                row = fates[-1].row
            if owed.file.state == "waiting":
                await self._add(draft, _line("", "", "pending", "", "further rows are not read yet"))
            await self._aside.run(draft.publish)
        finally:
            if draft is not None:
                self._aside.last(draft.drop)
        return whole

    async def _add(self, draft: spool.Draft, data: bytes) -> None:
        await self._aside.run(lambda: draft.write(data))


def _told(fate: Fate) -> bytes:
    seq = "" if fate.seq == NO_SEQ else str(fate.seq)
    return _line(str(fate.row), seq, fate.status, " ".join(fate.documents), fate.error or "")


def _line(*cells: str) -> bytes:
    line = StringIO()
    csv.writer(line).writerow([guarded(cell) for cell in cells])
    return line.getvalue().encode("utf-8", "replace")
