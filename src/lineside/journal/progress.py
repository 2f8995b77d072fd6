"""What one consumer has settled and still owes: a cursor, the gaps below it, lanes and backlogs. Pure.

Every record at or below the **cursor** is settled, but for the **gaps**: records that are tracked one by
one, each with its count of failed attempts. Gaps with one order key form a **lane**, of which only the
first may be out. A lane that grows too long (its first record hangs) leaves its later records in the
journal and remembers from where: its **backlog**. So the state stays small however much piles up.

What is stored lags behind what is known here; `changes` says how to bring it up to date. The stored
cursor is the highest record that was settled or has failed: above it nothing needs storing, it is
simply read again after a restart.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from heapq import heappop, heappush

from msgspec import Struct

from lineside.model.event import Seq

MAX_LANE = 32
MAX_BACKLOGS = 1024
MAX_TRACKED = MAX_LANE * MAX_BACKLOGS


class Gap(Struct):
    """A record that is not settled."""

    seq: Seq
    key: str | None
    attempts: int
    """Failures of its own."""
    tries: int = 0
    """How often it was handed out by this process."""


class Changes(Struct, frozen=True):
    """What to store, all of it in one transaction."""

    cursor: Seq
    gaps: list[tuple[Seq, int]]
    settled: list[Seq]
    backlogs: dict[str, Seq]
    caught_up: list[str]


class Progress:
    """The state of one consumer; knows sequences, keys and times, and nothing of records."""

    def __init__(
        self, cursor: Seq, backlogs: dict[str, Seq], *, max_ack_pending: int, max_lane: int = MAX_LANE
    ) -> None:
        self.cursor = cursor
        self._max_ack_pending = max_ack_pending
        self._max_lane = max_lane
        self._gaps: dict[Seq, Gap] = {}
        self._lanes: dict[str, deque[Gap]] = {}
        self._backlogs = dict(backlogs)
        self._ready: list[Seq] = []
        self._backoff: list[tuple[float, Seq]] = []
        self._outstanding = 0
        self._stored = cursor
        self._above_stored: list[Seq] = []
        self._rows: set[Seq] = set()
        self._changed_rows: set[Seq] = set()
        self._changed_backlogs: set[str] = set()

    @property
    def tracked(self) -> int:
        """How many gaps there are."""
        return len(self._gaps)

    @property
    def backlogged(self) -> bool:
        """Whether keys have further records in the journal, below the cursor."""
        return bool(self._backlogs)

    @property
    def outstanding(self) -> int:
        """How many records are out or in backoff."""
        return self._outstanding

    @property
    def floor(self) -> Seq:
        """Nothing at or below is unsettled: a bound, not necessarily a record."""
        oldest = min(self._gaps, default=None)
        bounds = [self.cursor, *self._backlogs.values()]
        return min(bounds) if oldest is None else min(*bounds, Seq(oldest - 1))

    @property
    def unstored(self) -> int:
        """How far the cursor would move if everything were stored now: a hint, in sequences."""
        return 0 if self._gaps else self.cursor - self._stored

    def wants(self, limit: int) -> bool:
        """Whether reading on may help to hand out ``limit`` records."""
        return len(self._ready) < limit and self.tracked < MAX_TRACKED and len(self._backlogs) < MAX_BACKLOGS

    def restore(self, seq: Seq, key: str | None, attempts: int) -> None:
        """Track a stored gap again; call in ascending order, before anything is admitted."""
        self._rows.add(seq)
        self._track(Gap(seq, key, attempts, tries=1))

    def admit(self, seq: Seq, key: str | None) -> bool:
        """Take note of the next record of the journal; False if it is left there, in its lane's backlog."""
        before, self.cursor = self.cursor, seq
        if key is not None:
            backlog = self._backlogs.get(key)
            if backlog is None and len(self._lanes.get(key, ())) >= self._max_lane:
                backlog = self._backlogs[key] = before
                self._changed_backlogs.add(key)
            if backlog is not None and seq > backlog:
                return False
        heappush(self._above_stored, seq)
        self._track(Gap(seq, key, 0))
        return True

    def advance(self, cursor: Seq) -> None:
        """Everything up to ``cursor`` is admitted or is none of this consumer's business."""
        self.cursor = max(self.cursor, cursor)

    def readmit(self, seq: Seq, key: str | None) -> bool:
        """Track a settled record anew, behind what its lane holds; False if it is tracked already."""
        if seq in self._gaps:
            return False
        self._changed_rows.add(seq)
        self._track(Gap(seq, key, 0))
        return True

    def short_backlogs(self) -> list[tuple[str, Seq]]:
        """Keys whose lane has room again, and after which record their backlog begins."""
        if self.tracked >= MAX_TRACKED:
            return []
        return [
            (key, after)
            for key, after in self._backlogs.items()
            if after <= self.cursor and 2 * len(self._lanes.get(key, ())) <= self._max_lane
        ]

    def lane_room(self, key: str) -> int:
        """How many records of a backlog its lane can take."""
        return self._max_lane - len(self._lanes.get(key, ()))

    def catch_up(self, key: str, found: Iterable[Seq], after: Seq) -> None:
        """Track ``found``, the records of a backlog up to ``after``; at the cursor the backlog is over."""
        for seq in found:
            if seq > self._stored:
                heappush(self._above_stored, seq)
            else:
                self._changed_rows.add(seq)
            self._track(Gap(seq, key, 0))
        if after >= self.cursor:
            del self._backlogs[key]
        else:
            self._backlogs[key] = after
        self._changed_backlogs.add(key)

    def take(self, limit: int, now: float) -> list[Gap]:
        """Hand out up to ``limit`` gaps in order: first of their lane, not out, not in backoff at ``now``."""
        while self._backoff and self._backoff[0][0] <= now:
            self._outstanding -= 1
            heappush(self._ready, heappop(self._backoff)[1])
        taken: list[Gap] = []
        while self._ready and len(taken) < limit and self._outstanding < self._max_ack_pending:
            gap = self._gaps[heappop(self._ready)]
            gap.tries += 1
            self._outstanding += 1
            taken.append(gap)
        return taken

    def next_due(self) -> float | None:
        """When the next record leaves its backoff."""
        return self._backoff[0][0] if self._backoff else None

    def settle(self, seq: Seq) -> None:
        """A record that is out is done with."""
        gap = self._gaps.pop(seq)
        self._outstanding -= 1
        self._touch(seq)
        if gap.key is not None:
            lane = self._lanes[gap.key]
            lane.popleft()
            if lane:
                heappush(self._ready, lane[0].seq)
            else:
                del self._lanes[gap.key]

    def retry(self, seq: Seq, due: float, *, counts: bool = True) -> None:
        """A record that is out has failed and rests until ``due``, and its lane with it."""
        self._gaps[seq].attempts += counts
        heappush(self._backoff, (due, seq))
        self._touch(seq)

    def release(self, seq: Seq) -> None:
        """A record that is out comes back uncounted."""
        self._outstanding -= 1
        heappush(self._ready, seq)

    def changes(self) -> Changes:
        """Return what is to be stored, and take it for stored."""
        if not self._gaps:
            self._stored = self.cursor
        while self._above_stored and self._above_stored[0] <= self._stored:
            self._changed_rows.add(heappop(self._above_stored))
        gaps: list[tuple[Seq, int]] = []
        settled: list[Seq] = []
        for seq in sorted(self._changed_rows):
            if (gap := self._gaps.get(seq)) is not None:
                gaps.append((seq, gap.attempts))
                self._rows.add(seq)
            elif seq in self._rows:
                settled.append(seq)
                self._rows.remove(seq)
        backlogs = {key: self._backlogs[key] for key in self._changed_backlogs if key in self._backlogs}
        caught_up = [key for key in self._changed_backlogs if key not in self._backlogs]
        self._changed_rows.clear()
        self._changed_backlogs.clear()
        return Changes(self._stored, gaps, settled, backlogs, caught_up)

    def _touch(self, seq: Seq) -> None:
        self._changed_rows.add(seq)
        self._stored = max(self._stored, seq)

    def _track(self, gap: Gap) -> None:
        self._gaps[gap.seq] = gap
        if gap.key is not None:
            lane = self._lanes.setdefault(gap.key, deque())
            lane.append(gap)
            if len(lane) > 1:
                return
        heappush(self._ready, gap.seq)
