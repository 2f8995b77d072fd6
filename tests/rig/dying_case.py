"""Gateways that go to OpenSSH's server, and are killed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.rig.forked import Forked, Nursery
from tests.rig.sshd import Sshd
from tests.rig.stored import whole_journal
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater
from twisted.trial.unittest import TestCase

from lineside.model.event import Record

AWAY = """
[targets.erp]
type = "frappe"
url = "http://127.0.0.1:9"
api_key = "none"
api_secret = "none"

[routes.note]
doctype = "ToDo"
document = { description = "it came" }
"""
"""Tables of an ERP that is away: what comes stays in the journal."""


class DyingCase(TestCase):
    """One host, one gateway, several deaths."""

    timeout = 120

    @pytest.fixture(autouse=True)
    def own_directory(self, tmp_path: Path, nursery: Nursery) -> None:
        self.directory, self.nursery = tmp_path, nursery

    def setUp(self) -> None:
        from twisted.internet import reactor  # noqa: PLC0415, TID251 (processes are real)

        self.reactor: Any = reactor
        self.config = self.directory / "lineside.toml"
        self.host = Sshd(reactor, self.directory / "host")
        self.host.start()
        self.addCleanup(lambda: Deferred.fromCoroutine(self.host.stop()))
        (self.directory / "known_hosts").write_text(self.host.known_hosts)

    def configure(self, source: str) -> None:
        """Write the configuration with one source that goes to the host.

        Args:
            source: its table, with what it is beside how the host is reached.

        """
        ways = (
            f'connect = "tcp:127.0.0.1:{self.host.port}"\nuser = "{self.host.user}"\n'
            'key = "host/client"\nknown_hosts = "known_hosts"\n'
        )
        self.config.write_text(AWAY + source + ways)

    def run_gateway(self) -> Forked:
        """Start a gateway."""
        return self.nursery.start(
            self.reactor, ["run", "-c", str(self.config)], log=self.directory / "gateway.log", environ={}
        )

    async def until(self, gateway: Forked, come: Callable[[], object]) -> None:
        """Wait for something while the gateway runs."""
        while not come():
            self.assertIsNone(gateway.code, self.directory)
            await deferLater(self.reactor, 0.002)

    async def journal(self) -> list[Record]:
        """Return what is stored, once nobody writes any more."""
        return await whole_journal(self.directory / "journal.db")

    def said(self) -> str:
        """Return the log of all gateways so far."""
        path = self.directory / "gateway.log"
        return path.read_text() if path.exists() else ""
