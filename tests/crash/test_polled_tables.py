"""A gateway that reads one table and fills another, killed again and again: each row arrives exactly once."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from random import Random
from typing import Any

import pytest
from tests.rig.forked import Forked, Nursery
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
overlap_keys = 50

[routes.copy]
table = "copies"
batch = 5
document = { scan = "{{ id }}", code = "{{ code }}" }
"""
LIVES = 5
GROUPS = 7
"""Of rows for each life, two of which are added after its end: 40 numbers, of which every other one is left out.
A late row takes one of those."""
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

    def rows(self) -> int:
        (count,) = self.plant.execute("SELECT COUNT(*) FROM scans").fetchone()
        return int(count)

    def copies(self) -> int:
        (count,) = self.plant.execute("SELECT COUNT(*) FROM copies").fetchone()
        return int(count)

    def starts(self) -> int:
        return (self.directory / "gateway.log").read_text().count("gateway.ready")

    async def test_every_row_arrives_exactly_once(self) -> None:
        """Rows keep coming, late ones between the others too, while the gateway is killed at any moment."""
        random = Random(7)
        for life in range(LIVES):
            gateway = self.start()
            # In the midst of the rows, or when all are taken: what is late then lies below what was surely read.
            enough = self.copies() + random.randrange(20, 90) if life % 2 else None
            starts = range(40 * GROUPS * life, 40 * GROUPS * (life + 1), 40)
            firsts, late = list(starts[:-2]), {first for first in starts if random.random() < 0.5 and first}
            while (self.copies() < enough) if enough else (firsts or self.copies() < self.rows()):
                if firsts:
                    self.add_group(firsts.pop(0), late)
                self.assertIsNone(gateway.code, self.directory)
                await deferLater(self.reactor, LOOK_AGAIN)
            gateway.signal("KILL")
            await gateway.ended()
            # One that is late by a number, and more than the overlap before anyone looks again.
            self.add_late()
            for first in (*firsts, *starts[-2:]):
                self.add_group(first, late)
        await self.rest()

    def add_group(self, first: int, late: set[int]) -> None:
        """Add rows, one by one, and perhaps one that was committed late: it lies below them all."""
        self.add(range(first, first + 40, 2))
        if first in late:
            self.plant.execute("INSERT INTO scans VALUES (?, 'late')", (first - 1,))

    def add_late(self) -> None:
        """Add a row right below the last."""
        self.plant.execute("INSERT INTO scans SELECT MAX(id) - 1, 'late' FROM scans")

    def start(self) -> Forked:
        """Start a gateway."""
        return self.nursery.start(
            self.reactor,
            ["run", "-c", str(self.directory / "lineside.toml")],
            log=self.directory / "gateway.log",
            environ={},
        )

    async def rest(self) -> None:
        """Let a last gateway finish, and compare both tables."""
        before = self.starts()
        gateway = self.start()
        while self.copies() < self.rows():
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
