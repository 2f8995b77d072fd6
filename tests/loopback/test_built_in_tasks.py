"""A whole gateway with all the tasks that come with it, over sockets, against the stand-in."""

from __future__ import annotations

import json
import os
import sqlite3
import tempfile
from pathlib import Path
from random import Random
from typing import Any
from urllib.parse import quote

import treq
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater
from twisted.trial.unittest import TestCase
from twisted.web.client import Agent
from twisted.web.http import Request
from twisted.web.http_headers import Headers
from twisted.web.resource import Resource
from twisted.web.server import Site

from lineside.assemble.build import Gateway
from lineside.assemble.config import load
from lineside.assemble.lifecycle import System
from lineside.journal.soundness import examine
from lineside.model.event import NO_SEQ
from lineside.standin.authentication import Credentials
from lineside.standin.faults import FaultKnobs
from lineside.standin.server import Service, StandinServer
from lineside.tasks.runs import Run

CONFIGURATION = """
[targets.erp]
type = "frappe"
url = "{erp}"
api_key = {{ env = "KEY" }}
api_secret = {{ env = "SECRET" }}

[databases.plant]
type = "sqlite"
path = "plant.db"

[sources.changed]
type = "tasks"

[sources.rows]
type = "tasks"

[routes.unused]
sources = ["rows"]
doctype = "ToDo"
when = "{{{{ false }}}}"
document = {{ description = "x" }}

[tasks.changes]
run = "erp-poll"
every = "100ms"
params = {{ doctype = "ToDo", into = "changed", begin = "all", fields = ["description"], overlap = "1m" }}

[tasks.weights]
run = "sql-poll"
every = "100ms"
params = {{ database = "plant", table = "weights", key = "id", into = "rows" }}

[tasks.tell]
run = "http-call"
on = "sources.changed"

[tasks.tell.params]
url = "{crm}/todos/{{{{ name }}}}"
secrets.Authorization = {{ env = "CRM_TOKEN", before = "Bearer " }}
json = {{ what = "{{{{ description }}}}", from = "{{{{ event.source }}}}" }}

[tasks.backup]
run = "journal-backup"
params = {{ folder = "copies", keep = 2 }}

[tasks.sweep]
run = "journal-retention"
"""
ENVIRON = {"KEY": "key", "SECRET": "secret"}
LOOK_AGAIN = 0.02


class Told(Resource):
    """A server that is told of changes."""

    isLeaf = True  # noqa: N815

    def __init__(self) -> None:
        super().__init__()
        self.told: dict[str, Any] = {}
        self.tokens: set[str | None] = set()

    def render_POST(self, request: Request) -> bytes:
        assert request.content is not None
        self.told[request.uri.decode()] = json.loads(request.content.read())
        self.tokens.add(request.getHeader("authorization"))
        return b""


class BuiltIn(TestCase):
    timeout = 60

    async def setUp(self) -> None:  # type: ignore[override] # (trial waits for it)
        from twisted.internet import reactor  # noqa: PLC0415, TID251 (sockets and files are real)

        self.reactor: Any = reactor
        self.patch(os, "environ", {**os.environ, "CRM_TOKEN": "hidden-token"})
        # A control socket's path must be short.
        held = tempfile.TemporaryDirectory()
        self.addCleanup(held.cleanup)
        self.directory = Path(held.name)
        connection = sqlite3.connect(self.directory / "plant.db", isolation_level=None)
        connection.execute("CREATE TABLE weights (id INTEGER PRIMARY KEY, grams INTEGER)")
        connection.execute("INSERT INTO weights VALUES (1, 500), (2, 750)")
        connection.close()
        self.erp = StandinServer(
            self.reactor, Service(self.directory / "erp.db", Credentials("key", "secret")), FaultKnobs(Random(1))
        )
        await self.erp.start()
        self.addCleanup(lambda: Deferred.fromCoroutine(self.erp.stop()))
        self.crm = Told()
        site: Any = Site(self.crm)
        port: Any = self.reactor.listenTCP(0, site, interface="127.0.0.1")
        self.addCleanup(port.stopListening)
        self.crm_port = port.getHost().port
        self.system: System | None = None
        self.addCleanup(lambda: Deferred.fromCoroutine(self.end()))
        await self.begin()

    async def begin(self) -> None:
        path = self.directory / "lineside.toml"
        path.write_text(CONFIGURATION.format(erp=self.erp.url, crm=f"http://127.0.0.1:{self.crm_port}"))
        self.gateway = Gateway(self.reactor, load(path, ENVIRON))
        self.system = System(self.gateway.stages)
        await self.system.start()

    async def end(self) -> None:
        system, self.system = self.system, None
        if system is not None:
            await system.stop()

    async def make(self, description: str) -> str:
        """Return the name of a new document."""
        answer = await treq.post(
            f"{self.erp.url}/api/resource/{quote('ToDo')}",
            json={"description": description},
            headers=Headers({"Authorization": ["token key:secret"]}),
            agent=Agent(self.reactor),
            persistent=False,
        )
        return str(json.loads(await answer.content())["data"]["name"])

    async def events(self, source: str, count: int) -> list[dict[str, Any]]:
        """Return a source's events once there are so many."""
        assert self.gateway.tasks is not None
        journal = self.gateway.retention._journal
        while True:
            records = (await journal.read(NO_SEQ, sources=frozenset({source}), limit=100)).records
            if len(records) >= count:
                return [json.loads(record.event.body) for record in records]
            await deferLater(self.reactor, LOOK_AGAIN)

    async def run_task(self, name: str) -> Run:
        """Ask for a run, and return it when it has ended."""
        assert self.gateway.tasks is not None
        runner = self.gateway.tasks.runner
        asked = await runner.ask(name)
        assert asked.run is not None
        while (run := await runner.get(asked.run)).state in {"queued", "running"}:
            await deferLater(self.reactor, LOOK_AGAIN)
        return run

    async def test_a_change_becomes_an_event_and_the_event_a_request(self) -> None:
        """Over a restart too, each once; the token is sent, and stands nowhere in the journal."""
        first = await self.make("first")
        await self.events("changed", 1)
        await self.end()
        second = await self.make("second")
        await self.begin()
        self.assertEqual(["first", "second"], [event["description"] for event in await self.events("changed", 2)])
        while len(self.crm.told) < 2:
            await deferLater(self.reactor, LOOK_AGAIN)
        self.assertEqual(
            {
                f"/todos/{first}": {"what": "first", "from": "changed"},
                f"/todos/{second}": {"what": "second", "from": "changed"},
            },
            self.crm.told,
        )
        self.assertEqual({"Bearer hidden-token"}, self.crm.tokens)
        await self.end()
        self.assertNotIn(b"hidden-token", (self.directory / "journal.db").read_bytes())

    async def test_rows_become_events(self) -> None:
        """All that are there, each once however often it is looked."""
        await self.events("rows", 2)
        await self.run_task("weights")
        self.assertEqual([{"id": 1, "grams": 500}, {"id": 2, "grams": 750}], await self.events("rows", 2))
        [rows] = [status for status in self.gateway._source_status() if status.id == "rows"]
        self.assertEqual((2, "tasks"), (rows.received, rows.address))

    async def test_the_journal_is_copied_and_swept(self) -> None:
        """While everything goes on; the copy is whole, and lies beside the configuration."""
        await self.events("rows", 2)
        run = await self.run_task("backup")
        self.assertEqual(("succeeded", None), (run.state, run.error))
        [copy] = (self.directory / "copies").iterdir()
        found = examine(copy)
        self.assertTrue(found.sound, found.problems)
        self.assertGreaterEqual(found.events, 2)
        run = await self.run_task("sweep")
        self.assertEqual(("succeeded", b'{"events":0}'), (run.state, bytes(run.result or b"")))
