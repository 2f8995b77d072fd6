"""Who sends a request: a token's holder, somebody at this machine, or nobody known."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import ceil
from typing import Protocol

from lineside.operations.web import Problem
from lineside.security.identity import NOBODY, Identity
from lineside.security.sessions import SAFE, SECURE_COOKIE, Session, cookie_of, shown

CHALLENGE = {"WWW-Authenticate": 'Bearer realm="lineside"'}
"""RFC 6750, section 3."""
FORWARDED = frozenset({"forwarded", "via", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-real-ip"})
"""Headers that a proxy adds: who asks through it is not at this machine, though the proxy may be."""
LOCAL_NAMES = frozenset({"localhost", "127.0.0.1", "[::1]"})


class Tokens(Protocol):
    """The API tokens there are."""

    @property
    def any(self) -> bool:
        """Whether there is a token that was not revoked, even one that has expired."""
        ...

    def identify(self, text: str) -> Identity | None:
        """Return whose token it is; None if it is none, or no longer one."""
        ...


class Sessions(Protocol):
    """The sessions of people."""

    def find(self, text: str) -> Session | None:
        """Return the session that a browser shows; None if it is none, or no longer one."""
        ...


class Identification:
    """Tells who asks. As long as there is no token at all, and nobody logs in, who asks from this machine may look.

    Args:
        tokens: the API tokens.
        names: hosts by which this machine's own browser may ask without a token, beside those of loopback. A page
            of another site could have its own name resolve to loopback (DNS rebinding); its requests bear it.
        failed: is told from where somebody came whose token is none.
        sessions: of people; None where nobody logs in.
        cookie: in which a browser shows one.
        wait: is told the address, and returns for how many seconds it ought to have waited.

    """

    def __init__(
        self,
        tokens: Tokens,
        names: frozenset[str] = frozenset(),
        *,
        failed: Callable[[str], None] = lambda where: None,
        sessions: Sessions | None = None,
        cookie: str = "",
        wait: Callable[[str], float] = lambda peer: 0.0,
    ) -> None:
        self._sessions = sessions
        self._cookie = cookie
        self._tokens = tokens
        self._names = LOCAL_NAMES | names
        self._failed = failed
        self._wait = wait

    def identify(self, headers: Mapping[str, str], peer: str, *, local: bool) -> Identity:
        """Return who sends a request with these ``headers`` (names in lower case) from the address ``peer``.

        Args:
            headers: as `Call.headers`.
            peer: the address that it came from.
            local: that is this machine's own, and `meant` is true.

        Raises:
            Problem: 401, the token is not valid; 429, and too many from that address were not.

        """
        given = headers.get("authorization")
        if given is not None:
            scheme, _, token = given.partition(" ")
            identity = self._tokens.identify(token.strip()) if scheme.lower() == "bearer" else None
            if identity is None:
                self._failed(f"http {peer}")
                wait = self._wait(peer)
                if wait:
                    raise too_many("too many tokens from this address were not valid", wait)
                raise Problem(401, "this token is not valid, or no longer", headers=CHALLENGE)
            return identity
        if local and not self._tokens.any and self._sessions is None:
            return Identity(f"somebody at {peer}", "viewer")
        return NOBODY

    def session(self, headers: Mapping[str, str], method: bytes) -> Session | None:
        """Return the session by which a browser's request is known; None for none.

        A cookie alone says nothing for a request that changes something: any site's page could have sent it.
        Whoever shows a token asks by that.
        """
        if self._sessions is None or "authorization" in headers:
            return None
        text = cookie_of(headers, self._cookie)
        if text is None or not (method in SAFE or shown(text, headers, secure=self._cookie == SECURE_COOKIE)):
            return None
        return self._sessions.find(text)

    def meant(self, headers: Mapping[str, str]) -> bool:
        """Tell whether who sent these headers wanted this machine by its own name, and no proxy handed them on."""
        if not FORWARDED.isdisjoint(headers):
            return False
        return host_of(headers.get("host", "")) in self._names


def too_many(what: str, wait: float) -> Problem:
    """Return what is answered to who may come again after ``wait`` seconds (RFC 6585, section 4)."""
    return Problem(429, what, headers={"Retry-After": str(max(1, ceil(wait)))})


def host_of(header: str) -> str:
    """Return the host of a ``Host`` header in lower case, without its port; an IPv6 address keeps its brackets."""
    if header.startswith("["):
        return header.partition("]")[0].lower() + "]"
    return header.partition(":")[0].lower().rstrip(".")
