"""What all listeners hold callers to, counted and told."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from msgspec import Struct
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from lineside.security.limits import BackOff, Buckets, Networks, Places, Rate, caller_of, part_of

log = Logger()

SAY_EVERY = 10.0
"""Seconds between two lines of the log about one limit."""
CONNECTIONS, REQUESTS, IDENTITY, FAILURES = "connections", "requests", "identity_requests", "failed_credentials"
ALLOW = "allow"
LIMITS = (CONNECTIONS, REQUESTS, IDENTITY, FAILURES, ALLOW)
"""What callers are held to."""
REMEDIES: Mapping[str, str] = {
    CONNECTIONS: "see who it is; raise connections in [limits], or add the network to trusted if it is yours",
    REQUESTS: "see who it is; raise requests in [limits], or add the network to trusted if it is yours",
    IDENTITY: "see what that program does; raise identity_requests in [limits] if it needs to",
    FAILURES: "give that program a token that is valid (lineside token create), or that webhook its secret, or "
    "find out who guesses there",
    ALLOW: "find out who it is; add its network to the source's allow if it is yours",
}


class Bounds(Struct, frozen=True):
    """What the configuration allows."""

    trusted: tuple[str, ...] = ()
    """Networks whose addresses are held to nothing."""
    connections: int | None = None
    """Of one address at one listener; None for a part of the listener's own."""
    requests: Rate | None = None
    """Of one address whose requests do not say who sends them."""
    identity_requests: Rate | None = None
    """Of one identity."""


class Turnstile:
    """Holds callers to the limits.

    Args:
        bounds: the limits.
        clock: must follow a monotonic clock.

    """

    def __init__(self, bounds: Bounds, clock: IReactorTime) -> None:
        self._clock = clock
        self._most = bounds.connections
        self._trusted = Networks(bounds.trusted)
        self._requests = None if bounds.requests is None else Buckets(bounds.requests)
        self._identities = None if bounds.identity_requests is None else Buckets(bounds.identity_requests)
        self._failures = BackOff()
        self.refused: Counter[tuple[str, str]] = Counter()
        """How often, by limit and listener."""
        self._said: dict[tuple[str, str], float] = {}
        self._unsaid: Counter[tuple[str, str]] = Counter()

    def request(self, where: str, peer: str, identity: str | None) -> float:
        """Count a request; return 0, or the seconds after which it may come again.

        Args:
            where: the listener.
            peer: the address.
            identity: who sends it, if that is known.

        """
        if identity is not None:
            return self._spend(self._identities, IDENTITY, where, identity)
        return (
            0.0
            if not peer or peer in self._trusted
            else self._spend(self._requests, REQUESTS, where, caller_of(peer))
        )

    def failed(self, where: str, peer: str) -> float:
        """Count a credential that is none; return 0, or the seconds that its sender still has to wait."""
        if not peer or peer in self._trusted:
            return 0.0
        caller = caller_of(peer)
        wait = self._failures.failed(caller, self._clock.seconds())
        if wait:
            self.refuse(FAILURES, where, caller)
        return wait

    def share(self, where: str, most: int) -> ConnectionShare:
        """Return what holds callers to their part of a listener's ``most`` connections."""
        return ConnectionShare(self, where, Places(self._most or part_of(most)), self._trusted)

    def door(self, where: str, allow: Iterable[str]) -> Door:
        """Return what lets nobody in to a listener but from some networks."""
        return Door(self, where, Networks(allow))

    def refuse(self, limit: str, where: str, caller: str) -> None:
        """Count a refusal, and say so now and then."""
        key = limit, where
        self.refused[key] += 1
        now = self._clock.seconds()
        if now - self._said.get(key, float("-inf")) < SAY_EVERY:
            self._unsaid[key] += 1
            return
        self._said[key] = now
        more = self._unsaid.pop(key, 0)
        log.warn("limits.reached", limit=limit, listener=where, caller=caller, more=more, remedy=REMEDIES[limit])

    def _spend(self, buckets: Buckets | None, limit: str, where: str, caller: str) -> float:
        wait = 0.0 if buckets is None else buckets.spend(caller, self._clock.seconds())
        if wait:
            self.refuse(limit, where, caller)
        return wait


class Door:
    """One listener's networks; see `Turnstile.door`."""

    def __init__(self, turnstile: Turnstile, where: str, networks: Networks) -> None:
        self._turnstile = turnstile
        self._where = where
        self._networks = networks

    def admits(self, peer: str) -> bool:
        """Tell whether an address may come in; where not, that is counted and told."""
        if peer in self._networks:
            return True
        self._turnstile.refuse(ALLOW, self._where, caller_of(peer))
        return False


class ConnectionShare:
    """One listener's places; see `Turnstile.share`."""

    def __init__(self, turnstile: Turnstile, where: str, places: Places, trusted: Networks) -> None:
        self._turnstile = turnstile
        self._where = where
        self._places = places
        self._trusted = trusted

    def lower(self, most: int) -> None:
        """Allow one address no more than its part of ``most``."""
        self._places.most = min(self._places.most, part_of(most))

    def admits(self, peer: str) -> bool:
        """Tell whether an address may have one more connection; where not, that is counted and told."""
        caller = caller_of(peer)
        # Who comes over a Unix socket has no address.
        if not peer or peer in self._trusted or not self._places.is_full(caller):
            return True
        self._turnstile.refuse(CONNECTIONS, self._where, caller)
        return False

    def enter(self, peer: str) -> None:
        """Count a connection in."""
        self._places.take(caller_of(peer))

    def leave(self, peer: str) -> None:
        """Count a connection out."""
        self._places.leave(caller_of(peer))
