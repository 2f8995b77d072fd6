"""Who may ask, and how often."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address

NETWORKS = 4_096
"""Networks that are told apart within a second; all further ones share what one may have."""
_IPV4, _IPV6 = 24, 56
"""Bits of an address by which it is one network's: who can forge an address can forge its neighbours."""


class Allowance:
    """What one network may still be answered within this second."""

    __slots__ = ("allowed", "left", "over")

    def __init__(self, left: int, *, allowed: bool) -> None:
        self.allowed = allowed
        self.left = left
        self.over = 0


class Visitors:
    """Who asks, for a second; bounded, however many there are.

    Args:
        networks: may ask.
        rate: answers a second to one /24 or /56.

    """

    def __init__(self, networks: Sequence[IPv4Network | IPv6Network], rate: int) -> None:
        self._networks = tuple(networks)
        self._rate = rate
        self.known: dict[bytes, Allowance] = {}
        """By the bytes of an address; it may be looked up before `find` is asked."""
        self._shared: dict[object, Allowance] = {}

    def begin(self) -> None:
        """Begin a new second."""
        self.known.clear()
        self._shared.clear()

    def find(self, who: bytes) -> Allowance:
        """Return the allowance of an address, given as its 4 or 16 bytes."""
        found = self.known.get(who)
        if found is not None:
            return found
        address = ip_address(who)
        if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
            address = address.ipv4_mapped
        allowed = any(address in network for network in self._networks)
        bits = _IPV4 if address.version == 4 else _IPV6
        network: object = (allowed, address.version, int(address) >> (address.max_prefixlen - bits))
        if network not in self._shared and len(self._shared) >= NETWORKS:
            network = (allowed,)
        shared = self._shared.get(network)
        if shared is None:
            shared = self._shared[network] = Allowance(self._rate, allowed=allowed)
        if len(self.known) < 4 * NETWORKS:
            self.known[who] = shared
        return shared

    def allows(self, host: str) -> bool:
        """Tell whether an address, given as text, may ask."""
        return self.find(packed(host)).allowed


def packed(host: str) -> bytes:
    """Return the bytes of an address that a socket gave as text, perhaps with its interface."""
    return ip_address(host.partition("%")[0]).packed
