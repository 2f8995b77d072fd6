"""Open files, shared out before they run out: a gateway without one can neither deliver nor answer its operator."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

RESERVED = 128
"""What the gateway needs beside its devices: the journal, the control socket, connections to targets, and those
that are just being turned away."""
HANDSHAKES = 256
"""Connections of one listener whose TLS handshake may be under way at a time."""

VIEWERS = 8
"""Live clients get one in so many at least, where sources would take all."""


class Shares(NamedTuple):
    """How many connections there may be."""

    sources: dict[str, int]
    live: int


def shares(descriptors: int, wanted: Mapping[str, int], live: int) -> Shares:
    """Return how many connections each source gets, see `share`, and how many live clients.

    Devices go before those who look: live clients get what sources leave.
    """
    room = max(0, descriptors - RESERVED)
    least = min(live, max(1, room // VIEWERS))
    sources = share(descriptors - least, wanted)
    return Shares(sources, min(live, max(least, room - sum(sources.values()))))


def share(descriptors: int, wanted: Mapping[str, int]) -> dict[str, int]:
    """Return how many connections each source gets of what the process may open; each one at least.

    Where there are too few each gets its part in proportion to what it wants.
    """
    room = max(0, descriptors - RESERVED)
    total = sum(wanted.values())
    if total <= room:
        return dict(wanted)
    return {name: max(1, number * room // total) for name, number in wanted.items()}
