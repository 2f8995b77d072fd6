"""A partner without a key: a password by paramiko, and what the gateway counts of log-ins."""

from __future__ import annotations

import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import paramiko  # type: ignore[import-untyped]
import pytest
import treq
from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase
from twisted.web.client import Agent

from lineside.assemble.build import Gateway
from lineside.assemble.config import load
from lineside.assemble.lifecycle import System
from lineside.edges.ssh.logins import hashed
from lineside.operations.requests import ListAudit
from lineside.security.identity import LOCAL_USER

PASSWORD = "correct horse battery staple"
CONFIGURATION = """
[targets.erp]
type = "frappe"
url = "http://127.0.0.1:9"
api_key = "none"
api_secret = "none"

[routes.note]
doctype = "ToDo"
document = { description = "{{ payload }}" }

[sources.acme]
type = "sftp"
folder = "partners"
format = "csv"

[http]
listen = "tcp:0:interface=127.0.0.1"

[ssh]
listen = "tcp:0:interface=127.0.0.1"
[ssh.users.acme]
source = "acme"
password = { env = "ACME" }
[ssh.users.far]
source = "acme"
password = { env = "ACME" }
networks = ["198.51.100.0/24"]
[ssh.users.keyed]
source = "acme"
keys = ["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ53sKuIhvHpmA5+/FU/QDzBjQ/5J9sFHd5GNpzVqPLM"]
"""


class Password(TestCase):
    """One gateway."""

    timeout = 120

    @pytest.fixture(autouse=True)
    def own_directory(self, tmp_path: Path) -> None:
        self.directory = tmp_path

    async def setUp(self) -> None:  # type: ignore[override]
        from twisted.internet import reactor  # noqa: PLC0415, TID251 (sockets are real)

        self.reactor: Any = reactor
        path = self.directory / "lineside.toml"
        path.write_text(CONFIGURATION)
        self.gateway = Gateway(reactor, load(path, {"ACME": hashed(PASSWORD.encode())}))
        system = System(self.gateway.stages)
        await system.start()
        self.addCleanup(lambda: Deferred.fromCoroutine(system.stop()))
        assert self.gateway.ssh is not None
        self.port = int(self.gateway.ssh.part.address.rpartition(":")[2])

    def visit(self, user: str, password: str, work: Callable[[paramiko.SFTPClient], Any]) -> Any:
        """Log in, and return what is found; on a thread."""
        transport = paramiko.Transport(socket.create_connection(("127.0.0.1", self.port), 60))
        try:
            transport.connect(None, user, password)
            client = paramiko.SFTPClient.from_transport(transport)
            assert client is not None
            return work(client)
        finally:
            transport.close()

    async def test_who_knows_it_gets_in_and_is_counted(self) -> None:
        """By name, password and network; who has a key alone has no password, and neither has who is nobody."""
        listed = await deferToThread(self.visit, "acme", PASSWORD, lambda client: client.listdir("/"))
        self.assertEqual(listed, ["inbox", "outbox", "archive"])
        for user, password in (
            ("acme", PASSWORD + "!"),
            ("far", PASSWORD),
            ("keyed", PASSWORD),
            ("nobody", PASSWORD),
        ):
            refused = deferToThread(self.visit, user, password, lambda client: client.listdir("/"))
            await self.assertFailure(refused, paramiko.AuthenticationException)
        page = await self.gateway.operations.call(ListAudit(limit=100), LOCAL_USER)
        self.assertEqual({entry.who for entry in page.entries if entry.what == "ssh.login"}, {"acme"})
        told = await self.scraped()
        self.assertEqual(told["lineside_ssh_logins_total"], 1)
        self.assertEqual(told["lineside_ssh_failed_logins_total"], 4)
        self.assertEqual(told["lineside_ssh_turned_away_total"], 0)

    async def scraped(self) -> dict[str, float]:
        """Return the figures of SSH at ``/metrics``."""
        assert self.gateway.http is not None
        url = f"http://{self.gateway.http.part.address}/metrics"
        answer = await treq.get(url, agent=Agent(self.reactor), persistent=False)
        lines = (await answer.content()).decode().splitlines()
        return {name: float(value) for name, _, value in (line.partition(" ") for line in lines) if "_ssh_" in name}
