"""Who gave a wrong password waits before the next try."""

from __future__ import annotations

from unittest import TestCase

from lineside.security.loginbackoff import ALLOWANCES, FORGOTTEN, LONGEST, MOST, LogInBackoff

FREE = ALLOWANCES["pair"].free


class Waiting(TestCase):
    """A clock turned by hand."""

    def setUp(self) -> None:
        self.now = 1_000.0
        self.backoff = LogInBackoff(lambda: self.now)

    def fail(self, times: int, account: str = "ann", address: str = "10.0.0.1") -> None:  # type: ignore[override]
        for _ in range(times):
            self.backoff.begin(account, address)

    def test_a_slip_costs_nothing(self) -> None:
        """Whoever mistypes once or twice tries again at once."""
        self.fail(FREE - 1)
        self.assertEqual(self.backoff.wait("ann", "10.0.0.1"), 0)

    def test_each_further_one_doubles_the_wait(self) -> None:
        """It ends at a quarter of an hour, and passes by itself."""
        self.fail(FREE)
        self.assertEqual(self.backoff.wait("ann", "10.0.0.1"), 1)
        self.fail(1)
        self.assertEqual(self.backoff.wait("ann", "10.0.0.1"), 2)
        self.now += 2
        self.assertEqual(self.backoff.wait("ann", "10.0.0.1"), 0)
        self.fail(100)
        self.assertEqual(self.backoff.wait("ann", "10.0.0.1"), LONGEST)
        self.now += FORGOTTEN + 1
        self.assertEqual(self.backoff.wait("ann", "10.0.0.1"), 0)
        self.fail(1)
        self.assertEqual(self.backoff.wait("ann", "10.0.0.1"), 0)

    def test_letters_do_not_make_another_account(self) -> None:
        """The ERP takes ANN for ann, and so does this."""
        self.fail(FREE - 1, "ANN")
        self.fail(1, "ann")
        self.assertGreater(self.backoff.wait("Ann", "10.0.0.1"), 0)

    def test_no_way_of_writing_makes_another_account(self) -> None:
        """The ERP's database finds all of these as one; behind a proxy nothing else is counted."""
        self.backoff = LogInBackoff(lambda: self.now, addresses=False)
        ways = [
            "jos\u00e9",
            "jose\u0301",
            "JOSE",
            " jose",
            "jose\t",
            "jo\u200bse",
            "jo\x00se",
            "\uff4aose",
            "\u00a0jose",
        ]
        for number in range(ALLOWANCES["account"].free):
            self.fail(1, ways[number % len(ways)] + " " * number)
        for way in ways:
            self.assertGreater(self.backoff.wait(way, "10.0.0.1"), 0, way)
        self.assertEqual(self.backoff.wait("josef", "10.0.0.1"), 0)

    def test_no_network_is_many_addresses(self) -> None:
        """Whoever has one address of IPv6 has 2^64 of them."""
        for number in range(ALLOWANCES["address"].free):
            self.fail(1, f"user-{number}", f"2001:db8::{number:x}")
        self.assertGreater(self.backoff.wait("another", "2001:db8::ffff:1"), 0)
        self.assertEqual(self.backoff.wait("another", "2001:db8:0:1::1"), 0)
        self.assertEqual(len(self.backoff), 2 * ALLOWANCES["address"].free + 1)

    def test_nothing_makes_up_for_later_failures(self) -> None:
        """Tries that nobody decided, begun before a right password, give nobody more tries after it."""
        self.fail(3)
        self.backoff.succeeded("ann", "10.0.0.1")
        self.fail(1)
        for _ in range(2):
            self.backoff.undecided("ann", "10.0.0.1")
        self.fail(FREE)
        self.assertGreater(self.backoff.wait("ann", "10.0.0.1"), 0)

    def test_nobody_shuts_out_an_account_for_long(self) -> None:
        """From many addresses at once its owner waits, and for half a minute at most."""
        for number in range(500):
            self.fail(1, "ann", f"10.0.1.{number}")
        self.assertLessEqual(self.backoff.wait("ann", "10.9.9.9"), 30)

    def test_many_accounts_from_one_address_are_noticed(self) -> None:
        """One password for every name is an attack too."""
        for number in range(ALLOWANCES["address"].free):
            self.fail(1, f"user-{number}")
        self.assertGreater(self.backoff.wait("another", "10.0.0.1"), 0)
        self.assertEqual(self.backoff.wait("another", "10.0.0.2"), 0)

    def test_the_right_password_forgets_the_account(self) -> None:
        """The address keeps what it tried at others."""
        self.fail(FREE)
        self.backoff.succeeded("ann", "10.0.0.1")
        self.assertEqual(self.backoff.wait("ann", "10.0.0.1"), 0)
        self.assertEqual(len(self.backoff), 1)

    def test_what_nobody_decided_is_no_failure(self) -> None:
        """While the ERP is away people are not counted for it."""
        for _ in range(10):
            self.backoff.begin("ann", "10.0.0.1")
            self.backoff.undecided("ann", "10.0.0.1")
        self.assertEqual(self.backoff.wait("ann", "10.0.0.1"), 0)

    def test_behind_a_proxy_nobody_shuts_out_everybody(self) -> None:
        """All have its address there: what counts is the account."""
        self.backoff = LogInBackoff(lambda: self.now, addresses=False)
        for number in range(100):
            self.fail(1, f"user-{number}")
        self.fail(ALLOWANCES["account"].free, "ann")
        self.assertEqual(self.backoff.wait("another", "10.0.0.1"), 0)
        self.assertGreater(self.backoff.wait("ann", "10.0.0.1"), 0)

    def test_its_memory_is_bounded(self) -> None:
        """However many names and addresses somebody makes up."""
        for number in range(MOST):
            self.fail(1, f"user-{number}", f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}")
        self.assertEqual(len(self.backoff), MOST)
