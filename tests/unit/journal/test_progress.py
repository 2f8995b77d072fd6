"""The consumer's progress never skips and never repeats, in any order of settling, across any crash."""

from __future__ import annotations

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from twisted.trial.unittest import SynchronousTestCase

from lineside.journal.progress import Progress
from lineside.model.event import NO_SEQ, Seq


class Disk:
    """What `Changes` leave on the disk."""

    def __init__(self) -> None:
        self.cursor = NO_SEQ
        self.gaps: dict[Seq, int] = {}
        self.backlogs: dict[str, Seq] = {}

    def store(self, progress: Progress) -> None:
        changes = progress.changes()
        self.cursor = changes.cursor
        self.gaps.update(changes.gaps)
        for seq in changes.settled:
            del self.gaps[seq]
        self.backlogs.update(changes.backlogs)
        for key in changes.caught_up:
            self.backlogs.pop(key, None)

    def load(self, keys: dict[Seq, str | None], max_ack_pending: int) -> Progress:
        progress = Progress(self.cursor, self.backlogs, max_ack_pending=max_ack_pending, max_lane=2)
        for seq, attempts in sorted(self.gaps.items()):
            progress.restore(seq, keys[seq], attempts)
        return progress


class Consumption(RuleBasedStateMachine):
    """One consumer of a growing journal that settles in any order and dies at any time."""

    @initialize(max_ack_pending=st.integers(1, 6))
    def begin(self, max_ack_pending: int) -> None:
        self.max_ack_pending = max_ack_pending
        self.keys: dict[Seq, str | None] = {}
        self.last = 0
        self.disk = Disk()
        self.progress = self.disk.load(self.keys, max_ack_pending)
        self.out: dict[Seq, str | None] = {}
        self.settled: set[Seq] = set()
        self.stored: set[Seq] = set()
        self.now = 0.0

    @rule(added=st.lists(st.tuples(st.integers(1, 3), st.sampled_from([None, "a", "b"])), min_size=1, max_size=9))
    def append(self, added: list[tuple[int, str | None]]) -> None:
        for step, order_key in added:
            self.last += step
            self.keys[Seq(self.last)] = order_key

    @rule(limit=st.integers(1, 5))
    def pull(self, limit: int) -> None:
        for key, after in self.progress.short_backlogs():
            self.catch_up(key, after, page=3)
        if self.progress.wants(limit):
            for seq, order_key in list(self.keys.items()):
                if seq > self.progress.cursor:
                    self.progress.admit(seq, order_key)
                    if not self.progress.wants(limit):
                        break
        for gap in self.progress.take(limit, self.now):
            assert gap.seq not in self.settled, "handed out after it was settled"
            assert gap.seq not in self.out, "handed out twice at a time"
            if gap.key is not None:
                assert gap.key not in self.out.values(), "two of one key at a time"
                before = {s for s, k in self.keys.items() if k == gap.key and s < gap.seq}
                assert before <= self.settled, "a key's earlier record was passed over"
            self.out[gap.seq] = gap.key
        assert self.progress.outstanding <= self.max_ack_pending

    def catch_up(self, key: str, after: Seq, page: int) -> None:
        read = [seq for seq in self.keys if after < seq][:page]
        reached = min(read[-1] if len(read) == page else Seq(self.last), self.progress.cursor)
        found = [seq for seq in read if self.keys[seq] == key and seq <= reached]
        room = self.progress.lane_room(key)
        if len(found) > room:
            found = found[:room]
            reached = found[-1]
        self.progress.catch_up(key, found, reached)

    @precondition(lambda self: self.out)
    @rule(data=st.data(), store=st.booleans())
    def settle(self, data: st.DataObject, store: bool) -> None:
        seq = data.draw(st.sampled_from(sorted(self.out)))
        del self.out[seq]
        self.progress.settle(seq)
        self.settled.add(seq)
        if store:
            self.store()

    @precondition(lambda self: self.out)
    @rule(data=st.data(), rest=st.floats(0, 3), store=st.booleans())
    def retry(self, data: st.DataObject, rest: float, store: bool) -> None:
        seq = data.draw(st.sampled_from(sorted(self.out)))
        self.progress.retry(seq, self.now + rest)
        # In backoff it still counts as out: nothing of its key may pass it.
        del self.out[seq]
        if store:
            self.store()

    @precondition(lambda self: self.out)
    @rule(data=st.data())
    def release(self, data: st.DataObject) -> None:
        seq = data.draw(st.sampled_from(sorted(self.out)))
        del self.out[seq]
        self.progress.release(seq)

    @precondition(lambda self: self.stored)
    @rule(data=st.data())
    def readmit(self, data: st.DataObject) -> None:
        seq = data.draw(st.sampled_from(sorted(self.stored)))
        if self.keys[seq] is None and self.progress.readmit(seq, None):
            self.settled.discard(seq)
            self.store()

    @rule(passed=st.floats(0, 2))
    def wait(self, passed: float) -> None:
        self.now += passed

    def store(self) -> None:
        self.disk.store(self.progress)
        self.stored = set(self.settled)

    @rule()
    def crash(self) -> None:
        self.progress = self.disk.load(self.keys, self.max_ack_pending)
        self.settled = set(self.stored)
        self.out.clear()

    @invariant()
    def the_floor_is_below_everything_unsettled(self) -> None:
        if hasattr(self, "progress"):
            owed = set(self.keys) - self.settled
            assert all(self.progress.floor < seq for seq in owed)

    def teardown(self) -> None:
        if not hasattr(self, "progress"):
            return
        for seq in list(self.out):
            self.progress.settle(seq)
            self.settled.add(seq)
        self.out.clear()
        for _ in range(20 * len(self.keys) + 20):
            self.now += 10
            self.pull(4)
            for seq in list(self.out):
                self.progress.settle(seq)
                self.settled.add(seq)
            self.out.clear()
            self.store()
        assert self.settled == set(self.keys), "skipped"
        assert self.disk.gaps == {}
        assert self.disk.backlogs == {}


class ProgressTests(SynchronousTestCase):
    """One consumer's cursor, gaps, lanes and backlogs."""

    def test_any_order_of_settling_and_any_crash(self) -> None:
        """Whatever is settled, retried, released or lost in a crash, each record is settled exactly once."""
        machine = Consumption.TestCase
        machine.settings = settings(
            max_examples=150, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck)
        )
        machine("runTest").runTest()

    def test_a_hung_key_holds_only_itself(self) -> None:
        """While a key's first record hangs, the records of other keys go on, however many of its own pile up."""
        progress = Progress(NO_SEQ, {}, max_ack_pending=10, max_lane=2)
        progress.admit(Seq(1), "hung")
        [hung] = progress.take(1, now=0.0)
        for n in range(2, 1000):
            progress.admit(Seq(n), "hung" if n % 2 else "well")
            for gap in progress.take(1, now=0.0):
                self.assertEqual("well", gap.key)
                progress.settle(gap.seq)
        self.assertEqual(2, progress.tracked)
        self.assertEqual(1, hung.seq)
        self.assertEqual(0, progress.floor)

    def test_a_failure_is_remembered_across_a_crash(self) -> None:
        """The count of a record's own failures survives, so that max_deliver means what it says."""
        disk = Disk()
        progress = disk.load({}, 10)
        progress.admit(Seq(7), None)
        progress.take(1, now=0.0)
        progress.retry(Seq(7), due=5.0)
        disk.store(progress)
        again = disk.load({Seq(7): None}, 10)
        [gap] = again.take(1, now=0.0)
        self.assertEqual((7, 1), (gap.seq, gap.attempts))
