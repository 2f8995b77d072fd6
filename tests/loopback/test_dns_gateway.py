"""A whole gateway that serves names: a pause takes a record out, and the command line shows it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any, cast

import dns.message
import dns.query
from prometheus_client import CollectorRegistry, generate_latest
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase

from lineside.assemble.build import Gateway
from lineside.assemble.config import load
from lineside.assemble.lifecycle import System
from lineside.edges.dns import health
from lineside.edges.http.metrics import Names
from lineside.operations.registry import NotOffered
from lineside.operations.requests import Pause, Resume, ShowZone
from lineside.security.identity import LOCAL_USER

CONFIGURATION = """
[targets.erp]
type = "frappe"
url = "http://127.0.0.1:9"
api_key = "the-api-key"
api_secret = "the-api-secret"

[sources.gate]
type = "lines"
listen = "tcp:0:interface=127.0.0.1"

[routes.todo]
doctype = "ToDo"
document = { description = "{{ text }}" }
"""
ZONE = """
[dns]
zone = "plant.example"
listen = "tcp:0:interface=127.0.0.1"
all_down = "leave"

[[dns.records]]
name = "gate"
type = "A"
value = "10.0.0.5"
when = { source = "gate" }

[[dns.records]]
name = "erp"
type = "A"
value = "10.0.0.6"
when = { target = "erp" }
"""


class NamesOfAGateway(TestCase):
    """One gateway, in this process."""

    timeout = 60

    def setUp(self) -> None:
        from twisted.internet import reactor  # noqa: PLC0415, TID251 (the sockets are real)

        self.reactor = cast(Any, reactor)
        self.patch(health, "EVERY", 0.02)

    async def start(self, text: str) -> Gateway:
        Path("lineside.toml").write_text(text)  # noqa: ASYNC240 (a test's file)
        gateway = Gateway(self.reactor, load(Path("lineside.toml"), {}))
        system = System(gateway.stages)
        await system.start()
        self.addCleanup(lambda: Deferred.fromCoroutine(system.stop()))
        gateway.announce()
        return gateway

    async def addresses(self, gateway: Gateway, name: str) -> list[str]:
        assert gateway.names is not None
        port = int(gateway.names.address.partition(":")[2])
        query = dns.message.make_query(f"{name}.plant.example.", "A")
        answer = await deferToThread(dns.query.udp, query, "127.0.0.1", timeout=30, port=port)
        return [each.address for records in answer.answer for each in records]

    async def until(self, gateway: Gateway, name: str, wanted: list[str]) -> None:
        while await self.addresses(gateway, name) != wanted:
            await deferLater(self.reactor, 0.02)

    async def test_a_pause_takes_a_record_out(self) -> None:
        """And resuming brings it back; a target that does not answer is out by itself; all of it is shown."""
        gateway = await self.start(CONFIGURATION + ZONE)
        await self.until(gateway, "gate", ["10.0.0.5"])
        await gateway.operations.call(Pause(kind="source", id="gate"), LOCAL_USER)
        await self.until(gateway, "gate", [])
        await self.until(gateway, "erp", [])
        view = await gateway.operations.call(ShowZone(), LOCAL_USER)
        self.assertEqual(view.down["source gate"], "paused")
        self.assertEqual(view.all_down, ["erp.plant.example. A", "gate.plant.example. A"])
        told = await deferToThread(self.run_command, sys.executable, "-m", "lineside", "dns", "zone")
        for shown in ("source gate: paused", "erp.plant.example. A", "hostmaster.plant.example.", view.address):
            self.assertIn(shown, told)
        await gateway.operations.call(Resume(kind="source", id="gate"), LOCAL_USER)
        await self.until(gateway, "gate", ["10.0.0.5"])

    async def test_numbers(self) -> None:
        """Answers by their code, and what is down, as Prometheus reads them."""
        gateway = await self.start(CONFIGURATION + ZONE)
        await self.addresses(gateway, "gate")
        await self.addresses(gateway, "nothing")
        registry = CollectorRegistry(auto_describe=False)
        registry.register(Names(await gateway.operations.call(ShowZone(), LOCAL_USER)))
        page = generate_latest(registry).decode()
        self.assertIn('lineside_dns_answers_total{rcode="NOERROR"} 1.0', page)
        self.assertIn('lineside_dns_answers_total{rcode="NXDOMAIN"} 1.0', page)
        self.assertIn("lineside_dns_all_down", page)

    async def test_without_a_zone(self) -> None:
        """Nothing listens, and who asks for it is told; servers alone are no zone."""
        for more in ("", '\n[dns]\nservers = ["10.0.0.1"]\n'):
            gateway = await self.start(CONFIGURATION + more + f'\n[journal]\npath = "j{len(more)}.db"\n')
            self.assertIsNone(gateway.names)
            with self.assertRaisesRegex(NotOffered, "there is no zone"):
                await gateway.operations.call(ShowZone(), LOCAL_USER)

    def run_command(self, *command: str) -> str:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=60, check=False, env=dict(os.environ)
        )
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        return done.stdout
