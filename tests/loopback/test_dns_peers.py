"""Other people's programs ask the plant's names: dig, dnspython, and the system's own resolver."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from random import Random
from typing import Any, cast

import dns.message
import dns.query
from tests.rig.cable import own_network
from tests.rig.daemon import lacking
from tests.rig.dns_zone import RECORDS, settings
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.endpoints import TCP4ServerEndpoint
from twisted.internet.interfaces import IAddress
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.threads import deferToThread
from twisted.internet.utils import getProcessOutputAndValue
from twisted.protocols.portforward import ProxyFactory
from twisted.trial.unittest import SkipTest, TestCase

from lineside.assemble.build import Gateway
from lineside.assemble.config import load
from lineside.assemble.edges import frappe_client
from lineside.assemble.lifecycle import System
from lineside.assemble.naming import dns_view
from lineside.edges.dns.view import DnsView
from lineside.edges.frappe.prepare import prepare
from lineside.standin.authentication import Credentials
from lineside.standin.faults import FaultKnobs, Faults
from lineside.standin.server import Service, StandinServer


class Serving(TestCase):
    """A zone on a real port."""

    timeout = 120

    def setUp(self) -> None:
        from twisted.internet import reactor  # noqa: PLC0415, TID251 (the sockets are real)

        self.reactor = cast(Any, reactor)

    async def serve(self, port: int = 0, records: object = RECORDS) -> DnsView:
        """Serve a zone until the test is over."""
        made = settings(records, listen=f"tcp:{port}:interface=127.0.0.1")
        view = dns_view(self.reactor, made, lambda _: None, lambda _: None)
        await view.start()
        self.addCleanup(lambda: Deferred.fromCoroutine(view.stop()))
        self.port = int(view.address.partition(":")[2])
        return view

    def written(self, text: str) -> Path:
        """Return a file that holds a text."""
        # In the test's own directory: a control socket's path must stay short.
        path = Path(f"file-{len(text)}").absolute()
        path.write_text(text)
        return path

    async def run_program(self, *command: str) -> str:
        """Run a program; return what it says. It must succeed."""
        program = shutil.which(command[0])
        if program is None:
            lacking(f"{command[0]} is not installed")
        assert program is not None
        out, err, code = await getProcessOutputAndValue(program, command[1:], env=dict(os.environ))
        self.assertEqual(code, 0, (out + err).decode())
        said: str = out.decode()
        return said


class Dig(Serving):
    """BIND's own tool."""

    async def dig(self, *question: str) -> str:
        return await self.run_program("dig", "@127.0.0.1", "-p", str(self.port), "+tries=1", "+time=20", *question)

    async def test_reads_every_kind_of_answer(self) -> None:
        """Addresses, services, aliases, wildcards, reverse names; over UDP and TCP; without a warning."""
        await self.serve()
        for question, wanted in (
            (("gate.plant.example", "A"), "10.0.0.5\n10.0.0.6"),
            (("+tcp", "gate.plant.example", "AAAA"), "fd00::5"),
            (("_scale._tcp.plant.example", "SRV"), "0 10 7001 gate.plant.example."),
            (("ftp.plant.example", "AAAA"), "www.plant.example.\ngate.plant.example.\nfd00::5"),
            (("anything.bin.plant.example", "A"), "10.0.0.7"),
            (("-x", "10.0.0.5"), "gate.plant.example."),
            (("+noedns", "plant.example", "NS"), "ns.plant.example."),
        ):
            said = await self.dig("+short", *question)
            self.assertIn(wanted, said, question)
            self.assertNotIn(";;", said)
        whole = await self.dig("+norecurse", "nothing.plant.example", "A")
        self.assertIn("status: NXDOMAIN", whole)
        self.assertIn("hostmaster.plant.example.", whole)
        self.assertNotIn("WARNING", whole)

    async def test_comes_over_tcp_for_what_was_cut(self) -> None:
        """A truncated answer makes it ask again, and it gets all thirty records."""
        await self.serve()
        said = await self.dig("many.plant.example", "TXT")
        self.assertIn("Truncated, retrying in TCP mode", said)
        self.assertEqual(said.count("text number"), 30)

    async def test_zone_transfers_cookies_and_later_versions(self) -> None:
        """A transfer fails, a cookie is ignored, and a later version of EDNS is refused by its number."""
        await self.serve()
        self.assertIn("Transfer failed", await self.dig("plant.example", "AXFR"))
        self.assertIn("status: NOERROR", await self.dig("+cookie=0011223344556677", "gate.plant.example"))
        self.assertIn("status: BADVERS", await self.dig("+edns=7", "+noednsneg", "gate.plant.example"))

    async def test_a_subnet_of_questions_at_once_over_one_connection(self) -> None:
        """Dnspython sends a hundred over one connection before it reads, and has each answered."""
        await self.serve()
        queries = [dns.message.make_query(f"x{number}.bin.plant.example", "A") for number in range(100)]

        def ask() -> list[dns.message.Message]:
            import socket  # noqa: PLC0415 (in the thread that blocks)

            with socket.create_connection(("127.0.0.1", self.port), timeout=60) as connection:
                for query in queries:
                    dns.query.send_tcp(connection, query)
                return [dns.query.receive_tcp(connection)[0] for _ in queries]

        answers = await deferToThread(ask)
        self.assertTrue(all(q.is_response(a) for q, a in zip(queries, answers, strict=True)))


class SystemResolver(Serving):
    """glibc, with a resolv.conf of its own, in a network of its own."""

    async def test_getaddrinfo(self) -> None:
        """By the whole name, by the search list, and back from the address; port 53."""
        self.addCleanup(own_network())
        await self.serve(53)
        conf = self.written("nameserver 127.0.0.1\nsearch plant.example\n")
        script = self.written(
            "import socket\n"
            "for name in ('gate.plant.example', 'gate', 'ftp'):\n"
            "    found = {info[4][0] for info in socket.getaddrinfo(name, 7001, type=socket.SOCK_STREAM)}\n"
            "    print(name, *sorted(found))\n"
            "print(socket.gethostbyaddr('10.0.0.5')[0])\n"
        )
        inside = f"mount --bind {conf} /etc/resolv.conf && exec {sys.executable} {script}"
        if os.geteuid() != 0:
            raise SkipTest("only root gives a process a resolv.conf of its own")
        said = await self.run_program("unshare", "--mount", "sh", "-c", inside)
        all_three = "10.0.0.5 10.0.0.6 fd00::5"
        self.assertEqual(
            said, f"gate.plant.example {all_three}\ngate {all_three}\nftp {all_three}\ngate.plant.example\n"
        )


CONFIGURATION = """
[dns]
servers = ["127.0.0.1:DNS"]

[targets.erp]
type = "frappe"
url = "srv+http://_erp._tcp.plant.example"
api_key = "the-api-key"
api_secret = "the-api-secret"

[sources.scale]
type = "lines"
connect = "srv:_scale._tcp.plant.example"

[routes.todo]
doctype = "ToDo"
document = { description = "{{ text }}" }
"""
LINES = 60


class Scale(Protocol):
    """A device that is dialled, and sends its lines, some at once and others when it is told to."""

    connected_devices: list[Scale]

    def connectionMade(self) -> None:
        self.connected_devices.append(self)

    def say(self, numbers: range) -> None:
        assert self.transport is not None
        self.transport.write(b"".join(b'{"text": "line %03d"}\n' % number for number in numbers))


class FrontEnd(ProxyFactory):
    """One of the site's front ends, until it is killed."""

    noisy = False

    def __init__(self, port: int) -> None:
        super().__init__("127.0.0.1", port)
        self.open: list[Any] = []
        self.listening: Any = None

    def buildProtocol(self, addr: IAddress | None) -> Any:
        protocol = super().buildProtocol(addr)
        self.open.append(protocol)
        return protocol

    async def kill(self) -> None:
        """Cut every connection, whatever is on it, and take no more."""
        await maybeDeferred(self.listening.stopListening)
        for protocol in self.open:
            if protocol.transport is not None:
                protocol.transport.abortConnection()


class FailOver(Serving):
    """Two front ends of one site, and a device that is found by its service."""

    async def front_end(self, port: int) -> tuple[FrontEnd, int]:
        front = FrontEnd(port)
        front.listening = await TCP4ServerEndpoint(self.reactor, 0, interface="127.0.0.1").listen(front)
        self.addCleanup(lambda: Deferred.fromCoroutine(front.kill()))
        return front, int(front.listening.getHost().port)

    async def test_one_is_killed_and_every_line_is_one_document(self) -> None:
        """Deliveries under way are cut with it; all go on to the second, and none is there twice."""
        erp = StandinServer(
            self.reactor,
            Service(Path(self.mktemp()), Credentials("the-api-key", "the-api-secret")),
            FaultKnobs(Random(1), Faults()),
        )
        await erp.start()
        self.addCleanup(lambda: Deferred.fromCoroutine(erp.stop()))
        fronts = [await self.front_end(int(erp.url.rpartition(":")[2])) for _ in range(2)]
        scales = Factory.forProtocol(Scale)
        Scale.connected_devices = []
        device = await TCP4ServerEndpoint(self.reactor, 0, interface="127.0.0.1").listen(scales)
        self.addCleanup(device.stopListening)
        dialled: Any = device.getHost()
        await self.serve(
            records=[
                {"name": "here", "type": "A", "value": "127.0.0.1"},
                {
                    "name": "_erp._tcp",
                    "type": "SRV",
                    "value": [f"{n} 0 {p} here" for n, (_, p) in enumerate(fronts)],
                },
                {"name": "_scale._tcp", "type": "SRV", "value": f"0 0 {dialled.port} here"},
            ]
        )
        loaded = load(self.written(CONFIGURATION.replace("DNS", str(self.port))), {})
        client = frappe_client(self.reactor, loaded.sites["erp"])
        self.addCleanup(lambda: Deferred.fromCoroutine(client.close()))
        await prepare(client, ["ToDo"], "lineside_id")
        gateway = Gateway(self.reactor, loaded)
        system = System(gateway.stages)
        await system.start()
        self.addCleanup(lambda: Deferred.fromCoroutine(system.stop()))
        settled = self.count_settled(gateway)
        await self.until(lambda: bool(Scale.connected_devices))
        Scale.connected_devices[0].say(range(20))
        await self.until(lambda: settled() >= 5)
        self.assertGreater(len(fronts[0][0].open), 0)
        self.assertEqual(len(fronts[1][0].open), 0)
        await fronts[0][0].kill()
        Scale.connected_devices[0].say(range(20, LINES))
        await self.until(lambda: settled() >= LINES)
        self.assertGreater(len(fronts[1][0].open), 0)
        await system.stop()
        reply = await client.request("GET", "/api/resource/ToDo?fields=[%22description%22]&limit_page_length=0")
        lines = sorted(reply.body.decode().count(f"line {number:03}") for number in range(LINES))
        self.assertEqual(lines, [1] * LINES)

    def count_settled(self, gateway: Gateway) -> Any:
        consumer = gateway.deliveries.couriers[0].consumer
        settle = consumer.settle
        done_so_far: list[Any] = []

        async def settled(done: Any) -> None:
            await settle(done)
            done_so_far.extend(one for one, outcome in done if type(outcome).__name__ == "Delivered")
            if self.waiting is not None and self.waiting[0]():
                (_, told), self.waiting = self.waiting, None
                told.callback(None)

        consumer.settle = settled  # type: ignore[method-assign]
        return lambda: len(done_so_far)

    waiting: Any = None

    async def until(self, holds: Any) -> None:
        """Return once something holds; it is looked at each time something was settled or connected."""
        while not holds():
            told: Deferred[None] = Deferred()
            self.waiting = (holds, told)
            call = self.reactor.callLater(0.05, _tell, told)
            await told
            if call.active():
                call.cancel()


def _tell(told: Deferred[None]) -> None:
    if not told.called:
        told.callback(None)
