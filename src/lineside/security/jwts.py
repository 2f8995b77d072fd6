"""JSON Web Tokens of live clients, as Centrifugo's client protocol has them (RFC 7519).

A program that knows the key, an ERP's page for instance, makes them for its users. Who holds one may read what its
role may, and the channels that it names; a token without a role is good for those channels only.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import inf, isfinite
from typing import Any, cast, get_args

import jwt
from msgspec import Struct

from lineside.model.errors import LinesideError
from lineside.security.identity import Identity, Role

KEYED = ("HS256", "HS384", "HS512")
SIGNED = ("RS256", "ES256", "EdDSA")
LONGEST = 2**31 - 1
"""Seconds that a client is told at most; 68 years."""


class BadToken(LinesideError):
    """A token that is not ours, or not for this."""

    def __init__(self, why: str, *, mismatch: bool = False) -> None:
        super().__init__(why)
        self.mismatch = mismatch
        """It is ours, but for another user, client or channel."""


class ExpiredToken(LinesideError):
    """A token that was good."""


class Holder(Struct, frozen=True):
    """Who holds a connection token."""

    identity: Identity
    expires_in: int | None
    """Seconds; None for never."""
    info: Any
    """What others in a channel are told; None for nothing."""
    channels: tuple[str, ...]
    """To which the connection is subscribed from its start."""


class JwtTokens:
    """Checks tokens.

    Args:
        key: a secret of at least 32 bytes, or a public key in PEM.
        now: seconds since 1970, by the wall clock.
        audience: who a token must be for, if that is checked.
        issuer: who must have made it, likewise.

    """

    def __init__(
        self, key: str, now: Callable[[], float], *, audience: str | None = None, issuer: str | None = None
    ) -> None:
        self._key = key
        # A public key taken for a secret would let everybody who has it make tokens: one kind, never both.
        self._algorithms: Sequence[str] = SIGNED if key.lstrip().startswith("-----BEGIN") else KEYED
        self._now = now
        self._audience = audience
        self._issuer = issuer

    def connection(self, text: str) -> Holder:
        """Return who holds a connection token.

        Raises:
            ExpiredToken: it was good.
            BadToken: it is not.

        """
        claims = self._claims(text)
        if "channel" in claims:
            raise BadToken("a subscription token is none for a connection")
        meta = claims.get("meta")
        named = meta.get("role", "nobody") if isinstance(meta, dict) else "nobody"
        if named not in get_args(Role):
            raise BadToken(f"there is no role {named!r}")
        subs = claims.get("subs")
        channels = (*_texts(claims.get("channels")), *(subs if isinstance(subs, dict) else ()))
        identity = Identity(str(claims.get("sub", "")), cast(Role, named))
        return Holder(identity, self._left(claims), claims.get("info"), tuple(dict.fromkeys(channels)))

    def subscription(self, text: str, *, user: str, client: str, channel: str) -> int | None:
        """Return for how many seconds a subscription token is good, None for ever.

        Raises:
            ExpiredToken: it was good.
            BadToken: it is not.

        """
        claims = self._claims(text)
        given = (claims.get("channel"), str(claims.get("sub", "")), claims.get("client", client))
        if given != (channel, user, client):
            raise BadToken("the token is for another user, client or channel", mismatch=True)
        return self._left(claims)

    def _claims(self, text: str) -> dict[str, Any]:
        try:
            claims: dict[str, Any] = jwt.decode(
                text,
                self._key,
                algorithms=list(self._algorithms),
                audience=self._audience,
                issuer=self._issuer,
                # Times are ours to check, by the clock that was handed in.
                options={
                    "verify_exp": False,
                    "verify_nbf": False,
                    "verify_iat": False,
                    "verify_aud": self._audience is not None,
                },
            )
        except (jwt.PyJWTError, ValueError, RecursionError) as wrong:
            raise BadToken(str(wrong)) from wrong
        try:
            times = {name: float(claims[name]) for name in ("nbf", "exp", "expire_at") if name in claims}
        except (TypeError, ValueError, OverflowError) as wrong:
            raise BadToken("its times are no numbers") from wrong
        if not all(map(isfinite, times.values())):
            raise BadToken("its times are no numbers")
        if self._now() < times.get("nbf", 0.0):
            raise BadToken("it is not good yet")
        if self._now() >= times.get("exp", inf):
            raise ExpiredToken("it has expired")
        return claims

    def _left(self, claims: dict[str, Any]) -> int | None:
        ends = claims.get("expire_at", claims.get("exp"))
        return None if not ends else min(max(1, int(float(ends) - self._now())), LONGEST)


def _texts(value: Any) -> list[str]:
    return [each for each in value if isinstance(each, str)] if isinstance(value, list) else []
