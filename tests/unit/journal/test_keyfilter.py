"""The filter of keys: it may suspect, it never misses."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from lineside.journal.keyfilter import BUCKETS, Fingerprints, KeyFilter

# So few different bytes that buckets are shared and fingerprints collide, at even and at odd places.
DIGESTS = st.lists(st.sampled_from([0, 1, 255]), min_size=4, max_size=4).map(
    lambda head: bytes([*head, *bytes(12)])
)
RUNS = st.lists(st.sets(DIGESTS, min_size=1, max_size=40), max_size=6)


def head(digest: bytes) -> bytes:
    return bytes([digest[0], digest[1] >> 4, *digest[2:4]])


class KeyFilterTests(SynchronousTestCase):
    """Which run may hold a key."""

    @given(RUNS, st.sets(st.integers(0, 5)), st.lists(DIGESTS, max_size=20))
    def test_it_names_every_run_that_has_the_key(
        self, runs: list[set[bytes]], dropped: set[int], asked: list[bytes]
    ) -> None:
        """Every run with a digest of the same bucket and fingerprint is named; one that was dropped is not."""
        keys = KeyFilter()
        for number, digests in enumerate(runs):
            keys.add(number, Fingerprints.of(sorted(digests)))
        left = dict(enumerate(runs))
        for number in sorted(dropped & left.keys()):
            keys.drop(number)
            del left[number]
        expected = sorted(
            (place, number)
            for place, digest in enumerate(asked)
            for number, digests in left.items()
            for other in digests
            if head(other) == head(digest)
        )
        self.assertEqual(expected, sorted(keys.search(asked)))

    def test_a_full_run_fits(self) -> None:
        """All keys of the largest run may fall into one bucket."""
        digests = [number.to_bytes(4, "big") + bytes(12) for number in range(65_535)]
        fingerprints = Fingerprints.of(digests)
        self.assertEqual((2 * BUCKETS, 2 * 65_535), (len(fingerprints.counts), len(fingerprints.prints)))
        keys = KeyFilter()
        keys.add(1, fingerprints)
        self.assertEqual([(0, 1), (1, 1)], keys.search([digests[-1], digests[0], b"\1" + bytes(15)]))
