"""A gateway that is killed again and again while documents change: each change arrives exactly once."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from random import Random
from typing import Any
from urllib.parse import quote

import pytest
import treq
from tests.rig.forked import Forked, Nursery
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater
from twisted.trial.unittest import TestCase
from twisted.web.client import Agent
from twisted.web.http_headers import Headers

from lineside.standin import postman
from lineside.standin.authentication import Credentials
from lineside.standin.doctypes import read_library
from lineside.standin.faults import FaultKnobs
from lineside.standin.server import Service, StandinServer

CONFIGURATION = """
[journal]
dedupe_window = "{window}"

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
poll = {{ fields = ["description"], every = "20ms", batch = 7, begin = "all" }}

[routes.copy]
doctype = "Copy"
document = {{ title = "{{{{ description }}}}" }}
"""
ENVIRON = {"KEY": "key", "SECRET": "secret", "HOOKS": "geheim"}
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
LIVES = 5
EACH = 30
"""So many changes in each life."""
CHANGES = LIVES * EACH + 1
LOOK_AGAIN = 0.02


class Killed(TestCase):
    """One site, one gateway, several deaths."""

    timeout = 120

    @pytest.fixture(autouse=True)
    def own_directory(self, tmp_path: Path, nursery: Nursery) -> None:
        self.directory, self.nursery = tmp_path, nursery

    async def setUp(self) -> None:  # type: ignore[override] # (trial waits for it)
        from twisted.internet import reactor  # noqa: PLC0415, TID251 (processes are real)

        self.reactor: Any = reactor
        self.patch(postman, "WAITS", (0.01, 0.02))
        (self.directory / "copy.json").write_text(json.dumps([COPY]))
        library = read_library(self.directory / "copy.json")
        service = Service(self.directory / "erp.db", Credentials("key", "secret"), library=library)
        self.erp = StandinServer(self.reactor, service, FaultKnobs(Random(1)))
        await self.erp.start()
        self.addCleanup(lambda: Deferred.fromCoroutine(self.erp.stop()))

    async def ask(self, method: str, path: str, document: object = None) -> Any:
        headers = Headers({"Authorization": ["token key:secret"], "Content-Type": ["application/json"]})
        body = None if document is None else json.dumps(document).encode()
        answer = await treq.request(
            method, self.erp.url + path, headers=headers, data=body, agent=Agent(self.reactor), persistent=False
        )
        return json.loads(await answer.content())["data"]

    async def insert(self, doctype: str, **fields: object) -> Any:
        return await self.ask("POST", f"/api/resource/{quote(doctype)}", fields)

    async def titles(self) -> list[str]:
        path = f"/api/resource/Copy?fields={quote(json.dumps(['title']))}&limit_page_length=0"
        return [row["title"] for row in await self.ask("GET", path)]

    def run_gateway(self) -> Forked:
        return self.nursery.start(
            self.reactor,
            ["run", "-c", str(self.directory / "lineside.toml")],
            log=self.directory / "gateway.log",
            environ=ENVIRON,
        )

    async def survive(self, window: str, *, hooked: bool) -> None:
        """Change documents while a gateway dies, and let a last one finish."""
        port = free_port()
        text = CONFIGURATION.format(url=self.erp.url, port=port, window=window)
        (self.directory / "lineside.toml").write_text(text)
        if hooked:
            await self.insert(
                "Webhook",
                name="Lineside",
                webhook_doctype="ToDo",
                webhook_docevent="after_insert",
                request_url=f"http://127.0.0.1:{port}/hooks/todos",
                enable_security=1,
                webhook_secret="geheim",
                webhook_data=[{"fieldname": n, "key": n} for n in ("name", "modified", "docstatus", "description")],
            )
        random = Random(7)
        for life in range(LIVES):
            gateway = self.run_gateway()
            dies_at = len(await self.titles()) + random.randrange(EACH)
            for number in range(EACH):
                await self.insert("ToDo", description=f"n{life * EACH + number}")
            while len(await self.titles()) < dies_at:
                self.assertIsNone(gateway.code, self.directory)
                await deferLater(self.reactor, LOOK_AGAIN)
            gateway.signal("KILL")
            await gateway.ended()
        gateway = self.run_gateway()
        # The last one shows that it runs.
        await self.insert("ToDo", description=f"n{CHANGES - 1}")
        while len(set(await self.titles())) < CHANGES:
            self.assertIsNone(gateway.code, self.directory)
            await deferLater(self.reactor, LOOK_AGAIN)
        # Time for one too many to arrive.
        for _ in range(10):
            await deferLater(self.reactor, LOOK_AGAIN)
        gateway.signal("TERM")
        self.assertEqual(0, await gateway.ended())
        self.assertEqual(sorted(f"n{n}" for n in range(CHANGES)), sorted(await self.titles()))

    async def test_what_is_polled_arrives_exactly_once(self) -> None:
        """Though no key is remembered: how far the poll has come is stored with the events."""
        await self.survive("1ms", hooked=False)

    async def test_what_is_posted_and_polled_arrives_exactly_once(self) -> None:
        """While the gateway is dead webhooks are lost; while it lives both bring the same."""
        await self.survive("7d", hooked=True)


def free_port() -> int:
    """Return a port that nobody listens on; each start of the gateway takes the same."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port
