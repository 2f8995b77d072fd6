"""What the long proofs share."""

from tests.rig.forked import nursery

__all__ = ["nursery"]
