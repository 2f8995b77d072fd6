"""The senders' own keys, remembered for a window of time, so that a repeat is told its first sequence.

Keys that arrive are appended, batch by batch, to the recent ones, which are known by heart. When there are enough
they become a run (`lineside.journal.keyruns`), and memory keeps two bytes of each (`lineside.journal.keyfilter`).
So a key costs about the same whatever its order, and however many are kept. It is known by its digest
(`lineside.journal.keydigests`). See docs/decisions/0020-runs-of-keys.md.
"""

from __future__ import annotations

from bisect import bisect_right
from functools import partial
from math import inf
from sqlite3 import Connection

from lineside.journal import keyruns
from lineside.journal.keydigests import NOTHING, SIZE, KeyDigests
from lineside.journal.keyfilter import KeyFilter
from lineside.model.event import Seq


class Seen:
    """Keys by source. Runs on the writer's thread, inside the transaction that stores the events.

    What it knows by heart follows what is stored: a transaction may be undone after a call, and the next call finds
    out by itself.
    """

    run_keys = 32_768
    """As many recent keys become a run."""

    def __init__(self, window_ns: int) -> None:
        self._window_ns = window_ns
        self._digests: KeyDigests | None = None
        self._forget_all()

    def _forget_all(self) -> None:
        self._recent: dict[bytes, int] = {}
        self._firsts: list[int] = []
        """The first sequence of each batch of recent keys, ascending."""
        self._stamps: list[int] = []
        """When each of these batches arrived."""
        self._runs: dict[int, int] = {}
        """When the last key of each run arrived, by ascending run."""
        self._filter = KeyFilter()

    def follow(self, connection: Connection) -> None:
        """Learn by heart what has to be, where that is not what is stored: at the start, or after a rollback."""
        stored = connection.execute(
            """SELECT (SELECT MAX(first) FROM key_recent), (SELECT COUNT(*) FROM key_run),
                      (SELECT MAX(id) FROM key_run)"""
        ).fetchone()
        last = self._firsts[-1] if self._firsts else None
        if self._digests is not None and stored == (last, len(self._runs), next(reversed(self._runs), None)):
            return
        # Until it is through, it knows nothing: it may fail on the way.
        self._digests = None
        self._forget_all()
        self._runs = keyruns.newest(connection)
        for run, fingerprints in keyruns.filters(connection):
            self._filter.add(run, fingerprints)
        for first, received_ns, joined in connection.execute(
            "SELECT first, received_ns, digests FROM key_recent ORDER BY first"
        ):
            digests = [joined[at : at + SIZE] for at in range(0, len(joined), SIZE)]
            self._learn(digests, first, received_ns)
        (salt,) = connection.execute("SELECT salt FROM journal").fetchone()
        self._digests = KeyDigests(salt)

    def sift(
        self, connection: Connection, source: int, keys: list[str | None], received_ns: int, first: Seq
    ) -> dict[int, Seq]:
        """Return the repeats among ``keys``: by their place, the sequences first given; remember the others.

        A key is known inside the window only. Those that are not known, and None, take consecutive sequences
        from ``first`` on. A clock that was set back makes a key look younger, never forgotten.
        """
        self.follow(connection)
        assert self._digests is not None
        digests = self._digests.of(source, keys)
        asked = set(digests) - {NOTHING}
        known = self._known(connection, asked, received_ns)
        repeats: dict[int, Seq] = {}
        fresh = digests
        anything_new = len(known) < len(asked)
        if known or len(asked) < len(digests):
            fresh = []
            for place, digest in enumerate(digests):
                earlier = known.get(digest)
                if earlier is not None:
                    repeats[place] = earlier
                    continue
                if digest != NOTHING:
                    known[digest] = Seq(first + len(fresh))
                fresh.append(digest)
        if anything_new:
            connection.execute(
                "INSERT INTO key_recent (first, received_ns, digests) VALUES (?, ?, ?)",
                (first, received_ns, b"".join(fresh)),
            )
            self._learn(fresh, first, received_ns)
            if len(self._recent) >= self.run_keys:
                self._make_runs(connection)
        return repeats

    def known(
        self, connection: Connection, source: int, keys: list[str | None], received_ns: int
    ) -> dict[int, Seq]:
        """Return by their place the sequences of those keys that `sift` would find; remember nothing."""
        self.follow(connection)
        assert self._digests is not None
        digests = self._digests.of(source, keys)
        known = self._known(connection, set(digests) - {NOTHING}, received_ns)
        return {place: known[digest] for place, digest in enumerate(digests) if digest in known}

    def prune(self, connection: Connection, now_ns: int) -> bool:
        """Forget keys older than the window: a run of them, those of recent batches; whether there may be more."""
        before_ns = now_ns - self._window_ns
        if self._due_run(before_ns) is None and not self._recent_are_due(before_ns):
            return False
        self.follow(connection)
        if self._recent_are_due(before_ns):
            self._forget_recent(connection, before_ns)
        run = self._due_run(before_ns)
        if run is None:
            return False
        keyruns.remove(connection, run)
        self._filter.drop(run)
        del self._runs[run]
        return True

    def _due_run(self, before_ns: int) -> int | None:
        return next((run for run, newest_ns in self._runs.items() if newest_ns < before_ns), None)

    def _recent_are_due(self, before_ns: int) -> bool:
        # All are looked at to forget some: it must not be done for each.
        return bool(self._stamps) and self._stamps[0] < before_ns - self._window_ns // 8

    def _forget_recent(self, connection: Connection, before_ns: int) -> None:
        count = next((n for n, stamp in enumerate(self._stamps) if stamp >= before_ns), len(self._stamps))
        last = self._firsts[count - 1]
        connection.execute("DELETE FROM key_recent WHERE first <= ?", (last,))
        del self._firsts[:count], self._stamps[:count]
        left = self._firsts[0] if self._firsts else inf
        self._recent = {digest: seq for digest, seq in self._recent.items() if seq >= left}

    def _known(self, connection: Connection, asked: set[bytes], received_ns: int) -> dict[bytes, Seq]:
        oldest_ns = received_ns - self._window_ns
        known: dict[bytes, Seq] = {}
        for digest in self._recent.keys() & asked:
            seq = self._recent[digest]
            if self._stamp(seq) >= oldest_ns:
                known[digest] = Seq(seq)
        others = list(asked - known.keys())
        candidates = self._filter.search(others)
        if candidates:
            for digest, seq, stamp in keyruns.find(connection, others, candidates):
                # One that had passed out of the window may be there twice.
                if stamp >= oldest_ns:
                    known[digest] = Seq(max(seq, known.get(digest, seq)))
        return known

    def _stamp(self, seq: int) -> int:
        return self._stamps[bisect_right(self._firsts, seq) - 1]

    def _learn(self, digests: list[bytes], first: int, received_ns: int) -> None:
        self._recent.update(zip(digests, range(first, first + len(digests)), strict=True))
        self._recent.pop(NOTHING, None)
        self._firsts.append(first)
        self._stamps.append(received_ns)

    def _make_runs(self, connection: Connection) -> None:
        digests = list(self._recent)
        # One batch may have brought more than enough for one run.
        count = round(len(digests) / self.run_keys)
        for number in range(count):
            part = sorted(digests[number * len(digests) // count : (number + 1) * len(digests) // count])
            seqs = list(map(self._recent.__getitem__, part))
            batches = map(partial(bisect_right, self._firsts), seqs)
            stamps = list(map([0, *self._stamps].__getitem__, batches))
            run, fingerprints = keyruns.store(connection, part, seqs, stamps)
            self._runs[run] = max(stamps)
            self._filter.add(run, fingerprints)
        connection.execute("DELETE FROM key_recent")
        self._recent = {}
        self._firsts, self._stamps = [], []
