"""Devices whose frames are no lines, in memory: real protocol, real journal, a disk as slow as the test wants."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IHalfCloseableProtocol
from twisted.internet.task import Clock
from twisted.internet.testing import EventLoggingObserver, StringTransport
from twisted.logger import globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase

from lineside.edges.lines.framed import FramedConnection, connections
from lineside.edges.lines.intake import Intake, Limits
from lineside.edges.lines.protocol import DeviceConnection
from lineside.model.event import Event, Seq
from lineside.testing.journals import JournalOnFile
from lineside.wire.framing import Delimited, Framing
from lineside.wire.lengths import LengthPrefixed
from lineside.wire.raw import Raw
from lineside.wire.stxetx import StxEtx


class DeviceTransport(StringTransport):
    """A device's end of the line that can be half-closed and cut."""

    half_closed = False
    aborted = False

    def loseWriteConnection(self) -> None:
        self.half_closed = True

    def abortConnection(self) -> None:
        self.aborted = True


class FramedCase(SynchronousTestCase):
    """A source on a journal of its own, whose devices are answered."""

    limits = Limits(max_line=100, max_kept=300, max_in_flight=4, max_connections=2, idle_timeout=60.0)

    def setUp(self) -> None:
        self.file = JournalOnFile(Path(self.mktemp()), lambda: 1)
        self.addCleanup(self.file.close)
        self.clock = Clock()
        self.intake = Intake("scale", Raw(), self.file.journal, self.clock, self.limits)
        self.seen = EventLoggingObserver()
        globalLogPublisher.addObserver(self.seen)
        self.addCleanup(globalLogPublisher.removeObserver, self.seen)

    def framing(self) -> Framing:
        return StxEtx(self.limits.max_line, self.limits.max_kept)

    def device(self, framing: Callable[[], Framing] | None = None) -> tuple[FramedConnection, DeviceTransport]:
        transport = DeviceTransport()
        connection = connections(framing or self.framing)(self.intake)
        assert isinstance(connection, FramedConnection)
        connection.makeConnection(transport)
        return connection, transport

    def say(self, connection: FramedConnection, data: bytes) -> None:
        """Let bytes arrive, and the reactor's turn end."""
        connection.dataReceived(data)
        self.clock.advance(0)

    def answers(self, transport: DeviceTransport) -> bytes:
        sent: bytes = transport.value()
        transport.clear()
        return sent

    def events(self) -> list[Event]:
        page = self.successResultOf(Deferred.fromCoroutine(self.file.journal.read(Seq(0), limit=1000)))
        return [record.event for record in page.records]

    def logged(self, name: str) -> int:
        return sum(event.get("log_format") == name for event in self.seen)


class Choosing(FramedCase):
    """One protocol or the other."""

    def test_lines_with_lf_have_a_faster_protocol(self) -> None:
        """Every other framing has this one, and both let a device end its side."""
        lines, frames = connections(None)(self.intake), connections(self.framing)(self.intake)
        self.assertIsInstance(lines, DeviceConnection)
        self.assertIsInstance(frames, FramedConnection)
        self.assertTrue(IHalfCloseableProtocol.providedBy(frames))


class Answers(FramedCase):
    """What a device is told, and how."""

    def test_answers_are_framed_as_the_device_frames(self) -> None:
        """Once the frame is on the disk, not before; in order."""
        connection, transport = self.device()
        self.file.writer.held = True
        self.say(connection, b"\x02A\x03\x02\xff\x03\x02B\x03")
        self.assertEqual(b"", self.answers(transport))
        self.file.writer.release()
        self.assertEqual(
            b"\x02OK 1\x03\x02ERR encoding byte 1 is not utf-8\x03\x02OK 3\x03", self.answers(transport)
        )

    def test_other_framings_answer_in_their_way(self) -> None:
        """CR, a length, or nothing but ACK."""
        for framing, frame, answer in (
            (lambda: Delimited(b"\r", 100, 300), b"A\r", b"OK 1\r"),
            (lambda: LengthPrefixed(2, "big", 100), b"\x00\x01A", b"\x00\x04OK 2"),
            (lambda: StxEtx(100, 300, ack_nak=True), b"\x02A\x03", b"\x06"),
        ):
            connection, transport = self.device(framing)
            self.say(connection, frame)
            self.assertEqual(answer, self.answers(transport))
            connection.connectionLost()

    def test_noise_has_no_answer(self) -> None:
        """Else the device would take it for that of its next frame, and forget one that is not stored."""
        connection, transport = self.device()
        self.file.writer.held = True
        self.say(connection, b"??\x02A\x03")
        self.say(connection, b"\x02B\x03!!\x02C\x03")
        self.file.writer.release()
        self.assertEqual(b"\x02OK 2\x03\x02OK 3\x03\x02OK 5\x03", self.answers(transport))
        self.assertEqual([b"??", b"A", b"B", b"!!", b"C"], [event.raw for event in self.events()])
        self.assertEqual(2, self.intake.undecodable)

    def test_a_journal_that_cannot_write_says_send_it_again(self) -> None:
        """As NAK, where the device knows no more than that; noise that could not be stored has no answer either."""
        connection, transport = self.device(lambda: StxEtx(100, 300, ack_nak=True))
        self.successResultOf(
            self.file.database.write(
                lambda c: c.execute(
                    "CREATE TEMP TRIGGER full BEFORE INSERT ON segment BEGIN "
                    "SELECT RAISE(ROLLBACK, 'database or disk is full'); END"
                )
            )
        )
        self.say(connection, b"?\x02A\x03")
        self.assertEqual(b"\x15", self.answers(transport))
        self.successResultOf(self.file.database.write(lambda c: c.execute("DROP TRIGGER full")))
        self.say(connection, b"\x02A\x03")
        self.assertEqual(b"\x06", self.answers(transport))

    def test_one_connection_too_many_is_told_so_in_its_framing(self) -> None:
        """And what it says meanwhile is not taken."""
        self.device()
        self.device()
        connection, transport = self.device()
        self.assertEqual(b"\x02ERR busy too many connections\x03", self.answers(transport))
        self.assertTrue(transport.disconnecting)
        self.say(connection, b"\x02A\x03")
        self.assertEqual([], self.events())


class Silent(FramedCase):
    """A source that answers nothing."""

    limits = Limits(max_line=100, max_kept=300, max_connections=1, ack=False)

    def test_nothing_is_sent_whatever_happens(self) -> None:
        """Not to a device that is one too many, either: what it cannot read might confuse it."""
        connection, transport = self.device()
        _, surplus = self.device()
        self.say(connection, b"?\x02A\x03\x02\xff\x03")
        self.assertEqual(3, len(self.events()))
        self.assertEqual((b"", b""), (self.answers(transport), self.answers(surplus)))
        self.assertTrue(surplus.disconnecting)


class Trouble(FramedCase):
    """What is no frame."""

    def test_a_wrong_framing_is_seen_at_once(self) -> None:
        """A device of another kind fills no log, but is named in it from its first bytes on."""
        connection, _ = self.device()
        self.say(connection, b'{"n":1}\n')
        self.assertEqual(1, self.logged("lines.astray"))
        self.say(connection, b'{"n":2}\n')
        self.assertEqual((1, []), (self.logged("lines.astray"), self.events()))
        connection.connectionLost()
        self.clock.advance(0)
        self.assertEqual([b'{"n":1}\n{"n":2}\n'], [event.raw for event in self.events()])

    def test_connections_that_come_and_go_fill_no_log(self) -> None:
        """Each of a flood is astray and ends inside a frame; that is said every ten seconds at most."""
        for _ in range(50):
            connection, _ = self.device()
            self.say(connection, b"?\x02unfinished")
            connection.connectionLost()
        noisy, _ = self.device()
        self.say(noisy, b"?")
        self.assertEqual((1, 1), (self.logged("lines.astray"), self.logged("lines.unterminated")))
        self.clock.advance(10)
        self.say(noisy, b"?")
        self.assertEqual(2, self.logged("lines.astray"))

    def test_a_frame_without_its_end_is_not_taken(self) -> None:
        """It was never acknowledged; the log says how much there was."""
        connection, _ = self.device()
        self.say(connection, b"\x02A\x03\x02unfinished")
        connection.connectionLost()
        self.clock.advance(0)
        self.assertEqual([b"A"], [event.raw for event in self.events()])
        self.assertEqual(1, self.logged("lines.unterminated"))

    def test_a_frame_too_long_is_kept_in_part_and_the_next_one_taken(self) -> None:
        """In many chunks, and in bounded memory."""
        connection, transport = self.device()
        self.say(connection, b"\x02")
        for _ in range(1000):
            self.say(connection, b"x" * 100)
        self.say(connection, b"\x03\x02A\x03")
        self.assertEqual(
            b"\x02ERR too-long 100000 bytes, at most 100 are taken; the first 300 are kept\x03\x02OK 2\x03",
            self.answers(transport),
        )
        self.assertEqual([b"x" * 300, b"A"], [event.raw for event in self.events()])

    def test_after_an_impossible_length_the_device_is_told_and_hung_up_on(self) -> None:
        """What was whole before is answered first; what follows is not guessed at."""
        connection, transport = self.device(lambda: LengthPrefixed(2, "big", 100))
        self.file.writer.held = True
        self.say(connection, b"\x00\x01AGET / HTTP/1.1\r\n")
        self.say(connection, b"\x00\x01B")
        self.assertFalse(transport.half_closed)
        self.file.writer.release()
        error = b"ERR length a frame of 18245 bytes is announced, at most 100 are taken"
        self.assertEqual(b"\x00\x04OK 1" + len(error).to_bytes(2, "big") + error, self.answers(transport))
        self.assertTrue(transport.half_closed)
        self.say(connection, b"\x00\x01C")
        self.assertEqual([b"A", b"GE"], [event.raw for event in self.events()])


class Pressure(FramedCase):
    """What one device may cost, and its end."""

    def test_a_device_that_is_ahead_of_the_disk_is_paused(self) -> None:
        """What a transport still gives after that waits, and is taken in order when the disk has caught up."""
        connection, transport = self.device()
        self.file.writer.held = True
        self.say(connection, b"\x02A\x03" * 5)
        self.assertEqual("paused", transport.producerState)
        self.say(connection, b"\x02B\x03")
        self.file.writer.release()
        self.clock.advance(0)
        self.assertEqual("producing", transport.producerState)
        self.assertEqual([b"A"] * 5 + [b"B"], [event.raw for event in self.events()])
        self.assertEqual(b"".join(b"\x02OK %d\x03" % n for n in range(1, 7)), self.answers(transport))

    def test_a_device_that_does_not_read_its_answers_is_paused(self) -> None:
        """When the answers pile up the device is not read, until it reads."""
        connection, transport = self.device()
        assert transport.producer is not None
        transport.producer.pauseProducing()
        self.say(connection, b"\x02A\x03")
        self.assertEqual(("paused", []), (transport.producerState, self.events()))
        transport.producer.resumeProducing()
        self.clock.advance(0)
        self.assertEqual(b"\x02OK 1\x03", self.answers(transport))

    def test_a_device_that_ends_its_side_gets_its_answers(self) -> None:
        """Noise at the end is kept, too; then our side is closed."""
        connection, transport = self.device()
        self.file.writer.held = True
        self.say(connection, b"\x02A\x03?")
        connection.readConnectionLost()
        self.clock.advance(0)
        self.assertFalse(transport.disconnecting)
        self.file.writer.release()
        self.assertEqual(b"\x02OK 1\x03", self.answers(transport))
        self.assertTrue(transport.disconnecting)
        self.assertEqual([b"A", b"?"], [event.raw for event in self.events()])

    def test_stopping_answers_what_was_received(self) -> None:
        """Our side ends only then, and what still comes is not taken."""
        connection, transport = self.device()
        self.file.writer.held = True
        self.say(connection, b"\x02A\x03")
        stopping = Deferred.fromCoroutine(self.intake.drain())
        self.file.writer.release()
        self.assertEqual(b"\x02OK 1\x03", self.answers(transport))
        self.assertTrue(transport.half_closed)
        self.say(connection, b"\x02B\x03")
        connection.connectionLost()
        self.successResultOf(stopping)
        self.assertEqual([b"A"], [event.raw for event in self.events()])

    def test_a_silent_device_is_cut_off(self) -> None:
        """Any byte is a sign of life, an empty frame too."""
        connection, transport = self.device()
        self.clock.advance(59)
        self.say(connection, b"\x02\x03")
        self.clock.advance(59)
        self.assertFalse(transport.aborted)
        self.clock.advance(1)
        self.assertTrue(transport.aborted)
        self.assertEqual([], self.events())


class PausedConnection(FramedCase):
    """The connection is lost while more was read than may be in flight, as TLS may read it."""

    def test_a_device_without_answers_loses_nothing(self) -> None:
        """Nobody would send the frames again: they are taken, the one that both chunks share as a whole."""
        self.intake.limits = Limits(max_in_flight=1, idle_timeout=0.0, ack=False)
        connection, _ = self.device()
        self.file.writer.held = True
        self.say(connection, b"\x02one\x03\x02tw")
        self.say(connection, b"o\x03\x02three\x03")
        connection.connectionLost()
        self.clock.advance(0)
        self.file.writer.release()
        self.assertEqual([b'{"data":"one"}', b'{"data":"two"}', b'{"data":"three"}'], self.texts())

    def test_a_device_with_answers_sends_the_frames_again(self) -> None:
        """What had no answer is not stored, nor is half of it kept as a broken frame."""
        self.intake.limits = Limits(max_in_flight=1, idle_timeout=0.0)
        connection, _ = self.device()
        self.file.writer.held = True
        self.say(connection, b"\x02one\x03\x02tw")
        self.say(connection, b"o\x03")
        connection.connectionLost()
        self.clock.advance(0)
        self.file.writer.release()
        self.assertEqual([b'{"data":"one"}'], self.texts())

    def texts(self) -> list[bytes]:
        return [event.body or event.raw or b"" for event in self.events()]
