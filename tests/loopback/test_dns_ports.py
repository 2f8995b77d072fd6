"""The part that serves names, on real ports."""

from __future__ import annotations

import socket

from tests.rig.dns_zone import NETWORKS, plant, responder
from twisted.trial.unittest import TestCase

from lineside.edges.dns.datagrams import open_socket
from lineside.edges.dns.health import Health
from lineside.edges.dns.view import DnsView
from lineside.edges.dns.visitors import Visitors
from lineside.model.errors import LinesideError


class Listening(TestCase):
    """UDP and TCP at one address."""

    def view(self, port: int) -> DnsView:
        from twisted.internet import reactor  # noqa: PLC0415, TID251 (ports are real)

        zones = plant()
        made, _ = responder(zones)
        health = Health(zones, made, {}, [], reactor, lambda: 1.0)
        return DnsView(reactor, port, "127.0.0.1", f"tcp:{port}", zones, made, health, Visitors(NETWORKS, 100))

    async def test_a_port_in_use(self) -> None:
        """It is said which, of TCP as of UDP, and nothing stays open."""
        other = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(other.close)
        with self.assertRaisesRegex(LinesideError, "dns: cannot listen on tcp:.* in use"):
            await self.view(other.getsockname()[1]).start()
        udp = open_socket(0, "127.0.0.1")
        self.addCleanup(udp.close)
        port = udp.getsockname()[1]
        with self.assertRaisesRegex(LinesideError, "dns: cannot listen on tcp:.* in use"):
            await self.view(port).start()
        self.nobody_listens(port)

    def nobody_listens(self, port: int) -> None:
        """No connection is taken. To listen there oneself may fail: others connect from any port meanwhile."""
        with self.assertRaises(ConnectionRefusedError), socket.create_connection(("127.0.0.1", port)):
            pass

    async def test_shows_what_it_answers(self) -> None:
        """The view has the address, every record and the counts; after the stop nothing listens."""
        view = self.view(0)
        await view.start()
        shown = view.view()
        self.assertIn(("gate.plant.example.", "A", "10.0.0.5"), [(r.name, r.type, r.data) for r in shown.records])
        self.assertEqual((shown.counts.answers["NOERROR"], shown.down, shown.all_down), (0, {}, []))
        port = int(shown.address.partition(":")[2])
        await view.stop()
        with open_socket(port, "127.0.0.1"):
            self.nobody_listens(port)
