"""API tokens as values."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from lineside.security.tokens import Token, matches, mint, read


def counting(size: int) -> bytes:
    return bytes(range(size))


class Tokens(SynchronousTestCase):
    """Making one, and knowing it again."""

    def minted(self, **changes: object) -> tuple[str, Token]:
        known: dict[str, object] = {"now": 1_000, "expires": None, "random": counting}
        return mint("gate terminal", "device", frozenset({"gate"}), **(known | changes))  # type: ignore[arg-type]

    def test_a_token_is_known_again_by_what_was_told_once(self) -> None:
        """The text holds the token's id and its secret, and the secret matches what is kept."""
        text, token = self.minted()
        parts = read(text)
        assert parts is not None
        self.assertEqual((parts[0], len(parts[1])), (token.id, 64))
        self.assertTrue(matches(token, parts[1]))
        self.assertFalse(matches(token, "0" * 64))

    def test_nothing_that_is_kept_tells_the_secret(self) -> None:
        """Whoever reads the journal's file cannot send the token."""
        text, token = self.minted()
        self.assertNotIn(text.rpartition("_")[2], repr(token))
        self.assertNotIn(bytes.fromhex(text.rpartition("_")[2]), token.hash)

    def test_two_tokens_differ(self) -> None:
        """Each has random bits of its own."""
        supply = iter([b"\x01" * 4, b"\x01" * 32, b"\x02" * 4, b"\x02" * 32])
        one, other = (self.minted(random=lambda _: next(supply))[0] for _ in range(2))
        self.assertNotEqual(one, other)

    def test_what_has_not_a_tokens_form_is_none(self) -> None:
        """Anything may stand in a header."""
        text, _ = self.minted()
        for wrong in ("", "lst_", text[:-1], text + "0", text.upper(), f" {text}", text.replace("lst", "xyz")):
            self.assertIsNone(read(wrong), wrong)

    def test_it_lives_until_it_expires(self) -> None:
        """At its last moment it is worth nothing; without one it lives for ever."""
        _, token = self.minted(expires=2_000)
        self.assertEqual((token.lives(1_999), token.lives(2_000)), (True, False))
        self.assertTrue(self.minted()[1].lives(10**30))
