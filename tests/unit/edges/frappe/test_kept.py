"""Answers that are good for a while."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from lineside.edges.frappe.kept import KeptAnswers


class Keeping(SynchronousTestCase):
    """Bounded in number and size."""

    def setUp(self) -> None:
        self.kept: KeptAnswers[str] = KeptAnswers(most=2, room=10)

    def test_what_was_put(self) -> None:
        """Is there, with the time at which it was true; a newer answer takes its place."""
        self.kept.put("a", "old", asked=1.0, size=4)
        self.kept.put("a", "new", asked=2.0, size=5)
        found = self.kept.get("a")
        assert found is not None
        self.assertEqual(("new", 2.0, 5, 1), (found.value, found.asked, self.kept.size, len(self.kept)))
        self.assertIsNone(self.kept.get("b"))

    def test_who_is_asked_for_seldom_goes_first(self) -> None:
        """Where there are too many."""
        for key in ("a", "b"):
            self.kept.put(key, key, asked=0.0, size=1)
        self.kept.get("a")
        self.kept.put("c", "c", asked=0.0, size=1)
        self.assertEqual([True, False, True], [self.kept.get(key) is not None for key in ("a", "b", "c")])

    def test_no_more_than_there_is_room_for(self) -> None:
        """One that is larger than all the room is not kept, and drives nobody out."""
        self.kept.put("a", "a", asked=0.0, size=6)
        self.kept.put("b", "b", asked=0.0, size=6)
        self.assertEqual((None, 6), (self.kept.get("a"), self.kept.size))
        self.kept.put("c", "c", asked=0.0, size=11)
        self.assertEqual((None, 6), (self.kept.get("c"), self.kept.size))
