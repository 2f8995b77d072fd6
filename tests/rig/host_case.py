"""A host behind OpenSSH's server with a log to which a scale writes, and the source that reads it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import pytest
from tests.rig.sshd import Sshd
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater
from twisted.logger import capturedLogs
from twisted.trial.unittest import TestCase

from lineside.assemble.config import load
from lineside.assemble.sources import WayIn
from lineside.delivery.backoff import Backoff
from lineside.edges.lines import dialled
from lineside.edges.ssh.client import follow
from lineside.model.event import Record, Seq
from lineside.testing.journals import JournalOnFile

CONFIGURATION = """
[targets.erp]
type = "frappe"
url = "http://127.0.0.1:9"
api_key = "none"
api_secret = "none"

[routes.note]
doctype = "ToDo"
document = {{ description = "{{{{ n }}}}" }}

[sources.scale]
type = "ssh-command"
connect = "tcp:127.0.0.1:{port}"
user = "{user}"
key = "host/client"
known_hosts = "known_hosts"
{more}
"""


class HostCase(TestCase):
    """One host with a log to which a scale writes, and the source that reads it."""

    timeout = 20

    @pytest.fixture(autouse=True)
    def own_directory(self, tmp_path: Path) -> None:
        self.directory = tmp_path

    def setUp(self) -> None:
        from twisted.internet import reactor  # noqa: PLC0415, TID251 (processes are real)

        self.reactor: Any = reactor
        self.patch(dialled, "REDIAL", Backoff((0.02,), 0.3))
        self.patch(follow, "AWAY", Backoff((0.02,), 0.3))
        self.host = Sshd(reactor, self.directory / "host")
        self.host.start()
        self.addCleanup(lambda: Deferred.fromCoroutine(self.host.stop()))
        self.log = self.directory / "scale.log"
        self.log.touch()
        self.file = JournalOnFile(self.directory / "journal.db", lambda: 1)
        self.addCleanup(self.file.close)
        self.known(self.host.known_hosts)
        self.logged = self.enterContext(capturedLogs())

    def known(self, text: str) -> None:
        (self.directory / "known_hosts").write_text(text)

    def configure(self, more: str) -> Any:
        """Load a configuration; LOG is the file's path."""
        path = self.directory / "lineside.toml"
        more = more.replace("LOG", str(self.log))
        path.write_text(CONFIGURATION.format(port=self.host.port, user=self.host.user, more=more))
        return load(path, environ={}).ssh_commands["scale"]

    async def run_source(self, more: str) -> WayIn:
        settings = self.configure(more)
        way = WayIn(self.reactor, "scale", settings, self.file.journal, Random(5), database=self.file.database)
        await way.source.start()
        self.addCleanup(lambda: Deferred.fromCoroutine(way.source.stop()))
        return way

    def write(self, *numbers: int) -> None:
        with self.log.open("a") as file:
            file.write("".join(f'{{"n": {number}}}\n' for number in numbers))

    async def until(self, come: Callable[[], object]) -> None:
        while not come():
            await deferLater(self.reactor, 0.01)

    async def records(self) -> list[Record]:
        return (await self.file.journal.read(Seq(0), sources=None, limit=10_000)).records

    async def numbers(self, count: int) -> list[int]:
        """Wait for so many events, and return what is in them."""
        while len(await self.records()) < count:
            await deferLater(self.reactor, 0.01)
        return [json.loads(record.event.body)["n"] for record in await self.records()]

    def events(self, name: str) -> list[dict[str, Any]]:
        return [event for event in self.logged if event.get("log_format") == name]
