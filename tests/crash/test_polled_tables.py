"""A gateway that reads one table and fills another, killed again and again: each row arrives exactly once."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from random import Random
from typing import Any

import pytest
from tests.rig.forked import Nursery
from twisted.internet.task import deferLater
from twisted.trial.unittest import TestCase

CONFIGURATION = """
[journal]
dedupe_window = "1ms"

[databases.plant]
type = "sqlite"
path = "plant.db"

[targets.plant]
type = "sql"
database = "plant"

[sources.scans]
type = "sql"
database = "plant"
table = "scans"
key = "id"
every = "20ms"
batch = 7
overlap_keys = 800

[routes.copy]
table = "copies"
batch = 5
document = { scan = "{{ id }}", code = "{{ code }}" }
"""
ROWS = 400
"""Of numbers up to twice that. While one look goes on, many may be added before a late one is looked for."""
LOOK_AGAIN = 0.02


class Killed(TestCase):
    """One table, one gateway, several deaths."""

    timeout = 120

    @pytest.fixture(autouse=True)
    def own_directory(self, tmp_path: Path, nursery: Nursery) -> None:
        self.directory, self.nursery = tmp_path, nursery

    def setUp(self) -> None:
        from twisted.internet import reactor  # noqa: PLC0415, TID251 (processes are real)

        self.reactor: Any = reactor
        (self.directory / "lineside.toml").write_text(CONFIGURATION)
        self.plant = sqlite3.connect(self.directory / "plant.db", isolation_level=None, timeout=30)
        self.addCleanup(self.plant.close)
        self.plant.execute("PRAGMA journal_mode = WAL")
        self.plant.execute("CREATE TABLE scans (id INTEGER PRIMARY KEY, code TEXT NOT NULL)")
        self.plant.execute("CREATE TABLE copies (scan INTEGER, code TEXT, lineside_id VARCHAR(32) UNIQUE)")

    def add(self, numbers: range) -> None:
        self.plant.executemany("INSERT INTO scans VALUES (?, ?)", ((n, f"00{n}") for n in numbers))

    def copies(self) -> int:
        (count,) = self.plant.execute("SELECT COUNT(*) FROM copies").fetchone()
        return int(count)

    def starts(self) -> int:
        return (self.directory / "gateway.log").read_text().count("gateway.ready")

    async def test_every_row_arrives_exactly_once(self) -> None:
        """Rows keep coming, late ones between the others too, while the gateway is killed at any moment."""
        random = Random(7)
        waiting = [range(first, first + 40, 2) for first in range(0, 2 * ROWS, 40)]
        deaths = 0
        while self.copies() < ROWS:
            gateway = self.nursery.start(
                self.reactor,
                ["run", "-c", str(self.directory / "lineside.toml")],
                log=self.directory / "gateway.log",
                environ={},
            )
            more = self.copies() + random.randrange(40, 120)
            while self.copies() < min(more, ROWS):
                if waiting:
                    numbers = waiting.pop(0)
                    self.add(numbers)
                    if random.random() < 0.5 and numbers[0]:
                        # Committed late: it lies below what was read.
                        self.plant.execute("INSERT INTO scans VALUES (?, 'late')", (numbers[0] - 1,))
                self.assertIsNone(gateway.code, self.directory)
                await deferLater(self.reactor, LOOK_AGAIN)
            gateway.signal("KILL")
            await gateway.ended()
            deaths += 1
        self.assertGreater(deaths, 2)
        await self.rest()

    async def rest(self) -> None:
        """Let a last gateway finish, and compare both tables."""
        before = self.starts()
        gateway = self.nursery.start(
            self.reactor,
            ["run", "-c", str(self.directory / "lineside.toml")],
            log=self.directory / "gateway.log",
            environ={},
        )
        (rows,) = self.plant.execute("SELECT COUNT(*) FROM scans").fetchone()
        while self.copies() < rows:
            self.assertIsNone(gateway.code, self.directory)
            await deferLater(self.reactor, LOOK_AGAIN)
        # Time for one too many to arrive, and for the gateway to hear a signal.
        while self.starts() <= before:
            await deferLater(self.reactor, LOOK_AGAIN)
        for _ in range(10):
            await deferLater(self.reactor, LOOK_AGAIN)
        gateway.signal("TERM")
        self.assertEqual(await gateway.ended(), 0)
        wanted = self.plant.execute("SELECT id, code FROM scans ORDER BY id").fetchall()
        self.assertEqual(self.plant.execute("SELECT scan, code FROM copies ORDER BY scan").fetchall(), wanted)
