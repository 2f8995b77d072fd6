"""Logging in with a password that the ERP knows."""

from __future__ import annotations

from collections.abc import Callable
from math import ceil
from typing import Protocol

from twisted.internet.defer import CancelledError

from lineside.model.errors import LinesideError
from lineside.model.ports import LockedOut, PasswordOracle
from lineside.operations.sessions import SessionOperations
from lineside.security.audit import Act
from lineside.security.loginbackoff import LogInBackoff
from lineside.security.sessions import Session


class WrongPassword(LinesideError):
    """The name or the password is wrong. Nobody is told which."""


class TooSoon(LinesideError):
    """There were wrong passwords before."""

    def __init__(self, after: float) -> None:
        self.after = ceil(after)
        """Seconds after which to try again."""
        super().__init__(f"there were too many wrong passwords: try again in {self.after} s")


class NoRole(LinesideError):
    """The password is right, and the account has no role that lets anybody in."""


class Record(Protocol):
    """The record of who did what."""

    async def noted(self, act: Act) -> None:
        """Put on record what somebody did, and return when it is on the disk."""
        ...

    def failed_login(self, where: str) -> None:
        """Count a log-in that failed."""
        ...


class LogIns:
    """Lets people in.

    Args:
        oracle: the ERP, which checks passwords.
        sessions: where theirs begin.
        record: of who did what.
        seconds: a monotonic clock.
        site: how the ERP is called to people, such as its address.
        proxied: all come by way of a proxy, so that addresses do not tell them apart.

    """

    def __init__(
        self,
        oracle: PasswordOracle,
        sessions: SessionOperations,
        record: Record,
        seconds: Callable[[], float],
        site: str,
        *,
        proxied: bool = False,
    ) -> None:
        self._oracle = oracle
        self.sessions = sessions
        self._record = record
        self._backoff = LogInBackoff(seconds, addresses=not proxied)
        self.site = site

    async def log_in(self, user: str, password: str, peer: str) -> tuple[str, Session]:
        """Begin a session, and return what the browser keeps of it.

        Raises:
            WrongPassword: the ERP does not know it.
            TooSoon: somebody tried too often.
            NoRole: it is right, and nothing is allowed.
            LinesideError: the ERP does not say whose it is.

        """
        if wait := self._backoff.wait(user, peer):
            raise TooSoon(wait)
        self._backoff.begin(user, peer)
        try:
            person = await self._oracle.person(user, password)
        except (CancelledError, LockedOut):
            # Whoever hangs up has tried all the same: the ERP counts it, and may lock the account.
            raise
        except BaseException:
            self._backoff.undecided(user, peer)
            raise
        if person is None:
            self._record.failed_login(f"log-in {peer}")
            raise WrongPassword("the name or the password is wrong")
        self._backoff.succeeded(user, peer)
        role = self.sessions.role_of(person)
        if role is None:
            self._record.failed_login(f"log-in {peer}")
            raise NoRole(f"{person.user} has no role in the ERP that lets anybody in here; see [http.login.roles]")
        text, session = await self.sessions.begin(person, role, peer)
        await self._record.noted(_act(session, peer, "login.succeeded"))
        return text, session

    async def log_out(self, session: Session, peer: str) -> None:
        """End a session."""
        await self.sessions.end(session.id)
        await self._record.noted(_act(session, peer, "login.ended"))


def _act(session: Session, peer: str, what: str) -> Act:
    return Act(session.user, session.role, f"http {peer}", what, "noted", {})
