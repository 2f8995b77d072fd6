"""One run of simulated devices, on a clock turned by hand."""

from __future__ import annotations

import json

from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IProtocol
from twisted.internet.testing import MemoryReactorClock, StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from lineside.model.errors import LinesideError
from lineside.model.event import Seq
from lineside.testing.ledger import Ledger, Line, MemoryLedger
from lineside.testing.simulation import Plan, Simulation, Status, Summary


class Run(SynchronousTestCase):
    """From a plan to a summary."""

    def setUp(self) -> None:
        self.reactor = MemoryReactorClock()
        self.ledger = MemoryLedger()
        self.shown: list[Status] = []
        self.connections: list[tuple[IProtocol, StringTransport]] = []
        self.stored = 0

    def begin(self, plan: Plan, ledger: Ledger | None = None) -> Deferred[Summary]:
        endpoint = TCP4ClientEndpoint(self.reactor, "127.0.0.1", 7001)
        self.simulation = Simulation(self.reactor, endpoint, plan, self.ledger if ledger is None else ledger)
        running = Deferred.fromCoroutine(self.simulation.run(self.shown.append, every=1.0))
        self.addCleanup(self.simulation.end)
        self.addCleanup(self.simulation.end)
        self.reactor.advance(0)
        return running

    def accept(self) -> None:
        """Accept every dial that is waiting."""
        for client in self.reactor.tcpClients[len(self.connections) :]:
            protocol, transport = client[2].buildProtocol(IPv4Address("TCP", "127.0.0.1", 7001)), StringTransport()
            assert protocol is not None
            self.connections.append((protocol, transport))
            protocol.makeConnection(transport)
        self.reactor.advance(0)

    def answer(self) -> list[str]:
        """Acknowledge all lines until none comes any more; close what hung up."""
        answered = []
        for protocol, transport in self.connections:
            while lines := transport.value().splitlines():
                transport.clear()
                answered += [json.loads(line)["scan_id"] for line in lines]
                for _ in lines:
                    self.stored += 1
                    protocol.dataReceived(b"OK %d\n" % self.stored)
        self.close()
        return answered

    def close(self) -> None:
        for protocol, transport in self.connections:
            if transport.disconnecting and transport.connected:
                transport.connected = False
                protocol.connectionLost(Failure(ConnectionDone()))

    def test_a_count_is_shared_out(self) -> None:
        """All devices together send exactly so many lines, and the run ends with the last answer."""
        running = self.begin(Plan("scanner", devices=3, count=10))
        self.accept()
        self.assertEqual(len(set(self.answer())), 10)
        summary = self.successResultOf(running)
        self.assertEqual((summary.sent, summary.acked, summary.unanswered), (10, 10, 0))
        self.assertEqual(set(self.ledger.acked), set(self.ledger.sent))
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_fewer_lines_than_devices(self) -> None:
        """A device whose share is nothing does not hold up the end."""
        running = self.begin(Plan("counter", devices=3, count=1))
        self.accept()
        self.answer()
        self.assertEqual(self.successResultOf(running).acked, 1)

    def test_seconds_end_the_run(self) -> None:
        """When the time is up nothing new is sent, what is owed is waited for, and the summary counts it."""
        running = self.begin(Plan("scanner", window=2, seconds=5.0))
        self.accept()
        self.reactor.advance(5)
        self.assertNoResult(running)
        self.assertEqual(len(self.answer()), 2)
        summary = self.successResultOf(running)
        self.assertEqual((summary.sent, summary.acked, summary.per_second), (2, 2, 0.4))

    def test_the_first_ctrl_c_waits_and_the_second_does_not(self) -> None:
        """A person may hurry, and is told what is unanswered."""
        running = self.begin(Plan("scanner", devices=2))
        self.accept()
        self.simulation.end()
        self.assertNoResult(running)
        self.simulation.end()
        self.assertEqual(self.successResultOf(running).unanswered, 2)

    def test_the_wait_for_answers_is_bounded(self) -> None:
        """A gateway that says nothing does not keep the run from ending."""
        running = self.begin(Plan("scanner", seconds=1.0))
        self.accept()
        self.reactor.advance(1)
        self.reactor.advance(10)
        self.close()
        self.assertEqual(self.successResultOf(running).unanswered, 1)

    def test_equal_rates_are_spread(self) -> None:
        """Devices of one rate do not all send at the same moment."""
        self.begin(Plan("scanner", devices=4, rate=1.0))
        dials = []
        for _ in range(4):
            dials.append(len(self.reactor.tcpClients))
            self.reactor.advance(0.25)
        self.assertEqual(dials, [1, 2, 3, 4])

    def test_an_end_before_every_device_began(self) -> None:
        """A device whose turn to start comes after the end does not start."""
        running = self.begin(Plan("scanner", devices=4, rate=1.0, seconds=0.1))
        self.accept()
        self.answer()
        self.reactor.advance(0.1)
        self.close()
        self.assertEqual(self.successResultOf(running).devices, 4)
        self.reactor.advance(10)
        self.assertEqual(len(self.reactor.tcpClients), 1)

    def test_the_status_is_shown(self) -> None:
        """Once a second: what is acknowledged, who is connected, and why one is not."""
        self.begin(Plan("scanner", devices=2, rate=0.5))
        self.accept()
        self.answer()
        self.reactor.advance(1)
        self.assertEqual([(s.seconds, s.acked, s.devices, s.connected) for s in self.shown], [(1.0, 1, 2, 1)])

    def test_a_record_that_cannot_be_written_ends_the_run(self) -> None:
        """Lines nobody recorded would make any ledger wrong."""

        class FullDisk(MemoryLedger):
            def on_ack(self, line_id: str, sent_at: float, seq: Seq) -> None:
                raise LinesideError("cannot record: no space")

        running = self.begin(Plan("scanner", devices=2), FullDisk())
        self.accept()
        self.answer()
        self.reactor.advance(0)
        self.close()
        self.failureResultOf(running, LinesideError)
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_a_display_that_fails_ends_the_run(self) -> None:
        """A closed pipe is noticed, not written into for ever."""

        class Closed(list[Status]):
            def append(self, status: Status) -> None:
                raise BrokenPipeError(32, "Broken pipe")

        self.shown = Closed()
        running = self.begin(Plan("scanner"))
        self.reactor.advance(1)
        self.failureResultOf(running, BrokenPipeError)
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_times_are_measured_from_the_first_sending(self) -> None:
        """The record that was passed in still gets every line, beside the measuring."""
        running = self.begin(Plan("counter", count=3))
        self.accept()
        self.answer()
        summary = self.successResultOf(running)
        assert summary.p50_ms is not None
        assert summary.p99_ms is not None
        self.assertLessEqual(summary.p50_ms, summary.p99_ms)
        self.assertTrue(all(isinstance(line, Line) for line in self.ledger.sent.values()))
        self.assertEqual(len(self.ledger.acked), 3)
