"""A stand-in that posts webhooks into a whole gateway, over sockets; and what it gave up is found by the poll."""

from __future__ import annotations

import json
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
from twisted.web.http_headers import Headers

from lineside.assemble.build import Gateway
from lineside.assemble.config import load
from lineside.assemble.lifecycle import System
from lineside.standin import postman
from lineside.standin.authentication import Credentials
from lineside.standin.doctypes import read_library
from lineside.standin.faults import FaultKnobs
from lineside.standin.server import Service, StandinServer

CONFIGURATION = """
[targets.erp]
type = "frappe"
url = "{url}"
api_key = {{ env = "KEY" }}
api_secret = {{ env = "SECRET" }}

[http]
listen = "tcp:{port}:interface=127.0.0.1"

[sources.todos]
type = "frappe"
doctype = "ToDo"
secret = {{ env = "HOOKS" }}
poll = {{ fields = ["description"], every = "50ms" }}

[routes.copy]
doctype = "Copy"
document = {{ title = "{{{{ description }}}}" }}
"""
COPY = {
    "doctype": "DocType",
    "name": "Copy",
    "autoname": "hash",
    "fields": [
        {"fieldname": "title", "fieldtype": "Data", "label": "Title"},
        {"fieldname": "lineside_id", "fieldtype": "Data", "label": "Lineside ID", "unique": 1},
    ],
}
"""A DocType whose names are no keys: one document too many would be there."""
ENVIRON = {"KEY": "key", "SECRET": "secret", "HOOKS": "geheim"}
LOOK_AGAIN = 0.01


class OverSockets(TestCase):
    """The whole of both, in this process."""

    timeout = 60

    async def setUp(self) -> None:  # type: ignore[override] # (trial waits for it)
        from twisted.internet import reactor  # noqa: PLC0415, TID251 (sockets and files are real)

        self.reactor: Any = reactor
        self.patch(postman, "WAITS", (0.01, 0.02))
        # A control socket's path must be short.
        held = tempfile.TemporaryDirectory()
        self.addCleanup(held.cleanup)
        self.directory = Path(held.name)
        (self.directory / "copy.json").write_text(json.dumps([COPY]))
        library = read_library(self.directory / "copy.json")
        service = Service(self.directory / "erp.db", Credentials("key", "secret"), library=library)
        self.erp = StandinServer(self.reactor, service, FaultKnobs(Random(1)))
        await self.erp.start()
        self.addCleanup(lambda: Deferred.fromCoroutine(self.erp.stop()))
        self.system: System | None = None
        self.addCleanup(lambda: Deferred.fromCoroutine(self.end()))

    async def begin(self, port: int = 0) -> Gateway:
        path = self.directory / "lineside.toml"
        path.write_text(CONFIGURATION.format(url=self.erp.url, port=port))
        gateway = Gateway(self.reactor, load(path, ENVIRON))
        self.system = System(gateway.stages)
        await self.system.start()
        return gateway

    async def end(self) -> None:
        system, self.system = self.system, None
        if system is not None:
            await system.stop()

    async def ask(
        self, method: str, url: str, document: object = None, auth: str | None = "token key:secret"
    ) -> Any:
        headers = Headers({"Content-Type": ["application/json"]})
        if auth is not None:
            headers.addRawHeader("Authorization", auth)
        body = None if document is None else json.dumps(document).encode()
        answer = await treq.request(
            method, url, headers=headers, data=body, agent=Agent(self.reactor), persistent=False
        )
        return json.loads(await answer.content())

    async def insert(self, doctype: str, **fields: object) -> Any:
        return (await self.ask("POST", f"{self.erp.url}/api/resource/{quote(doctype)}", fields))["data"]

    async def rows(self, doctype: str, field: str) -> list[str]:
        fields = quote(json.dumps([field]))
        url = f"{self.erp.url}/api/resource/{quote(doctype)}?fields={fields}&limit_page_length=0"
        return sorted(row[field] for row in (await self.ask("GET", url))["data"])

    async def hook(self, address: str) -> None:
        """Set up a Webhook, as the guide says."""
        data = [{"fieldname": name, "key": name} for name in ("name", "modified", "docstatus", "description")]
        await self.insert(
            "Webhook",
            name="Lineside",
            webhook_doctype="ToDo",
            webhook_docevent="after_insert",
            request_url=f"http://{address}/hooks/todos",
            enable_security=1,
            webhook_secret="geheim",
            webhook_data=data,
        )

    async def copied(self, count: int) -> list[str]:
        while len(found := await self.rows("Copy", "title")) < count:
            await deferLater(self.reactor, LOOK_AGAIN)
        return found

    async def test_each_change_becomes_one_document_whoever_brings_it(self) -> None:
        """By a webhook; by the poll, after the gateway was away for all three attempts; and each once."""
        gateway = await self.begin()
        assert gateway.http is not None
        assert gateway.hooks is not None
        address = gateway.http.part.address
        await self.hook(address)
        await self.insert("ToDo", description="hooked")
        self.assertEqual(["hooked"], await self.copied(1))
        await self.end()
        await self.insert("ToDo", description="lost")
        while len(await self.rows("Webhook Request Log", "error")) < 4:
            await deferLater(self.reactor, LOOK_AGAIN)
        gateway = await self.begin(int(address.rpartition(":")[2]))
        assert gateway.hooks is not None
        self.assertEqual(["hooked", "lost"], await self.copied(2))
        await self.insert("ToDo", description="hooked again")
        self.assertEqual(["hooked", "hooked again", "lost"], await self.copied(3))
        # As long as several looks of the poll.
        while len(await self.rows("Webhook Request Log", "error")) < 5:
            await deferLater(self.reactor, LOOK_AGAIN)
        for _ in range(20):
            await deferLater(self.reactor, LOOK_AGAIN)
        self.assertEqual(3, len(await self.rows("Copy", "title")))
        [status] = gateway.hooks.status
        self.assertEqual(f"POST /hooks/todos, ToDo at {self.erp.url}", status.address)
        # What both bring is received twice.
        self.assertGreaterEqual(status.received, 2)
        self.assertEqual((0, None), (status.undecodable, status.problem))
        described = await self.ask("GET", f"http://{address}/openapi.json", auth=None)
        self.assertEqual(["*/*"], list(described["paths"]["/hooks/todos"]["post"]["requestBody"]["content"]))
