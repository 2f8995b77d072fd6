"""Open files, shared out before they run out: a gateway without one can neither deliver nor answer its operator."""

from __future__ import annotations

from collections.abc import Mapping

RESERVED = 128
"""What the gateway needs beside its devices: the journal, the control socket, connections to targets, and those
that are just being turned away."""
HANDSHAKES = 256
"""Connections of one listener whose TLS handshake may be under way at a time."""


def share(descriptors: int, wanted: Mapping[str, int]) -> dict[str, int]:
    """Return how many connections each source gets of what the process may open; each one at least.

    Where there are too few each gets its part in proportion to what it wants.
    """
    room = max(0, descriptors - RESERVED)
    total = sum(wanted.values())
    if total <= room:
        return dict(wanted)
    return {name: max(1, number * room // total) for name, number in wanted.items()}
