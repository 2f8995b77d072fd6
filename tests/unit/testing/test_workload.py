"""Lines as a shop floor sends them."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from itertools import islice
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from lineside.testing.workload import checkins, counts, new_run, scan_ids

MORNING = datetime(2026, 3, 2, 5, 59, 59, 999_990, tzinfo=UTC)


class Checkins(SynchronousTestCase):
    """Badges held to readers."""

    def test_the_form(self) -> None:
        """The fields, the time with microseconds and offset, and one line without an end."""
        [line] = islice(checkins(Random(1), "run", 3, devices=5, now=lambda: MORNING), 1)
        self.assertEqual(
            json.loads(line.payload),
            {
                "kind": "checkin",
                "scan_id": "run-03-000001",
                "employee": "HR-EMP-00009",
                "direction": "IN",
                "at": "2026-03-02T05:59:59.999993+00:00",
            },
        )
        self.assertEqual(line.id, "run-03-000001")
        self.assertNotIn(b"\n", line.payload)

    def test_microseconds_are_written_also_when_they_are_zero(self) -> None:
        """The form never changes, so no parser meets a surprise once in a million lines."""
        [line] = islice(checkins(Random(1), "r", 0, now=lambda: datetime(2026, 3, 2, tzinfo=UTC)), 1)
        self.assertEqual(json.loads(line.payload)["at"], "2026-03-02T00:00:00.000000+00:00")

    @given(st.integers(1, 70), st.integers(0, 10**7), st.integers(0, 3_000_000))
    def test_no_two_checkins_share_a_time(self, devices: int, start: int, step: int) -> None:
        """An employee seen at two devices at once would look like a repeat to the ERP."""
        times = []
        for device in range(devices):
            clock = (MORNING + timedelta(microseconds=start + step * n) for n in range(1_000))
            lines = islice(checkins(Random(device), "r", device, devices=devices, now=clock.__next__), 6)
            own = [json.loads(line.payload)["at"] for line in lines]
            self.assertEqual(own, sorted(own))
            times += own
        self.assertEqual(len(set(times)), 6 * devices)

    def test_employees_come_and_go(self) -> None:
        """Each employee's directions alternate, beginning with IN."""
        seen: dict[str, list[str]] = {}
        for line in islice(checkins(Random(4), "r", 0, now=lambda: MORNING), 400):
            checkin = json.loads(line.payload)
            seen.setdefault(checkin["employee"], []).append(checkin["direction"])
        self.assertEqual(len(seen), 50)
        for directions in seen.values():
            self.assertEqual(directions, [("IN", "OUT")[n % 2] for n in range(len(directions))])

    def test_the_same_again(self) -> None:
        """One seed, one device, one clock: one sequence of lines; another device has another."""

        def some(device: int) -> list[bytes]:
            made = checkins(Random(9), "r", device, devices=2, now=lambda: MORNING)
            return [line.payload for line in islice(made, 20)]

        self.assertEqual(some(0), some(0))
        self.assertNotEqual(some(0), some(1))

    def test_a_device_beyond_the_number(self) -> None:
        """It would share its microseconds with another."""
        with pytest.raises(ValueError, match="device 2"):
            next(checkins(Random(1), "r", 2, devices=2))


class Counts(SynchronousTestCase):
    """Stock that is counted."""

    def test_the_form(self) -> None:
        """Item codes are strings with their zeros; quantities whole and at least one."""
        for line in islice(counts(Random(2), "run", 1), 200):
            count = json.loads(line.payload)
            self.assertEqual(set(count), {"kind", "scan_id", "item", "qty"})
            self.assertEqual((count["kind"], count["scan_id"]), ("count", line.id))
            self.assertRegex(count["item"], r"^\d{5}$")
            self.assertGreaterEqual(count["qty"], 1)


class Ids(SynchronousTestCase):
    """Scan ids are the senders' dedupe keys."""

    def test_unique_across_runs_and_devices(self) -> None:
        """No id of one device or run is ever that of another."""
        runs = {new_run() for _ in range(50)}
        self.assertEqual(len(runs), 50)
        ids = [scan_id for run in runs for device in range(12) for scan_id in islice(scan_ids(run, device), 20)]
        self.assertEqual(len(set(ids)), len(ids))
