"""Name servers are asked where a service is, over real sockets."""

from __future__ import annotations

import socket
from typing import Any, cast

from tests.rig.dns_zone import settings
from twisted.internet.defer import Deferred
from twisted.internet.protocol import DatagramProtocol
from twisted.internet.task import deferLater
from twisted.trial.unittest import TestCase

from lineside.assemble.naming import dns_view
from lineside.edges.dns import resolver
from lineside.edges.dns.lookups import Unresolved
from lineside.edges.dns.resolver import ServerResolver

HOSTS = [{"name": f"h{number:02}", "type": "A", "value": f"10.0.0.{number}"} for number in range(1, 31)]
RECORDS = (
    *HOSTS,
    {"name": "h01", "type": "AAAA", "value": "fd00::1"},
    {"name": "_one._tcp", "type": "SRV", "value": "0 10 7001 h01", "ttl": 77},
    {"name": "_many._tcp", "type": "SRV", "value": [f"{n} 0 7001 h{n:02}" for n in range(1, 31)]},
    {"name": "_none._tcp", "type": "SRV", "value": "0 0 0 ."},
    {"name": "_lost._tcp", "type": "SRV", "value": "0 0 1 nowhere"},
    {"name": "_text._tcp", "type": "TXT", "value": "no service"},
)


class Deaf(DatagramProtocol):
    """Takes questions, and answers none, or what it is given."""

    def __init__(self, answer: bytes = b"") -> None:
        self.answer = answer

    def datagramReceived(self, datagram: bytes, addr: Any) -> None:
        if self.answer:
            cast(Any, self.transport).write(datagram[:2] + self.answer, addr)


class Asking(TestCase):
    """By ``twisted.names``, at a zone of ours."""

    timeout = 60

    async def setUp(self) -> None:  # type: ignore[override]
        from twisted.internet import reactor  # noqa: PLC0415, TID251 (the sockets are real)

        self.reactor = cast(Any, reactor)
        made = settings(RECORDS, listen="tcp:0:interface=127.0.0.1")
        self.view = dns_view(self.reactor, made, lambda _: None, lambda _: None)
        await self.view.start()
        self.addCleanup(lambda: Deferred.fromCoroutine(self.view.stop()))
        self.server = ("127.0.0.1", int(self.view.address.partition(":")[2]))

    def resolver(self, *servers: tuple[str, int]) -> ServerResolver:
        return ServerResolver(self.reactor, lambda: servers)

    def deaf(self, answer: bytes = b"") -> tuple[str, int]:
        port = self.reactor.listenUDP(0, Deaf(answer), "127.0.0.1")
        self.addCleanup(port.stopListening)
        return "127.0.0.1", port.getHost().port

    async def test_one(self) -> None:
        """Priority, weight, port, ttl, and all addresses of the host."""
        answer = await self.resolver(self.server).services("_one._tcp.plant.example")
        [service] = answer.services
        self.assertEqual((service.priority, service.weight, service.port, answer.ttl), (0, 10, 7001, 77))
        self.assertEqual((service.host, service.addresses), ("h01.plant.example", ("10.0.0.1", "fd00::1")))

    async def test_more_than_a_datagram_holds(self) -> None:
        """The rest comes over TCP, with every address, and the connection is not kept."""
        answer = await self.resolver(self.server).services("_many._tcp.plant.example")
        self.assertEqual(len(answer.services), 30)
        self.assertEqual({one.addresses[0] for one in answer.services}, {f"10.0.0.{n}" for n in range(1, 31)})
        while self.view.counts().connections:
            await deferLater(self.reactor, 0.01)

    async def test_there_is_none(self) -> None:
        """Denied, without such a record, or decidedly not here: no servers, and no error."""
        for name in ("_nothing._tcp", "_text._tcp", "_none._tcp"):
            answer = await self.resolver(self.server).services(f"{name}.plant.example")
            self.assertEqual(answer.services, (), name)

    async def test_the_next_one_where_a_server_is_of_no_use(self) -> None:
        """One is silent, one is shut, one refuses, and one talks nonsense."""
        self.patch(resolver, "TIMEOUTS", (0.05,))
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as shut:
            shut.bind(("127.0.0.1", 0))
            closed = shut.getsockname()
        refusing = self.deaf(b"\x81\x85\0\0\0\0\0\0\0\0")
        nonsense = self.deaf(b"\x81\x80\0\1\0\1\0\0\0\0\xc0\x0c\xff")
        for useless in (self.deaf(), closed, refusing, nonsense):
            answer = await self.resolver(useless, self.server).services("_one._tcp.plant.example")
            self.assertEqual(len(answer.services), 1, useless)
        self.flushLoggedErrors()

    async def test_nobody_is_of_use(self) -> None:
        """It is said who and why: silence, refusal, a host without an address, or nobody to ask."""
        self.patch(resolver, "TIMEOUTS", (0.05,))
        with self.assertRaisesRegex(Unresolved, "127.0.0.1:"):
            await self.resolver(self.deaf()).services("_one._tcp.plant.example")
        with self.assertRaisesRegex(Unresolved, "127.0.0.1:"):
            await self.resolver(self.server).services("_one._tcp.example.org")
        with self.assertRaisesRegex(Unresolved, "no address of nowhere.plant.example"):
            await self.resolver(self.server).services("_lost._tcp.plant.example")
        with self.assertRaisesRegex(Unresolved, "there is none to ask"):
            await self.resolver().services("_one._tcp.plant.example")
