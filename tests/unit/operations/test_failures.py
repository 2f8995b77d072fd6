"""Failed log-ins are told without filling the record."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from lineside.operations.failures import FEW, KNOWN, FailedLogins


class Counting(SynchronousTestCase):
    """By sender."""

    def test_each_sender_is_told_once(self) -> None:
        """With how often, those who failed most first; and then forgotten."""
        failed = FailedLogins()
        for where in ("http a", "live b", "live b"):
            failed.add(where)
        self.assertEqual([*failed.take()], [("live b", {"failures": 2}), ("http a", {"failures": 1})])
        self.assertFalse(failed)
        self.assertEqual([*failed.take()], [])

    def test_who_comes_from_everywhere_fills_nothing(self) -> None:
        """Only few senders are told apart, and not many remembered; every failure is counted."""
        failed = FailedLogins()
        for number in range(KNOWN + 500):
            failed.add(f"http 2001:db8::{number:x}")
        told = [*failed.take()]
        self.assertEqual(len(told), FEW + 1)
        self.assertEqual(sum(facts["failures"] for _, facts in told), KNOWN + 500)
