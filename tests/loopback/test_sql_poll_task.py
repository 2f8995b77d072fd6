"""The built-in task sql-poll on a real table: each row becomes one event, whatever becomes of a run."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from random import Random
from typing import Any

import msgspec
import pytest
from tests.rig.task_context import Kept, context_of
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock, deferLater
from twisted.trial.unittest import TestCase

from lineside.edges.sql.dialect import Address
from lineside.edges.sql.polltask import SqlPoll, SqlPollParams, Unpolled
from lineside.edges.sql.pool import Pool
from lineside.edges.sql.sqlite import SQLite
from lineside.journal.log import SqliteJournal
from lineside.journal.polls import POLLS
from lineside.journal.tables import JOURNAL
from lineside.journal.watched import WatchedJournal
from lineside.model.event import NO_SEQ, Event
from lineside.model.traffic import Traffic
from lineside.store.database import Database
from lineside.tasks.sources import NoSource, TaskSource, TaskSources
from lineside.wire.jsonl import JsonLines


class Polling(TestCase):
    timeout = 30

    @pytest.fixture(autouse=True)
    def own_directory(self, tmp_path: Path) -> None:
        self.directory = tmp_path

    async def setUp(self) -> None:  # type: ignore[override] # (trial waits for it)
        from twisted.internet import reactor  # noqa: PLC0415, TID251 (threads are real)

        self.reactor: Any = reactor
        self.path = self.directory / "plant.db"
        self.do("CREATE TABLE scans (id INTEGER PRIMARY KEY, code TEXT, dock TEXT)")
        self.do("CREATE TABLE weights (id INTEGER PRIMARY KEY, grams INTEGER)")
        self.kept = Kept()
        self.addCleanup(lambda: Deferred.fromCoroutine(self.database.close()))
        await self.start()

    async def start(self) -> None:
        """Start the gateway; what it knew of keys is forgotten at once, so that only its place counts."""
        self.database = Database(self.directory / "journal.db", (JOURNAL, POLLS), self.reactor.callFromThread)
        await self.database.open()
        self.journal = SqliteJournal(self.database, dedupe_window=1e-9)
        await self.journal.open()
        self.watched = WatchedJournal(self.journal, Traffic(0.0), Clock(), lambda: 0)
        sources = TaskSources({"rows": TaskSource(self.watched, JsonLines(None, None))})
        self.poll = SqlPoll({"plant": self.pool}, sources, self.database, Random(1))

    def pool(self) -> Pool:
        dialect = SQLite(Address("sqlite", path=self.path))
        return Pool(self.reactor, dialect, "tasks of plant", size=1, use="read")

    def do(self, sql: str, *values: Any) -> None:
        connection = sqlite3.connect(self.path, isolation_level=None)
        try:
            connection.execute(sql, values)
        finally:
            connection.close()

    def add(self, *numbers: int) -> None:
        for number in numbers:
            self.do("INSERT INTO scans VALUES (?, ?, 'north')", number, f"B-{number}")

    def begin(self, **params: Any) -> Deferred[Any]:
        given = {"database": "plant", "table": "scans", "key": "id", "into": "rows", **params}
        context = context_of(msgspec.convert(given, SqlPollParams), self.reactor, self.kept)
        return Deferred.fromCoroutine(self.poll.run(context))

    async def look(self, **params: Any) -> int:
        """Return how many events a run finds."""
        found = await self.begin(**params)
        return int(found.events)

    async def events(self) -> list[Event]:
        return [record.event for record in (await self.journal.read(NO_SEQ, limit=1000)).records]

    async def ids(self) -> list[int]:
        return [msgspec.json.decode(event.body)["id"] for event in await self.events()]

    async def test_each_row_is_one_event_over_runs_and_restarts(self) -> None:
        """More rows than one batch, then new ones, then a process that knows no key any more."""
        self.add(1, 2, 3, 4, 5)
        self.assertEqual((5, 0), (await self.look(batch=2), await self.look(batch=2)))
        self.assertEqual([2, 4, 5], [done for done, _, _ in self.kept.progress])
        self.add(6)
        await self.database.close()
        await self.start()
        self.assertEqual((1, 0), (await self.look(), await self.look()))
        self.assertEqual([1, 2, 3, 4, 5, 6], await self.ids())

    async def test_two_tables_share_a_source(self) -> None:
        """Their rows have the same numbers, and are not taken for one another."""
        self.journal = SqliteJournal(self.database)
        await self.journal.open()
        self.watched._journal = self.journal
        self.add(1)
        self.do("INSERT INTO weights VALUES (1, 500)")
        self.assertEqual((1, 1), (await self.look(device="dock"), await self.look(table="weights")))
        self.assertEqual(
            [("plant/scans/1", "north"), ("plant/weights/1", None)],
            [(event.key, event.device) for event in await self.events()],
        )

    async def test_cancelled_in_the_middle_it_loses_nothing(self) -> None:
        """What was stored by then is not taken again, what was not is."""
        self.add(*range(1, 41))
        progressed = self.kept.progressed

        def cancel_in_the_fifth_commit(*told: Any) -> None:
            progressed(*told)
            if len(self.kept.progress) == 5:
                self.reactor.callLater(0, run.cancel)

        self.patch(self.kept, "progressed", cancel_in_the_fifth_commit)
        run = self.begin(batch=1)
        await self.assertFailure(run, CancelledError)
        self.assertEqual([1, 2, 3, 4, 5], await self.ids())
        await self.look(batch=7)
        self.assertEqual(list(range(1, 41)), await self.ids())

    async def test_waits_for_a_database_that_is_away(self) -> None:
        """It says what it waits for, and goes on when there is one."""
        self.add(1)
        there, self.path = self.path, self.directory / "nowhere" / "plant.db"
        run = self.begin()
        while not self.kept.progress:
            await deferLater(self.reactor, 0.005)
        self.assertIn("waits for the database", str(self.kept.progress[-1][2]))
        self.assertFalse(run.called)
        self.path.parent.mkdir()
        there.rename(self.path)
        self.assertEqual(1, (await run).events)

    async def test_says_what_to_do_where_asking_again_is_of_no_use(self) -> None:
        """A table, a database and a source that are none."""
        wrong = await self.assertFailure(self.begin(table="scanz"), Unpolled)
        self.assertIn("check the task's table and columns", str(wrong))
        wrong = await self.assertFailure(self.begin(database="plnt"), Unpolled)
        self.assertIn("add a table [databases.plnt]", str(wrong))
        await self.assertFailure(self.begin(into="nowhere"), NoSource)
