"""The number of deliveries at a time follows what the target bears, in simulated time."""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappop, heappush
from random import Random

from twisted.trial.unittest import SynchronousTestCase

from lineside.delivery.pacing import Pacing


def run(
    service: Callable[[int, float], float], seconds: float, *, fixed: int | None = None, most: int = 32
) -> float:
    """Return documents a second against a site whose answer takes ``service(under_way, now)`` seconds."""
    pacing = Pacing(most, 0.0)
    now, done, counted = 0.0, 0, 0
    under_way: list[float] = []
    while now < seconds:
        limit = fixed if fixed is not None else pacing.limit
        while len(under_way) < limit:
            heappush(under_way, now + service(len(under_way) + 1, now))
        saturated = len(under_way) >= limit
        now = heappop(under_way)
        pacing.answered(1, now, saturated=saturated)
        done += 1
        # The time in which it learns is left out.
        counted += now > seconds / 3
    return counted / (seconds * 2 / 3)


def workers(number: int, each: float, thrash: float, random: Random) -> Callable[[int, float], float]:
    """Return a site with so many workers, each answer ``each`` seconds, that loses time when it is crowded."""

    def service(under_way: int, now: float) -> float:
        queue = max(1.0, under_way / number)
        crowd = 1 + thrash * max(0, under_way - number)
        return each * queue * crowd * random.uniform(0.8, 1.2)

    return service


def disturbed(
    service: Callable[[int, float], float], random: Random, *, by: float = 0.15
) -> Callable[[int, float], float]:
    """Return a site on a machine that does other things: for up to two seconds all takes longer, or shorter."""
    until, factor = 0.0, 1.0

    def slowed(under_way: int, now: float) -> float:
        nonlocal until, factor
        if now >= until:
            until, factor = now + random.uniform(0.2, 2.0), random.lognormvariate(0.0, by)
        return service(under_way, now) * factor

    return slowed


class PacingTests(SynchronousTestCase):
    """Finding the best number."""

    def test_noise_keeps_it_from_nothing(self) -> None:
        """Where more is always better and the machine restless, it does as well as the most it may use."""
        for most in (4, 8):
            for seed in range(5):
                site = workers(1_000, 0.02, 0.0, Random(seed))
                full = run(disturbed(site, Random(seed)), 90.0, fixed=most)
                found = run(disturbed(site, Random(seed)), 90.0, most=most)
                self.assertGreater(found / full, 0.94, f"at most {most}, seed {seed}")

    def test_noise_misleads_it_little(self) -> None:
        """On a restless machine, too, it comes near the best number of a site that is soon crowded."""
        for number, each, thrash in ((4, 0.02, 0.0), (4, 0.02, 0.05), (8, 0.1, 0.02)):
            for seed in range(4):
                site = workers(number, each, thrash, Random(seed))
                best = max(
                    run(disturbed(site, Random(seed)), 90.0, fixed=fixed, most=16) for fixed in (3, 4, 6, 8, 12)
                )
                found = run(disturbed(site, Random(seed)), 90.0, most=16)
                self.assertGreater(found / best, 0.85, f"{number} workers, thrash {thrash}, seed {seed}")

    def test_it_asks_no_more_at_a_time_than_is_of_use(self) -> None:
        """At a site of four workers it stays near four, though it may use 32: all above would only wait."""
        for seed in range(4):
            pacing = Pacing(32, 0.0)
            service = disturbed(workers(4, 0.02, 0.0, Random(seed)), Random(seed), by=0.05)
            now, limits = 0.0, []
            under_way: list[float] = []
            while now < 60.0:
                while len(under_way) < pacing.limit:
                    heappush(under_way, now + service(len(under_way) + 1, now))
                now = heappop(under_way)
                pacing.answered(1, now, saturated=True)
                if now > 15.0:
                    limits.append(pacing.limit)
            self.assertLess(sum(limits) / len(limits), 9, f"seed {seed}")

    def test_it_comes_near_the_best_fixed_number(self) -> None:
        """Against sites of several kinds it does at least nine tenths of the best number one could have set."""
        for number, each, thrash in (
            (4, 0.02, 0.0),
            (4, 0.02, 0.05),
            (8, 0.1, 0.02),
            (1, 0.02, 0.1),
            (17, 0.05, 0.0),
        ):
            random = Random(number)
            best = max(
                run(workers(number, each, thrash, random), 20.0, fixed=fixed)
                for fixed in (1, 2, 4, 8, 12, 16, 24, 32)
            )
            found = run(workers(number, each, thrash, random), 90.0)
            self.assertGreater(found / best, 0.9, f"{number} workers, {each} s, thrash {thrash}")

    def test_trying_costs_little(self) -> None:
        """Where more is always better it comes within a twentieth of the most it may use, whatever the noise."""
        for most in (4, 8, 32):
            for seed in range(5):
                full = run(workers(1_000, 0.02, 0.0, Random(seed)), 20.0, fixed=most)
                found = run(workers(1_000, 0.02, 0.0, Random(seed)), 60.0, most=most)
                self.assertGreater(found / full, 0.95, f"at most {most}, seed {seed}")

    def test_it_follows_a_site_that_changes(self) -> None:
        """When the site loses workers the number goes down; when they come back it goes up again."""
        random = Random(1)
        strong, weak = workers(12, 0.05, 0.1, random), workers(2, 0.05, 0.1, random)
        pacing = Pacing(32, 0.0)
        seen: list[list[int]] = [[], [], []]
        now = 0.0
        under_way: list[float] = []
        while now < 180.0:
            phase = int(now // 60)
            service = weak if phase == 1 else strong
            while len(under_way) < pacing.limit:
                heappush(under_way, now + service(len(under_way) + 1, now))
            now = heappop(under_way)
            pacing.answered(1, now, saturated=True)
            if now % 60 > 30 and phase < 3:
                seen[phase].append(pacing.limit)
        first, second, third = (sum(limits) / len(limits) for limits in seen)
        self.assertLess(second, first / 2)
        self.assertGreater(third, second * 2)

    def test_an_idle_route_teaches_nothing(self) -> None:
        """While there is less to do than may be under way the number stays."""
        pacing = Pacing(8, 0.0)
        before = pacing.limit
        for n in range(1000):
            pacing.answered(1, n * 0.1, saturated=False)
        self.assertEqual(before, pacing.limit)

    def test_a_moment_without_work_spoils_no_measurement(self) -> None:
        """A disk that holds the next deliveries up now and then does not keep it from finding its number."""
        pacing = Pacing(8, 0.0)
        now = 0.0
        for n in range(3000):
            now += 0.02 / pacing.limit
            pacing.answered(1, now, saturated=n % 20 > 0)
        self.assertEqual(8, pacing.limit)

    def test_a_failure_halves_it_and_one_always_stays(self) -> None:
        """A site in trouble is asked less, but never nothing."""
        pacing = Pacing(8, 0.0)
        now = 0.0
        while pacing.limit < 8:
            now += 0.02 / pacing.limit
            pacing.answered(1, now, saturated=True)
        for expected in (4, 2, 1, 1):
            pacing.failed(now)
            self.assertEqual(expected, pacing.limit)
