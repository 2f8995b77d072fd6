"""A whole gateway in this process, with everything that somebody may be refused, and what is asked of it."""

from __future__ import annotations

import json
import sqlite3
import sys
import tempfile
from collections.abc import Awaitable, Callable
from hashlib import blake2b
from pathlib import Path
from random import Random
from sqlite3 import Connection
from typing import Any, Literal, get_args

import treq
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint, connectProtocol
from twisted.internet.protocol import connectionDone
from twisted.internet.task import deferLater
from twisted.protocols.basic import LineReceiver
from twisted.python.failure import Failure
from twisted.web.client import Agent, HTTPConnectionPool
from twisted.web.http_headers import Headers

from lineside.assemble.build import Gateway
from lineside.assemble.config import load
from lineside.assemble.edges import frappe_client
from lineside.assemble.lifecycle import System
from lineside.edges.frappe.prepare import prepare
from lineside.journal import files
from lineside.model.ports import Person
from lineside.operations import requests
from lineside.operations.requests import AnyRequest, Request
from lineside.operations.results import AuditEntry
from lineside.operations.web import Endpoint
from lineside.security.identity import LOCAL_USER
from lineside.standin.authentication import Credentials
from lineside.standin.faults import FaultKnobs
from lineside.standin.server import Service, StandinServer

KEY = "0123456789abcdef0123456789abcdef"
"""Of the JSON Web Tokens."""
LETTERS = 60
"""Dead letters that the ERP made: each that is retried or discarded is gone."""
DEADLINE = 30.0
"""Seconds for what happens by itself."""
CONFIGURATION = """
[journal]
path = "journal.db"

[http]
listen = "tcp:0:interface=127.0.0.1"

[dns]
zone = "plant.example"
listen = "tcp:0:interface=127.0.0.1"

[live]
jwt_key = "{key}"

[channels.board]
presence = true

[targets.erp]
type = "frappe"
url = "{erp}"
api_key = "key"
api_secret = "secret"

[databases.plant]
type = "sqlite"
path = "plant.db"

[queries.late]
database = "plant"
sql = "SELECT id FROM orders"

[sources.gate]
type = "lines"
listen = "tcp:0:interface=127.0.0.1"
device = "reader"
commands = true

[sources.web]
type = "http"

[sources.open]
type = "http"
anonymous = true

[sources.site]
type = "frappe"
doctype = "Item"
secret = "of-the-webhooks"

[sources.spare]
type = "http"

[routes.checkin]
sources = ["gate"]
doctype = "Employee Checkin"
document = {{ employee = "{{{{ employee }}}}" }}

[routes.spare]
sources = ["spare"]
doctype = "ToDo"
document = {{ description = "{{{{ text }}}}" }}

[erp.Employee]
fields = ["employee_name"]

[calls.note]
method = "frappe.client.insert"
params = ["doc"]

[calls.count]
method = "frappe.client.get_count"
fixed = {{ doctype = "Employee" }}
permission = "consult"

[code]
path = "code"

[tasks.count]
run = "counting:count"
overlap = "queue"
"""
NAMES = {
    "/api/v1/events/web": "/api/v1/events/SOURCE",
    "/api/v1/events/spare": "/api/v1/events/SOURCE",
    "/api/v1/events/open": "/api/v1/events/OPEN",
    "/hooks/site": "/hooks/SOURCE",
    "/api/v1/queries/late": "/api/v1/queries/QUERY",
    "/api/v1/erp/Employee": "/api/v1/erp/DOCTYPE",
    "/api/v1/erp/Employee/{name}": "/api/v1/erp/DOCTYPE/{name}",
    "/api/v1/calls/note": "/api/v1/calls/CALL",
    "/api/v1/calls/count": "/api/v1/calls/CALL",
}
"""Paths that the configuration makes, as the page has them."""
KINDS: dict[str, type[Request[Any]]] = {str(kind.__struct_config__.tag): kind for kind in get_args(AnyRequest)}
SPARE: dict[Literal["source", "route", "target"], str] = {"source": "spare", "route": "spare", "target": "erp"}
"""What may be paused and resumed without an event that waits for it."""
STREAMS = frozenset({"events.tail", "tasks.follow"})
NOT_WHILE_RUNNING = frozenset({"consumers.rewind"})
"""Whoever may is told that the gateway runs."""


class Reader(LineReceiver):
    """A device that does whatever it is told."""

    delimiter = b"\n"
    transport: Any

    def __init__(self) -> None:
        self.gone: Deferred[None] = Deferred()

    def lineReceived(self, line: bytes) -> None:
        word, *rest = line.split()
        if word == b"CMD":
            self.sendLine(b"RES " + rest[0] + b" done")

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.gone.callback(None)


class RolePlant:
    """See the module. Call `start`, and `stop` in any case."""

    def __init__(self, reactor: Any) -> None:
        self.reactor = reactor
        # A control socket's path must be short.
        self._held = tempfile.TemporaryDirectory()
        self.directory = Path(self._held.name)
        self._pool = HTTPConnectionPool(reactor)
        self._agent = Agent(reactor, pool=self._pool)
        self._letter = 0
        self._made = 0
        self._stops: list[Callable[[], Awaitable[Any]]] = []
        self.spare_tokens = False
        """Whether tokens may be made to be revoked: the first one ends what the local user may over HTTP."""

    async def start(self) -> None:
        """Start it, and let the ERP refuse some events."""
        service = Service(self.directory / "erp.db", Credentials("key", "secret"), employees=2)
        erp = StandinServer(self.reactor, service, FaultKnobs(Random(1)))
        await erp.start()
        self._stops.append(erp.stop)
        with sqlite3.connect(self.directory / "plant.db") as plant:
            plant.execute("CREATE TABLE orders (id INTEGER PRIMARY KEY)")
        plant.close()
        (self.directory / "code").mkdir()
        (self.directory / "code" / "counting.py").write_text("def count(context):\n    return 1\n")
        path = self.directory / "lineside.toml"
        path.write_text(CONFIGURATION.format(erp=erp.url, key=KEY))
        self.settings = load(path, {})
        client = frappe_client(self.reactor, self.settings.sites["erp"])
        await prepare(client, ["Employee Checkin", "ToDo"], "lineside_id")
        await client.close()
        self.gateway = Gateway(self.reactor, self.settings)
        system = System(self.gateway.stages)
        await system.start()
        self._stops.append(system.stop)
        assert self.gateway.http is not None
        self.url = f"http://{self.gateway.http.part.address}"
        await self._fill()

    async def stop(self) -> None:
        """End everything."""
        await self._pool.closeCachedConnections()
        for stop in reversed(self._stops):
            await stop()
        # Another plant has a module of this name elsewhere.
        sys.modules.pop("counting", None)
        self._held.cleanup()

    async def _fill(self) -> None:
        device = Reader()
        port = int(self.gateway.sources[0].address.rpartition(":")[2])
        await connectProtocol(TCP4ClientEndpoint(self.reactor, "127.0.0.1", port), device)

        async def hang_up() -> None:
            device.transport.abortConnection()
            await device.gone

        self._stops.append(hang_up)
        for number in range(LETTERS):
            device.sendLine(json.dumps({"reader": "r-1", "employee": f"nobody-{number}"}).encode())
        await self._until(lambda: self._letters() >= LETTERS)
        # What is retried waits, so that nothing changes by itself.
        await self.call(requests.Pause(kind="route", id="checkin"))
        self.run = (await self.call(requests.RunTask(task="count"))).run
        while (await self.call(requests.ShowRun(run=self.run))).summary.ended is None:
            await deferLater(self.reactor, 0.02)

    def _letters(self) -> int:
        return sum(route.refused for route in self.gateway.deliveries.status)

    async def _until(self, holds: Callable[[], bool]) -> None:
        late = self.reactor.seconds() + DEADLINE
        while not holds():
            assert self.reactor.seconds() < late, "it did not come"
            await deferLater(self.reactor, 0.02)

    async def call(self, request: Request[Any]) -> Any:
        """Have something done by way of no door."""
        return await self.gateway.operations.call(request, LOCAL_USER)

    @property
    def endpoints(self) -> list[Endpoint]:
        """Everything that the HTTP services answer."""
        http: Any = self.gateway.http
        return list(http.part._desk._routes.endpoints)

    async def state(self) -> str:
        """Return a digest of all that is stored, but for the record of who did what."""

        def digest(connection: Connection) -> str:
            found = blake2b(digest_size=16)
            tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
            for name in sorted(tables):
                if not name.startswith(("audit", "sqlite_")):
                    found.update(repr((name, connection.execute(f"SELECT * FROM {name}").fetchall())).encode())
            return found.hexdigest()

        store: Any = self.gateway.stages[0][0]
        stored: str = await store.database.read(digest)
        return f"{stored} {await self._erp_count()}"

    async def recorded(self) -> list[AuditEntry]:
        """Return the newest entries of the record of who did what."""
        page = await self.call(requests.ListAudit(limit=2))
        entries: list[AuditEntry] = page.entries
        return entries

    async def _erp_count(self) -> int:
        headers = Headers({"Authorization": ["token key:secret"]})
        path = "/api/method/frappe.client.get_count?doctype=ToDo"
        answer = await treq.get(self.settings.sites["erp"].url + path, headers=headers, agent=self._agent)
        count: int = (await answer.json())["message"]
        return count

    async def http(self, method: str, path: str, body: bytes, token: str | None, **more: str) -> tuple[int, bytes]:
        """Ask over HTTP; return the status and the body."""
        headers = Headers({name: [value] for name, value in more.items()})
        if token is not None:
            headers.setRawHeaders("Authorization", [f"Bearer {token}"])
        if body:
            headers.setRawHeaders("Content-Type", ["application/json"])
        answer = await treq.request(method, self.url + path, headers=headers, data=body, agent=self._agent)
        return answer.code, await answer.content()

    async def asking(self, operation: str) -> dict[str, Any]:
        """Bring about what an operation needs in order to do something; return what it is asked with.

        Raises:
            KeyError: nobody has said how to ask it: add it here, and to docs/reference/roles.md.

        """
        kind = KINDS[operation]
        return await _ASKING[kind](self)

    async def _nothing(self) -> dict[str, Any]:
        return {}

    async def _event(self) -> dict[str, Any]:
        return {"seq": 1}

    async def _a_letter(self) -> dict[str, Any]:
        return {"id": LETTERS}

    async def _a_file(self) -> dict[str, Any]:
        # Known as the intake leaves it that has just been told of it.
        store: Any = self.gateway.stages[0][0]
        file, _ = await store.database.write(lambda c: files.begin(c, "edi", "acme", "ab", "a.csv", 1, 1))
        return {"id": file.id}

    async def _letter_to_lose(self) -> dict[str, Any]:
        self._letter += 1
        assert self._letter < LETTERS, "raise LETTERS"
        return {"ids": [self._letter]}

    async def _forgotten(self) -> dict[str, Any]:
        store: Any = self.gateway.stages[0][0]
        add = "INSERT OR IGNORE INTO consumer (id, cursor) VALUES ('old', 0)"
        await store.database.write(lambda connection: connection.execute(add).rowcount)
        return {"id": "old"}

    async def _rewound(self) -> dict[str, Any]:
        return {"id": "checkin", "to": 0}

    async def _working(self) -> dict[str, Any]:
        for kind, name in SPARE.items():
            await self.call(requests.Resume(kind=kind, id=name))
        return {"kind": "source", "id": "spare"}

    async def _paused(self) -> dict[str, Any]:
        for kind, name in SPARE.items():
            await self.call(requests.Pause(kind=kind, id=name))
        return {"kind": "source", "id": "spare"}

    async def _new_token(self) -> dict[str, Any]:
        self._made += 1
        return {"name": f"new-{self._made}", "role": "viewer"}

    async def _spare_token(self) -> dict[str, Any]:
        self._made += 1
        if self.spare_tokens:
            await self.call(requests.CreateToken(name=f"spare-{self._made}", role="viewer"))
        return {"token": f"spare-{self._made}"}

    async def _spare_session(self) -> dict[str, Any]:
        self._made += 1
        person = Person(f"spare-{self._made}", "Spare", frozenset())
        _, session = await self.gateway.entrance.sessions.begin(person, "viewer", "here")
        return {"session": session.id}

    async def _command(self) -> dict[str, Any]:
        return {"device": "r-1", "payload": "OPEN"}

    async def _a_call(self) -> dict[str, Any]:
        return {"name": "count"}

    async def _task(self) -> dict[str, Any]:
        await self.call(requests.ResumeTask(task="count"))
        return {"task": "count"}

    async def _paused_task(self) -> dict[str, Any]:
        await self.call(requests.PauseTask(task="count"))
        return {"task": "count"}

    async def _run_to_come(self) -> dict[str, Any]:
        return {"task": "count", "delay": 3600}

    async def _ended_run(self) -> dict[str, Any]:
        return {"run": self.run}

    async def _waiting_run(self) -> dict[str, Any]:
        asked = await self.call(requests.RunTask(task="count", delay=3600))
        return {"run": asked.run}

    async def _cancelled_run(self) -> dict[str, Any]:
        # While the task is paused what is retried only waits.
        await self.call(requests.PauseTask(task="count"))
        asked = await self._waiting_run()
        await self.call(requests.CancelRun(run=asked["run"]))
        return asked


_ASKING: dict[type[Request[Any]], Callable[[RolePlant], Awaitable[dict[str, Any]]]] = {
    requests.ListEvents: RolePlant._nothing,
    requests.ShowEvent: RolePlant._event,
    requests.TailEvents: RolePlant._nothing,
    requests.ListDeadLetters: RolePlant._nothing,
    requests.ShowDeadLetter: RolePlant._a_letter,
    requests.RetryDeadLetters: RolePlant._letter_to_lose,
    requests.DiscardDeadLetters: RolePlant._letter_to_lose,
    requests.ListFiles: RolePlant._nothing,
    requests.ShowFile: RolePlant._a_file,
    requests.ListConsumers: RolePlant._nothing,
    requests.ForgetConsumer: RolePlant._forgotten,
    requests.RewindConsumer: RolePlant._rewound,
    requests.ShowStatus: RolePlant._nothing,
    requests.ShowOverview: RolePlant._nothing,
    requests.ShowHistory: RolePlant._nothing,
    requests.Pause: RolePlant._working,
    requests.Resume: RolePlant._paused,
    requests.ListSessions: RolePlant._nothing,
    requests.RevokeSession: RolePlant._spare_session,
    requests.CreateToken: RolePlant._new_token,
    requests.ListTokens: RolePlant._nothing,
    requests.RevokeToken: RolePlant._spare_token,
    requests.ListDevices: RolePlant._nothing,
    requests.CommandDevice: RolePlant._command,
    requests.ListDeviceCommands: RolePlant._nothing,
    requests.CallErp: RolePlant._a_call,
    requests.ListTasks: RolePlant._nothing,
    requests.RunTask: RolePlant._run_to_come,
    requests.ListRuns: RolePlant._nothing,
    requests.ShowRun: RolePlant._ended_run,
    requests.FollowRun: RolePlant._ended_run,
    requests.CancelRun: RolePlant._waiting_run,
    requests.RetryRun: RolePlant._cancelled_run,
    requests.PauseTask: RolePlant._task,
    requests.ResumeTask: RolePlant._paused_task,
    requests.ShowTaskHistory: RolePlant._nothing,
    requests.ListAudit: RolePlant._nothing,
    requests.VerifyAudit: RolePlant._nothing,
    requests.ShowZone: RolePlant._nothing,
}
