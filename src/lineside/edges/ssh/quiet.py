"""Conch's own log, of each channel and each byte: the door says better what is worth saying."""

from __future__ import annotations

from twisted.logger import LogEvent, Logger


def _nowhere(_: LogEvent) -> None:
    """Let an event pass."""


QUIET = Logger("lineside.edges.ssh.conch", observer=_nowhere)
