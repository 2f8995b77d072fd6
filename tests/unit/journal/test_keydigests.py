"""Digests: one for each source and key, and nobody's choice."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from lineside.journal.keydigests import NOTHING, SIZE, KeyDigests

KEYS = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
SALT = bytes(range(16))


class KeyDigestsTests(SynchronousTestCase):
    """What the journal keeps of a key."""

    @given(st.lists(st.tuples(st.integers(1, 3), st.none() | KEYS), max_size=20))
    def test_same_digest_same_key(self, asked: list[tuple[int, str | None]]) -> None:
        """Two digests are the same exactly if source and key are, whether made together, alone, or by another."""
        digests = KeyDigests(SALT)
        by_digest: dict[bytes, tuple[int, str]] = {}
        for source, key in asked:
            [digest] = digests.of(source, [key])
            self.assertEqual(SIZE, len(digest))
            self.assertEqual([digest, digest], KeyDigests(SALT).of(source, [key, "other", key])[::2])
            self.assertEqual(key is None, digest == NOTHING)
            if key is not None:
                self.assertEqual((source, key), by_digest.setdefault(digest, (source, key)))
        self.assertEqual(len({each for each in asked if each[1] is not None}), len(by_digest))

    def test_another_journal_has_others(self) -> None:
        """Whoever knows one journal's digests knows nothing of another's."""
        self.assertNotEqual(KeyDigests(SALT).of(1, ["a"]), KeyDigests(SALT[::-1]).of(1, ["a"]))

    def test_what_is_stored_is_found_for_ever(self) -> None:
        """Digests are stored: a release that made others would take repeats for new events."""
        [digest] = KeyDigests(SALT).of(7, ["scan-1"])
        self.assertEqual("edf56ed06d0dcc30c0d72b1baa0681a0", digest.hex())
