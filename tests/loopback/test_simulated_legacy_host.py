"""``lineside simulate legacy-host`` and a source that reads its log: two commands, and lines become events."""

from __future__ import annotations

import json
from pathlib import Path
from random import Random
from typing import Any

import pytest
from tests.rig.forked import Nursery
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater
from twisted.trial.unittest import TestCase

from lineside.assemble.config import load
from lineside.assemble.sources import WayIn
from lineside.delivery.backoff import Backoff
from lineside.edges.ssh.client import follow
from lineside.model.event import Record, Seq
from lineside.testing.journals import JournalOnFile

AROUND = """
[targets.erp]
type = "frappe"
url = "http://127.0.0.1:9"
api_key = "none"
api_secret = "none"

[routes.note]
doctype = "ToDo"
document = { description = "{{ scan_id }}" }

"""
LINES = 60


class Simulated(TestCase):
    """The host in a process of its own."""

    timeout = 60

    @pytest.fixture(autouse=True)
    def own_directory(self, tmp_path: Path, nursery: Nursery) -> None:
        self.directory, self.nursery = tmp_path, nursery

    def setUp(self) -> None:
        from twisted.internet import reactor  # noqa: PLC0415, TID251 (processes are real)

        self.reactor: Any = reactor
        self.file = JournalOnFile(self.directory / "journal.db", lambda: 1)
        self.addCleanup(self.file.close)

    async def records(self) -> list[Record]:
        return (await self.file.journal.read(Seq(0), sources=None, limit=1_000)).records

    async def test_its_log_becomes_events_through_cuts_and_a_rotation(self) -> None:
        """The table that it prints is all that is needed; no line is lost or double."""
        self.patch(follow, "AWAY", Backoff((0.02,), 0.3))
        folder = self.directory / "box"
        told: list[str] = []
        options = ["--directory", str(folder), "--port", "0", "--rate", "60", "--count", str(LINES), "--json"]
        host = self.nursery.start(
            self.reactor,
            ["simulate", "legacy-host", *options, "--drop-every", "0.4", "--rotate-every", "40"],
            log=self.directory / "box.log",
            environ={},
            line=told.append,
        )
        table = folder / "source.toml"
        while not table.exists():
            self.assertIsNone(host.code, told)
            await deferLater(self.reactor, 0.02)
        path = self.directory / "lineside.toml"
        path.write_text(f"{AROUND}{table.read_text()}every = '100ms'\n")
        settings = load(path, environ={}).ssh_commands["legacy"]
        way = WayIn(self.reactor, "legacy", settings, self.file.journal, Random(5), database=self.file.database)
        await way.source.start()
        self.addCleanup(lambda: Deferred.fromCoroutine(way.source.stop()))
        while len(await self.records()) < LINES:
            self.assertIsNone(host.code, told)
            await deferLater(self.reactor, 0.02)
        keys = [json.loads(record.event.body)["scan_id"] for record in await self.records()]
        self.assertEqual((LINES, LINES), (len(keys), len({*keys})))
        await way.source.stop()
        host.signal("TERM")
        self.assertEqual(0, await host.ended())
        summary = json.loads(told[-1])
        self.assertEqual((LINES, 1), (summary["written"], summary["rotations"]))
        self.assertGreater(summary["dropped"], 0)
        self.assertGreater(summary["commands"], 1)
