"""A gateway that is killed while programs post to it, who send again until they are answered 202.

Nothing but the ``Idempotency-Key`` tells a repeat: the events have no keys of their own.
"""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import time
from collections import Counter
from pathlib import Path
from random import Random
from typing import Any

import pytest
import treq
from tests.rig.daemon import free_port
from tests.rig.forked import Forked, Nursery
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.error import ConnectError, ConnectionClosed
from twisted.internet.task import deferLater
from twisted.trial.unittest import TestCase
from twisted.web.client import Agent, PartialDownloadError, RequestTransmissionFailed, ResponseFailed
from twisted.web.http_headers import Headers

from lineside.model.event import NO_SEQ, Record
from lineside.testing.journals import JournalOnFile

CONFIGURATION = """
[http]
listen = "tcp:{port}:interface=127.0.0.1"

[databases.plant]
type = "sqlite"
path = "plant.db"

[targets.plant]
type = "sql"
database = "plant"

[sources.web]
type = "http"
anonymous = true

[routes.copy]
table = "copies"
document = {{ event = "{{{{ event_id }}}}" }}
"""
CUT_OFF = (ConnectError, ConnectionClosed, RequestTransmissionFailed, ResponseFailed, PartialDownloadError)
LOOK_AGAIN = 0.02
SENDERS = 4
REQUESTS = 12
DEATHS = [
    ("append.inside", 3),
    ("append.before-commit", 4),
    ("append.after-commit", 2),
    ("append.after-commit", 5),
    ("append.after-commit", 1),
]
"""Where each gateway dies: also when everything is on disk, and nobody was told."""


class Killed(TestCase):
    """Several programs, and one gateway after the other."""

    timeout = 120

    @pytest.fixture(autouse=True)
    def own_directory(self, tmp_path: Path, nursery: Nursery) -> None:
        self.directory, self.nursery = tmp_path, nursery

    def setUp(self) -> None:
        from twisted.internet import reactor  # noqa: PLC0415, TID251 (processes are real)

        self.reactor: Any = reactor
        port = free_port()
        self.address = f"http://127.0.0.1:{port}/api/v1/events/web"
        (self.directory / "lineside.toml").write_text(CONFIGURATION.format(port=port))
        self.plant = sqlite3.connect(self.directory / "plant.db", isolation_level=None, timeout=30)
        self.addCleanup(self.plant.close)
        self.plant.execute("PRAGMA journal_mode = WAL")
        self.plant.execute("CREATE TABLE copies (event TEXT, lineside_id VARCHAR(32) UNIQUE)")
        self.told: dict[int, str] = {}
        self.repeats = 0

    async def post(self, key: str, body: bytes, kind: str) -> dict[str, Any]:
        """Post until the answer is 202, and return it."""
        headers = Headers({"Content-Type": [kind], "Idempotency-Key": [key]})
        while True:
            try:
                answer = await treq.post(
                    self.address, headers=headers, data=body, agent=Agent(self.reactor, connectTimeout=5.0)
                )
                told = await treq.content(answer)
            except CUT_OFF:
                await deferLater(self.reactor, LOOK_AGAIN)
                continue
            if answer.code == 202:
                taken: dict[str, Any] = json.loads(told)
                return taken
            self.assertEqual(answer.code, 503, told)
            await deferLater(self.reactor, LOOK_AGAIN)

    async def send(self, sender: int, random: Random) -> None:
        """Send requests one after the other, some with one event and some with many."""
        for number in range(REQUESTS):
            names = [f"{sender}-{number}-{place}" for place in range(random.choice((1, 1, 3, 40)))]
            items = [json.dumps({"event_id": name}) for name in names]
            if len(items) == 1:
                kind, body = "application/json", items[0]
            elif random.random() < 0.5:
                kind, body = "application/json", f"[{', '.join(items)}]"
            else:
                kind, body = "application/x-ndjson", "\n".join(items)
            taken = await self.post(f"{sender}.{number}", body.encode(), kind)
            self.assertEqual((len(taken["sequences"]), taken["rejected"]), (len(names), []))
            self.told.update(zip(taken["sequences"], names, strict=True))
            self.repeats += len(taken["repeated"])

    async def test_every_202_is_exactly_one_event(self) -> None:
        """Whether it died before the commit, after it, or with half of an answer: each arrives once."""
        seed = int.from_bytes(os.urandom(4))
        print(f"seed={seed}")  # noqa: T201 (pytest shows it when the test fails)
        sending = gatherResults(
            [Deferred.fromCoroutine(self.send(sender, Random(seed + sender))) for sender in range(SENDERS)],
            consumeErrors=True,
        )
        for death in DEATHS:
            gateway = self.start(death)
            self.assertEqual(await gateway.ended(), -signal.SIGKILL, death)
        self.assertFalse(sending.called)
        last = self.start(None)
        await sending
        wanted = Counter(self.told.values())
        while self.copies().total() < wanted.total():
            self.assertIsNone(last.code, self.directory)
            await deferLater(self.reactor, LOOK_AGAIN)
        # Time for one too many to arrive.
        for _ in range(10):
            await deferLater(self.reactor, LOOK_AGAIN)
        last.signal("TERM")
        self.assertEqual(await last.ended(), 0)
        self.assertEqual(self.copies(), wanted)
        self.assertEqual(set(wanted.values()), {1})
        stored = {record.seq: json.loads(record.event.body)["event_id"] for record in await self.journal()}
        self.assertEqual(stored, self.told)
        # Otherwise nobody was left without the answer to a commit.
        self.assertGreater(self.repeats, 0)

    def start(self, death: tuple[str, int] | None) -> Forked:
        return self.nursery.start(
            self.reactor,
            ["run", "-c", str(self.directory / "lineside.toml")],
            log=self.directory / "gateway.log",
            environ={},
            dies_at=death,
        )

    def copies(self) -> Counter[str]:
        return Counter(event for (event,) in self.plant.execute("SELECT event FROM copies"))

    async def journal(self) -> list[Record]:
        """Read the whole journal out of its file; no gateway holds it."""
        file = JournalOnFile(self.directory / "journal.db", time.time_ns)
        try:
            return (await file.journal.read(NO_SEQ, limit=100_000)).records
        finally:
            file.close()
