"""How closely requests may follow each other where a target allows so much work in each window of time. Pure.

Frappe's limiter is for the whole site: what the gateway takes is missing to the people who work there, and they
meet the 429 as well. So the gateway slows down before it gets one. It goes on as fast as it can while more than
half of a window's allowance is left. Then it spreads evenly until the window ends what others, at the rate that was
seen, will not take, and never takes the last tenth.
"""

from __future__ import annotations

from msgspec import Struct

FREE = 0.5
"""While more than this share of the allowance is left, nothing is held back: most backlogs fit in."""
KEPT = 0.1
"""The share of the allowance that is left to others."""
RECENT = 0.2
"""How much the last request weighs in what a request is thought to cost."""

SEEN = 1.0
"""Seconds of a window after which what others take of it can be told."""


class Allowance(Struct, frozen=True):
    """What a target says in its answer of the window that runs. Work and time are in seconds."""

    limit: float
    """Work that all clients together may ask for in a window; more than 0."""
    remaining: float
    """What was left of it as the request came in: requests under way then are not taken off."""
    resets_in: float
    """Until the next window."""
    used: float | None = None
    """Work that the request was; None where it was turned away."""


class Ticket(Struct, frozen=True):
    """A request that has begun."""

    number: int
    ended: int
    """How many requests had ended when it began."""


class Budget:
    """Says how long the next request should wait. Times are monotonic seconds.

    Whatever the target does not say holds nothing back.
    """

    def __init__(self) -> None:
        self._allowance: Allowance | None = None
        self._resets = 0.0
        self._told = 0
        self._accounted = 0
        self._cost = 0.0
        self._began = 0
        self._ended = 0
        self._last = float("-inf")
        self._slowed = False
        self._ours = 0.0
        self._since = (0.0, 0.0, 0.0)
        self._others = 0.0

    def delay(self, now: float) -> float:
        """Return the seconds to wait before a request may begin, then to ask again; 0 for at once."""
        wait = self._delay(now)
        self._slowed = wait > 0 or (self._slowed and self._share(now) <= FREE)
        return wait

    def begin(self, now: float) -> Ticket:
        """Note that a request begins; every ticket must come back by `end`."""
        self._began += 1
        self._last = now
        return Ticket(self._began, self._ended)

    def end(self, ticket: Ticket, allowance: Allowance | None, now: float) -> None:
        """Note that a request has ended, and what its answer said; None where it said nothing of an allowance."""
        self._ended += 1
        if allowance is None:
            return
        if allowance.used is not None:
            self._ours += allowance.used
            self._cost += (RECENT if self._cost else 1.0) * (allowance.used - self._cost)
        if ticket.number < self._told:
            # A request that came in later has been answered before: it knew more.
            return
        self._told = ticket.number
        self._see_others(allowance, now)
        self._allowance = allowance
        # It is told in whole seconds, and nobody says which way they are rounded.
        self._resets = now + max(1.0, allowance.resets_in)
        # Whatever had not ended then is missing in what remained; the request itself is known.
        self._accounted = ticket.ended + 1

    def slowed(self, now: float) -> str | None:
        """Return how requests are held back at present, for a person; None while they are not."""
        if not self._slowed or self._allowance is None or now >= self._resets:
            return None
        left = f"{max(0.0, self._share(now)):.0%} of {self._allowance.limit:g} s left"
        return f"paced by the site's rate limit: {left}, {self._resets - now:.0f} s to go"

    def _see_others(self, allowance: Allowance, now: float) -> None:
        """Measure since the window's beginning, as far as it was seen, what others take in a second."""
        before = self._allowance
        if before is None or now >= self._resets or allowance.remaining > before.remaining:
            self._since = (now, allowance.remaining, self._ours)
            return
        since, remaining, ours = self._since
        if now - since >= SEEN:
            taken = remaining - allowance.remaining - (self._ours - ours)
            self._others = max(0.0, taken) / (now - since)

    def _share(self, now: float) -> float:
        """Return the share of the allowance that is left once all that is under way has ended."""
        allowance = self._allowance
        if allowance is None:
            return 1.0
        if now >= self._resets:
            return 1.0 - (self._began - self._ended) * self._cost / allowance.limit
        unknown = max(0, self._began - self._accounted) * self._cost
        return (allowance.remaining - (allowance.used or 0.0) - unknown) / allowance.limit

    def _delay(self, now: float) -> float:
        share = self._share(now)
        if self._allowance is None or share > FREE:
            return 0.0
        if now >= self._resets:
            # A new window of which nothing is known yet: the first answers will tell.
            return self._cost if self._began > self._ended else 0.0
        left = (share - KEPT) * self._allowance.limit - self._others * (self._resets - now)
        if left < self._cost or left <= 0:
            return self._resets - now
        return max(0.0, self._last + self._cost * (self._resets - now) / left - now)
