"""Devices without answers, and with answers of other kinds, against a gateway played by the test."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from itertools import count, islice
from random import Random

from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.interfaces import IProtocol
from twisted.internet.testing import MemoryReactorClock, StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from lineside.model.event import NO_SEQ
from lineside.testing.devices import LineDevice
from lineside.testing.ledger import Line, MemoryLedger
from lineside.testing.silent import BURST, SilentDevice
from lineside.testing.speech import LINES, Speech
from lineside.wire.lengths import LengthPrefixed
from lineside.wire.stxetx import StxEtx


def lines(number: int | None = None) -> Iterator[Line]:
    endless = (Line(f"line-{n}", b"%d" % n) for n in count(1))
    return endless if number is None else islice(endless, number)


class Narrow(StringTransport):
    """Pauses who writes more than it holds, as a socket does."""

    holds = 200

    def write(self, data: bytes) -> None:
        super().write(data)
        if len(self.value()) > self.holds and self.producer is not None:
            self.producer.pauseProducing()

    def drain(self) -> bytes:
        """Send all, and let the writer go on."""
        written: bytes = self.value()
        self.clear()
        assert self.producer is not None
        self.producer.resumeProducing()
        return written


class DeviceCase(SynchronousTestCase):
    """One device's far end."""

    def setUp(self) -> None:
        self.reactor = MemoryReactorClock()
        self.ledger = MemoryLedger()

    def endpoint(self) -> TCP4ClientEndpoint:
        return TCP4ClientEndpoint(self.reactor, "127.0.0.1", 7001)

    def accept(self) -> tuple[IProtocol, Narrow]:
        protocol = self.reactor.tcpClients[-1][2].buildProtocol(IPv4Address("TCP", "127.0.0.1", 7001))
        assert protocol is not None
        transport = Narrow()
        protocol.makeConnection(transport)
        self.reactor.advance(0)
        return protocol, transport


class Silent(DeviceCase):
    """A source with ``ack = false``."""

    def device(self, source: Iterator[Line], rate: float | None = None) -> SilentDevice:
        speech = Speech(framing=LINES, answered=False)
        device = SilentDevice(
            self.reactor, self.endpoint(), source, self.ledger, speech, rate=rate, random=Random(7)
        )
        device.start()
        return device

    def test_sends_all_and_hangs_up(self) -> None:
        """Every line once; nothing is waited for, and stopping closes what is written."""
        device = self.device(lines(3))
        finished = Deferred.fromCoroutine(device.finished())
        protocol, transport = self.accept()
        self.successResultOf(finished)
        self.assertEqual((b"1\n2\n3\n", 3), (transport.value(), device.counts.sent))
        stopping = Deferred.fromCoroutine(device.stop(10.0))
        self.assertTrue(transport.disconnecting)
        protocol.connectionLost(Failure(ConnectionDone()))
        self.assertEqual([], self.successResultOf(stopping))
        self.assertEqual([], self.reactor.getDelayedCalls())

    def test_waits_while_the_network_takes_no_more(self) -> None:
        """Without a rate it is the connection that sets the pace: memory does not grow."""
        device = self.device(lines())
        _, transport = self.accept()
        before = device.counts.sent
        self.reactor.advance(1)
        self.assertEqual(before, device.counts.sent)
        self.assertLess(len(transport.drain()), transport.holds + 10 * BURST)
        self.reactor.advance(0)
        self.assertGreater(device.counts.sent, before)

    def test_keeps_to_its_rate(self) -> None:
        """Two lines a second are two lines a second."""
        device = self.device(lines(), rate=2.0)
        self.accept()
        self.assertEqual(1, device.counts.sent)
        self.reactor.pump([0.5] * 4)
        self.assertEqual(5, device.counts.sent)

    def test_goes_on_after_a_cut(self) -> None:
        """It dials again, and what was sent before is not sent again: nobody told that it was lost."""
        device = self.device(lines(), rate=1.0)
        protocol, first = self.accept()
        protocol.connectionLost(Failure(ConnectionLost()))
        self.assertFalse(device.connected)
        self.reactor.advance(5)
        _, second = self.accept()
        self.assertEqual(b"1\n", first.value())
        self.assertTrue(second.value().startswith(b"2\n"))
        self.assertEqual(1, device.counts.reconnects)

    def test_obeys_commands_and_lets_everything_else_go(self) -> None:
        """A source that answers no line may send commands all the same."""
        device = self.device(lines(), rate=0.1)
        protocol, transport = self.accept()
        transport.clear()
        protocol.dataReceived(b"OK 1\nCMD c-1 TA")
        protocol.dataReceived(b"RE\nCMD c-2 ignore\nCMD c-3 fail\n")
        self.assertEqual(b"RES c-1 TARE\nRES c-3 ERR as it was told\n", transport.value())
        self.assertEqual(3, device.counts.commands)

    def test_what_cannot_be_framed_ends_it(self) -> None:
        """Instead of a frame that is two."""
        device = self.device(iter([Line("one", b"a\nb")]))
        finished = Deferred.fromCoroutine(device.finished())
        self.accept()
        self.assertIn("line one cannot be framed", str(self.failureResultOf(finished, ValueError).value))


class OtherAnswers(DeviceCase):
    """Answers framed as the device frames its messages, and commands among them."""

    def device(self, speech: Speech) -> LineDevice:
        device = LineDevice(
            self.reactor, self.endpoint(), lines(), self.ledger, speech=speech, window=2, random=Random(7)
        )
        device.start()
        return device

    def test_between_marks_and_with_lengths(self) -> None:
        """Each frame gets its answer, cut however the network likes."""
        for framing in (
            partial(StxEtx, 1024, 1024, checksum=True),
            partial(LengthPrefixed, 2, "big", 1024),
        ):
            self.setUp()
            device = self.device(Speech(framing=framing))
            protocol, transport = self.accept()
            self.assertEqual([b"1", b"2"], framing().feed(transport.value()))
            for byte in framing().answer(b"OK 7") + framing().answer(b"ERR csv 2 columns, not 3"):
                protocol.dataReceived(bytes([byte]))
            self.assertEqual((1, 1), (device.counts.acked, device.counts.errors))
            self.assertEqual(7, self.ledger.acked["line-1"])

    def test_single_bytes(self) -> None:
        """ACK acknowledges without a sequence; what got NAK goes out again, and before anything new."""
        framing = partial(StxEtx, 1024, 1024, ack_nak=True)
        device = self.device(Speech(framing=framing, ack_nak=True))
        protocol, transport = self.accept()
        transport.clear()
        protocol.dataReceived(b"\x06\x15")
        self.assertEqual((1, 1), (device.counts.acked, device.counts.unavailable))
        self.assertEqual(NO_SEQ, self.ledger.acked["line-1"])
        self.reactor.advance(2)
        self.assertEqual([b"2", b"3"], framing().feed(transport.value()))

    def test_no_answer_at_all(self) -> None:
        """A byte that is neither, and a checksum that is wrong, cut the connection: no later answer is sure."""
        marks = partial(StxEtx, 1024, 1024, checksum=True)
        for speech, said in (
            (Speech(framing=marks, ack_nak=True), b"O"),
            (Speech(framing=marks), marks().answer(b"OK 1")[:-1] + b"?"),
        ):
            self.setUp()
            self.device(speech)
            protocol, transport = self.accept()
            protocol.dataReceived(said)
            self.assertTrue(transport.disconnected or transport.disconnecting)

    def test_commands_come_among_answers(self) -> None:
        """They are no answers: each answer still belongs to its line."""
        framing = partial(LengthPrefixed, 2, "big", 20_000)
        device = self.device(Speech(framing=framing))
        protocol, transport = self.accept()
        encode = framing().encode
        transport.clear()
        protocol.dataReceived(encode(b"OK 1") + encode(b"CMD c-1 TARE") + encode(b"OK 2"))
        self.assertTrue(transport.value().startswith(encode(b"RES c-1 TARE")))
        self.assertEqual((2, 1, 0), (device.counts.acked, device.counts.commands, device.counts.resent))
        long = b"CMD c-2 " + b"x" * 16_000
        for part in (encode(long)[:9_000], encode(long)[9_000:]):
            protocol.dataReceived(part)
        self.assertEqual(2, device.counts.commands)
