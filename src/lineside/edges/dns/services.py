"""Where a service is, and whom to try first (RFC 2782). Pure."""

from __future__ import annotations

from collections.abc import Iterable
from random import Random

from msgspec import Struct


class Service(Struct, frozen=True):
    """One server of a service."""

    priority: int
    weight: int
    host: str
    port: int
    addresses: tuple[str, ...]
    """IP addresses of the host; never none."""


class Answer(Struct, frozen=True):
    """What a name server said of a service."""

    services: tuple[Service, ...]
    """None where there is decidedly no such service."""
    ttl: int
    """Seconds for which it holds."""


def in_order(services: Iterable[Service], random: Random) -> list[Service]:
    """Return servers in the order in which to try them: by priority, and within one at random by weight."""
    left = sorted(services, key=lambda one: (one.priority, one.weight))
    order: list[Service] = []
    while left:
        # Those of weight 0 stand first, so that they have a small chance.
        first = [one for one in left if one.priority == left[0].priority]
        chance, running = random.randint(0, sum(one.weight for one in first)), 0
        for one in first:
            running += one.weight
            if running >= chance:
                order.append(one)
                left.remove(one)
                break
    return order
