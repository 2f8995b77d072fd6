"""Why a host of SSH was not reached, or gave nothing."""

from __future__ import annotations

from lineside.model.errors import LinesideError


class NotReached(LinesideError):
    """The host, or what was asked of it, is not to be had now."""

    def __init__(self, reason: str, remedy: str) -> None:
        super().__init__(reason)
        self.remedy = remedy


class HostNotKnown(NotReached):
    """The host shows a key that is not the one it is known by, or that nobody vouched for."""


class NotLetIn(NotReached):
    """The host does not take our key or password."""
