"""Secrets and payloads are planted everywhere, every edge is driven into its errors, and all output is searched."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from pathlib import Path
from random import Random
from typing import Any
from urllib.parse import quote

import jwt
import pytest
import treq
from tests.rig.forked import Nursery
from tests.rig.quick import Quick
from tests.rig.role_table import table
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint, TCP4ServerEndpoint, connectProtocol
from twisted.internet.protocol import Protocol, connectionDone
from twisted.internet.task import deferLater
from twisted.internet.threads import deferToThread
from twisted.python.failure import Failure
from twisted.trial.unittest import TestCase
from twisted.web.client import Agent, HTTPConnectionPool
from twisted.web.http_headers import Headers
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Site

from lineside.edges.frappe.client import FrappeClient
from lineside.edges.frappe.prepare import prepare
from lineside.standin.authentication import Credentials
from lineside.standin.faults import FaultKnobs
from lineside.standin.server import Service, StandinServer

KEY, SECRET = "canary-erp-key-5f1c", "canary-erp-secret-a77e"
JWT_KEY = "canary-jwt-key-of-more-than-32-characters"
HOOK, DATABASE = "canary-hook-secret-09bd", "canary-database-password-51aa"
MARK = "canary-payload-e3f9"
"""In everything that devices, programs and the ERP send."""
COMPLAINTS = {417: "delivery.refused", 503: "target.down", 403: "route.blocked"}
"""What the log has of the ERP's answers."""
SHOWN = frozenset({"answers", "/api/v1/events", "/api/v1/dead-letters", "/api/v1/device-commands"})
"""Where what was sent is shown on purpose, to those who may look: events, the ERP's and the devices' own words."""
DEADLINE = 60.0
CONFIGURATION = """
[journal]
path = "journal.db"
control = "control.sock"

[http]
listen = "tcp:0:interface=127.0.0.1"

[live]
jwt_key = {{ file = "jwt-key" }}

[channels.board]

[targets.erp]
type = "frappe"
url = "{erp}"
api_key = {{ env = "CANARY_KEY" }}
api_secret = {{ env = "CANARY_SECRET" }}

[databases.plant]
type = "postgresql"
host = "127.0.0.1"
port = 9
database = "plant"
user = "lineside"
password = {{ env = "CANARY_DATABASE" }}

[databases.file]
type = "sqlite"
path = "file.db"

[queries.late]
database = "plant"
sql = "SELECT id FROM orders WHERE line = :line"
[queries.late.parameters]
line = "string"

[queries.torn]
database = "file"
sql = "SELECT id FROM no_such_table WHERE line = :line"
[queries.torn.parameters]
line = "string"

[sources.gate]
type = "lines"
listen = "tcp:0:interface=127.0.0.1"
device = "reader"
commands = true
max_line = 1000

[sources.web]
type = "http"

[sources.site]
type = "frappe"
doctype = "Item"
secret = {{ env = "CANARY_HOOK" }}

[routes.note]
doctype = "ToDo"
backoff = ["50ms"]
max_deliver = 2
document = {{ description = "{{{{ text }}}}" }}

[erp.ToDo]
fields = ["description"]

[calls.note]
method = "frappe.client.insert"
params = ["doc"]

[code]
path = "code"

[tasks.torn]
run = "tearing:tear"
"""
TASK = """
def tear(context):
    context.log("at work")
    raise RuntimeError("the task is torn")
"""


class Echo(Resource):
    """An ERP that refuses everything, and repeats in its error whatever it was sent, keys and all."""

    isLeaf = True  # noqa: N815 (Twisted's name)
    status = 417

    def __init__(self, site: str, agent: Agent) -> None:
        super().__init__()
        self._site, self._agent = site, agent
        self.refused = 0

    def render(self, request: Any) -> Any:
        writes = request.method != b"GET" and not request.path.endswith((b".get_list", b".get_count"))
        if not writes and (self.status == 417 or b"/ToDo" not in request.path):
            self._hand_on(request).addErrback(lambda _: request.finish())
            return NOT_DONE_YET
        self.refused += 1
        return self._refuse(request)

    def _hand_on(self, request: Any) -> Deferred[None]:
        async def work() -> None:
            headers = Headers(dict(request.requestHeaders.getAllRawHeaders()))
            headers.setRawHeaders("Authorization", ["token key:secret"])
            asked = (request.method.decode(), self._site + request.uri.decode())
            answer = await treq.request(*asked, headers=headers, data=request.content.read(), agent=self._agent)
            request.setResponseCode(answer.code)
            request.setHeader("Content-Type", "application/json")
            request.write(await answer.content())
            request.finish()

        return Deferred.fromCoroutine(work())

    def _refuse(self, request: Any) -> bytes:
        request.setResponseCode(self.status)
        headers = {name.decode(): value[0].decode() for name, value in request.requestHeaders.getAllRawHeaders()}
        told = f"cannot do {request.uri.decode()} {headers} {request.content.read().decode()}"
        if self.status != 417:
            # A page for debugging, of a proxy or of werkzeug.
            return told.encode()
        request.setHeader("Content-Type", "application/json")
        words = {"exception": f"frappe.ValidationError: {told}", "exc_type": "ValidationError"}
        return json.dumps({**words, "exc": json.dumps([told])}).encode()


class Gate(Protocol):
    """A device that answers each command with an error of its own."""

    def __init__(self) -> None:
        self.gone: Deferred[None] = Deferred()
        self.rest = b""

    def dataReceived(self, data: bytes) -> None:
        *lines, self.rest = (self.rest + data).split(b"\n")
        for line in lines:
            if line.startswith(b"CMD"):
                number = line.split()[1]
                self.transport.write(b"RES %s ERR %s\n" % (number, MARK.encode()))  # type: ignore[union-attr]

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.gone.callback(None)


class Canaries(TestCase):
    """A gateway as a process, with its log at the level debug."""

    timeout = 170

    @pytest.fixture(autouse=True)
    def around(self, nursery: Nursery) -> None:
        self.nursery = nursery

    async def setUp(self) -> None:  # type: ignore[override]
        from twisted.internet import reactor  # noqa: PLC0415, TID251 (processes and sockets are real)

        self.reactor: Any = reactor
        held = tempfile.TemporaryDirectory()
        self.addCleanup(held.cleanup)
        self.directory = Path(held.name)
        self.pool = HTTPConnectionPool(reactor)
        self.agent = Agent(reactor, pool=self.pool)
        self.addCleanup(self.pool.closeCachedConnections)
        service = Service(self.directory / "erp.db", Credentials("key", "secret"))
        standin = StandinServer(reactor, service, FaultKnobs(Random(1)))
        await standin.start()
        self.addCleanup(lambda: Deferred.fromCoroutine(standin.stop()))
        client = FrappeClient(reactor, standin.url, "key", "secret")
        await prepare(client, ["ToDo"], "lineside_id")
        await client.close()
        self.echo = Echo(standin.url, self.agent)
        site = Site(self.echo)
        site.noisy = False
        erp: Any = await TCP4ServerEndpoint(reactor, 0, interface="127.0.0.1").listen(site)
        self.addCleanup(erp.stopListening)
        (self.directory / "jwt-key").write_text(JWT_KEY)
        (self.directory / "jwt-key").chmod(0o600)
        (self.directory / "code").mkdir()
        (self.directory / "code" / "tearing.py").write_text(TASK)
        url = f"http://127.0.0.1:{erp.getHost().port}"
        (self.directory / "lineside.toml").write_text(CONFIGURATION.format(erp=url))
        self.environ = {
            **os.environ,
            "CANARY_KEY": KEY,
            "CANARY_SECRET": SECRET,
            "CANARY_HOOK": HOOK,
            "CANARY_DATABASE": DATABASE,
        }

    async def lineside(self, *arguments: str) -> str:
        """Run a command; return all that it printed."""

        def work() -> str:
            done = subprocess.run(
                [*self.nursery.command, *arguments, "-c", "lineside.toml"],
                cwd=self.directory,
                env=self.environ,
                capture_output=True,
                text=True,
                timeout=DEADLINE,
                check=False,
            )
            return done.stdout + done.stderr

        return await deferToThread(work)

    async def until(self, what: str, holds: Any) -> None:
        late = self.reactor.seconds() + DEADLINE
        while not holds():
            self.assertLess(self.reactor.seconds(), late, f"{what} was waited for:\n{self.log.read_text()[-2000:]}")
            await deferLater(self.reactor, 0.05)

    async def logged(self, event: str) -> None:
        await self.until(event, lambda: event in self.log.read_text())

    async def begin(self, form: str) -> None:
        self.log = self.directory / f"{form}.log"
        self.opened = self.log.open("wb")
        command = ("run", "--log-format", form, "--log-level", "debug", "-c", "lineside.toml")
        streams = (0, self.opened.fileno(), self.opened.fileno())
        self.gateway = Quick(self.nursery.socket, command, self.directory, self.environ, streams)
        self.addCleanup(self.end)
        await self.until("the gateway", lambda: b"gateway.ready" in self.log.read_bytes())
        text = self.log.read_text()
        marks = ('"address":"', '"') if form == "json" else ("address=", " ")
        lines = {
            name: line
            for line in text.splitlines()
            for name in ("http.listening", "source.listening")
            if name in line
        }
        found = {name: (line + " ").split(marks[0])[1].split(marks[1])[0] for name, line in lines.items()}
        self.url = f"http://{found['http.listening']}"
        self.port = int(found["source.listening"].rpartition(":")[2])

    def end(self) -> None:
        self.opened.close()
        self.gateway.kill()

    async def ask(self, method: str, path: str, body: bytes = b"", token: str | None = None, **more: str) -> str:
        """Ask over HTTP; return the body of the answer, and its headers."""
        headers = Headers({"Content-Type": ["application/json"], **{name: [value] for name, value in more.items()}})
        if token:
            headers.setRawHeaders("Authorization", [f"Bearer {token}"])
        answer = await treq.request(method, self.url + path, headers=headers, data=body, agent=self.agent)
        return f"{answer.code} {(await answer.content()).decode()} {list(answer.headers.getAllRawHeaders())}"

    async def drive(self, token: str) -> list[str]:
        """Drive every edge into its errors; return all that was answered, but for events and dead letters."""
        device = Gate()
        await connectProtocol(TCP4ClientEndpoint(self.reactor, "127.0.0.1", self.port), device)
        transport: Any = device.transport
        mark = MARK.encode()
        for line in (mark, b'{"text": ' + mark, b"\xff\xfe" + mark, mark * 100, b'["%s"]' % mark, b'{"reader": 1}'):
            transport.write(line + b"\n")
        said = []
        for status in (417, 500, 503, 403, 401):
            self.echo.status = status
            said += [
                await self.ask("GET", "/api/v1/erp/ToDo", token=token),
                await self.ask("POST", "/api/v1/calls/note", json.dumps({"doc": {"x": MARK}}).encode(), token),
                await self.ask("GET", "/api/v1/erp/ToDo", token=token),
                await self.ask("GET", f"/api/v1/erp/ToDo/{quote(MARK)}", token=token),
            ]
            before = self.echo.refused
            transport.write(json.dumps({"reader": "r-1", "text": MARK}).encode() + b"\n")
            if status in COMPLAINTS:
                await self.logged(COMPLAINTS[status])
            elif status == 500:
                await self.until("a delivery", lambda before=before: self.echo.refused > before)
        command = json.dumps({"payload": {"pin": MARK}, "expires": 5}).encode()
        await self.ask("POST", "/api/v1/devices/r-1/commands", command, token)
        forged = jwt.encode({"sub": "x", "meta": {"role": "admin"}}, "another key that is as long as it has to be")
        for bad in (f"{token[:-1]}x", forged, MARK, KEY):
            await self.ask("GET", "/api/v1/status", token=bad)
        for body in (mark, b'{"ids": ["%s"]}' % mark, b'{"%s": 1}' % mark, b"\xff" + mark):
            await self.ask("POST", "/api/v1/dead-letters/retry", body, token)
            await self.ask("POST", "/api/v1/events/web", body, token)
            await self.ask("POST", "/hooks/site", body, **{"X-Frappe-Webhook-Signature": HOOK})
        for query in ("late", "torn"):
            await self.ask("GET", f"/api/v1/queries/{query}?line={MARK}", token=token)
        said += [
            await self.ask("POST", "/api/v1/tokens", json.dumps({"name": "x", "role": MARK}).encode(), token),
            await self.ask("POST", "/api/v1/tasks/torn/run", b"{}", token),
            await self.ask("POST", f"/api/v1/tokens/{token}/revoke", b"", token[:-1] + "x"),
        ]
        await self.live(token)
        await self.logged("task.failed")
        transport.abortConnection()
        await device.gone
        return said

    async def live(self, token: str) -> None:
        """Speak live as a client that makes every mistake."""
        from autobahn.twisted.websocket import (  # noqa: PLC0415 (half a second)
            WebSocketClientFactory,
            WebSocketClientProtocol,
        )

        commands: list[dict[str, Any]] = [
            {"publish": {"channel": "board:1", "data": {"pin": MARK}}},
            {"subscribe": {"channel": f"events:{MARK}"}},
            {"rpc": {"method": "pause", "data": {"kind": MARK}}},
            {"rpc": {"method": MARK, "data": {}}},
            {"rpc": {"method": "erp.call", "data": {"name": "note", "params": {"doc": {"x": MARK}}}}},
            {"rpc": {"method": "events.append", "data": {"source": "web", "events": [MARK]}}},
        ]
        for given, last in ((token, None), (MARK, None), (f"{MARK}.{MARK}.{MARK}", None), (token, MARK)):
            gone: Deferred[None] = Deferred()

            class Client(WebSocketClientProtocol):
                def onOpen(self, given: str = given, last: str | None = last) -> None:
                    told = [{"id": 1, "connect": {"token": given}}]
                    told += [{"id": number, **each} for number, each in enumerate(commands, 2)]
                    self.sendMessage("\n".join(map(json.dumps, told)).encode())
                    if last is not None:
                        self.sendMessage(last.encode())
                    self.left = len(told)

                def onMessage(self, payload: bytes, isBinary: bool) -> None:
                    # Whose token is none is cut off by the gateway.
                    self.left -= sum(b'"id"' in line for line in payload.splitlines())
                    if not self.left:
                        self.sendClose()

                def onClose(self, wasClean: bool, code: int, reason: str, gone: Deferred[None] = gone) -> None:
                    gone.callback(None)

            factory = WebSocketClientFactory(
                f"{self.url.replace('http', 'ws')}/connection/websocket", reactor=self.reactor
            )
            factory.protocol = Client
            factory.noisy = False
            host, _, port = self.url.removeprefix("http://").rpartition(":")
            await connectProtocol(TCP4ClientEndpoint(self.reactor, host, int(port)), factory.buildProtocol(None))
            await gone

    async def test_nothing_is_found_beside_a_log_for_people(self) -> None:
        """In the log, in what is answered and shown, in the record: no secret and no payload."""
        await self.search("text")

    async def test_nothing_is_found_beside_a_log_for_programs(self) -> None:
        """The same with a log in JSON."""
        await self.search("json")

    async def search(self, form: str) -> None:
        """Drive the errors, and search everything."""
        await self.begin(form)
        made = await self.lineside("token", "create", "walker", "--role", "admin", "--json")
        token: str = json.loads(made)["text"]
        shown = {"answers": "\n".join(await self.drive(token))}
        for row in table("HTTP").values():
            method, _, path = row.what.partition(" ")
            # Capitals stand for the configuration's names; those paths were asked already.
            if method == "GET" and "{" not in path and path == path.lower():
                shown[path] = await self.ask("GET", path, token=token)
        for name in ("status", "check", "audit list", "devices list", "consumers list", "tasks list"):
            shown[f"lineside {name}"] = await self.lineside(*name.split())
        self.assertIn(MARK, shown["/api/v1/dead-letters"], "the events came in, and were refused")
        self.opened.close()
        shown["the log"] = self.log.read_text()
        for what in ("delivery.refused", "route.blocked", "target.down", "task.failed", "hook.refused", "erp.call"):
            self.assertIn(what, shown["the log"])
        secrets = [KEY, SECRET, JWT_KEY, HOOK, DATABASE, token.rpartition("_")[2]]
        for place, text in shown.items():
            for canary in secrets:
                self.assertNotIn(canary, text, f"{place} holds a secret")
            if place not in SHOWN:
                lines = [line for line in text.splitlines() if MARK in line]
                self.assertEqual(lines, [], f"{place} holds what was sent")
