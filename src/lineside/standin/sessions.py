"""Sessions of people and programs that logged in with a password. They end with the process."""

from __future__ import annotations

import secrets
from collections.abc import Callable

from msgspec import Struct

from lineside.standin.errors import thrown

MAX_FAILURES = 10
LOCK_SECONDS = 60.0


class Session(Struct):
    """One log-in."""

    sid: str
    user: str
    full_name: str
    system_user: bool
    seen: float
    csrf_token: str | None = None
    """Once it has one, every change must carry it; a page of the Desk makes it."""


class Sessions:
    """The sessions of one site.

    Args:
        seconds: a clock.
        expiry: how many seconds a session outlives its last request.

    """

    def __init__(self, seconds: Callable[[], float], expiry: Callable[[], float]) -> None:
        self._seconds = seconds
        self._expiry = expiry
        self._sessions: dict[str, Session] = {}

    def begin(self, user: str, full_name: str, *, system_user: bool = True) -> Session:
        """Return a new session of a user."""
        self._forget_expired()
        session = Session(secrets.token_hex(28), user, full_name, system_user, self._seconds())
        self._sessions[session.sid] = session
        return session

    def find(self, sid: str) -> Session | None:
        """Return a session that is alive, which keeps it alive."""
        session = self._sessions.get(sid)
        if session is None or self._is_expired(session):
            self._sessions.pop(sid, None)
            return None
        session.seen = self._seconds()
        return session

    def token(self, session: Session) -> str:
        """Return a session's CSRF token; made now where it has none."""
        if session.csrf_token is None:
            session.csrf_token = secrets.token_hex(28)
        return session.csrf_token

    def end(self, sid: str) -> None:
        """End a session."""
        self._sessions.pop(sid, None)

    def _forget_expired(self) -> None:
        for session in [each for each in self._sessions.values() if self._is_expired(each)]:
            del self._sessions[session.sid]

    def _is_expired(self, session: Session) -> bool:
        return self._seconds() - session.seen > self._expiry()


class Lockout:
    """Shuts a user out for a while whose password was wrong too often.

    Args:
        seconds: a clock.

    """

    def __init__(self, seconds: Callable[[], float]) -> None:
        self._seconds = seconds
        self._failures: dict[str, tuple[int, float]] = {}

    def hold(self, user: str) -> None:
        """Let a user try who may.

        Raises:
            FrappeError: SecurityException; there were ten failures, and the last is not long ago.

        """
        number, last = self._failures.get(user.lower(), (0, 0.0))
        if number < MAX_FAILURES:
            return
        if self._seconds() - last > LOCK_SECONDS:
            del self._failures[user.lower()]
            return
        raise thrown(
            "SecurityException", f"Your account has been locked and will resume after {LOCK_SECONDS:.0f} seconds"
        )

    def failed(self, user: str) -> None:
        """Count a wrong password."""
        number, _ = self._failures.get(user.lower(), (0, 0.0))
        self._failures[user.lower()] = (number + 1, self._seconds())

    def succeeded(self, user: str) -> None:
        """Forget a user's failures."""
        self._failures.pop(user.lower(), None)
