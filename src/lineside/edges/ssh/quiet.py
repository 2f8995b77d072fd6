"""Conch's own log: what it says of each channel and each byte is said better by the door, or is nobody's business."""

from __future__ import annotations

from twisted.logger import LogEvent, Logger


def _nowhere(_: LogEvent) -> None:
    """Let an event pass."""


QUIET = Logger("lineside.edges.ssh.conch", observer=_nowhere)
