"""A gateway whose devices take commands, and a device that is told what to say."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.rig.forked import Nursery
from tests.rig.live_case import KEY
from tests.rig.told import Program
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint, connectProtocol
from twisted.internet.protocol import connectionDone
from twisted.protocols.basic import LineReceiver
from twisted.python.failure import Failure
from twisted.trial.unittest import TestCase

CONFIGURATION = """
[journal]
path = "journal.db"

[targets.erp]
type = "frappe"
url = "{erp}"
api_key = "key"
api_secret = "secret"

[sources.scale]
type = "lines"
listen = "tcp:{lines}:interface=127.0.0.1"
device = "scale"
commands = true

[routes.weighing]
doctype = "Weighing"
document = {{ scale = "{{{{ scale }}}}" }}

[http]
listen = "tcp:{web}:interface=127.0.0.1"

[live]
jwt_key = "{key}"
"""


class PlayedScale(LineReceiver):
    """Says its name, and keeps the lines that it hears until they are taken."""

    delimiter = b"\n"
    transport: Any

    def __init__(self) -> None:
        self._heard: list[bytes] = []
        self._waiting: Deferred[None] | None = None
        self.gone: Deferred[None] = Deferred()

    async def line(self) -> bytes:
        """Take the next line that it hears."""
        while not self._heard:
            self._waiting = Deferred()
            await self._waiting
        return self._heard.pop(0)

    async def reply(self, text: bytes) -> bytes:
        """Reply to the next command; returns its payload."""
        word, identifier, payload = (await self.line()).split(b" ", 2)
        assert word == b"CMD", word
        self.sendLine(b"RES %s %s" % (identifier, text))
        return payload

    def lineReceived(self, line: bytes) -> None:
        """Keep it."""
        self._heard.append(line)
        waiting, self._waiting = self._waiting, None
        if waiting is not None:
            waiting.callback(None)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Tell who waits."""
        self.gone.callback(None)


class CommandCase(TestCase):
    """Has ``self.gateway`` and the ``self.scale``, which is called s-1."""

    timeout = 170
    more = ""
    """Further configuration."""
    erp = "http://127.0.0.1:9"

    @pytest.fixture(autouse=True)
    def own_directory(self, tmp_path: Path, nursery: Nursery) -> None:
        self.directory, self.nursery = tmp_path, nursery

    async def setUp(self) -> None:  # type: ignore[override]
        from twisted.internet import reactor  # noqa: PLC0415, TID251 (processes and sockets are real)

        self.reactor: Any = reactor
        self.web = self.lines = 0
        self._programs: list[Program] = []
        await self.start_gateway()
        self.addCleanup(self._end)

    async def start_gateway(self) -> None:
        """Start the gateway, at the addresses that it had before; the scale calls it, and is known."""
        configuration = CONFIGURATION.format(lines=self.lines, web=self.web, key=KEY, erp=self.erp)
        (self.directory / "lineside.toml").write_text(configuration + self.more)
        self.gateway = self.program("run", "--log-format", "json")
        web = await self.gateway.heard("http.listening")
        lines = await self.gateway.heard("source.listening")
        await self.gateway.heard("gateway.ready")
        self.web, self.lines = (int(each["address"].rpartition(":")[2]) for each in (web, lines))
        self.scale = PlayedScale()
        await connectProtocol(TCP4ClientEndpoint(self.reactor, "127.0.0.1", self.lines), self.scale)
        self.scale.sendLine(b'{"scale":"s-1"}')
        self.assertRegex(await self.scale.line(), rb"OK \d+")

    def program(self, *arguments: str) -> Program:
        """Start ``lineside`` with these arguments."""
        program = Program(
            self.reactor, ["lineside", *arguments], self.directory, spawn=self.nursery.spawn(self.reactor)
        )
        self._programs.append(program)
        return program

    def client(self, token: str) -> Program:
        """Start an application on centrifuge-python."""
        options = json.dumps({"url": f"ws://127.0.0.1:{self.web}/connection/websocket", "tokens": [token]})
        script = str(Path(__file__).parent / "live_client.py")
        program = Program(self.reactor, [sys.executable, script, options], self.directory)
        self._programs.append(program)
        return program

    async def printed(self, *arguments: str) -> list[Any]:
        """Run a command to its good end; returns what it printed, JSON lines and others."""
        program = self.program(*arguments)
        self.assertEqual(await program.ended(), 0, program.other)
        return [*program.said, *program.other]

    async def _end(self) -> None:
        for program in reversed(self._programs):
            await program.end()
        await self.scale.gone
