"""Requests within a target's rate limit, in simulated time: none is turned away, and others keep their share."""

from __future__ import annotations

import math
from heapq import heappop, heappush
from random import Random

from hypothesis import given
from hypothesis import strategies as st
from msgspec import Struct
from twisted.trial.unittest import SynchronousTestCase

from lineside.delivery.budget import FREE, KEPT, Allowance, Budget, Ticket


class Site:
    """Counts work in fixed windows, as Frappe does: taken off when a request ends, told in whole seconds."""

    def __init__(self, limit: float, window: float) -> None:
        self.limit, self.window = limit, window
        self.spent: dict[int, float] = {}
        self.rejected = 0

    def standing(self, now: float) -> tuple[bool, float, float]:
        """Return whether a request that comes in is turned away, what remains, and when the window ends."""
        number, passed = divmod(now, self.window)
        spent = self.spent.get(int(number), 0.0)
        return spent > self.limit, max(0.0, self.limit - spent), max(1, math.ceil(self.window - passed))

    def spend(self, now: float, work: float) -> None:
        number = int(now // self.window)
        self.spent[number] = self.spent.get(number, 0.0) + work


class Ran(Struct, frozen=True):
    """How a backlog went."""

    seconds: float
    rejected: int
    windows: list[float]
    """The share of the limit that was used in each full window."""


def run(
    site: Site, requests: int, *, at_once: int, cost: float, spread: float, random: Random, humans: float = 0.0
) -> Ran:
    """Send so many requests; what is turned away comes back once the site says so.

    Args:
        site: has the limit.
        requests: the backlog.
        at_once: how many may be under way.
        cost: seconds of work of one request, on average.
        spread: the share by which that varies.
        random: draws the costs.
        humans: the share of the limit that others use, evenly.

    """
    budget, now, done, last = Budget(), 0.0, 0, 0.0
    under_way: list[tuple[float, int, float, Ticket, Allowance]] = []
    rejected = 0
    closed = 0.0
    while done < requests:
        site.spend(now, humans * site.limit / site.window * (now - last))
        last = now
        wait = max(budget.delay(now), closed - now)
        if len(under_way) < at_once and len(under_way) + done < requests and wait <= 0:
            ticket = budget.begin(now)
            refused, remaining, reset = site.standing(now)
            work = 0.0 if refused else cost * random.uniform(1 - spread, 1 + spread)
            told = Allowance(site.limit, remaining, reset, None if refused else work)
            heappush(under_way, (now + work, ticket.number, work, ticket, told))
        elif under_way and (
            len(under_way) == at_once or len(under_way) + done == requests or under_way[0][0] <= now + wait
        ):
            ended, _, work, ticket, told = heappop(under_way)
            now = ended
            site.spend(now, work)
            budget.end(ticket, told, now)
            if told.used is None:
                rejected += 1
                closed = now + told.resets_in
            else:
                done += 1
        else:
            now += wait
    full = int(now // site.window)
    return Ran(now, rejected, [site.spent.get(number, 0.0) / site.limit for number in range(full)])


class BudgetTests(SynchronousTestCase):
    """What is taken of an allowance."""

    @given(
        window=st.sampled_from([2.0, 10.0, 60.0, 600.0]),
        share=st.floats(0.02, 0.6),
        fits=st.integers(60, 2000),
        at_once=st.integers(1, 8),
        seed=st.integers(0, 100),
    )
    def test_nothing_is_turned_away_and_a_tenth_is_left(
        self, window: float, share: float, fits: int, at_once: int, seed: int
    ) -> None:
        """A backlog of several windows is worked off without a 429, and no window is used up."""
        limit = window * share
        site = Site(limit, window)
        ran = run(site, min(4 * fits, 4000), at_once=at_once, cost=limit / fits, spread=0.5, random=Random(seed))
        self.assertEqual(ran.rejected, 0)
        # What is under way may cost more than was thought.
        self.assertLess(max(ran.windows, default=0.0), 1 - KEPT + 2 * at_once / fits)

    def test_most_of_an_allowance_is_used(self) -> None:
        """A backlog is not slowed more than it must be: at least three quarters of each window is taken."""
        for window, fits in ((10.0, 200), (60.0, 2000), (3600.0, 5000)):
            limit = 0.3 * window
            ran = run(Site(limit, window), 4 * fits, at_once=4, cost=limit / fits, spread=0.3, random=Random(1))
            self.assertGreater(min(ran.windows), 0.75, f"{window} s")
            self.assertEqual(ran.rejected, 0)

    def test_a_backlog_that_fits_is_not_held_back(self) -> None:
        """As long as half of the allowance is left, requests follow each other as closely as they can."""
        ran = run(Site(10.0, 60.0), 240, at_once=1, cost=0.02, spread=0.0, random=Random(1))
        self.assertAlmostEqual(ran.seconds, 240 * 0.02, places=3)

    def test_what_people_use_is_made_room_for(self) -> None:
        """Others who use four tenths of the limit meet no 429 either: the gateway takes what they leave."""
        for seed in range(5):
            site = Site(12.0, 60.0)
            ran = run(site, 2000, at_once=4, cost=0.02, spread=0.5, random=Random(seed), humans=0.4)
            self.assertEqual(ran.rejected, 0)
            self.assertLess(max(ran.windows), 0.97)
            self.assertGreater(len(ran.windows), 3)

    def test_a_limit_of_a_few_requests_is_mostly_kept(self) -> None:
        """Where a window takes three requests of a size that nobody can know, few are turned away."""
        ran = run(Site(0.06, 1.0), 200, at_once=4, cost=0.02, spread=0.5, random=Random(1))
        self.assertLess(ran.rejected, 20)

    def test_a_target_without_a_limit_is_not_slowed(self) -> None:
        """Nothing is told, nothing waits."""
        budget = Budget()
        for n in range(100):
            self.assertEqual(budget.delay(n * 0.001), 0.0)
            budget.end(budget.begin(n * 0.001), None, n * 0.001)
        self.assertIsNone(budget.slowed(0.1))

    def test_used_up_it_waits_for_the_reset(self) -> None:
        """Below the tenth that is left to others nothing goes out before the time that was told."""
        budget = Budget()
        budget.end(budget.begin(0.0), Allowance(1.0, 0.1, 30.0, 0.02), 0.0)
        self.assertEqual(budget.delay(10.0), 20.0)
        self.assertIn("8% of 1 s left, 20 s to go", budget.slowed(10.0) or "")
        self.assertEqual(budget.delay(30.0), 0.0)
        self.assertIsNone(budget.slowed(30.0))

    def test_what_is_left_is_spread(self) -> None:
        """Past the free half, each request waits for its share of the time that is left."""
        budget = Budget()
        budget.end(budget.begin(0.0), Allowance(1.0, FREE + 0.02, 40.0, 0.02), 0.0)
        # 0.4 s of work in 40 s: a request of 0.02 s each 2 s.
        self.assertAlmostEqual(budget.delay(0.0), 2.0)
        self.assertEqual(budget.delay(2.0), 0.0)

    def test_an_answer_that_was_overtaken_tells_nothing(self) -> None:
        """Of two answers the one whose request came in later is right, whichever comes first."""
        budget = Budget()
        early, late = budget.begin(0.0), budget.begin(0.0)
        budget.end(late, Allowance(1.0, 0.11, 30.0, 0.01), 0.1)
        budget.end(early, Allowance(1.0, 0.9, 30.0, 0.01), 0.1)
        self.assertGreater(budget.delay(0.1), 29.0)
