"""What is kept of the ERP's answers, and for how much room."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from lineside.edges.frappe.cache import ENTRY_BYTES, Cache, Entry


class Kept(SynchronousTestCase):
    """A cache with room for ten answers of a thousand bytes."""

    def setUp(self) -> None:
        self.cache = Cache(100, 10 * (ENTRY_BYTES + 1001))

    def keep(self, *keys: bytes, value: bytes = b"x" * 1000) -> None:
        for key in keys:
            self.cache.keep(key, Entry(value, 1.0))

    def held(self, keys: str) -> str:
        return "".join(key for key in keys if self.cache.get(key.encode()) is not None)

    def test_what_is_kept_is_found(self) -> None:
        """With the time when it was asked for; also that something is not there."""
        self.keep(b"a")
        self.cache.keep(b"b", Entry(None, 2.0))
        self.assertEqual(self.cache.get(b"a"), Entry(b"x" * 1000, 1.0))
        self.assertEqual(self.cache.get(b"b"), Entry(None, 2.0))
        self.assertIsNone(self.cache.get(b"c"))

    def test_a_newer_answer_takes_the_place_of_the_older(self) -> None:
        """And its bytes."""
        self.keep(b"a")
        self.keep(b"a", value=b"y")
        self.assertEqual((len(self.cache), self.cache.size), (1, ENTRY_BYTES + 2))

    def test_bytes_are_bounded(self) -> None:
        """What nobody looked at for longest goes first."""
        self.keep(*(letter.encode() for letter in "abcdefghij"))
        self.assertEqual(len(self.cache), 10)
        self.cache.get(b"a")
        self.keep(b"k")
        self.assertEqual(self.held("abcdefghijk"), "acdefghijk")

    def test_entries_are_bounded(self) -> None:
        """However small they are."""
        for number in range(250):
            self.cache.keep(b"%d" % number, Entry(None, 0.0))
            self.assertLessEqual(len(self.cache), 100)
            self.assertLessEqual(self.cache.size, 10 * (ENTRY_BYTES + 1001))
        self.assertIsNotNone(self.cache.get(b"249"))

    def test_one_answer_never_fills_it(self) -> None:
        """What is larger than an eighth is not kept, and an older answer in its place is forgotten."""
        self.keep(b"a", b"b")
        self.keep(b"a", value=b"x" * 2000)
        self.assertEqual((self.held("ab"), self.cache.size), ("b", ENTRY_BYTES + 1001))

    def test_what_is_dropped_leaves_its_room(self) -> None:
        """To drop what is not there does nothing."""
        self.keep(b"a")
        self.cache.drop(b"a")
        self.cache.drop(b"a")
        self.assertEqual((len(self.cache), self.cache.size), (0, 0))
