"""JSON Web Tokens of live clients."""

from __future__ import annotations

import hmac
from base64 import urlsafe_b64encode
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from twisted.trial.unittest import SynchronousTestCase

from lineside.security.identity import Identity
from lineside.security.jwts import BadToken, ExpiredToken, Holder, JwtTokens

KEY = "a secret that is long enough for it"
NOW = 1_000_000.0


def made(key: str = KEY, algorithm: str = "HS256", **claims: Any) -> str:
    return jwt.encode(claims, key, algorithm)


class ConnectionTokens(SynchronousTestCase):
    """Who is let in, as whom."""

    def setUp(self) -> None:
        self.tokens = JwtTokens(KEY, lambda: NOW)

    def test_who_holds_it(self) -> None:
        """The user, the role and the channels are the token's; ``expire_at`` goes before ``exp``."""
        token = made(
            sub="ann",
            exp=NOW + 60,
            expire_at=NOW + 90,
            meta={"role": "viewer"},
            info={"name": "Ann"},
            channels=["events:gate"],
            subs={"pub:a": {}},
        )
        self.assertEqual(
            Holder(Identity("ann", "viewer"), 90, {"name": "Ann"}, ("events:gate", "pub:a")),
            self.tokens.connection(token),
        )

    def test_without_a_role(self) -> None:
        """It is good for what other tokens name, and for nothing else; without an end it does not expire."""
        self.assertEqual(Holder(Identity("ann", "nobody"), None, None, ()), self.tokens.connection(made(sub="ann")))

    def test_expired(self) -> None:
        """The client is to ask for another one."""
        self.assertRaises(ExpiredToken, self.tokens.connection, made(sub="ann", exp=NOW))

    def test_what_is_not_ours(self) -> None:
        """Another key, no signature, no token, one of tomorrow, an unknown role, times that are none."""
        for token in (
            made("another secret that is long enough", sub="ann"),
            made(sub="ann", key="", algorithm="none"),
            "a.b.c",
            made(sub="ann", nbf=NOW + 1),
            made(sub="ann", meta={"role": "root"}),
            made(sub="ann", exp="soon"),
            made(sub="ann", channel="events:gate"),
        ):
            self.assertRaises(BadToken, self.tokens.connection, token)

    def test_times_beyond_all_measure(self) -> None:
        """Those that no clock shows are none; a very late one is told as one that a client can count to."""
        for wrong in (float("nan"), float("inf"), -float("inf")):
            for claim in ("exp", "nbf", "expire_at"):
                with self.assertRaises(BadToken, msg=f"{claim} {wrong}"):
                    self.tokens.connection(jwt.encode({claim: wrong}, KEY))
        self.assertEqual(2**31 - 1, self.tokens.connection(made(exp=1e300)).expires_in)

    def test_whom_it_is_for(self) -> None:
        """Audience and issuer are held to where they are configured."""
        strict = JwtTokens(KEY, lambda: NOW, audience="lineside", issuer="erp")
        strict.connection(made(sub="ann", aud="lineside", iss="erp"))
        for claims in ({"aud": "other", "iss": "erp"}, {"aud": "lineside", "iss": "x"}, {}):
            self.assertRaises(BadToken, strict.connection, made(sub="ann", **claims))

    def test_a_public_key_makes_no_tokens(self) -> None:
        """Who has only it cannot sign with it: a key in PEM is never taken for a secret."""
        private = Ed25519PrivateKey.generate()
        pem = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
        public = private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
        tokens = JwtTokens(public, lambda: NOW)
        self.assertEqual("ann", tokens.connection(made(pem, "EdDSA", sub="ann")).identity.name)
        head, body = (part for part in made(sub="ann").split(".")[:2])
        forged = hmac.digest(public.encode(), f"{head}.{body}".encode(), "sha256")
        signature = urlsafe_b64encode(forged).rstrip(b"=").decode()
        self.assertRaises(BadToken, tokens.connection, f"{head}.{body}.{signature}")


class SubscriptionTokens(SynchronousTestCase):
    """To what somebody is let in."""

    def setUp(self) -> None:
        self.tokens = JwtTokens(KEY, lambda: NOW)

    def test_for_how_long(self) -> None:
        """As it says, and for ever where it says nothing."""
        for claims, seconds in (({"exp": NOW + 30}, 30), ({}, None), ({"client": "c"}, None)):
            token = made(sub="ann", channel="pub:a", **claims)
            self.assertEqual(seconds, self.tokens.subscription(token, user="ann", client="c", channel="pub:a"))

    def test_for_whom(self) -> None:
        """Another user, client or channel is a mismatch, which is told apart from a token that is not ours."""
        for user, client, channel in (("ben", "c", "pub:a"), ("ann", "d", "pub:a"), ("ann", "c", "pub:b")):
            token = made(sub=user, client=client, channel=channel)
            with self.assertRaises(BadToken) as bad:
                self.tokens.subscription(token, user="ann", client="c", channel="pub:a")
            self.assertTrue(bad.exception.mismatch)
        with self.assertRaises(BadToken) as bad:
            self.tokens.subscription("a.b.c", user="ann", client="c", channel="pub:a")
        self.assertFalse(bad.exception.mismatch)
