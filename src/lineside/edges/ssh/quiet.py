"""Conch's own log, of each channel and each byte: the door says better what is worth saying."""

from __future__ import annotations

from twisted.logger import ILogObserver, LogEvent, Logger
from zope.interface import implementer


@implementer(ILogObserver)
class _Nowhere:
    def __call__(self, event: LogEvent) -> None:
        """Let an event pass."""


QUIET = Logger("lineside.edges.ssh.conch", observer=_Nowhere())
