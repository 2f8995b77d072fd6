"""Who sends a request: by a session's cookie, else by an API key. And the cookies that go back."""

from __future__ import annotations

import hmac
from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import quote

from msgspec import Struct

from lineside.standin.authentication import GUEST, Credentials, authenticate
from lineside.standin.errors import thrown
from lineside.standin.incoming import Incoming
from lineside.standin.sessions import Session, Sessions

UNSAFE = frozenset({"POST", "PUT", "PATCH", "DELETE"})

Headers = tuple[tuple[bytes, bytes], ...]


class Visitor(Struct, frozen=True):
    """The sender of one request."""

    user: str = GUEST
    session: Session | None = None
    expired: bool = False
    """It named a session that does not exist any more."""


def recognise(incoming: Incoming, given: dict[str, Any], sessions: Sessions, credentials: Credentials) -> Visitor:
    """Return who sends a request. A session counts before an API key; both must be right.

    Raises:
        FrappeError: 400 for a change without the session's CSRF token, 401 for a wrong key.

    """
    sid = str(given.pop("sid", None) or _cookie(incoming.cookie, "sid"))
    session = sessions.find(sid) if sid not in {"", GUEST} else None
    token = given.pop("csrf_token", None)
    if session is not None and session.csrf_token and incoming.verb in UNSAFE:
        told = str(incoming.csrf_token or token or "")
        if not hmac.compare_digest(told.encode(), session.csrf_token.encode()):
            raise thrown("CSRFTokenError", "Invalid Request")
    user = authenticate(incoming.authorization, credentials)
    if session is not None:
        return Visitor(session.user, session)
    return Visitor(user, None, expired=sid not in {"", GUEST})


def claims(incoming: Incoming) -> bool:
    """Whether a request says who sends it, rightly or not."""
    return bool(incoming.authorization) or _cookie(incoming.cookie, "sid") not in {"", GUEST}


def cookies(session: Session | None, expiry: float) -> Headers:
    """Return the cookies of an answer: the session's, else the guest's. A client with an API key ignores them."""
    if session is None:
        return GUEST_COOKIES
    sid = f"sid={session.sid}; HttpOnly; Max-Age={expiry:.0f}; Path=/; SameSite=Lax"
    return _cookies(sid, system_user=session.system_user, full_name=session.full_name, user=session.user)


def _cookies(sid: str, *, system_user: bool, full_name: str, user: str) -> Headers:
    told = {
        "system_user": "yes" if system_user else "no",
        "full_name": full_name,
        "user_id": user,
        "user_image": "",
    }
    lines = [sid, *(f"{name}={quote(value, safe='')}; Path=/; SameSite=Lax" for name, value in told.items())]
    return tuple((b"Set-Cookie", line.encode()) for line in lines)


GUEST_COOKIES = _cookies(
    "sid=Guest; HttpOnly; Path=/; SameSite=Lax", system_user=False, full_name=GUEST, user=GUEST
)

CLEARED: Headers = tuple(
    (b"Set-Cookie", f"{name}=; Expires=Thu, 01 Jan 1970 00:00:00 GMT; Max-Age=0; Path=/".encode())
    for name in ("sid", "full_name", "user_id", "user_image", "system_user")
)
"""Sent to who claimed to be somebody and is not."""


def _cookie(header: str | None, name: str) -> str:
    if not header:
        return ""
    try:
        morsel = SimpleCookie(header).get(name)
    except CookieError:
        return ""
    return morsel.value if morsel else ""
