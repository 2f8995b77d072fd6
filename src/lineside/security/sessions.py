"""Sessions of people in a browser: how one is made, read and compared. Pure; see `lineside.operations.sessions`.

What the browser keeps is ``lss_`` + the session's id + ``_`` + 256 random bits. Only SHA-256 of those bits is kept
here, as of an API token. A page that changes something also shows a second text, made of the same bits, which no
page of another site can read: a cookie goes along with whatever any page asks for.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Callable, Mapping
from hashlib import sha256

from msgspec import Struct

from lineside.security.identity import Identity, Role

COOKIE = "lineside"
SECURE_COOKIE = "__Host-lineside"
"""Browsers take this one over TLS only, and from this very host (RFC 6265bis, section 4.1.3.2)."""
CSRF_HEADER = "x-lineside-csrf"
SAFE = frozenset({b"GET", b"HEAD", b"OPTIONS"})
"""Methods that change nothing (RFC 9110, section 9.2.1)."""
AHEAD = 60_000_000_000
"""Nanoseconds by which a clock may be put back without ending the sessions."""
_form = re.compile(r"lss_([0-9a-f]{16})_([0-9a-f]{64})")


class Session(Struct):
    """What is kept of a session. Times are nanoseconds since 1970, by the wall clock."""

    id: str
    user: str
    """As the ERP names them."""
    full_name: str
    role: Role
    hash: bytes
    created: int
    seen: int
    where: str
    """From where they logged in."""

    @property
    def identity(self) -> Identity:
        """Who it is."""
        return Identity(self.user, self.role)

    def lives(self, now: int, *, idle: int, lifetime: int) -> bool:
        """Tell whether it has not ended by itself; ``idle`` and ``lifetime`` in nanoseconds.

        One that was used later than now has ended too: with a clock that was put back it would never grow old.
        """
        return -AHEAD <= now - self.seen < idle and now - self.created < lifetime

    def matches(self, secret: str) -> bool:
        """Tell whether the secret is this session's, in the same time for every wrong one."""
        return hmac.compare_digest(self.hash, _hash(secret))


def mint(random: Callable[[int], bytes]) -> tuple[str, str, bytes]:
    """Return a new session's text for the browser, its id, and the hash that is kept.

    Args:
        random: returns so many bytes that nobody can guess, such as `os.urandom`.

    """
    identifier, secret = random(8).hex(), random(32).hex()
    return f"lss_{identifier}_{secret}", identifier, _hash(secret)


def read(text: str) -> tuple[str, str] | None:
    """Return a session's id and its secret; None if the text has not that form."""
    found = _form.fullmatch(text)
    return None if found is None else (found[1], found[2])


def csrf_of(text: str) -> str:
    """Return what a page shows beside the cookie ``text``."""
    return hmac.new(text.encode(), b"lineside csrf", sha256).hexdigest()


def shown(text: str, headers: Mapping[str, str], *, secure: bool = False) -> bool:
    """Tell whether a request with the cookie ``text`` comes from a page that may read what `csrf_of` makes of it.

    In the same time for every wrong one.

    Args:
        text: what the cookie says.
        headers: the request's, names in lower case.
        secure: as of `same_origin`.

    """
    given = headers.get(CSRF_HEADER, "").encode("utf-8", "replace")
    return hmac.compare_digest(csrf_of(text).encode(), given) and same_origin(headers, secure=secure)


def same_origin(headers: Mapping[str, str], *, secure: bool = False) -> bool:
    """Tell whether nothing says that a request comes from another site's page.

    Browsers say it by ``Sec-Fetch-Site`` (Fetch Metadata) or ``Origin`` (RFC 6454, section 7); programs by neither.

    Args:
        headers: the request's, names in lower case.
        secure: browsers come over TLS: a page without it, which anybody on the way may have written, is another
            site's.

    """
    if headers.get("sec-fetch-site", "same-origin") not in {"same-origin", "none"}:
        return False
    origin = headers.get("origin")
    if origin is None:
        return True
    scheme, _, host = origin.lower().partition("://")
    return host != "" and host == headers.get("host", "").lower() and (scheme == "https" or not secure)


def cookie_of(headers: Mapping[str, str], name: str) -> str | None:
    """Return the value of a cookie that a request brings; None for none (RFC 6265, section 4.2.1).

    None also for two that differ: a neighbour of this host may set one of the same name for all hosts of a domain,
    and of two nobody can tell whose is whose (section 8.6).
    """
    cookies = (cookie.strip().partition("=") for cookie in headers.get("cookie", "").split(";"))
    values = {value for given, _, value in cookies if given == name}
    return values.pop() if len(values) == 1 else None


def set_cookie(name: str, value: str, *, seconds: int) -> str:
    """Return a ``Set-Cookie`` that no script reads and no other site's page sends along; 0 seconds take it away."""
    secure = "; Secure" if name == SECURE_COOKIE else ""
    return f"{name}={value}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Strict{secure}"


def _hash(secret: str) -> bytes:
    return sha256(bytes.fromhex(secret)).digest()
