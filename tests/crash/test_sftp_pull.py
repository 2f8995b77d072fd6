"""Files that a gateway fetches from OpenSSH's server, and deaths of both: each row becomes one event."""

from __future__ import annotations

import json
import time
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
document = {{ description = "{{{{ code }}}}" }}

[sources.acme]
type = "sftp-pull"
connect = "tcp:127.0.0.1:{port}"
user = "{user}"
key = "host/client"
known_hosts = "known_hosts"
folder = "{folder}"
every = "100ms"
then = "move"
path = "acme"
"""
ROWS = 20_000
FILES = 3


class Killed(TestCase):
    """One partner, one gateway, several deaths."""

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
        self.out = self.directory / "out"
        self.out.mkdir()
        (self.directory / "known_hosts").write_text(self.host.known_hosts)
        (self.directory / "lineside.toml").write_text(
            CONFIGURATION.format(port=self.host.port, user=self.host.user, folder=self.out)
        )

    def run_gateway(self) -> Forked:
        return self.nursery.start(
            self.reactor,
            ["run", "-c", str(self.directory / "lineside.toml")],
            log=self.directory / "gateway.log",
            environ={},
        )

    def part(self) -> int:
        """Return how many bytes of a file are here that is being fetched."""
        folder = self.directory / "acme" / ".fetching"
        return max((path.stat().st_size for path in folder.glob("*.fetching")), default=0)

    def moved(self) -> set[str]:
        return {path.name for path in (self.out / "done").glob("*")}

    async def until(self, gateway: Forked, come: Any) -> None:
        while not come():
            self.assertIsNone(gateway.code, self.directory)
            await deferLater(self.reactor, 0.002)

    async def test_each_row_becomes_one_event_whatever_dies(self) -> None:
        """Killed while it fetches, and when a file was moved; the host's process dies too; a file comes again."""
        contents = {
            f"{number}.csv": "".join(["code\n", *(f"{number}-{row:07}-{'x' * 100}\n" for row in range(ROWS))])
            for number in range(FILES)
        }
        for name, content in contents.items():
            (self.out / name).write_text(content)
        self.host.cut_after = 1_500_000
        for deaths in range(FILES):
            gateway = self.run_gateway()
            before = len(self.moved())
            if deaths % 2:
                await self.until(gateway, lambda before=before: len(self.moved()) > before)
            else:
                await self.until(gateway, lambda: self.part() > 1_000_000)
            gateway.signal("KILL")
            await gateway.ended()
        gateway = self.run_gateway()
        await self.until(gateway, lambda: self.moved() >= contents.keys())
        (self.out / "again.csv").write_text(contents["1.csv"])
        await self.until(gateway, lambda: "again.csv" in self.moved())
        archive = self.directory / "acme" / "archive"
        await self.until(gateway, lambda: {path.name for path in archive.glob("*.csv")} >= contents.keys())
        gateway.signal("TERM")
        self.assertEqual(0, await gateway.ended())
        told = sorted(json.loads(record.event.body)["code"] for record in await self.journal())
        self.assertEqual(sorted(row for text in contents.values() for row in text.splitlines()[1:]), told)
        archived = {path.name: path.read_text() for path in archive.iterdir()}
        self.assertEqual(contents, archived)
        log = (self.directory / "gateway.log").read_text()
        self.assertIn("pull.resumed", log)
        self.assertNotIn("stumbled", log)

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
