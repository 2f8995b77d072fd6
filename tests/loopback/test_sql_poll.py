"""New rows of real tables become events, each once, over restarts and whatever the order of commits."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace
from tests.rig.cutting_proxy import CuttingProxy
from tests.rig.databases import Laboratory, dialect, laboratory, mariadb, postgresql
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.task import Clock, deferLater
from twisted.trial.unittest import TestCase

from lineside.edges.sql.newrows import NewRows
from lineside.edges.sql.places import Place
from lineside.edges.sql.poll import SqlSource
from lineside.edges.sql.pool import Pool
from lineside.journal import polls
from lineside.journal.log import SqliteJournal
from lineside.journal.polls import POLLS
from lineside.journal.tables import JOURNAL
from lineside.model.event import NO_SEQ
from lineside.store.database import Database

__all__ = ["laboratory", "mariadb", "postgresql"]

TABLE = (
    "CREATE TABLE scans (id BIGINT PRIMARY KEY, code VARCHAR(40), grams NUMERIC(10, 3), changed {moment} NOT NULL)"
)
MOMENT = {"mariadb": "DATETIME(6)", "postgresql": "TIMESTAMPTZ", "sqlite": "TEXT"}


class Polled(TestCase):
    """What holds for each kind of database. The clock stands still: each look is asked for."""

    __test__ = False
    type: str
    timeout = 60
    laboratory: Laboratory

    @pytest.fixture(autouse=True)
    def own_database(self, laboratory: Laboratory, tmp_path: Path) -> None:
        self.laboratory = laboratory
        self.directory = tmp_path

    async def setUp(self) -> None:  # type: ignore[override] # (trial waits for it)
        from twisted.internet import reactor  # noqa: PLC0415, TID251 (servers and sockets are real)

        self.reactor: Any = reactor
        self.laboratory.do(TABLE.format(moment=MOMENT[self.type]))
        self.clock = Clock()
        self.source: SqlSource | None = None
        await self.open_journal()
        self.addCleanup(lambda: Deferred.fromCoroutine(self.end()))

    async def open_journal(self) -> None:
        self.database = Database(self.directory / "journal.db", (JOURNAL, POLLS), self.reactor.callFromThread)
        await self.database.open()
        self.journal = SqliteJournal(self.database, dedupe_window=1e-9)
        await self.journal.open()

    async def end(self) -> None:
        if self.source is not None:
            await self.source.stop()
        await self.database.close()

    async def poll(
        self, *, modified: bool = False, begin: Any = "all", port: int | None = None, **facts: Any
    ) -> None:
        """Begin to poll, with the first look, as a gateway does that was started anew."""
        if self.source is not None:
            await self.source.stop()
        address = self.laboratory.address
        if port is not None:
            address = replace(address, host="127.0.0.1", port=port)
        rows = NewRows(
            dialect(address),
            "scans",
            "id",
            "changed" if modified else None,
            facts.pop("columns", ()),
            batch=facts.pop("batch", 3),
            overlap=facts.pop("overlap", 60 if modified else 10),
            seconds=5,
        )
        self.source = SqlSource(
            "scans",
            Pool(self.reactor, dialect(address), "source scans", size=1, use="read"),
            rows,
            self.journal,
            self.database,
            self.clock,
            Random(1),
            address=address.place,
            every=1.0,
            within=facts.pop("within", 5.0),
            begin=begin,
            **facts,
        )
        await self.source.start()
        await self.look_ended()

    async def look(self) -> None:
        """Look once more."""
        self.clock.advance(1.0)
        await self.look_ended()

    async def look_ended(self) -> None:
        assert self.source is not None
        ended = self.source._round
        while ended is not None and not ended.called and self.source.problem is None:
            await deferLater(self.reactor, 0.002)

    def add(self, *numbers: int, minute: int = 0, second: int = 7) -> None:
        zone = "+00:00" if self.type == "postgresql" else ""
        moment = f"2026-03-04 09:{minute:02d}:{second:02d}{zone}"
        rows = ", ".join(f"({number}, 'B-{number}', {number}.5, '{moment}')" for number in numbers)
        self.laboratory.do(f"INSERT INTO scans VALUES {rows}")

    def at_each_commit(self, *happenings: Callable[[], object]) -> None:
        """Let the next of these happen each time that rows were stored: it falls into the midst of a look."""
        append = self.journal.append
        left = list(happenings)

        async def stored_while_others_write(*arguments: Any, **more: Any) -> Any:
            receipts = await append(*arguments, **more)
            if left:
                left.pop(0)()
            return receipts

        self.journal.append = stored_while_others_write  # type: ignore[method-assign]

    async def remembered(self) -> int:
        """How many rows are remembered that were taken."""
        rows = await self.database.read(lambda at: at.execute("SELECT COUNT(*) FROM poll_seen").fetchall())
        return int(rows[0][0])

    async def events(self) -> list[dict[str, Any]]:
        page = await self.journal.read(NO_SEQ, limit=1000)
        return [msgspec.json.decode(record.event.body) for record in page.records]

    async def ids(self) -> list[int]:
        return [event["id"] for event in await self.events()]

    async def test_each_row_becomes_one_event_over_restarts(self) -> None:
        """More rows than one batch, then new ones, then a start anew long after any key was forgotten."""
        self.add(*range(1, 9))
        await self.poll(device="code")
        self.assertEqual(await self.ids(), list(range(1, 9)))
        self.add(9)
        await self.look()
        await self.look()
        await self.poll()
        self.add(10)
        await self.look()
        self.assertEqual(await self.ids(), list(range(1, 11)))
        [first, *_] = (await self.journal.read(NO_SEQ, limit=1)).records
        self.assertEqual((first.event.key, first.event.device), ("1", "B-1"))
        self.assertEqual(
            (await self.events())[0] | {"changed": ""}, {"id": 1, "code": "B-1", "grams": 1.5, "changed": ""}
        )

    async def test_a_row_that_is_committed_late_is_found(self) -> None:
        """A transaction took a number and its time: its row lies below what was found, also after a start."""
        self.add(1, 2, 5)
        await self.poll()
        self.add(3)
        await self.look()
        await self.poll()
        self.add(4)
        await self.look()
        self.assertEqual(await self.ids(), [1, 2, 5, 3, 4])

    async def test_more_rows_than_the_overlap_hide_no_late_one(self) -> None:
        """It was late by one number; four times the overlap came behind it before anyone looked again."""
        self.add(1, 2, 4)
        await self.poll()
        self.add(3, *range(5, 45))
        await self.look()
        await self.look()
        self.assertEqual(sorted(await self.ids()), list(range(1, 45)))

    async def test_a_late_row_is_found_while_more_come_than_a_look_takes(self) -> None:
        """It comes in the midst of a look that does not end for as long as the load lasts."""
        self.add(1, 2, 4)
        more = [range(first, first + 3) for first in range(8, 62, 3)]
        self.at_each_commit(partial(self.add, 3, 5, 6, 7), *(partial(self.add, *numbers) for numbers in more))
        await self.poll()
        ids = await self.ids()
        self.assertEqual(sorted(ids), list(range(1, 62)))
        self.assertLess(ids.index(3), ids.index(40))

    async def test_a_death_in_the_midst_of_a_look_hides_no_late_row(self) -> None:
        """How far it had looked back is stored with how far it has come."""
        self.add(1, 2, 4)
        await self.poll(overlap=20)
        self.add(3, *range(5, 60))
        append = self.journal.append

        def die() -> None:
            raise OSError("power cut")

        self.at_each_commit(lambda: None, lambda: None, die)
        await self.look()
        self.assertNotIn(3, await self.ids())
        self.journal.append = append  # type: ignore[method-assign]
        await self.poll(overlap=20)
        self.assertEqual(sorted(await self.ids()), list(range(1, 60)))

    async def test_more_late_rows_than_a_batch_are_all_found(self) -> None:
        """Those that are left are not passed over while others come on."""
        self.add(*range(2, 20, 2))
        await self.poll(overlap=40)
        self.add(*range(1, 20, 2), *range(20, 120))
        await self.look()
        self.assertEqual(sorted(await self.ids()), list(range(1, 120)))

    async def test_moments_too_hide_no_late_row(self) -> None:
        """Ordered by the last change: a change that was committed late, before minutes of others."""
        self.add(1, 2)
        await self.poll(modified=True)
        self.add(3, second=6)
        for minute in range(1, 12):
            self.add(2 * minute + 2, 2 * minute + 3, minute=minute)
        await self.look()
        await self.poll(modified=True)
        self.assertEqual(sorted(await self.ids()), list(range(1, 26)))

    async def test_what_lies_below_the_overlap_is_forgotten(self) -> None:
        """However many rows one look takes: what it remembers stays as small as the overlap."""
        self.add(*range(1, 61))
        most = 0

        async def count() -> None:
            nonlocal most
            most = max(most, await self.remembered())

        counts: list[Deferred[None]] = []
        self.at_each_commit(*[lambda: counts.append(Deferred.fromCoroutine(count()))] * 20)
        await self.poll()
        await gatherResults(counts)
        await self.look()
        self.assertEqual(await self.ids(), list(range(1, 61)))
        self.assertEqual((len(counts), await self.remembered()), (20, 10))
        self.assertLess(most, 40)

    async def test_a_place_of_an_older_version_is_gone_on_from(self) -> None:
        """It told how far it had come, and nothing else."""
        self.add(1, 2, 4)
        await self.poll()
        await self.database.write(lambda at: polls.store(at, "scans", Place(4).stored(), {}, ()))
        self.add(3, 5)
        await self.poll()
        self.assertEqual(await self.ids(), [1, 2, 4, 3, 5])

    async def test_what_was_there_before_is_left_alone_if_asked(self) -> None:
        """With begin = "new" only later rows become events, and a restart does not begin anew."""
        self.add(1, 2, 5)
        await self.poll(begin="new")
        self.add(4, 6)
        await self.look()
        await self.poll(begin="new")
        self.assertEqual(await self.ids(), [4, 6])

    async def test_a_row_that_is_changed_is_an_event_again(self) -> None:
        """Ordered by their last change, rows of one moment are all found, and so is one committed late."""
        self.add(7, 3, 5, 1, 9)
        await self.poll(modified=True)
        self.assertEqual(sorted(await self.ids()), [1, 3, 5, 7, 9])
        self.laboratory.do("UPDATE scans SET code = 'new', changed = '2026-03-04 09:05:00' WHERE id = 3")
        await self.look()
        self.assertEqual((await self.events())[-1]["code"], "new")
        # Another one, of a moment that lies before.
        self.add(8, minute=4)
        await self.look()
        await self.poll(modified=True)
        self.assertEqual(sorted(await self.ids()), [1, 3, 3, 5, 7, 8, 9])

    async def test_only_the_columns_asked_for_are_in_the_event(self) -> None:
        """The key is read in any case, and shown only where it is asked for."""
        self.add(1)
        await self.poll(columns=("code",))
        self.assertEqual(await self.events(), [{"code": "B-1"}])

    async def test_a_table_that_cannot_be_read_is_a_problem_and_then_none(self) -> None:
        """The status says what to do; as soon as it is done the rows come."""
        self.laboratory.do("DROP TABLE scans")
        await self.poll()
        assert self.source is not None
        self.assertIn("check the source's table and columns", str(self.source.problem))
        self.laboratory.do(TABLE.format(moment=MOMENT[self.type]))
        self.add(1)
        while self.source.problem is not None:
            self.clock.advance(1.0)
            await deferLater(self.reactor, 0.01)
        self.assertEqual(await self.ids(), [1])

    async def test_what_the_journal_refuses_is_taken_later(self) -> None:
        """A full disk loses no row."""
        self.add(1, 2)
        self.journal.refusal = "the journal is full"
        await self.poll()
        assert self.source is not None
        self.assertIn("the journal is full", str(self.source.problem))
        self.journal.refusal = None
        while self.source.problem is not None:
            self.clock.advance(1.0)
            await deferLater(self.reactor, 0.01)
        self.assertEqual(await self.ids(), [1, 2])

    async def test_a_crash_before_or_after_the_commit_loses_and_doubles_nothing(self) -> None:
        """Events and progress are one transaction: whatever was not told, the next start goes on rightly."""
        self.add(1, 2)
        append = self.journal.append

        async def stored_and_not_told(*arguments: Any, **more: Any) -> Any:
            await append(*arguments, **more)
            raise OSError("power cut")

        self.journal.append = stored_and_not_told  # type: ignore[method-assign]
        await self.poll()
        self.journal.append = append  # type: ignore[method-assign]
        await self.poll()
        self.add(3)
        await self.look()
        self.assertEqual(await self.ids(), [1, 2, 3])


class MariaDBTable(Polled):
    """MariaDB."""

    __test__ = True
    type = "mariadb"


class PostgreSQLTable(Polled):
    """PostgreSQL."""

    __test__ = True
    type = "postgresql"

    async def test_a_database_that_is_cut_off_is_a_problem_and_then_none(self) -> None:
        """Looks never pile up on one that says nothing, and go on when it is back."""
        assert self.laboratory.server is not None
        proxy = CuttingProxy(self.reactor, str(self.laboratory.server.socket))
        port = await proxy.start()
        self._cleanups.insert(0, (lambda: Deferred.fromCoroutine(proxy.stop()), (), {}))
        self.add(1)
        await self.poll(port=port)
        self.assertEqual(await self.ids(), [1])
        self.add(2)
        proxy.cuts.append((b"BEGIN", "before"))
        await self.look()
        assert self.source is not None
        self.assertIn("is the database running", str(self.source.problem))
        while self.source.problem is not None:
            self.clock.advance(1.0)
            await deferLater(self.reactor, 0.01)
        self.assertEqual(await self.ids(), [1, 2])


class SQLiteTable(Polled):
    """SQLite."""

    __test__ = True
    type = "sqlite"
