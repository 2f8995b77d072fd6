"""Where a poll is: kept as text, and reckoned back from."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from uuid import UUID

from twisted.trial.unittest import SynchronousTestCase

from lineside.edges.sql.places import Place, Reach, before, place_of, reach_of


class Places(SynchronousTestCase):
    """Values that a database gives come back as they were."""

    def test_stored_and_restored(self) -> None:
        """With their exact types: they are bound again."""
        for key in (7, 2**62, "a\nb@c", Decimal("1.50"), 1.5, UUID(int=5), b"\x00\n", date(2026, 3, 4)):
            for modified in (None, datetime(2026, 3, 4, 9, 0, 0, 250_000), datetime(2026, 3, 4, tzinfo=UTC), "x"):  # noqa: DTZ001
                place = Place(key, modified)
                again = place_of(place.stored())
                self.assertEqual((again, type(again.key)), (place, type(key)))

    def test_how_far_a_poll_has_come_is_stored_and_restored(self) -> None:
        """Both places; an earlier version stored one, up to which it had swept too."""
        for moment in (None, "2026-03-04 09:00:00"):
            last, swept = Place("z\na" if moment else 9, moment), Place("b" if moment else 4, moment)
            self.assertEqual(reach_of(Reach(last, swept).stored()), Reach(last, swept))
            self.assertEqual(reach_of(last.stored()), Reach(last, last))

    def test_a_version_of_a_row_has_a_name_of_its_own(self) -> None:
        """The key, and with it the moment of the change."""
        self.assertEqual(Place(7).identity, "7")
        moment = datetime(2026, 3, 4, 9, tzinfo=UTC)
        self.assertEqual(Place(7, moment).identity, "7@2026-03-04T09:00:00+00:00")

    def test_an_overlap_lies_below(self) -> None:
        """Numbers and moments; a moment that is text in the very form that it has, so that it can be compared."""
        for value, overlap, wanted in (
            (100, 30, 70),
            (Decimal("1.5"), 1, Decimal("0.5")),
            (datetime(2026, 3, 4, 9), 60, datetime(2026, 3, 4, 8, 59)),  # noqa: DTZ001
            (date(2026, 3, 4), 60, date(2026, 3, 3)),
            ("2026-03-04 09:00:00", 60, "2026-03-04 08:59:00"),
            ("2026-03-04T09:00:00Z", 60, "2026-03-04T08:59:00Z"),
            ("2026-03-04 09:00:00.250", 1, "2026-03-04 08:59:59.250"),
            ("2026-03-04T09:00:00.250000+05:30", 1, "2026-03-04T08:59:59.250000+05:30"),
            ("2026-03-04", 60, "2026-03-02"),
        ):
            self.assertEqual(before(value, overlap), wanted)
        for unordered in ("B-17", True, b"x"):
            with self.assertRaises(ValueError):
                before(unordered, 1)
