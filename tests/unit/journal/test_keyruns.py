"""Runs of keys: a key is found by all of its digest, with what was stored beside it."""

from __future__ import annotations

import sqlite3
from contextlib import closing

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from lineside.journal import keyruns
from lineside.journal.tables import JOURNAL
from lineside.store.migrations import migrate

TIMES = st.integers(-(2**40), 2**62)
DIGESTS = st.binary(min_size=16, max_size=16) | st.sampled_from([bytes(16), bytes(15) + b"\1", b"\xff" * 16])
RUNS = st.lists(
    st.dictionaries(DIGESTS, st.tuples(st.integers(1, 2**53), TIMES), min_size=1, max_size=30), max_size=4
)


class KeyRunsTests(SynchronousTestCase):
    """What is stored of keys."""

    @given(RUNS, st.lists(DIGESTS, max_size=5))
    def test_each_key_is_found_where_it_is(
        self, runs: list[dict[bytes, tuple[int, int]]], others: list[bytes]
    ) -> None:
        """Asked of all runs, each digest is found in those that have it, with its sequence and time: no other."""
        with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
            migrate(connection, (JOURNAL,))
            numbers = []
            for keys in runs:
                digests = sorted(keys)
                seqs, stamps = [keys[each][0] for each in digests], [keys[each][1] for each in digests]
                run, fingerprints = keyruns.store(connection, digests, seqs, stamps)
                numbers.append(run)
                self.assertEqual((run, fingerprints), list(keyruns.filters(connection))[-1])
                self.assertEqual((run, max(stamps)), list(keyruns.newest(connection).items())[-1])
                self.assertEqual(b"".join(digests), b"".join(each for each, _ in keyruns.read(connection, run)))
            self.assertEqual(sorted(set(numbers)), numbers)
            asked = [*{digest for keys in runs for digest in keys}, *others]
            everywhere = [(place, run) for place in range(len(asked)) for run in numbers]
            expected = [(digest, *keys[digest]) for digest in asked for keys in runs if digest in keys]
            self.assertEqual(sorted(expected), sorted(keyruns.find(connection, asked, everywhere)))
            for run in numbers[:1]:
                keyruns.remove(connection, run)
                left = [(digest, *keys[digest]) for digest in asked for keys in runs[1:] if digest in keys]
                self.assertEqual(sorted(left), sorted(keyruns.find(connection, asked, everywhere)))
                self.assertEqual(numbers[1:], list(keyruns.newest(connection)))
                self.assertEqual(numbers[1:], [each for each, _ in keyruns.filters(connection)])
