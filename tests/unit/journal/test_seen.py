"""Keys against a dictionary: whatever happens in between, a repeat is told its first sequence."""

from __future__ import annotations

import sqlite3

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test
from twisted.trial.unittest import SynchronousTestCase

from lineside.journal.seen import Seen
from lineside.journal.tables import JOURNAL
from lineside.model.event import Seq
from lineside.store.migrations import migrate

WINDOW = 100
KEYS = st.lists(st.none() | st.integers(0, 40).map("key-{}".format), min_size=1, max_size=12)
Known = dict[tuple[int, str], tuple[int, int]]
"""Sequences and times by source and key."""


class SmallRuns(Seen):
    """Keys of which eight make a run."""

    run_keys = 8


class KeysAgainstADictionary(RuleBasedStateMachine):
    """Batches, pauses, clocks set back, transactions that fail and processes that end, in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.connection = sqlite3.connect(":memory:", isolation_level=None)
        migrate(self.connection, (JOURNAL,))
        self.seen = SmallRuns(WINDOW)
        self.now, self.last = 1_000, 0
        self.known: Known = {}
        self.doubtful: set[tuple[int, str]] = set()
        """Forgotten perhaps: they were out of the window when there was an occasion."""

    def teardown(self) -> None:
        self.connection.close()

    @rule(batches=st.lists(st.tuples(st.integers(1, 2), KEYS), min_size=1, max_size=3), prunes=st.booleans())
    def commit(self, batches: list[tuple[int, list[str | None]]], prunes: bool) -> None:
        """Store batches, as the journal does."""
        self.connection.execute("BEGIN")
        for source, keys in batches:
            self._sift(source, keys)
        if prunes:
            self._prune()
        self.connection.execute("COMMIT")

    @rule(source=st.integers(1, 2), keys=KEYS, whole=st.booleans(), prunes=st.booleans())
    def fail(self, source: int, keys: list[str | None], whole: bool, prunes: bool) -> None:
        """Store a batch in vain: its write is undone, or the whole transaction."""
        before = self.last, dict(self.known), set(self.doubtful)
        self.connection.execute("BEGIN")
        self.connection.execute("SAVEPOINT one")
        self._sift(source, keys)
        if prunes:
            self._prune()
        if whole:
            self.connection.execute("ROLLBACK")
        else:
            self.connection.execute("ROLLBACK TO one")
            self.connection.execute("RELEASE one")
        self.last, self.known, self.doubtful = before
        if not whole:
            self._sift(source, keys[::-1])
            self.connection.execute("COMMIT")

    @rule(by=st.integers(-150, 150))
    def set_clock(self, by: int) -> None:
        """Let time pass, or be corrected."""
        self.now = max(0, self.now + by)

    @rule()
    def forget(self) -> None:
        """Forget what may be forgotten, on an occasion of its own."""
        self.connection.execute("BEGIN")
        self._prune()
        self.connection.execute("COMMIT")

    @rule()
    def start_anew(self) -> None:
        """Let the process end and another start."""
        self.seen = SmallRuns(WINDOW)

    @rule()
    def forget_everything(self) -> None:
        """After the window and a little more, nothing at all is kept."""
        newest = max((stamp for _, stamp in self.known.values()), default=0)
        self.now = max(self.now, newest + 2 * WINDOW)
        self.connection.execute("BEGIN")
        self.seen.follow(self.connection)
        while self._prune():
            pass
        self.connection.execute("COMMIT")
        for table in ("key_recent", "key_run", "key_filter", "key_bucket"):
            assert self.connection.execute(f"SELECT COUNT(*) FROM {table}").fetchone() == (0,)

    def _prune(self) -> bool:
        self.doubtful |= {each for each, (_, stamp) in self.known.items() if stamp < self.now - WINDOW}
        return self.seen.prune(self.connection, self.now)

    def _sift(self, source: int, keys: list[str | None]) -> None:
        first = Seq(self.last + 1)
        repeats = self.seen.sift(self.connection, source, keys, self.now, first)
        assert set(repeats) <= set(range(len(keys)))
        for place, key in enumerate(keys):
            told = repeats.get(place)
            if key is None:
                assert told is None
            else:
                seq, stamp = self.known.get((source, key), (None, 0))
                expected = seq if self.now - stamp <= WINDOW else None
                if told != expected:
                    assert told is None
                    assert (source, key) in self.doubtful
                if told is None:
                    self.known[source, key] = (self.last + 1, self.now)
                    self.doubtful.discard((source, key))
            if told is None:
                self.last += 1


class SeenTests(SynchronousTestCase):
    """The machine above."""

    def test_it_knows_what_a_dictionary_would(self) -> None:
        """A repeat inside the window is always told its first sequence, and nothing else is taken for one."""
        run_state_machine_as_test(
            KeysAgainstADictionary, settings=settings(max_examples=60, stateful_step_count=30, deadline=None)
        )


class KeysInTimeTests(SynchronousTestCase):
    """What chance would bring about too rarely."""

    def setUp(self) -> None:
        self.connection = sqlite3.connect(":memory:", isolation_level=None)
        self.addCleanup(self.connection.close)
        migrate(self.connection, (JOURNAL,))
        self.seen = SmallRuns(WINDOW)

    def sift(self, keys: list[str | None], now: int, first: int) -> dict[int, Seq]:
        return self.seen.sift(self.connection, 1, keys, now, Seq(first))

    def run_of(self, key: str, now: int, first: int) -> None:
        """Make a run of this key and others, which no other run has."""
        self.assertEqual({}, self.sift([key, *(f"{first}-{n}" for n in range(7))], now, first))

    def test_the_newest_of_two_copies_is_told(self) -> None:
        """A key that was used anew after the window is known as that, even with the clock back at its first use."""
        self.run_of("a", now=0, first=1)
        self.run_of("a", now=150, first=9)
        self.assertEqual({0: 9}, self.sift(["a"], now=50, first=17))

    def test_recent_keys_go_batch_by_batch(self) -> None:
        """Of recent keys those out of the window are forgotten, and no other."""
        for number, now in enumerate((0, 10, 60, 120), 1):
            self.sift([f"key-{number}"], now, number)
        self.assertFalse(self.seen.prune(self.connection, 121))
        kept = self.connection.execute("SELECT first FROM key_recent").fetchall()
        self.assertEqual([(3,), (4,)], kept)
        for seen in (self.seen, SmallRuns(WINDOW)):
            self.seen = seen
            self.assertEqual({0: 3, 1: 4}, self.sift(["key-3", "key-4"], 121, 5))

    def test_what_is_forgotten_is_not_looked_for(self) -> None:
        """A run's fingerprints leave the memory with it."""
        self.run_of("a", now=0, first=1)
        self.run_of("b", now=50, first=9)
        statements: list[str] = []
        self.connection.set_trace_callback(statements.append)
        self.sift(["a"], 120, 17)
        self.assertIn("CROSS JOIN key_bucket", "".join(statements))
        self.assertTrue(self.seen.prune(self.connection, 120))
        statements.clear()
        self.sift(["1-0"], 121, 18)
        self.assertNotIn("CROSS JOIN key_bucket", "".join(statements))
        self.assertEqual({0: 9}, self.sift(["b"], 122, 19))

    def test_one_batch_may_be_more_than_a_run(self) -> None:
        """However many keys arrive at once, runs stay about as large as they should be."""
        keys: list[str | None] = [f"{n}" for n in range(37)]
        self.sift(keys, 5, 1)
        counts = self.connection.execute(
            "SELECT SUM(LENGTH(digests)) / 16 FROM key_bucket GROUP BY id / 1024"
        ).fetchall()
        self.assertEqual([(7,), (7,), (8,), (7,), (8,)], counts)
        self.assertEqual({n: n + 1 for n in range(37)}, self.sift(keys, 5, 38))
