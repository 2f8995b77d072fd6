"""Lines of a legacy host, and deaths of the gateway and of the host's server: what is lost, and what is not."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.rig.forked import Forked, Nursery
from tests.rig.sshd import Sshd
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater
from twisted.trial.unittest import TestCase

from lineside.model.event import NO_SEQ, Record
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
{way}
"""
DEATHS = 2
EACH = 400


class Killed(TestCase):
    """One host, one gateway, several deaths."""

    timeout = 120

    @pytest.fixture(autouse=True)
    def own_directory(self, tmp_path: Path, nursery: Nursery) -> None:
        self.directory, self.nursery = tmp_path, nursery

    def setUp(self) -> None:
        from twisted.internet import reactor  # noqa: PLC0415, TID251 (processes are real)

        self.reactor: Any = reactor
        self.host = Sshd(reactor, self.directory / "host")
        self.host.start()
        self.addCleanup(lambda: Deferred.fromCoroutine(self.host.stop()))
        self.log = self.directory / "scale.log"
        self.log.touch()
        (self.directory / "known_hosts").write_text(self.host.known_hosts)

    def run_gateway(self) -> Forked:
        return self.nursery.start(
            self.reactor,
            ["run", "-c", str(self.directory / "lineside.toml")],
            log=self.directory / "gateway.log",
            environ={},
        )

    def write(self, numbers: range) -> None:
        with self.log.open("a") as file:
            file.write("".join(f'{{"n": {number}}}\n' for number in numbers))

    async def until(self, gateway: Forked, come: Callable[[], object]) -> None:
        while not come():
            self.assertIsNone(gateway.code, self.directory)
            await deferLater(self.reactor, 0.002)

    async def live(self, way: str) -> list[int]:
        """Let the log grow while gateways are killed, and the host's processes; return what was stored."""
        (self.directory / "lineside.toml").write_text(
            CONFIGURATION.format(port=self.host.port, user=self.host.user, way=way.replace("LOG", str(self.log)))
        )
        written = 0
        for death in range(DEATHS):
            gateway = self.run_gateway()
            visits = self.host.visits
            await self.until(gateway, lambda visits=visits: self.host.visits > visits)  # type: ignore[misc]
            for step in range(death + 2):
                before = self.stored()
                self.write(range(written, written + EACH))
                written += EACH
                # In the midst of what is stored at each write.
                await self.until(gateway, lambda before=before: self.stored() != before)  # type: ignore[misc]
                if step == 1 and self.host.sessions:
                    self.host.sessions[-1].kill()
            gateway.signal("KILL")
            await gateway.ended()
        ready = self.said().count("gateway.ready")
        gateway = self.run_gateway()
        # Before that, whoever asks for events would read the journal itself, and hold it.
        await self.until(gateway, lambda: self.said().count("gateway.ready") > ready)
        await self.until(gateway, lambda: self.peek() >= written)
        gateway.signal("TERM")
        self.assertEqual(0, await gateway.ended())
        self.assertNotIn("stumbled", self.said())
        return [json.loads(record.event.body)["n"] for record in await self.journal()] + [-written]

    def said(self) -> str:
        path = self.directory / "gateway.log"
        return path.read_text() if path.exists() else ""

    def stored(self) -> int:
        """Return what changes with each commit."""
        wal = self.directory / "journal.db-wal"
        return wal.stat().st_mtime_ns if wal.exists() else 0

    def peek(self) -> int:
        """Return how many lines a gateway that runs says that it has; none while it does not."""
        done = self.nursery.run(
            ["events", "list", "--limit", "1", "--json", "-c", str(self.directory / "lineside.toml")], {}, 30.0
        )
        lines = done.out.splitlines()
        return json.loads(lines[-1])["seq"] if done.code == 0 and lines else 0

    async def journal(self) -> list[Record]:
        """Read what is stored, once nobody writes any more."""
        file = JournalOnFile(self.directory / "journal.db", time.time_ns)
        try:
            records: list[Record] = []
            after, head = NO_SEQ, file.journal.head
            while after < head:
                page = await file.journal.read(after, sources=None, limit=5_000)
                records += page.records
                after = page.next_after
            return records
        finally:
            file.close()

    async def test_each_line_of_a_followed_file_is_one_event(self) -> None:
        """Without any key: how far it was taken dies and lives with the events."""
        *told, written = await self.live("follow = 'LOG'\nevery = '100ms'")
        self.assertEqual(list(range(-written)), told)

    async def test_each_line_of_a_command_that_repeats_all_is_one_event(self) -> None:
        """By the key in each line: the command says all of it again, and what is known is passed."""
        *told, written = await self.live("command = 'tail -n +1 -F LOG'\ndedupe = 'n'")
        self.assertEqual(list(range(-written)), sorted(told))
