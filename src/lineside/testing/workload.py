"""Believable shop-floor lines. Pure, and the same again for the same `random.Random`, device and clock."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Literal

import msgspec
from msgspec import Struct

from lineside.testing.ledger import Line

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)


class Checkin(Struct, frozen=True, tag="checkin", tag_field="kind"):
    """A badge was held to a reader."""

    scan_id: str
    employee: str
    direction: Literal["IN", "OUT"]
    at: str
    """ISO 8601 with microseconds and offset; no two of one run are the same."""


class Count(Struct, frozen=True, tag="count", tag_field="kind"):
    """A piece of stock was counted."""

    scan_id: str
    item: str
    """A code: its leading zeros matter."""
    qty: int


def employees(number: int = 50) -> list[str]:
    """Return the names of employees as HRMS numbers them, from ``HR-EMP-00001`` on."""
    return [f"HR-EMP-{n:05d}" for n in range(1, number + 1)]


def items(number: int = 200) -> list[str]:
    """Return item codes of five digits, from ``00001`` on."""
    return [f"{n:05d}" for n in range(1, number + 1)]


def new_run() -> str:
    """Return a new run id: it keeps the scan ids of two runs apart."""
    return secrets.token_hex(4)


def scan_ids(run: str, device: int) -> Iterator[str]:
    """Yield ids that no other device and no other run uses."""
    number = 0
    while True:
        number += 1
        yield f"{run}-{device:02d}-{number:06d}"


def _now() -> datetime:
    return datetime.now(UTC)


def checkins(
    random: Random,
    run: str,
    device: int,
    *,
    devices: int = 1,
    staff: Sequence[str] | None = None,
    now: Callable[[], datetime] = _now,
) -> Iterator[Line]:
    """Yield checkins without end: random employees, each going IN and OUT in turn at this device.

    ``device`` counts from 0 to ``devices - 1``. The times follow ``now`` (aware), rise strictly, and are
    unique among all devices of the run, so that no two checkins of one employee share a time: an ERP would
    take the second for a repeat.
    """
    if not 0 <= device < devices:
        raise ValueError(f"device {device} is not among {devices} devices, counted from 0")
    staff = employees() if staff is None else staff
    present: set[str] = set()
    latest = 0
    for scan_id in scan_ids(run, device):
        # Each device has its own microseconds: those that leave its number when divided by `devices`.
        earliest = max((now() - EPOCH) // MICROSECOND, latest + 1)
        latest = earliest + (device - earliest) % devices
        moment = EPOCH + latest * MICROSECOND
        employee = random.choice(staff)
        direction: Literal["IN", "OUT"] = "OUT" if employee in present else "IN"
        present ^= {employee}
        checkin = Checkin(scan_id, employee, direction, moment.isoformat(timespec="microseconds"))
        yield Line(scan_id, msgspec.json.encode(checkin))


def counts(random: Random, run: str, device: int, *, codes: Sequence[str] | None = None) -> Iterator[Line]:
    """Yield counts without end: random items, small quantities mostly."""
    codes = items() if codes is None else codes
    for scan_id in scan_ids(run, device):
        count = Count(scan_id, random.choice(codes), 1 + int(random.expovariate(0.4)))
        yield Line(scan_id, msgspec.json.encode(count))
