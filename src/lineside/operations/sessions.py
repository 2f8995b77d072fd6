"""Sessions of people: they begin with a password that the ERP knows, and end by age or by somebody's word."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from functools import partial
from sqlite3 import Connection

from twisted.logger import Logger

from lineside.background import Background
from lineside.model.errors import LinesideError, NotFound
from lineside.model.ports import PasswordOracle, Person
from lineside.operations.registry import Operations
from lineside.operations.requests import ListSessions, RevokeSession
from lineside.operations.results import SessionList, SessionSummary
from lineside.operations.texts import moment
from lineside.security.identity import ROLES, Identity, Role
from lineside.security.sessions import Session, mint, read
from lineside.store.database import Database
from lineside.store.migrations import Component

log = Logger()

SESSIONS = Component(
    "sessions",
    (
        (
            """CREATE TABLE session (id TEXT PRIMARY KEY, user TEXT NOT NULL, full_name TEXT NOT NULL,
                role TEXT NOT NULL, hash BLOB NOT NULL, created INTEGER NOT NULL, seen INTEGER NOT NULL,
                place TEXT NOT NULL) WITHOUT ROWID""",
        ),
    ),
)
"""The sessions' table. Times are nanoseconds since 1970."""

SECOND = 1_000_000_000
"""In nanoseconds."""
KEPT_EVERY = 300 * SECOND
"""How old what is on the disk of a session's last use may be."""
ASKED_EVERY = 600 * SECOND
"""How old what the ERP said of somebody's roles may be, while they are here."""
MOST = 10_000
"""Sessions at a time."""
OF_ONE = 32
"""Sessions of one user at a time; with one more the one ends that was used longest ago."""


class SessionOperations:
    """The sessions of a gateway, and the `Part` that reads them.

    Args:
        database: the journal's.
        now_ns: the wall clock.
        roles: by the ERP's roles, ours.
        oracle: the ERP, which is asked again; None where nobody logs in.
        idle: seconds after which a session ends that is not used.
        lifetime: seconds after which each one ends.
        random: returns so many bytes that nobody can guess.

    """

    name = "sessions"

    def __init__(
        self,
        database: Database,
        now_ns: Callable[[], int],
        roles: Mapping[str, Role] | None = None,
        oracle: PasswordOracle | None = None,
        *,
        idle: float = 3_600.0,
        lifetime: float = 43_200.0,
        random: Callable[[int], bytes] = os.urandom,
    ) -> None:
        self._database = database
        self._now_ns = now_ns
        self._roles = roles or {}
        self._oracle = oracle
        self._idle = int(idle * SECOND)
        self.lifetime = lifetime
        self._random = random
        self._sessions: dict[str, Session] = {}
        self._kept: dict[str, int] = {}
        self._asked: dict[str, int] = {}
        self._writing = Background(self.name)

    async def start(self) -> None:
        """Read the sessions; the journal must be open. Those that have ended meanwhile are forgotten."""
        found = await self._database.read(_all)
        self._sessions = {session.id: session for session in found if self._lives(session)}
        self._kept = {session.id: session.seen for session in self._sessions.values()}
        for session in found:
            if session.id not in self._sessions:
                await self._database.write(partial(_delete, identifier=session.id))

    async def stop(self) -> None:
        """Finish what is being written, and ask the ERP no more."""
        self._writing.cancel()
        await self._writing.finish()

    def register(self, operations: Operations) -> None:
        """Offer the operations."""
        operations.answer(ListSessions, self.list_sessions)
        operations.answer(RevokeSession, self.revoke)

    def role_of(self, person: Person) -> Role | None:
        """Return what somebody may here, by the roles that they have in the ERP; None for nothing."""
        return _highest(person.roles, self._roles)

    async def begin(self, person: Person, role: Role, where: str) -> tuple[str, Session]:
        """Begin a session, and return what the browser keeps of it, which nobody can tell again.

        Raises:
            LinesideError: there are too many.

        """
        self._forget_ended()
        own = [session for session in self._sessions.values() if session.user == person.user]
        for session in sorted(own, key=lambda each: each.seen)[: max(0, len(own) - OF_ONE + 1)]:
            self._forget(session.id)
        if len(self._sessions) >= MOST:
            raise LinesideError("too many people are logged in")
        text, identifier, digest = mint(self._random)
        now = self._now_ns()
        session = Session(identifier, person.user, person.full_name, role, digest, now, now, where)
        # It is among them before it is on the disk, so that no revoking misses it in between.
        self._sessions[identifier] = session
        self._kept[identifier] = self._asked[identifier] = now
        try:
            await self._database.write(partial(_store, session=session))
        except BaseException:
            self._drop(identifier)
            raise
        return text, session

    def find(self, text: str) -> Session | None:
        """Return the session that a browser shows, and keep it alive; None if it is none, or no longer one."""
        parts = read(text)
        session = None if parts is None else self._sessions.get(parts[0])
        if parts is None or session is None or not session.matches(parts[1]):
            return None
        now = self._now_ns()
        if not self._lives(session):
            self._forget(session.id)
            return None
        session.seen = max(session.seen, now)
        if now - self._kept.get(session.id, 0) > KEPT_EVERY:
            self._kept[session.id] = now
            self._writing.run("keep", self._database_write(partial(_keep, session=session)))
        if self._oracle is not None and now - self._asked.get(session.id, 0) > ASKED_EVERY:
            self._asked[session.id] = now
            self._writing.run("ask", self._ask_again(session, self._oracle))
        return session

    def still(self, identifier: str) -> Identity | None:
        """Return whose session it is, by its id; None where it has ended. It is not kept alive by that."""
        session = self._sessions.get(identifier)
        return session.identity if session is not None and self._lives(session) else None

    async def end(self, identifier: str) -> None:
        """End a session at once, on the disk too; one that has ended already is no error."""
        self._drop(identifier)
        await self._database.write(partial(_delete, identifier=identifier))

    async def list_sessions(self, request: ListSessions) -> SessionList:
        """Return who is logged in, the newest log-in first."""
        found = [session for session in await self._database.read(_all) if self._lives(session)]
        current = [self._sessions.get(session.id, session) for session in found]
        return SessionList([_summary(session) for session in sorted(current, key=lambda each: -each.created)])

    async def revoke(self, request: RevokeSession) -> SessionList:
        """End a session by its id, or all of a user, at once.

        Raises:
            NotFound: there is none.

        """
        ended = [each for each in self._sessions.values() if request.session in {each.id, each.user}]
        for session in ended:
            self._drop(session.id)
        here = {session.id for session in ended}
        ended += [
            session
            for session in await self._database.read(_all)
            if session.id not in here and request.session in {session.id, session.user}
        ]
        if not ended:
            raise NotFound(f'there is no session "{request.session}"')
        for session in ended:
            await self.end(session.id)
        return SessionList([_summary(session) for session in ended])

    async def _ask_again(self, session: Session, oracle: PasswordOracle) -> None:
        try:
            roles = await oracle.roles(session.user)
        except LinesideError:
            # While the ERP is away people go on as they were, until their session ends by its age.
            return
        role = _highest(roles, self._roles)
        if role is None:
            log.info("login.withdrawn", user=session.user)
            await self.end(session.id)
        elif role != session.role:
            session.role = role
            await self._database_write(partial(_keep, session=session))

    async def _database_write(self, work: Callable[[Connection], None]) -> None:
        await self._database.write(work)

    def _lives(self, session: Session) -> bool:
        return session.lives(self._now_ns(), idle=self._idle, lifetime=int(self.lifetime * SECOND))

    def _forget_ended(self) -> None:
        for session in [each for each in self._sessions.values() if not self._lives(each)]:
            self._forget(session.id)

    def _forget(self, identifier: str) -> None:
        self._drop(identifier)
        self._writing.run("forget", self._database_write(partial(_delete, identifier=identifier)))

    def _drop(self, identifier: str) -> None:
        self._sessions.pop(identifier, None)
        self._kept.pop(identifier, None)
        self._asked.pop(identifier, None)


def _highest(given: frozenset[str], roles: Mapping[str, Role]) -> Role | None:
    ours = [roles[role] for role in given if role in roles]
    return max(ours, key=lambda role: len(ROLES[role]), default=None)


def _summary(session: Session) -> SessionSummary:
    return SessionSummary(
        session.id,
        session.user,
        session.full_name,
        session.role,
        session.where,
        moment(session.created),
        moment(session.seen),
    )


def _store(connection: Connection, session: Session) -> None:
    connection.execute(
        """INSERT INTO session (id, user, full_name, role, hash, created, seen, place)
           VALUES (?, ?, ?, ?, ?, ?, ?, ?)""",
        (
            session.id,
            session.user,
            session.full_name,
            session.role,
            session.hash,
            session.created,
            session.seen,
            session.where,
        ),
    )


def _keep(connection: Connection, session: Session) -> None:
    # One that has ended meanwhile stays ended.
    connection.execute(
        "UPDATE session SET role = ?, seen = ? WHERE id = ?", (session.role, session.seen, session.id)
    )


def _delete(connection: Connection, identifier: str) -> None:
    connection.execute("DELETE FROM session WHERE id = ?", (identifier,))


def _all(connection: Connection) -> list[Session]:
    rows = connection.execute("SELECT id, user, full_name, role, hash, created, seen, place FROM session")
    return [Session(*row) for row in rows]
