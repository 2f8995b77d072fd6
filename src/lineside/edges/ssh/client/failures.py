"""Why a host of SSH was not reached, or gave nothing."""

from __future__ import annotations

from lineside.model.errors import Unreached


class NotReached(Unreached):
    """The host, or what was asked of it, is not to be had now."""


class HostNotKnown(NotReached):
    """The host shows a key that is not the one it is known by, or that nobody vouched for."""


class NotLetIn(NotReached):
    """The host does not take our key or password."""
