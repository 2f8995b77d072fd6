"""Everything that can be asked of a gateway, asked as every role through every door, against the page of roles."""

from __future__ import annotations

import json
import shlex
from collections.abc import Awaitable, Callable
from itertools import count
from typing import Any, cast

import click
import jwt
from tests.rig.role_plant import KEY, KINDS, NAMES, NOT_WHILE_RUNNING, SPARE, STREAMS, RolePlant
from tests.rig.role_table import LOCAL, ROLES, Row, table
from twisted.internet.defer import Deferred
from twisted.trial.unittest import TestCase

from lineside.background import Background
from lineside.edges.frappe.webhook import signature
from lineside.edges.ssh.logins import User, Visitor
from lineside.edges.ssh.shell.commands import every
from lineside.edges.ssh.shell.session import OneCommand
from lineside.edges.websocket.access import Access
from lineside.edges.websocket.codes import Disconnect, Refused
from lineside.edges.websocket.sessions import Session
from lineside.model.errors import LinesideError
from lineside.model.ports import Credential
from lineside.operations import requests
from lineside.operations.control import RemoteOperations
from lineside.operations.web import Call, Endpoint
from lineside.security.identity import NOBODY, Identity, Role

TOKENS = ("device", "viewer", "operator", "admin")
READ = frozenset({"read", "consult"})
REFUSED = frozenset({101, 103})
"""Errors of live channels that say: you may not."""
NEVER = REFUSED | {108}
"""What nobody may is not there to be had, either."""
LIVE_FAILED = 400
LOOKS = frozenset({"sessions.list", "tokens.list", "audit.list", "audit.verify"})
"""What needs a permission to change something, and does not."""
COUNT = "/api/v1/calls/count"
"""A call that changes nothing, for everybody who may consult."""
WRITTEN = {COUNT: b"{}", "/api/v1/calls/note": b'{"doc": {"doctype": "ToDo", "description": "walked"}}'}
"""The bodies of what is no operation of its own."""


class Wire:
    """A live client's connection in memory: each reply fires who waits for it."""

    def __init__(self) -> None:
        self.pushes: list[Any] = []
        self._waiting: dict[int, Deferred[Any]] = {}
        self.ended: Disconnect | None = None

    def reply(self, number: int) -> Deferred[Any]:
        """Return what comes as the reply to a command."""
        return self._waiting.setdefault(number, Deferred())

    def put(self, frame: bytes) -> None:
        for line in frame[{126: 4, 127: 10}.get(frame[1], 2) :].splitlines():
            told = json.loads(line)
            if "id" in told:
                self._waiting.pop(told["id"]).callback(told)
            else:
                self.pushes.append(told)

    def read(self, on: bool) -> None:
        """There is always more."""

    def end(self, disconnect: Disconnect) -> None:
        self.ended = disconnect


class Client:
    """One live client."""

    def __init__(self, plant: RolePlant, identity: Identity = NOBODY) -> None:
        live: Any = plant.gateway.live
        self.wire = Wire()
        self.session = Session("walker", self.wire, Call(identity, {}, {}, {}), live.part._services)
        self._numbers = count(1)

    async def ask(self, **command: Any) -> Any:
        """Send one command, and return its reply."""
        number = next(self._numbers)
        reply = self.wire.reply(number)
        self.session.frame_came(json.dumps({"id": number, **command}).encode())
        return await reply


class PlayedSession:
    """A session of SSH whose client reads everything at once."""

    terminal = None
    full = False

    def __init__(self, visitor: Visitor, *, endless: bool) -> None:
        self.visitor = visitor
        self.told: Deferred[None] = Deferred()
        self.complaint = ""
        self._endless = endless

    def say(self, text: str) -> None:
        # A stream goes on without end; one word of it shows that it is given.
        if self._endless:
            self.finish(0)

    def complain(self, text: str) -> None:
        self.complaint += text

    def finish(self, _: int) -> None:
        if not self.told.called:
            self.told.callback(None)


class TheWalk(TestCase):
    """A gateway that runs, and somebody of each role."""

    timeout = 170

    async def setUp(self) -> None:  # type: ignore[override]
        from twisted.internet import reactor  # noqa: PLC0415, TID251 (sockets and files are real)

        self.reactor: Any = reactor
        self.plant = RolePlant(reactor)
        self.addCleanup(lambda: Deferred.fromCoroutine(self.plant.stop()))
        await self.plant.start()
        self.tokens: dict[str, str | None] = {"nobody": None, LOCAL: None}
        self.numbers = count(1)

    async def make_tokens(self) -> None:
        """Let everybody have one; from now on who has none is nobody, even at this machine."""
        for role in TOKENS:
            sources = ["web", "open"] if role == "device" else None
            # The device's own channel bears its token's name.
            name = "r-1" if role == "device" else role
            made = await self.plant.call(requests.CreateToken(name=name, role=role, sources=sources))  # type: ignore[arg-type]
            self.tokens[role] = made.text
        self.plant.spare_tokens = True

    async def judge(
        self, row: Row, role: str, ask: Callable[[], Awaitable[str]], *, changes: bool, on_record: str = ""
    ) -> None:
        """Ask, and hold what happened, in a word, to the page: ``yes`` or ``no``; refused means unchanged.

        An operation that is to change something is on record, before and after; nothing else is.
        """
        newest = (await self.plant.recorded())[0].number
        before = await self.plant.state()
        happened = await ask()
        after = await self.plant.state()
        what = f"{row.what} {row.more} as {role}"
        self.assertEqual(happened, "no" if row.may[role] == "no" else "yes", what)
        if happened == "no" or not changes:
            self.assertEqual(before, after, f"{what} changed something")
        else:
            self.assertNotEqual(before, after, f"{what} changed nothing")
        end, asked = await self.plant.recorded()
        if happened == "no" or not on_record:
            self.assertEqual(end.number, newest, f"{what} is on record")
        else:
            ended = "failed" if on_record in NOT_WHILE_RUNNING else "done"
            self.assertEqual((asked.state, end.state, end.facts["of"]), ("asked", ended, asked.number), what)
            names = {"local user": "local user", "device": "r-1"}
            told = (asked.number, asked.who, asked.what)
            self.assertEqual(told, (newest + 1, names.get(role, role), on_record), what)

    async def test_http(self) -> None:
        """Every path, by nobody's token and by everybody's, and by who is at the machine while there is none."""
        rows = table("HTTP")
        asked = [(self.row_of(rows, endpoint), endpoint) for endpoint in self.plant.endpoints if endpoint.described]
        told = {row.what for row, _ in asked} | {"GET /connection/websocket"}
        self.assertEqual({what for what, _ in rows} - told, set(), "there is nothing at these")
        for row, endpoint in asked:
            await self.judge_path(row, endpoint, LOCAL)
        await self.make_tokens()
        for role in ROLES[:-1]:
            for row, endpoint in asked:
                await self.judge_path(row, endpoint, role)
        status, _ = await self.plant.http("POST", "/api/v1/events/spare", b'{"n":1}', self.tokens["device"])
        self.assertEqual(status, 403, "a device sends to no other source than its token's")
        status, _ = await self.plant.http("POST", "/api/v1/events/open", b'{"n":0}', None)
        self.assertEqual(status, 202, "an anonymous source takes events from its own machine")
        status, _ = await self.plant.http("GET", "/connection/websocket", b"", None)
        self.assertEqual(status, 426)
        hidden = {endpoint.path for endpoint in self.plant.endpoints if not endpoint.described}
        self.assertEqual(hidden, {"/connection/websocket", "/api/v1/events/{source}"})

    def row_of(self, rows: dict[tuple[str, str], Row], endpoint: Endpoint) -> Row:
        path = "/" if endpoint.name.startswith("dashboard") else NAMES.get(endpoint.path, endpoint.path)
        if endpoint.path == COUNT:
            # Its own permission is the configuration's; the operation's walk has it.
            return Row("POST /api/v1/calls/count", "", table("Operations")["erp.call", "consult"].may)
        return rows[f"{endpoint.method} {path}", ""]

    async def judge_path(self, row: Row, endpoint: Endpoint, role: str) -> None:
        if endpoint.path == "/api/v1/events/spare":
            return
        path, body, headers = await self.filled(endpoint)
        token = self.tokens[role]
        if role != LOCAL:
            # Who asks through a proxy is not at this machine.
            headers["X-Forwarded-For"] = "203.0.113.7"
        changes = endpoint.method == "POST" and endpoint.path != COUNT

        async def ask() -> str:
            status, told = await self.plant.http(endpoint.method, path, body, token, **headers)
            if status == (401 if token is None and role == "nobody" else 403):
                return "no"
            self.assertIn(status, {200, 202}, f"{endpoint.method} {path} as {role}: {told!r}")
            return "yes"

        await self.judge(row, role, ask, changes=changes, on_record=self.operation(endpoint) if changes else "")
        if row.may[role] == "signed":
            headers = {"X-Frappe-Webhook-Signature": signature("another secret", body)}
            self.assertEqual((await self.plant.http("POST", path, body, token, **headers))[0], 401)

    def operation(self, endpoint: Endpoint) -> str:
        """Return the operation that a path carries out; "" where it is none."""
        if endpoint.path.startswith("/api/v1/calls/"):
            return "erp.call"
        names = [name for name in KINDS if endpoint.name.startswith(name.replace(".", "_"))]
        return max(names, key=len, default="")

    async def filled(self, endpoint: Endpoint) -> tuple[str, bytes, dict[str, str]]:
        """Return the path, the body and further headers of a request that does something."""
        path = endpoint.path
        if endpoint.method == "POST" and path.startswith("/api/v1/events/"):
            return path, b'{"n": %d}' % next(self.numbers), {}
        if path == "/hooks/site":
            change = {"name": f"I-{next(self.numbers)}", "modified": "2026-01-01 00:00:00", "docstatus": 0}
            body = json.dumps(change).encode()
            return path, body, {"X-Frappe-Webhook-Signature": signature("of-the-webhooks", body)}
        operation = self.operation(endpoint)
        if not operation or path in WRITTEN:
            written = WRITTEN.get(path, b"")
            return path.replace("{name}", "HR-EMP-00001"), written, {}
        given = await self.plant.asking(operation)
        if endpoint.name.endswith("_one"):
            given = {"id": given["ids"][0]}
        for kind, name in SPARE.items():
            if endpoint.name.endswith(f"_{kind}"):
                given = {"id": name}
        for name in list(given):
            if f"{{{name}}}" in path:
                path = path.replace(f"{{{name}}}", str(given.pop(name)))
        return path, json.dumps(given).encode() if endpoint.takes else b"", {}

    async def test_live_calls(self) -> None:
        """Every operation and every other call, over a live session, by tokens and by a JWT without a role."""
        own, operations = table("Live calls"), table("Operations")
        live: Any = self.plant.gateway.live
        rpc = live.part._services.rpc
        self.assertEqual({what for what, _ in own}, set(rpc._offered))
        self.assertEqual(set(rpc._requests), set(KINDS))
        await self.make_tokens()
        for role in ROLES[:-1]:
            client = await self.client(role)
            for row in operations.values():
                if row.what in STREAMS:
                    told = await client.ask(rpc={"method": row.what, "data": {}})
                    self.assertEqual(told["error"]["code"], 104)
                else:
                    await self.judge_call(client, row, role, await self.plant.asking(row.what))
            await self.judge_call(client, own["erp.get", ""], role, {"doctype": "Employee"})
            events = {"source": "web", "events": [{"n": role}]}
            await self.judge_call(client, own["events.append", ""], role, events)
            if role == "device":
                told = await client.ask(rpc={"method": "events.append", "data": {**events, "source": "spare"}})
                self.assertEqual(told["error"]["code"], 103)

    async def judge_call(self, client: Client, row: Row, role: str, data: dict[str, Any]) -> None:
        async def ask() -> str:
            told = await client.ask(rpc={"method": row.what, "data": data})
            code = told.get("error", {}).get("code")
            if code in REFUSED:
                return "no"
            refused = LIVE_FAILED if row.what in NOT_WHILE_RUNNING else None
            self.assertEqual(code, refused, f"{row.what} as {role}: {told}")
            return "yes"

        changes = changing(row.what)
        await self.judge(row, role, ask, changes=changes, on_record=recorded(row.what))

    def stranger(self, identity: Identity = NOBODY) -> Client:
        """Return a live client that has said nothing yet."""
        client = Client(self.plant, identity)
        self.addCleanup(client.session.closed)
        return client

    async def client(self, role: str) -> Client:
        """Return a live client that has said who it is."""
        if role == LOCAL:
            client = self.stranger(Identity("somebody at 127.0.0.1", "viewer"))
            told = await client.ask(connect={})
        else:
            client = self.stranger()
            token = self.tokens[role] or jwt.encode({"sub": "norbert"}, KEY)
            told = await client.ask(connect={"token": token})
        self.assertIn("connect", told)
        return client

    async def test_who_did_not_say_who_they_are_may_not_even_connect(self) -> None:
        """What they send along with it is not looked at."""
        await self.make_tokens()
        told = await self.stranger().ask(connect={})
        self.assertEqual(told["error"]["code"], 101)

    async def test_ssh(self) -> None:
        """Every command of the operator's shell, as every role that a user of it could have."""
        rows, given = table("SSH"), dict(every())
        self.assertEqual({what for what, _ in rows}, set(given))
        for role in ROLES[:-1]:
            for row in rows.values():
                await self.judge_command(row, role, given[row.what])

    async def judge_command(self, row: Row, role: str, command: click.Command) -> None:
        about = await self.plant.asking(row.more)
        named = [about.get(each.name or "") for each in command.params if isinstance(each, click.Argument)]
        words = [str(each) for value in named for each in (value if isinstance(value, list) else [value])]
        line = shlex.join([*row.what.split(" "), *words])

        async def ask() -> str:
            name = "r-1" if role == "device" else role
            visitor = Visitor(User(name, Identity(name, cast(Role, role))), "::1", "ssh, ::1")
            session = PlayedSession(visitor, endless=row.more in STREAMS)
            work = Background("the walk")
            shell = OneCommand(session, self.plant.gateway.operations, work, self.reactor, line)  # type: ignore[arg-type]
            await session.told
            shell.stop()
            await work.finish()
            if "this needs the permission" in session.complaint:
                return "no"
            self.assertEqual(session.complaint, "", line)
            return "yes"

        await self.judge(row, role, ask, changes=changing(row.more), on_record=recorded(row.more))

    async def test_channels(self) -> None:
        """Every namespace: to subscribe, read back, see who is there and publish; what is refused nobody hears."""
        rows = table("Channels")
        live: Any = self.plant.gateway.live
        rules = live.part._services.access._rules
        namespaces = {what.partition(":")[0].replace("CHANNEL", "board") for what, _ in rows} - {"frappe"}
        self.assertEqual(namespaces, set(rules))
        for each in namespaces:
            name = "CHANNEL" if each == "board" else each
            told = {more for what, more in rows if what.partition(":")[0] == name}
            self.assertEqual(told, {"subscribe", "history", "presence", "publish"})
        for role in (LOCAL, *ROLES[:-1]):
            if role == ROLES[0]:
                await self.make_tokens()
            for row in rows.values():
                if not row.what.startswith("frappe:"):
                    await self.judge_channel(row, role)

    async def judge_channel(self, row: Row, role: str) -> None:
        channel = row.what.replace("SOURCE", "gate").replace("TASK", "count").replace("CHANNEL:NAME", "board:1")
        channel = channel.replace("DEVICE", "r-1")
        listener = await self.client("admin" if self.tokens.get("admin") else LOCAL)
        await listener.ask(subscribe={"channel": channel})
        client = await self.client(role)
        asked: dict[str, Any] = {"channel": channel}
        if row.more == "publish":
            asked["data"] = {"said": "something"}

        async def ask() -> str:
            told = await client.ask(**{row.more: asked})
            code = told.get("error", {}).get("code")
            if code in (NEVER if "yes" not in row.may.values() else REFUSED):
                return "no"
            self.assertIsNone(code, f"{row.more} {channel} as {role}: {told}")
            return "yes"

        await self.judge(row, role, ask, changes=False)
        heard = any("pub" in push["push"] for push in listener.wire.pushes)
        self.assertEqual(heard, row.more == "publish" and row.may[role] == "yes")
        if row.may[role] == "own":
            told = await client.ask(**{row.more: {"channel": "device:another"}})
            self.assertEqual(told["error"]["code"], 103)
        client.session.closed()
        listener.session.closed()

    async def test_channels_of_frappe(self) -> None:
        """There the ERP decides: no role lets anybody in, and none keeps out whom the ERP lets read."""
        rows = [row for row in table("Channels").values() if row.what.startswith("frappe:")]
        self.assertEqual({row.more: set(row.may.values()) == {"erp"} for row in rows}["subscribe"], True)
        access = Access({}, PlayedOracle())
        for role in ("nobody", *TOKENS):
            identity = Identity("x", role)  # type: ignore[arg-type]
            for credential in (None, Credential(session="another's")):
                with self.assertRaises(Refused):
                    await access.subscribe(identity, "frappe:doc:Item/1", credential)
            await access.subscribe(identity, "frappe:doc:Item/1", Credential(session="reader's"))
            with self.assertRaises(Refused):
                access.publish(identity, "frappe:doc:Item/1")

    async def test_the_control_socket(self) -> None:
        """Every operation, as the local user, whose file it is; nobody else may open it."""
        path = self.plant.settings.journal.control_path
        self.assertEqual(path.stat().st_mode & 0o777, 0o600)
        remote = RemoteOperations(self.reactor, path)
        await self.make_tokens()
        for row in table("Operations").values():
            request = KINDS[row.what](**await self.plant.asking(row.what))

            async def ask(request: Any = request, name: str = row.what) -> str:
                if name in STREAMS:
                    async for _ in remote.follow(request):
                        break
                elif name in NOT_WHILE_RUNNING:
                    with self.assertRaises(LinesideError):
                        await remote.call(request)
                else:
                    await remote.call(request)
                return "yes"

            changes = changing(row.what)
            await self.judge(row, LOCAL, ask, changes=changes, on_record=recorded(row.what))


class PlayedOracle:
    """An ERP that lets one session read."""

    async def whose(self, credential: Credential) -> str | None:
        return credential.session

    async def may_read(self, credential: Credential, channel: str) -> bool:
        return credential.session == "reader's"


def recorded(operation: str) -> str:
    """Return an operation that has to be on record; "" for another."""
    looks = operation not in KINDS or KINDS[operation].permission in READ or operation in LOOKS
    return "" if looks else operation


def changing(operation: str) -> bool:
    """Tell whether an operation that is carried out has to leave a trace."""
    if operation in KINDS:
        looks = KINDS[operation].permission in READ or operation in LOOKS | NOT_WHILE_RUNNING
        return not looks
    return operation == "events.append"
