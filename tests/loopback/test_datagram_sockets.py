"""Datagrams for real: through the kernel, and what it drops."""

from __future__ import annotations

import gc
import socket
from pathlib import Path
from typing import Any, cast

from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater
from twisted.trial.unittest import TestCase

from lineside.edges.lines import datagrams
from lineside.edges.lines.datagrams import DatagramSource
from lineside.edges.lines.intake import Intake, Limits
from lineside.model.errors import LinesideError
from lineside.model.event import Record
from lineside.testing.journals import JournalOnFile
from lineside.wire.jsonl import JsonLines


class Datagrams(TestCase):
    """A source of datagrams on a real socket."""

    timeout = 60

    async def start(self, interface: str = "127.0.0.1", port: int = 0) -> DatagramSource:
        from twisted.internet import reactor  # noqa: PLC0415, TID251 (the socket is real)

        self.reactor = cast(Any, reactor)
        self.patch(datagrams, "LOOK", 0.01)
        self.file = JournalOnFile(Path(self.mktemp()), lambda: 1)
        self.addCleanup(self.file.close)
        self.records: list[Record] = []
        self.file.journal.on_commit(self.records.extend)
        limits = Limits(max_in_flight=4096, idle_timeout=0.0, ack=False)
        intake = Intake("sensors", JsonLines(), self.file.journal, self.reactor, limits)
        source = DatagramSource(self.reactor, port, interface, "udp:0", intake)
        await source.start()
        self.addCleanup(lambda: Deferred.fromCoroutine(source.stop()))
        return source

    def sender(self, source: DatagramSource, family: socket.AddressFamily = socket.AF_INET) -> socket.socket:
        host, _, port = source.address.removeprefix("udp ").rpartition(":")
        sending = socket.socket(family, socket.SOCK_DGRAM)
        self.addCleanup(sending.close)
        sending.connect((host, int(port)))
        return sending

    async def settle(self, count: int, source: DatagramSource) -> None:
        """Return once every datagram is stored, or known to be dropped."""
        while len(self.records) + source.dropped < count:
            await deferLater(self.reactor, 0.01)

    async def test_what_is_sent_is_stored(self) -> None:
        """With its sender's address, over IPv4 and IPv6."""
        for interface, family in (("127.0.0.1", socket.AF_INET), ("::1", socket.AF_INET6)):
            source = await self.start(interface)
            sending = self.sender(source, family)
            sending.send(b'{"n":1}\n{"n":2}')
            sending.send(b'{"n":3}')
            await self.settle(3, source)
            self.assertEqual([b'{"n":1}', b'{"n":2}', b'{"n":3}'], [each.event.body for each in self.records])
            self.assertEqual({interface}, {each.event.device for each in self.records})
            await source.stop()

    async def test_every_datagram_is_stored_or_counted_as_dropped(self) -> None:
        """With a disk that hangs the kernel's buffer overflows; what is lost is known to the last datagram."""
        source = await self.start()
        sending = self.sender(source)
        self.file.writer.held = True
        line = b'{"x":"%s"}' % (b"y" * 1000)
        sent = 0
        while not source.dropped:
            for _ in range(500):
                sending.send(line)
            sent += 500
            await deferLater(self.reactor, 0)
        self.assertEqual([], self.records)
        self.file.writer.release()
        await self.settle(sent, source)
        self.assertEqual(sent, len(self.records) + source.dropped)
        self.assertIn("datagrams dropped since the start", str(source.problem))
        await source.stop()

    async def test_a_port_that_is_taken_is_said(self) -> None:
        """In one line, with what to look for."""
        source = await self.start()
        port = int(source.address.rpartition(":")[2])
        second = DatagramSource(self.reactor, port, "127.0.0.1", "udp:x", source.intake)
        with self.assertRaises(LinesideError) as taken:
            await second.start()
        self.assertRegex(str(taken.exception), "^sources.sensors: cannot listen on udp:x: Address already in use; ")
        # Twisted leaves the socket that it could not bind to the garbage collector.
        del taken
        gc.collect()
        self.flushWarnings()
