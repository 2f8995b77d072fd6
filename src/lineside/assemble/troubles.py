"""Why a source or a target is of no use to who looks for it by name."""

from __future__ import annotations

from lineside.delivery.gate import Gate
from lineside.operations.results import SourceStatus

_LOST = "datagrams dropped"


def source_trouble(status: SourceStatus, hindered: list[str]) -> str | None:
    """Return why a source takes no events now, in a line; None where it does.

    Args:
        status: the source's.
        hindered: what keeps the whole gateway from taking events.

    """
    if status.paused:
        return "paused"
    if hindered:
        return hindered[0]
    # What was lost once, under a burst, is told for ever; the source takes what comes now.
    return None if status.problem is None or _LOST in status.problem else status.problem


def target_trouble(gate: Gate | None) -> str | None:
    """Return why a target takes nothing now, in a line; None where it does, or nothing was sent to it yet."""
    if gate is None:
        return None
    if gate.paused:
        return "paused"
    return None if gate.problem is None else gate.problem.reason
