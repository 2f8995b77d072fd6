"""A document after one change, and up to which moment all changes are known."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

from twisted.trial.unittest import SynchronousTestCase

from lineside.edges.frappe.versions import Version, settled, version_of

BERLIN = ZoneInfo("Europe/Berlin")
NEVER = 4e9
"""A wall clock that is far ahead of all stamps."""


class Versions(SynchronousTestCase):
    """The webhook and the list of one change show one version."""

    def test_however_it_is_written_it_is_the_same(self) -> None:
        """Zeros of the fraction, a T, and numbers as text."""
        told = [
            {"name": "A", "modified": modified, "docstatus": docstatus}
            for modified in ("2026-03-04 09:12:07", "2026-03-04T09:12:07.000", "2026-03-04 09:12:07.000000")
            for docstatus in (1, "1")
        ]
        self.assertEqual(
            {Version("A", "2026-03-04 09:12:07.000000", 1)}, {version_of(each, "ToDo") for each in told}
        )

    def test_each_part_makes_another_key(self) -> None:
        """Name, moment, state and DocType."""
        one = Version("A", "2026-03-04 09:12:07.000000", 0)
        others = [
            Version("B", one.modified, 0),
            Version("A", "2026-03-04 09:12:07.000001", 0),
            Version("A", one.modified, 1),
        ]
        keys = {one.key("ToDo"), one.key("Note"), *(other.key("ToDo") for other in others)}
        self.assertEqual(5, len(keys))

    def test_a_name_may_be_a_number(self) -> None:
        """Of a DocType that counts; a webhook may send it as text."""
        number, text = (
            version_of({"name": name, "modified": "2026-03-04 09:12:07", "docstatus": 0}, "Log")
            for name in (7, "7")
        )
        self.assertEqual(number.key("Log"), text.key("Log"))


class Settled(SynchronousTestCase):
    """What lies below is looked at no more."""

    def test_it_lies_by_the_overlap_below_the_last(self) -> None:
        """In the site's time, whose zone does not matter on a plain day."""
        self.assertEqual("2026-06-03 23:58:00.000123", settled("2026-06-04 00:03:00.000123", NEVER, BERLIN, 300))

    def test_a_stamp_of_the_future_does_not_count(self) -> None:
        """A document from a clock that was wrong must not hide what comes until then."""
        now = datetime(2026, 6, 4, 12, 0, tzinfo=BERLIN).timestamp()
        self.assertEqual("2026-06-04 11:55:00.000000", settled("2099-01-01 00:00:00.000000", now, BERLIN, 300))

    def test_a_gateway_whose_clock_is_ahead_follows_the_sites(self) -> None:
        """Nobody's clock is right."""
        now = datetime(2026, 6, 4, 12, 0, tzinfo=BERLIN).timestamp()
        self.assertEqual("2026-06-04 11:45:00.000000", settled("2026-06-04 11:50:00.000000", now, BERLIN, 300))

    def test_clocks_that_are_put_back_hide_nothing(self) -> None:
        """In the second 02:10 all since the first 02:00 is looked at, the last being of the first 02:59."""
        self.assertLessEqual(settled("2026-10-25 02:59:59.999999", NEVER, BERLIN, 60), "2026-10-25 02:00:00")
        self.assertLessEqual(settled("2026-10-24 12:00:00.000000", NEVER, BERLIN, 60), "2026-10-24 11:59:00")
        # And once it is over, no more than the overlap.
        self.assertEqual("2026-10-25 03:04:00.000000", settled("2026-10-25 03:05:00.000000", NEVER, BERLIN, 60))

    def test_clocks_that_are_put_forward_hide_nothing(self) -> None:
        """An hour that never was is not waited for."""
        self.assertEqual("2026-03-29 01:59:30.000000", settled("2026-03-29 03:00:30.000000", NEVER, BERLIN, 60))

    def test_the_oldest_and_the_strangest_moments_are_borne(self) -> None:
        """What somebody typed into an import."""
        for last in ("0001-01-01 00:00:00.000000", "9999-12-31 23:59:59.999999"):
            settled(last, 0.0, BERLIN, 300)
            settled(last, NEVER, BERLIN, 300)
