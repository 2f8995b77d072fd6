"""How long a comparison takes tells nothing of what would be right: secrets meet in `hmac.compare_digest` only."""

from __future__ import annotations

import hmac

from twisted.trial.unittest import SynchronousTestCase

from lineside.edges.frappe.webhook import rightly_signed, signature
from lineside.security.tokens import matches, mint, read


class Comparisons(SynchronousTestCase):
    """What is compared with what somebody gave."""

    def setUp(self) -> None:
        self.compared: list[tuple[object, object]] = []

        def compare(one: bytes, other: bytes) -> bool:
            self.compared.append((one, other))
            return one == other

        self.patch(hmac, "compare_digest", compare)

    def test_a_tokens_secret(self) -> None:
        """By its hash."""
        text, token = mint("gate", "device", frozenset(), now=0, expires=None, random=bytes)
        parts = read(text)
        assert parts is not None
        for secret, right in ((parts[1], True), ("f" * 64, False), ("0" * 63 + "1", False)):
            self.compared.clear()
            self.assertEqual(right, matches(token, secret))
            self.assertEqual(1, len(self.compared))

    def test_a_webhooks_signature(self) -> None:
        """Right or wrong, of any length or none, and whatever letters it has."""
        right = signature("s3cret", b"{}")
        for given in (right, right[:-1], "", None, "ß" * 44, f" {right} "):
            self.compared.clear()
            self.assertEqual((given or "").strip() == right, rightly_signed("s3cret", b"{}", given))
            self.assertEqual(1, len(self.compared), given)
