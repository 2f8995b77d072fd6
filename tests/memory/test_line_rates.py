"""Lines that come faster than a source allows, in memory: who can wait does, and nothing is lost."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.memory.test_datagrams import PlayedReactor
from tests.memory.test_lines_edge import DeviceTransport, LinesCase
from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred
from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from lineside.edges.lines.datagrams import LOOK, DatagramSource
from lineside.edges.lines.framed import FramedConnection
from lineside.edges.lines.intake import Intake, Limits
from lineside.security import turnstile
from lineside.security.limits import Meter, Rate
from lineside.security.turnstile import ALLOW, Bounds, Turnstile
from lineside.wire.framing import Delimited


def lines(count: int, first: int = 0) -> bytes:
    """Return so many lines."""
    return b"".join(b'{"n":%d}\n' % number for number in range(first, first + count))


class Unhurried(LinesCase):
    """A source that takes ten lines in a second of each connection."""

    limits = Limits(max_line=100, max_in_flight=1_000, max_connections=9, idle_timeout=60.0, rate=Rate(10, 1.0))

    def paused(self, transport: DeviceTransport) -> bool:
        return str(transport.producerState) == "paused"

    def test_up_to_the_rate_nobody_waits(self) -> None:
        """So many at once, and as many again as time has gone by for."""
        connection, transport = self.device()
        self.say(connection, lines(9))
        self.assertFalse(self.paused(transport))
        self.clock.advance(0.9)
        self.say(connection, lines(9))
        self.assertFalse(self.paused(transport))
        self.assertEqual(18, len(self.answers(transport)))

    def test_a_batch_is_taken_whole_and_paid_for_afterwards(self) -> None:
        """All of a chunk's lines are answered OK; then nothing is read for as long as they were too many."""
        connection, transport = self.device()
        self.say(connection, lines(35))
        self.assertEqual([f"OK {number}" for number in range(1, 36)], self.answers(transport))
        self.assertTrue(self.paused(transport))
        self.clock.advance(2.5)
        self.assertTrue(self.paused(transport))
        self.clock.advance(0.11)
        self.assertFalse(self.paused(transport))

    def test_what_comes_while_it_waits_is_kept_and_taken_in_order(self) -> None:
        """A transport may give on what it had read; with it the wait grows, and nothing is refused."""
        connection, transport = self.device()
        self.say(connection, lines(20))
        self.say(connection, lines(20, 20))
        self.assertEqual(20, len(self.bodies()))
        for _ in range(60):
            self.clock.advance(0.1)
        self.assertFalse(self.paused(transport))
        self.assertEqual([b'{"n":%d}' % number for number in range(40)], self.bodies())
        self.assertEqual([f"OK {number}" for number in range(1, 41)], self.answers(transport))

    def test_others_are_not_slowed(self) -> None:
        """The rate is a connection's own."""
        hasty, slow = self.device(), self.device()
        self.say(hasty[0], lines(50))
        self.say(slow[0], lines(5))
        self.assertEqual((True, False), (self.paused(hasty[1]), self.paused(slow[1])))

    def test_lines_that_are_too_long_count_as_well(self) -> None:
        """They cost the disk as much."""
        connection, transport = self.device()
        self.say(connection, b"".join(b"x" * 200 + b"\n" for _ in range(11)))
        self.assertTrue(self.paused(transport))

    def test_who_waits_is_not_silent(self) -> None:
        """It could say nothing: its silence is of our own making."""
        connection, transport = self.device()
        self.say(connection, lines(1_010))
        for _ in range(99):
            self.clock.advance(1)
        self.assertFalse(transport.aborted)
        for _ in range(70):
            self.clock.advance(1)
        self.assertTrue(transport.aborted)

    def test_who_goes_while_it_waits_leaves_nothing_behind(self) -> None:
        """No timer, and no place."""
        connection, _ = self.device()
        self.say(connection, lines(50))
        connection.connectionLost()
        self.assertEqual([], self.clock.getDelayedCalls())
        self.assertEqual(set(), self.intake.sessions)

    def test_other_framings_have_it_too(self) -> None:
        """It is the session's, whatever parts the lines."""
        transport = DeviceTransport()
        connection = FramedConnection(self.intake, Delimited(b"\r", max_frame=100, max_kept=300))
        connection.makeConnection(transport)
        connection.dataReceived(lines(30).replace(b"\n", b"\r"))
        self.clock.advance(0)
        self.assertTrue(self.paused(transport))
        self.clock.advance(2.5)
        self.assertFalse(self.paused(transport))
        self.assertEqual(30, len(self.bodies()))


class Meters(SynchronousTestCase):
    """How long to wait."""

    @settings(deadline=None)
    @given(st.lists(st.tuples(st.integers(1, 50), st.floats(0, 5)), max_size=30), st.integers(1, 100))
    def test_who_waits_as_told_keeps_the_rate(self, chunks: list[tuple[int, float]], count: int) -> None:
        """However chunks come: all before the last one are no more than the rate times the time, and its burst."""
        meter, now, taken = Meter(Rate(count, 2.0)), 0.0, 0
        for size, pause in chunks:
            now += meter.wait(now) + pause
            self.assertLessEqual(taken, count * now / 2.0 + count - 1 + 1e-3)
            meter.take(size, now)
            taken += size


class Datagrams(SynchronousTestCase):
    """Who sends datagrams cannot be asked to wait: what is too much is lost, and said to be."""

    def setUp(self) -> None:
        self.reactor = PlayedReactor()
        self.logged = self.enterContext(capturedLogs())
        case = LinesCase()
        case.mktemp = self.mktemp  # type: ignore[method-assign]
        case.setUp()
        self.addCleanup(case.file.close)
        self.case = case
        limits = Limits(max_line=100, max_in_flight=1_000, idle_timeout=0.0, ack=False)
        self.intake = Intake("sensors", case.decoder, case.file.journal, self.reactor, limits)
        self.source = DatagramSource(self.reactor, 5140, "", "udp:5140", self.intake, Rate(3, 1.0))
        self.successResultOf(Deferred.fromCoroutine(self.source.start()))

    def send(self, datagram: bytes, sender: str) -> None:
        protocol: Any = self.reactor.port.protocol
        protocol.datagramReceived(datagram, (sender, 40_000))
        self.reactor.advance(0)

    def events(self, name: str) -> list[dict[str, Any]]:
        return [event for event in self.logged if event.get("log_format") == name]

    def test_what_is_over_the_rate_is_dropped_counted_and_alarmed(self) -> None:
        """Of one address alone; a datagram is taken whole or not at all, and a sign of life costs nothing."""
        for number in range(5):
            self.send(b'{"n":%d}' % number, "10.0.0.66")
        self.send(b"\n", "10.0.0.66")
        self.send(lines(4, 5), "10.0.0.7")
        self.assertEqual([b'{"n":%d}' % number for number in (0, 1, 2, 5, 6, 7, 8)], self.case.bodies())
        self.reactor.advance(LOOK)
        [alarm] = self.events("lines.datagrams_over_rate")
        self.assertEqual(("sensors", 2), (alarm["source"], alarm["dropped"]))
        self.assertEqual("2 datagrams over the rate dropped since the start, and more are", self.source.problem)
        self.reactor.advance(LOOK)
        self.assertEqual("2 datagrams over the rate dropped since the start", self.source.problem)
        self.assertEqual(1, len(self.events("lines.datagrams_within_rate")))
        self.send(b'{"n":9}', "10.0.0.66")
        self.assertEqual(b'{"n":9}', self.case.bodies()[-1])

    def test_nobody_else_waits(self) -> None:
        """The port is read on."""
        for number in range(50):
            self.send(b'{"n":%d}' % number, "10.0.0.66")
        self.assertTrue(self.reactor.port.reading)

    def test_from_where_nobody_may_come(self) -> None:
        """A datagram is refused by its address, before it is looked at."""
        turning = Turnstile(Bounds(), self.reactor)
        self.intake.door = turning.door("sources.sensors", ["10.0.0.0/8"])
        self.send(b'{"n":1}', "192.0.2.1")
        self.send(b'{"n":2}', "10.0.0.7")
        self.assertEqual([b'{"n":2}'], self.case.bodies())
        self.assertEqual(1, turning.refused[ALLOW, "sources.sensors"])


class Doors(LinesCase):
    """From where devices may come."""

    def test_who_comes_from_elsewhere_has_no_connection(self) -> None:
        """Not even for a moment; IPv6's clothes help nobody, and each refusal is counted and told now and then."""
        warnings: list[dict[str, Any]] = []
        self.patch(turnstile.log, "observer", warnings.append)
        turning = Turnstile(Bounds(), self.clock)
        self.intake.door = turning.door("sources.gate", ["10.0.0.0/8", "fd00::/8"])
        for host, welcome in (
            ("10.1.2.3", True),
            ("::ffff:10.1.2.3", True),
            ("fd00::7", True),
            ("192.0.2.1", False),
            ("::ffff:192.0.2.1", False),
            ("2001:db8::1", False),
            ("", False),
        ):
            self.assertEqual(welcome, self.source._connect(host) is not None, host)
        self.assertEqual(4, turning.refused[ALLOW, "sources.gate"])
        [told] = warnings
        self.assertEqual(("allow", "sources.gate", "192.0.2.1"), (told["limit"], told["listener"], told["caller"]))

    def test_it_is_everybody_where_nothing_is_said(self) -> None:
        """As far as the configuration lets such a source be."""
        self.assertIsNotNone(self.source._connect(IPv4Address("TCP", "192.0.2.1", 1).host))
