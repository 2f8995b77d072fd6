"""JSON Web JwtTokens that were made to be taken for others (RFC 8725, section 2)."""

from __future__ import annotations

import hashlib
import hmac
import json
from base64 import urlsafe_b64encode
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from tests.rig.hostile import JSONS, fuzzed
from twisted.trial.unittest import SynchronousTestCase

from lineside.security.jwts import BadToken, JwtTokens

KEY = "k" * 32
NOW = 1_800_000_000.0
CLAIMS = {"sub": "ann", "meta": {"role": "admin"}}


def part(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode()


def signed(header: bytes, claims: bytes, key: bytes = KEY.encode()) -> str:
    """Return a token by hand, with HS256 whatever its header says."""
    content = f"{part(header)}.{part(claims)}"
    return f"{content}.{part(hmac.digest(key, content.encode(), hashlib.sha256))}"


def head(**fields: Any) -> bytes:
    return json.dumps({"alg": "HS256", "typ": "JWT", **fields}).encode()


class ForgedTokens(SynchronousTestCase):
    """Who has no key gets in nowhere."""

    def refused(self, text: str, key: str = KEY) -> None:
        with self.assertRaises(BadToken, msg=text[:200]):
            JwtTokens(key, lambda: NOW).connection(text)

    def test_what_is_signed_by_hand_is_good(self) -> None:
        """The tests below fail for their own reason."""
        holder = JwtTokens(KEY, lambda: NOW).connection(signed(head(), json.dumps(CLAIMS).encode()))
        self.assertEqual("admin", holder.identity.role)

    def test_no_algorithm_is_none(self) -> None:
        """However it is written, and with or without a signature."""
        for name in ("none", "None", "NONE", "nOnE", "", None, 0, ["HS256"], "HS1", "HS256 "):
            text = signed(head(alg=name), json.dumps(CLAIMS).encode())
            self.refused(text)
            self.refused(text.rpartition(".")[0] + ".")

    def test_a_public_key_is_no_secret(self) -> None:
        """Whoever reads the public key could make tokens, were it taken for one (RFC 8725, section 2.1)."""
        public = rsa.generate_private_key(65537, 2048).public_key()
        pem = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        for key in (pem, pem.strip(), pem.replace(b"\n", b"\r\n")):
            self.refused(signed(head(), json.dumps(CLAIMS).encode(), key), pem.decode())

    def test_the_header_brings_no_key(self) -> None:
        """Nothing that it names is looked up or fetched: with another key it is not ours."""
        other = b"o" * 32
        for named in (
            {"kid": "../../../../dev/null"},
            {"kid": "' UNION SELECT 'o"},
            {"jku": "http://127.0.0.1:1/keys"},
            {"x5u": "http://127.0.0.1:1/cert"},
            {"jwk": {"kty": "oct", "k": part(other)}},
        ):
            self.refused(signed(head(**named), json.dumps(CLAIMS).encode(), other))

    def test_a_critical_extension_that_nobody_knows_is_refused(self) -> None:
        """RFC 7515, section 4.1.11."""
        self.refused(signed(head(crit=["http://example.com/x"]), json.dumps(CLAIMS).encode()))

    def test_the_signature_is_compared_in_constant_time(self) -> None:
        """By `hmac.compare_digest`, in the library that verifies."""
        compared = []

        def compare(one: bytes, other: bytes) -> bool:
            compared.append((one, other))
            return one == other

        self.patch(hmac, "compare_digest", compare)
        JwtTokens(KEY, lambda: NOW).connection(jwt.encode(CLAIMS, KEY, "HS256"))
        self.assertEqual(1, len(compared))

    @fuzzed
    @given(JSONS, JSONS)
    def test_nothing_signed_is_too_strange(self, header: bytes, claims: bytes) -> None:
        """Whatever its parts hold, a token is good or bad; nothing else is raised."""
        for each in (header, head()):
            try:
                JwtTokens(KEY, lambda: NOW).connection(signed(each, claims))
            except BadToken:
                continue
