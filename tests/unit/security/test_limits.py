"""Rates, shares and waits, whoever comes and however many."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from lineside.security.limits import (
    FIRST_WAIT,
    FREE,
    KEPT,
    LONGEST_WAIT,
    BackOff,
    Buckets,
    Networks,
    Places,
    Rate,
    caller_of,
    part_of,
)


class Callers(SynchronousTestCase):
    """Who counts as one."""

    def test_a_network_of_ipv6_is_one_caller(self) -> None:
        """Whoever has a /64 has 2^64 addresses, and gets one share for all of them; another /64 has its own."""
        self.assertEqual(caller_of("2001:db8::1"), caller_of("2001:db8::ffff:1:2:3"))
        self.assertNotEqual(caller_of("2001:db8::1"), caller_of("2001:db8:0:1::1"))

    def test_an_address_of_ipv4_is_the_same_in_ipv6(self) -> None:
        """A listener for both is told ::ffff:192.0.2.7, which must not put all of IPv4 into one /64."""
        self.assertEqual("192.0.2.7", caller_of("::ffff:192.0.2.7"))
        self.assertEqual("gate-1", caller_of("gate-1"))

    def test_networks_hold_their_addresses(self) -> None:
        """Of both families, and of IPv4 in IPv6; a scope is no part of the address."""
        trusted = Networks(["10.0.0.0/8", "fe80::/10"])
        for inside in ("10.1.2.3", "::ffff:10.1.2.3", "fe80::1%eth0"):
            self.assertIn(inside, trusted)
        for outside in ("11.0.0.1", "2001:db8::1", "UNIXAddress", ""):
            self.assertNotIn(outside, trusted)


class Rates(SynchronousTestCase):
    """Token buckets."""

    @given(
        st.integers(1, 50),
        st.sampled_from([1.0, 60.0]),
        st.lists(st.floats(0, 5, allow_nan=False), min_size=1, max_size=200),
    )
    def test_none_gets_more_than_its_rate_and_burst(self, count: int, seconds: float, gaps: list[float]) -> None:
        """In any stretch of time no more is let through than rate times time + burst, whenever it comes."""
        buckets = Buckets(Rate(count, seconds))
        now, passed = 0.0, list[float]()
        for gap in gaps:
            now += gap
            if buckets.spend("a", now) == 0.0:
                passed.append(now)
        for first, began in enumerate(passed):
            for last in range(first, len(passed)):
                allowed = count + (passed[last] - began) * count / seconds
                self.assertLessEqual(last - first + 1, allowed + 1e-3)

    @given(st.integers(1, 50), st.floats(0, 1e6))
    def test_who_waits_as_told_is_let_through(self, count: int, now: float) -> None:
        """The burst is there at once; the seconds that are answered suffice, and half of them do not."""
        buckets = Buckets(Rate(count, 1.0))
        self.assertEqual([0.0] * count, [buckets.spend("a", now) for _ in range(count)])
        wait = buckets.spend("a", now)
        self.assertGreater(wait, 0)
        self.assertGreater(buckets.spend("a", now + wait / 2), 0)
        self.assertEqual(0.0, buckets.spend("b", now))
        self.assertEqual(0.0, buckets.spend("a", now + wait))

    def test_a_million_addresses_take_bounded_room(self) -> None:
        """Whoever has a million addresses makes the gateway remember no more than `KEPT` of them."""
        buckets, waits = Buckets(Rate(1, 60.0)), BackOff()
        for number in range(1_000_000):
            caller = str(number)
            buckets.spend(caller, 1.0)
            waits.failed(caller, 1.0)
        self.assertEqual((KEPT, KEPT), (len(buckets), len(waits)))

    def test_who_comes_back_is_not_forgotten_for_others(self) -> None:
        """One that is refused again and again stays remembered while others come once each."""
        buckets = Buckets(Rate(1, 1e9), kept=10)
        buckets.spend("busy", 0.0)
        for number in range(100):
            buckets.spend(str(number), 0.0)
            self.assertGreater(buckets.spend("busy", 0.0), 0)


class Waits(SynchronousTestCase):
    """After credentials that were none."""

    def test_waits_double_up_to_the_longest(self) -> None:
        """The first few cost nothing, then each doubles the wait."""
        waits, now, seen = BackOff(), 0.0, list[float]()
        for _ in range(FREE + 12):
            self.assertEqual(0.0, waits.failed("a", now))
            again = waits.failed("a", now) if len(seen) >= FREE else 0.0
            seen.append(again)
            now += again
        self.assertEqual([0.0] * FREE, seen[:FREE])
        self.assertEqual([FIRST_WAIT * 2**n for n in range(9)], seen[FREE : FREE + 9])
        self.assertEqual([LONGEST_WAIT] * 3, seen[FREE + 9 :])

    def test_what_fails_meanwhile_does_not_lengthen_the_wait(self) -> None:
        """A program that asks ten times a second with an old token waits no longer than one that asks once."""
        waits = BackOff()
        for _ in range(FREE + 1):
            waits.failed("a", 0.0)
        self.assertEqual([FIRST_WAIT] * 100, [waits.failed("a", 0.0) for _ in range(100)])
        self.assertEqual(0.0, waits.failed("b", 0.0))

    def test_a_quiet_address_is_forgiven(self) -> None:
        """Twice the longest wait without a failure, and it begins anew."""
        waits = BackOff()
        for _ in range(FREE + 1):
            waits.failed("a", 0.0)
        later = FIRST_WAIT + 2 * LONGEST_WAIT
        self.assertEqual([0.0] * (FREE + 1), [waits.failed("a", later) for _ in range(FREE + 1)])


class Shares(SynchronousTestCase):
    """Connections at a time."""

    def test_who_leaves_makes_room_and_nothing_stays(self) -> None:
        """No more than the share at a time; when all are gone nothing is kept of them."""
        places = Places(2)
        places.take("a")
        self.assertFalse(places.is_full("a"))
        places.take("a")
        self.assertTrue(places.is_full("a"))
        self.assertFalse(places.is_full("b"))
        places.leave("a")
        self.assertFalse(places.is_full("a"))
        places.leave("a")
        self.assertEqual(0, len(places))

    def test_one_address_leaves_some_places_to_others(self) -> None:
        """Of few places one may have all, of many all but an eighth."""
        self.assertEqual([1, 7, 7, 896], [part_of(places) for places in (1, 7, 8, 1024)])
