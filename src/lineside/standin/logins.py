"""Log-in and log-out, as ``/api/method/login`` and ``logout`` do them."""

from __future__ import annotations

from typing import Any

from lineside.standin.documents import Documents
from lineside.standin.errors import FrappeError, raised
from lineside.standin.passwords import is_password
from lineside.standin.records import Records
from lineside.standin.sessions import Lockout, Session, Sessions


class LogIns:
    """Turns passwords into sessions.

    Args:
        documents: with the users.
        sessions: where new ones begin.
        lockout: of those who fail too often.

    """

    def __init__(self, documents: Documents, sessions: Sessions, lockout: Lockout) -> None:
        self._documents = documents
        self._sessions = sessions
        self._lockout = lockout

    async def log_in(self, given: dict[str, Any]) -> Session:
        """Return a session for ``usr`` with ``pwd``.

        Raises:
            FrappeError: 401 for a wrong password, 500 after ten of them.

        """
        user, password = str(given.get("usr") or "").strip(), str(given.get("pwd") or "")
        self._lockout.hold(user)
        found = await self._documents.read(lambda records: _known(records, user, password))
        if found is None:
            self._lockout.failed(user)
            raise refused()
        self._lockout.succeeded(user)
        return self._sessions.begin(
            found["name"], str(found["full_name"]), system_user=found["user_type"] == "System User"
        )


def refused() -> FrappeError:
    """The name or the password is wrong; Frappe does not say which."""
    error = raised("AuthenticationError")
    error.extra["message"] = "Invalid login credentials"
    return error


def welcome(session: Session) -> dict[str, Any]:
    """Return what stands beside ``message`` in the answer to a log-in."""
    home = "/app" if session.system_user else "/me"
    return {"home_page": home, "full_name": session.full_name}


def _known(records: Records, user: str, password: str) -> dict[str, Any] | None:
    if not user or not records.exists("User", user):
        return None
    document = records.get("User", user)
    if not document["enabled"] or not is_password(records.connection, document["name"], password):
        return None
    return document
