"""API tokens: how one is made, read and compared. Pure; the journal keeps them, see `lineside.operations.tokens`.

A token is ``lst_`` + its id + ``_`` + 256 random bits. Only SHA-256 of those bits is kept: they cannot be guessed,
so that a slow hash, made for passwords, would protect nothing more.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Callable
from hashlib import sha256

from msgspec import Struct

from lineside.security.identity import Identity, Role

PREFIX = "lst"
"""By which scanners of repositories and logs may know a token."""
_form = re.compile(rf"{PREFIX}_([0-9a-f]{{8}})_([0-9a-f]{{64}})")


class Token(Struct, frozen=True):
    """What is kept of a token. Times are nanoseconds since 1970, by the wall clock."""

    id: str
    name: str
    """For whom or what it is."""
    role: Role
    sources: frozenset[str] | None
    """The only sources that its holder may send to; None for all."""
    hash: bytes
    created: int
    expires: int | None

    def identity(self) -> Identity:
        """Return who its holder is."""
        return Identity(self.name, self.role, self.sources)

    def lives(self, now: int) -> bool:
        """Tell whether it has not expired."""
        return self.expires is None or now < self.expires


def mint(
    name: str,
    role: Role,
    sources: frozenset[str] | None,
    *,
    now: int,
    expires: int | None,
    random: Callable[[int], bytes],
) -> tuple[str, Token]:
    """Return a new token's text, which nobody can tell again, and what is kept of it.

    Args:
        name: for whom or what it is.
        role: what its holder may.
        sources: the only ones that they may send to.
        now: nanoseconds since 1970.
        expires: likewise; None for never.
        random: returns so many bytes that nobody can guess, such as `os.urandom`.

    """
    identifier, secret = random(4).hex(), random(32).hex()
    token = Token(identifier, name, role, sources, _hash(secret), now, expires)
    return f"{PREFIX}_{identifier}_{secret}", token


def read(text: str) -> tuple[str, str] | None:
    """Return a token's id and its secret; None if it has not a token's form."""
    found = _form.fullmatch(text)
    return None if found is None else (found[1], found[2])


def matches(token: Token, secret: str) -> bool:
    """Tell whether the secret is the token's, in the same time for every wrong one."""
    return hmac.compare_digest(token.hash, _hash(secret))


def _hash(secret: str) -> bytes:
    return sha256(bytes.fromhex(secret)).digest()
