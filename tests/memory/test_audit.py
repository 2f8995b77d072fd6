"""The record of who did what, on a real database: before it is done, as it ended, and whatever is done to it."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from functools import partial
from pathlib import Path
from sqlite3 import Connection, OperationalError
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from lineside.edges.http.identification import Identification
from lineside.model.errors import LinesideError
from lineside.operations import auditlog
from lineside.operations.audit import WINDOW, Audit, Unrecorded
from lineside.operations.auditlog import AUDIT
from lineside.operations.registry import Operations
from lineside.operations.requests import (
    CallErp,
    CommandDevice,
    CreateToken,
    ListAudit,
    ListTokens,
    Pause,
    Request,
    ShowStatus,
    VerifyAudit,
)
from lineside.operations.results import CommandAnswer, Paused
from lineside.operations.tokens import TOKENS, TokenOperations
from lineside.operations.web import Problem
from lineside.security.audit import Act, enter
from lineside.security.identity import LOCAL_USER, Identity, NotPermitted
from lineside.store.database import Database
from lineside.testing.workers import HeldWorker, call_at_once

OLGA = Identity("olga", "operator")
ANNA = Identity("anna", "admin")
NOON = 1_750_000_000_000_000_000


class AuditCase(SynchronousTestCase):
    """Operations whose changes are put on record."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.workers: dict[str, HeldWorker] = {}
        self.database = Database(Path(self.mktemp()), (TOKENS, AUDIT), call_at_once, worker=self.worker)
        self.done(self.database.open())
        self.addCleanup(lambda: self.done(self.database.close()))
        self.audit = Audit(self.database, self.clock, lambda: NOON)
        self.operations = Operations(self.audit)
        self.audit.register(self.operations)
        self.tokens = TokenOperations(self.database, ["gate"], lambda: NOON)
        self.tokens.register(self.operations)
        self.operations.answer(Pause, self.pause)
        self.paused: list[Pause] = []
        self.pausing: Deferred[None] | None = None

    def worker(self, name: str) -> HeldWorker:
        return self.workers.setdefault(name, HeldWorker(name))

    async def pause(self, request: Pause) -> Paused:
        if self.pausing is not None:
            await self.pausing
        self.paused.append(request)
        return Paused(request.kind, request.id, None)

    def done(self, work: Coroutine[Any, Any, Any]) -> Any:
        return self.successResultOf(Deferred.fromCoroutine(work))

    def asked(
        self, request: Request[Any], identity: Identity = OLGA, where: str = "http 10.0.0.7"
    ) -> Deferred[Any]:
        return Deferred.fromCoroutine(self.operations.call(request, identity, where))

    def call(self, request: Request[Any], identity: Identity = ANNA) -> Any:
        return self.successResultOf(self.asked(request, identity))

    def entries(self) -> list[Any]:
        """Return the entries, the oldest first."""
        return self.call(ListAudit()).entries[::-1]  # type: ignore[no-any-return]

    def told(self) -> list[tuple[str, str, str]]:
        return [(entry.who, entry.what, entry.state) for entry in self.entries()]

    def verdict(self, **noted: Any) -> tuple[int, int | None, str | None]:
        found = self.call(VerifyAudit(**noted))
        return found.entries, found.broken, found.why

    def write(self, work: Callable[[Connection], Any]) -> Any:
        return self.successResultOf(self.database.write(work))

    def execute(self, statement: str, *values: Any) -> None:
        self.write(lambda connection: connection.execute(statement, values).rowcount)

    def pauses(self, number: int) -> None:
        for each in range(number):
            self.successResultOf(self.asked(Pause(kind="route", id=f"r-{each}")))


class Recording(AuditCase):
    """What is on record, and when."""

    def test_a_change_is_on_record_before_it_is_made_and_as_it_ended(self) -> None:
        """Who, in which role, from where, what and about what."""
        self.pausing = Deferred()
        asked = self.asked(Pause(kind="route", id="checkin"))
        (entry,) = self.entries()
        self.assertEqual((entry.who, entry.role, entry.where), ("olga", "operator", "http 10.0.0.7"))
        self.assertEqual(
            (entry.what, entry.state, entry.facts), ("pause", "asked", {"kind": "route", "id": "checkin"})
        )
        self.assertEqual(self.paused, [])
        self.pausing.callback(None)
        self.successResultOf(asked)
        self.assertEqual(self.told(), [("olga", "pause", "asked"), ("olga", "pause", "done")])
        self.assertEqual(self.entries()[1].facts, {"of": 1})

    def test_to_look_and_to_be_refused_leaves_no_entry(self) -> None:
        """Nor does what a permission to change only lets see."""
        self.call(ListTokens())
        self.failureResultOf(self.asked(CreateToken(name="x", role="admin")), NotPermitted)
        self.failureResultOf(self.asked(ShowStatus()), LinesideError)
        self.assertEqual(self.entries(), [])

    def test_what_fails_says_of_which_kind_and_not_how(self) -> None:
        """The words of a device or an ERP are none of the record's."""

        async def command(request: CommandDevice) -> CommandAnswer:
            raise LinesideError("failed: the canary sings")

        self.operations.answer(CommandDevice, command)
        self.failureResultOf(self.asked(CommandDevice(device="scale", payload={"pin": "canary"})), LinesideError)
        first, second = self.entries()
        self.assertEqual((second.state, second.facts), ("failed", {"of": 1, "kind": "LinesideError"}))
        self.assertEqual(first.facts, {"device": "scale", "wait": True})

    def test_who_gives_up_is_on_record_too(self) -> None:
        """Whether it was carried out nobody can say."""
        self.pausing = Deferred()
        asked = self.asked(Pause(kind="route", id="checkin"))
        asked.cancel()
        self.failureResultOf(asked, CancelledError)
        self.assertEqual(self.told()[1:], [("olga", "pause", "left")])

    def test_nothing_is_done_that_cannot_be_put_on_record(self) -> None:
        """The one who asks is told so."""
        self.execute("DROP TABLE audit")
        failed = self.failureResultOf(self.asked(Pause(kind="route", id="checkin")), Unrecorded)
        self.assertIn("was not done", str(failed.value))
        self.assertEqual(self.paused, [])

    def test_who_is_not_told_that_it_was_done_learns_so(self) -> None:
        """Where the end cannot be put on record the operation fails, and its beginning stands."""
        self.pausing = Deferred()
        asked = self.asked(Pause(kind="route", id="checkin"))
        self.execute("ALTER TABLE audit RENAME TO gone")
        self.pausing.callback(None)
        failed = self.failureResultOf(asked, Unrecorded)
        self.assertIn("it was done, as entry 1 of the record says", str(failed.value))

    def test_no_change_is_confirmed_before_the_disk_has_it(self) -> None:
        """While the disk takes nothing, nothing is begun."""
        self.workers["journal-writer"].held = True
        asked = self.asked(Pause(kind="route", id="checkin"))
        self.assertNoResult(asked)
        self.assertEqual(self.paused, [])
        self.workers["journal-writer"].release()
        self.successResultOf(asked)

    def test_a_call_of_the_erp_is_on_record_as_it_needs(self) -> None:
        """One that only looks leaves no entry; one that needs more than who asks has is not begun."""
        called: list[str] = []

        async def call(request: CallErp, identity: Identity) -> None:
            called.append(request.name)

        needs: dict[str, Any] = {"count": "consult", "order": "operate"}
        self.operations.answer_to(CallErp, call, needs=lambda request: needs[request.name])
        self.successResultOf(self.asked(CallErp(name="count"), Identity("scale", "device")))
        self.assertEqual(self.entries(), [])
        self.failureResultOf(self.asked(CallErp(name="order"), Identity("scale", "device")), NotPermitted)
        self.successResultOf(self.asked(CallErp(name="order", params={"pin": "canary"})))
        self.assertEqual(called, ["count", "order"])
        self.assertEqual([entry.facts for entry in self.entries()], [{"name": "order"}, {"of": 1}])

    def test_tokens(self) -> None:
        """Of a token its name and role are told; what makes it worth anything is nowhere in the record."""
        made = self.call(CreateToken(name="board", role="viewer"))
        secret = made.text.rpartition("_")[2]
        self.assertEqual(self.entries()[0].facts, {"name": "board", "role": "viewer"})
        dump = self.write(lambda connection: repr(connection.execute("SELECT * FROM audit").fetchall()))
        self.assertNotIn(secret, dump)

    def test_a_start(self) -> None:
        """With the hash of the configuration; where its last entry's hash is, is in the log."""
        audit = Audit(self.database, self.clock, lambda: NOON, began={"blake2b": "ab" * 32})
        self.done(audit.start())
        (entry,) = self.entries()
        self.assertEqual((entry.who, entry.what), ("the gateway", "gateway.started"))
        self.assertEqual(entry.facts, {"blake2b": "ab" * 32})

    def test_log_ins_that_fail(self) -> None:
        """They are counted for a while by where they come from, and what is counted at the end is told too."""
        identification = Identification(self.tokens, failed=self.audit.failed_login)
        for peer in ("10.0.0.9", "10.0.0.9", "10.0.0.8"):
            with self.assertRaises(Problem):
                identification.identify({"authorization": "Bearer lst_wrong"}, peer, local=False)
        self.assertEqual(self.entries(), [])
        self.clock.advance(WINDOW)
        told = [(entry.where, entry.what, entry.facts) for entry in self.entries()]
        self.assertEqual(
            told,
            [
                ("http 10.0.0.9", "login.failed", {"failures": 2}),
                ("http 10.0.0.8", "login.failed", {"failures": 1}),
            ],
        )
        self.audit.failed_login("live 10.0.0.7")
        self.done(self.audit.stop())
        self.assertEqual(self.entries()[2].where, "live 10.0.0.7")
        self.assertEqual(self.clock.getDelayedCalls(), [])


class Verifying(AuditCase):
    """Whatever somebody does to the table is found, at its first place."""

    def setUp(self) -> None:
        super().setUp()
        self.pauses(5)

    def test_the_record_as_it_was_written(self) -> None:
        """All follow from one another."""
        self.assertEqual(self.verdict(), (10, None, None))

    def test_an_empty_one(self) -> None:
        """Holds."""
        self.execute("DELETE FROM audit")
        self.assertEqual(self.verdict(), (0, None, None))

    def test_every_column_of_every_entry_is_bound(self) -> None:
        """Whatever is written over shows as altered there, or as not followed."""
        for column in ("at_ns", "who", "role", "place", "what", "state", "facts", "before", "hash"):
            self.setUp()
            value = bytes(32) if column in {"before", "hash"} else 5 if column == "at_ns" else '{"id":"other"}'
            self.execute(f"UPDATE audit SET {column} = ? WHERE number = 4", value)
            _, broken, why = self.verdict()
            self.assertEqual(broken, 4, column)
            self.assertRegex(str(why), "altered|follow", column)
            self.done(self.database.close())

    def test_an_entry_that_is_taken_out(self) -> None:
        """In the middle and at the beginning."""
        self.execute("DELETE FROM audit WHERE number = 4")
        self.assertEqual(self.verdict()[1], 4)
        self.execute("DELETE FROM audit WHERE number < 4")
        self.assertEqual(self.verdict()[1], 1)

    def test_one_that_is_made_anew_breaks_at_the_next(self) -> None:
        """Who knows how entries are made has to make all that follow anew."""

        def forge(connection: Connection) -> None:
            before = connection.execute("SELECT hash FROM audit WHERE number = 3").fetchone()[0]
            forged = enter(Act("somebody else", "admin", "", "pause", "asked"), 4, NOON, before)
            told = (forged.act.who, forged.act.role, forged.act.where, forged.act.state, forged.facts, forged.hash)
            columns = "who = ?, role = ?, place = ?, state = ?, facts = ?, hash = ?"
            connection.execute(f"UPDATE audit SET {columns} WHERE number = 4", told)

        self.write(forge)
        self.assertEqual(self.verdict(), (4, 5, "does not follow from the entry before it"))

    def test_what_is_cut_off_shows_by_what_was_noted(self) -> None:
        """The chain alone cannot know its end: a hash that was noted elsewhere does."""
        last = self.call(VerifyAudit())
        noted = {"number": last.last, "hash": last.hash}
        self.assertEqual(self.verdict(**noted), (10, None, None))
        self.execute("DELETE FROM audit WHERE number > 8")
        self.assertEqual(self.verdict(), (8, None, None))
        self.assertEqual(self.verdict(**noted), (8, 10, "is not the entry whose hash was noted"))

    def test_a_record_made_wholly_anew_shows_by_what_was_noted(self) -> None:
        """However well it is made."""
        last = self.call(VerifyAudit())
        self.execute("DELETE FROM audit")
        self.pauses(6)
        self.execute("UPDATE audit SET who = who")
        self.assertEqual(self.verdict()[1], None)
        other = self.call(VerifyAudit(number=last.last, hash="00" * 32))
        self.assertEqual(other.broken, last.last)

    def test_long_records_are_read_in_stretches(self) -> None:
        """What is broken in a later one is found as well."""
        self.patch(auditlog, "STRETCH", 3)
        self.patch(auditlog.examine, "__defaults__", (3,))
        self.assertEqual(self.verdict(), (10, None, None))
        self.execute("UPDATE audit SET who = 'x' WHERE number = 8")
        self.assertEqual(self.verdict()[:2], (7, 8))


class Keeping(AuditCase):
    """Old entries go, and the chain still holds."""

    def add(self, number: int, kept: int) -> None:
        for each in range(number):
            act = Act("olga", "operator", "", "pause", "done", {"id": each})
            self.write(partial(auditlog.append, act=act, now_ns=NOON, kept=kept))

    def numbers(self) -> list[int]:
        return [entry.number for entry in self.entries()]

    def test_an_entry_vouches_for_the_first_that_is_left(self) -> None:
        """It says up to where others were removed, and the hash of the last of them."""
        self.add(20, kept=10)
        self.assertEqual(self.numbers(), list(range(11, 22)))
        (pruned,) = self.call(ListAudit(what="audit.pruned")).entries
        self.assertEqual((pruned.number, pruned.facts["through"]), (21, 10))
        self.assertEqual(self.verdict(), (11, None, None))

    def test_again_and_again(self) -> None:
        """The record stays as large as it may be."""
        self.add(200, kept=10)
        self.assertLessEqual(len(self.numbers()), 21)
        entries, broken, _ = self.verdict()
        self.assertEqual((entries, broken), (len(self.numbers()), None))

    def test_who_removes_more_than_was_vouched_for_is_found(self) -> None:
        """At the first entry that is missing."""
        self.add(20, kept=10)
        self.execute("DELETE FROM audit WHERE number < 14")
        self.assertEqual(self.verdict()[1], 11)

    def test_who_puts_something_before_the_beginning_is_found(self) -> None:
        """Nobody vouches for it."""
        self.add(20, kept=10)
        self.execute("UPDATE audit SET number = 3 WHERE number = 15")
        self.assertEqual(self.verdict()[1:], (3, "stands before the beginning of the chain"))

    def test_a_full_disk_leaves_no_half(self) -> None:
        """Entry, voucher and removal are one transaction."""
        self.add(19, kept=10)

        def fails(connection: Connection) -> None:
            auditlog.append(connection, Act("olga", "operator", "", "pause", "done"), NOON, kept=10)
            raise OperationalError("database or disk is full")

        self.failureResultOf(self.database.write(fails), OperationalError)
        self.assertEqual(self.numbers(), list(range(1, 20)))
        self.assertEqual(self.verdict(), (19, None, None))


class Asking(AuditCase):
    """Who may see it."""

    def test_only_admins(self) -> None:
        """An operator is in it."""
        for request in (ListAudit(), VerifyAudit()):
            self.failureResultOf(self.asked(request), NotPermitted)

    def test_page_by_page(self) -> None:
        """The newest first; of one person, or of one kind."""
        self.pauses(3)
        self.call(CreateToken(name="board", role="viewer"), LOCAL_USER)
        page = self.call(ListAudit(limit=3))
        self.assertEqual(([entry.number for entry in page.entries], page.next_before), ([8, 7, 6], 6))
        rest = self.call(ListAudit(limit=5, before=page.next_before))
        self.assertEqual(([entry.number for entry in rest.entries], rest.next_before), ([5, 4, 3, 2, 1], None))
        self.assertEqual(len(self.call(ListAudit(who="local user")).entries), 2)
        self.assertEqual(len(self.call(ListAudit(what="pause")).entries), 6)
