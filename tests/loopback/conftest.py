"""What the tests over real sockets share."""

from tests.rig.forked import nursery

__all__ = ["nursery"]
