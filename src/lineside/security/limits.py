"""How much one address or one caller may have: rates, shares of connections, and waiting after failures.

Pure: the time is passed in, in seconds of a monotonic clock. All that is kept is bounded, however many
addresses come.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from msgspec import Struct

KEPT = 10_000
"""Callers of whom something is remembered, at most; who was not seen for longest is forgotten first."""
FREE = 5
"""Failures of an address until it has to wait."""
FIRST_WAIT, LONGEST_WAIT = 1.0, 300.0
"""Seconds after the first failure that is not free, doubled with each one more, and at most."""
LATEST = 1_000
"""Addresses that were read last: each limit asks anew, and to read one costs more than all limits together."""

ROUNDING = 1e-6
"""Seconds by which sums of times may be wrong."""

Network = IPv4Network | IPv6Network


class Rate(Struct, frozen=True):
    """So many in so much time, and all of them at once if they were saved up."""

    count: int
    seconds: float

    @property
    def interval(self) -> float:
        """Seconds from one to the next."""
        return self.seconds / self.count


@lru_cache(LATEST)
def caller_of(host: str) -> str:
    """Return by what an address is counted.

    A host with IPv6 has at least a /64 to choose addresses from (RFC 6177), which counts as one; an IPv4 address in
    IPv6's clothes (RFC 4291, section 2.5.5.2) is what it is. What is no address, such as a
    device that is known by its certificate, counts as itself.
    """
    address = _address(host)
    if isinstance(address, IPv6Address):
        return f"{ip_network((int(address) >> 64 << 64, 64))}"
    return host if address is None else str(address)


class Networks:
    """Some networks, and who is in them.

    Args:
        networks: such as ``10.0.0.0/8``; raises `ValueError` where one is none.

    """

    def __init__(self, networks: Iterable[str]) -> None:
        self._networks: list[Network] = [ip_network(each) for each in networks]

    def __contains__(self, host: str) -> bool:
        if not self._networks:
            return False
        address = _address(host)
        return address is not None and any(address in network for network in self._networks)


class Meter:
    """One token bucket that lets everything through, and says how long to wait after it.

    Args:
        rate: what may come; its count is the burst.

    """

    def __init__(self, rate: Rate) -> None:
        self._interval = rate.interval
        self._slack = rate.interval * (rate.count - 1)
        self._full_at = float("-inf")

    def take(self, count: int, now: float) -> None:
        """Take so many, more than there are as well."""
        self._full_at = max(self._full_at, now) + count * self._interval

    def wait(self, now: float) -> float:
        """Return the seconds until there is one again; 0 where there is."""
        wait = self._full_at - now - self._slack
        return wait if wait > ROUNDING else 0.0


class Buckets:
    """A token bucket for each caller: none is let through more than ``rate`` times the time + its burst.

    A bucket is one number, the time at which it will be full again (the generic cell rate algorithm, ITU-T I.371).
    A caller that was forgotten for `KEPT` others begins anew with a full one.

    Args:
        rate: what each gets; its count is the burst.
        kept: callers that are remembered.

    """

    def __init__(self, rate: Rate, kept: int = KEPT) -> None:
        self._interval = rate.interval
        self._slack = rate.interval * (rate.count - 1)
        self._kept = kept
        self._full_at: OrderedDict[str, float] = OrderedDict()

    def __len__(self) -> int:
        return len(self._full_at)

    def spend(self, caller: str, now: float, count: int = 1) -> float:
        """Take some, together, where there is one; return 0 then, or else the seconds until there is."""
        full_at = max(self._full_at.get(caller, now), now)
        wait = full_at - now - self._slack
        if wait > ROUNDING:
            self._full_at.move_to_end(caller)
            return wait
        self._full_at[caller] = full_at + count * self._interval
        self._full_at.move_to_end(caller)
        if len(self._full_at) > self._kept:
            self._full_at.popitem(last=False)
        return 0.0


class BackOff:
    """How long callers wait whose credentials were none.

    The first `FREE` failures cost nothing. Each further one doubles the wait, up to `LONGEST_WAIT`; what fails
    meanwhile does not count. Twice the longest wait without a failure, and all is forgotten. A success forgives
    nothing: behind one address there may be a guesser beside a good client.
    """

    def __init__(self, kept: int = KEPT) -> None:
        self._kept = kept
        self._failures: OrderedDict[str, tuple[int, float]] = OrderedDict()
        """How many, and when the wait ends."""

    def __len__(self) -> int:
        return len(self._failures)

    def failed(self, caller: str, now: float) -> float:
        """Count a failure; return 0, or where the caller ought to have waited, the seconds that are left."""
        count, until = self._failures.get(caller, (0, now))
        if now < until:
            return until - now
        if now - until >= 2 * LONGEST_WAIT:
            count = 0
        count += 1
        beyond = count - FREE - 1
        wait = 0.0 if beyond < 0 else min(LONGEST_WAIT, FIRST_WAIT * 2.0 ** min(beyond, 30))
        self._failures[caller] = count, now + wait
        self._failures.move_to_end(caller)
        if len(self._failures) > self._kept:
            self._failures.popitem(last=False)
        return 0.0


class Places:
    """The connections of one listener by caller. It keeps no more than there are connections.

    Args:
        most: that one caller may have.

    """

    def __init__(self, most: int) -> None:
        self.most = most
        self._taken: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._taken)

    def is_full(self, caller: str) -> bool:
        """Tell whether a caller has all that it may."""
        return self._taken.get(caller, 0) >= self.most

    def take(self, caller: str) -> None:
        """Count a connection in."""
        self._taken[caller] = self._taken.get(caller, 0) + 1

    def leave(self, caller: str) -> None:
        """Count it out."""
        left = self._taken[caller] - 1
        if left:
            self._taken[caller] = left
        else:
            del self._taken[caller]


def part_of(places: int) -> int:
    """Return how many of a listener's places one address gets where nobody says it: all but an eighth."""
    return max(1, places - places // 8)


@lru_cache(LATEST)
def _address(host: str) -> IPv4Address | IPv6Address | None:
    try:
        address = ip_address(host.partition("%")[0])
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address
