"""Attacks on log-ins and sessions of people: what happens at the same moment, and what is only begun."""

from __future__ import annotations

from collections.abc import Coroutine
from pathlib import Path
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from lineside.edges.http.identification import Identification
from lineside.model.errors import LinesideError
from lineside.model.ports import LockedOut, Person
from lineside.operations.logins import LogIns, TooSoon, WrongPassword
from lineside.operations.requests import ListSessions, RevokeSession
from lineside.operations.sessions import ASKED_EVERY, OF_ONE, SECOND, SESSIONS, SessionOperations
from lineside.security.audit import Act
from lineside.security.identity import Identity
from lineside.security.loginbackoff import ALLOWANCES
from lineside.security.sessions import CSRF_HEADER, SECURE_COOKIE, csrf_of
from lineside.store.database import Database
from lineside.testing.workers import HeldWorker, call_at_once

RIGHT = "right horse"
HERE = "10.0.0.1"


class Erp:
    """Knows one password, and takes as long as the test wants."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, Deferred[Person | None]]] = []
        self.roles_asked: list[Deferred[frozenset[str]]] = []

    async def person(self, user: str, password: str) -> Person | None:
        self.asked.append((user, Deferred()))
        return await self.asked[-1][1]

    async def roles(self, user: str) -> frozenset[str]:
        self.roles_asked.append(Deferred())
        return await self.roles_asked[-1]


class Record:
    """Keeps what was noted."""

    def __init__(self) -> None:
        self.acts: list[Act] = []
        self.failed: list[str] = []

    async def noted(self, act: Act) -> None:
        self.acts.append(act)

    def failed_login(self, where: str) -> None:
        self.failed.append(where)


class LogInCase(SynchronousTestCase):
    """A journal's file, an ERP and a clock, all turned by hand."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.clock.advance(1_000_000)
        self.path = Path(self.mktemp())
        self.erp, self.record = Erp(), Record()
        self.open()
        self.addCleanup(lambda: self.done(self.database.close()))

    def open(self) -> None:
        """Open the file, as a start does."""
        self.database = Database(self.path, (SESSIONS,), call_at_once, worker=HeldWorker)
        self.done(self.database.open())
        self.sessions = SessionOperations(
            self.database,
            lambda: int(self.clock.seconds() * SECOND),
            {"Stock User": "viewer", "System Manager": "admin"},
            self.erp,
            idle=3_600.0,
        )
        self.done(self.sessions.start())
        self.log_ins = LogIns(self.erp, self.sessions, self.record, self.clock.seconds, "erp")

    def done(self, work: Coroutine[Any, Any, Any]) -> Any:
        return self.successResultOf(Deferred.fromCoroutine(work))

    def begin(self, user: str = "ann", address: str = HERE) -> Deferred[Any]:
        """Try a log-in; returns what becomes of it, which is up to `Erp.asked`."""
        return Deferred.fromCoroutine(self.log_ins.log_in(user, RIGHT, address))

    def log_in(self, user: str = "ann", role: str = "System Manager") -> str:
        """Log somebody in; returns what the browser keeps."""
        trying = self.begin(user)
        self.erp.asked[-1][1].callback(Person(user, user.title(), frozenset({role})))
        text: str = self.successResultOf(trying)[0]
        return text

    def revoke(self, user: str = "ann") -> int:
        """End all sessions of somebody; returns how many."""
        return len(self.done(self.sessions.revoke(RevokeSession(user))).sessions)


class Tries(LogInCase):
    """What is counted of passwords that are guessed."""

    def test_a_hundred_at_the_same_moment(self) -> None:
        """The ERP is asked of as few of them as one after the other."""
        tries = [self.begin() for _ in range(100)]
        self.assertEqual(len(self.erp.asked), ALLOWANCES["pair"].free)
        for _, asked in self.erp.asked:
            asked.callback(None)
        for number, tried in enumerate(tries):
            self.failureResultOf(tried, WrongPassword if number < ALLOWANCES["pair"].free else TooSoon)

    def test_hanging_up_before_the_answer_is_a_try(self) -> None:
        """Else the ERP, which counts it, could be made to lock every account from here, without any wait."""
        for _ in range(ALLOWANCES["pair"].free):
            tried = self.begin()
            tried.cancel()
            self.failureResultOf(tried, CancelledError)
        self.failureResultOf(self.begin(), TooSoon)
        self.assertEqual(len(self.erp.asked), ALLOWANCES["pair"].free)

    def test_an_account_that_the_erp_has_locked(self) -> None:
        """It is no way to go on asking the ERP without a wait."""
        for _ in range(ALLOWANCES["pair"].free):
            tried = self.begin()
            self.erp.asked[-1][1].errback(LockedOut("the ERP has locked this account"))
            self.failureResultOf(tried, LockedOut)
        self.failureResultOf(self.begin(), TooSoon)

    def test_what_the_erp_does_not_decide_frees_one_try_alone(self) -> None:
        """An answer that says nothing, beside others that come late."""
        tries = [self.begin() for _ in range(ALLOWANCES["pair"].free)]
        self.failureResultOf(self.begin(), TooSoon)
        self.erp.asked[0][1].errback(LinesideError("the ERP does not answer"))
        self.failureResultOf(tries.pop(0), LinesideError)
        tries.append(self.begin())
        self.failureResultOf(self.begin(), TooSoon)
        for _, asked in self.erp.asked[1:]:
            asked.callback(None)
        for each in tries:
            self.failureResultOf(each, WrongPassword)


class NoTokens:
    """Nobody has one."""

    any = False

    def identify(self, text: str) -> Identity | None:
        return None


class Pages(LogInCase):
    """Who is known by a cookie, where browsers come over TLS."""

    def test_a_page_that_came_without_tls_changes_nothing(self) -> None:
        """Though it has this host's name, and somebody on the way read the second text for it."""
        text = self.log_in()
        door = Identification(NoTokens(), sessions=self.sessions, cookie=SECURE_COOKIE)
        page = {"host": "gate.example", "cookie": f"{SECURE_COOKIE}={text}", CSRF_HEADER: csrf_of(text)}
        for origin, known in (("https://gate.example", True), ("http://gate.example", False), ("null", False)):
            found = door.session({**page, "origin": origin}, b"POST")
            self.assertEqual(found is not None, known, origin)
        self.assertIsNone(door.session({**page, "cookie": f"lineside={text}"}, b"POST"))
        planted = f"{page['cookie']}; {SECURE_COOKIE}=lss_{'0' * 16}_{'0' * 64}"
        self.assertIsNone(door.session({**page, "cookie": planted}, b"GET"))


class Ends(LogInCase):
    """An end is one, whatever happens at the same moment."""

    def test_revoked_while_the_erp_is_asked_for_their_roles(self) -> None:
        """Who is dismissed loses their roles and their sessions at once: none comes back by a restart."""
        text = self.log_in()
        self.clock.advance(ASKED_EVERY / SECOND + 1)
        self.assertIsNotNone(self.sessions.find(text))
        self.assertEqual(self.revoke(), 1)
        [asked] = self.erp.roles_asked
        asked.callback(frozenset({"Stock User"}))
        self.assertIsNone(self.sessions.find(text))
        self.done(self.database.close())
        self.open()
        self.assertIsNone(self.sessions.find(text))
        self.assertEqual(self.done(self.sessions.list_sessions(ListSessions())).sessions, [])

    def test_revoked_while_one_begins(self) -> None:
        """What is on its way to the disk is found too: nobody slips through between file and memory."""
        trying = self.begin()
        worker: Any = self.database._writer
        worker.held = True
        self.erp.asked[-1][1].callback(Person("ann", "Ann", frozenset({"Stock User"})))
        self.assertNoResult(trying)
        revoking = Deferred.fromCoroutine(self.sessions.revoke(RevokeSession("ann")))
        worker.release()
        self.assertEqual(len(self.successResultOf(revoking).sessions), 1)
        text = self.successResultOf(trying)[0]
        self.assertIsNone(self.sessions.find(text))
        self.done(self.database.close())
        self.open()
        self.assertIsNone(self.sessions.find(text))

    def test_used_while_it_is_logged_out(self) -> None:
        """From the first moment of the log-out on, though the disk has not heard of it yet."""
        text = self.log_in()
        session = self.sessions.find(text)
        assert session is not None
        worker: Any = self.database._writer
        worker.held = True
        leaving = Deferred.fromCoroutine(self.log_ins.log_out(session, HERE))
        self.assertIsNone(self.sessions.find(text))
        self.assertIsNone(self.sessions.still(session.id))
        worker.release()
        self.successResultOf(leaving)

    def test_twice_at_the_same_moment(self) -> None:
        """Two who revoke and one who logs out: each is answered, and it is ended."""
        text = self.log_in()
        session = self.sessions.find(text)
        assert session is not None
        self.assertEqual(self.revoke(), 1)
        self.done(self.log_ins.log_out(session, HERE))
        self.assertIsNone(self.sessions.find(text))

    def test_one_account_does_not_take_everybodys_places(self) -> None:
        """Whoever logs in again and again ends their own oldest ones."""
        others = self.log_in("bob")
        texts = []
        for _ in range(OF_ONE + 3):
            texts.append(self.log_in())
            self.clock.advance(1)
        alive = [self.sessions.find(text) is not None for text in texts]
        self.assertEqual(alive, [False] * 3 + [True] * OF_ONE)
        self.assertIsNotNone(self.sessions.find(others))

    def test_a_clock_that_was_put_back(self) -> None:
        """A session does not live for as long as the clock is behind, not over a restart either."""
        text = self.log_in()
        self.clock.rightNow -= 90_000
        self.assertIsNone(self.sessions.find(text))
        self.done(self.database.close())
        self.open()
        self.clock.rightNow += 90_000
        self.assertIsNone(self.sessions.find(text))
