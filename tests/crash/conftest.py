"""What the crash tests share."""

from tests.rig.forked import nursery

__all__ = ["nursery"]
