"""Devices on the line edge, in memory: real protocol, real journal, a disk as slow as the test wants."""

from __future__ import annotations

from pathlib import Path
from typing import NoReturn

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IListeningPort, IProtocolFactory, IStreamServerEndpoint
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from lineside.edges.lines import intake
from lineside.edges.lines.intake import DRAIN, Intake, Limits
from lineside.edges.lines.protocol import DeviceConnection
from lineside.edges.lines.receiver import LineReceiver
from lineside.edges.lines.source import LinesSource
from lineside.model.batch import Batch
from lineside.model.errors import CommitInDoubt, JournalUnusable
from lineside.model.event import Seq
from lineside.testing.journals import JournalOnFile
from lineside.wire.jsonl import JsonLines


class DeviceTransport(StringTransport):
    """A device's end of the line that can be half-closed and cut."""

    half_closed = False
    aborted = False

    def loseWriteConnection(self) -> None:
        self.half_closed = True

    def abortConnection(self) -> None:
        self.aborted = True


@implementer(IStreamServerEndpoint)
class NoEndpoint:
    """Nothing listens in these tests."""

    def listen(self, protocolFactory: IProtocolFactory) -> Deferred[IListeningPort]:
        raise NotImplementedError


class LinesCase(SynchronousTestCase):
    """A source on a journal of its own."""

    limits = Limits(max_line=100, max_kept=300, max_in_flight=4, max_connections=2, idle_timeout=60.0)
    decoder = JsonLines(dedupe="id", device="scanner")

    def setUp(self) -> None:
        self.file = JournalOnFile(Path(self.mktemp()), lambda: 1)
        self.addCleanup(self.file.close)
        self.clock = Clock()
        self.intake = Intake("gate", self.decoder, self.file.journal, self.clock, self.limits)
        self.source = LinesSource(NoEndpoint(), "nowhere", self.intake)

    def device(self) -> tuple[DeviceConnection, DeviceTransport]:
        transport = DeviceTransport()
        connection = DeviceConnection(self.intake)
        connection.makeConnection(transport)
        return connection, transport

    def say(self, connection: DeviceConnection, data: bytes) -> None:
        """Let bytes arrive, and the reactor's turn end."""
        connection.dataReceived(data)
        self.clock.advance(0)

    def answers(self, transport: DeviceTransport) -> list[str]:
        text: str = transport.value().decode()
        transport.clear()
        return text.splitlines()

    def bodies(self) -> list[bytes]:
        page = self.successResultOf(Deferred.fromCoroutine(self.file.journal.read(Seq(0), limit=1000)))
        return [record.event.body or record.event.raw or b"" for record in page.records]


class AnswerTests(LinesCase):
    """What a device is told, and when."""

    def test_a_line_is_answered_after_its_commit(self) -> None:
        """`OK` and the sequence go out once the event is on the disk, not before."""
        connection, transport = self.device()
        self.file.writer.held = True
        self.say(connection, b'{"n":1}\n')
        self.assertEqual([], self.answers(transport))
        self.file.writer.release()
        self.assertEqual(["OK 1"], self.answers(transport))

    def test_answers_come_in_the_order_of_the_lines(self) -> None:
        """Good, bad and repeated lines of several chunks each get their own answer, in order."""
        connection, transport = self.device()
        self.file.writer.held = True
        self.say(connection, b'{"id":"a"}\r\nno json\n')
        self.say(connection, b'\n{"id":"a"}\r\n[1]\n')
        self.file.writer.release()
        first, second, third, fourth = self.answers(transport)
        self.assertEqual("OK 1", first)
        self.assertTrue(second.startswith("ERR json "))
        self.assertEqual("OK 1", third)
        self.assertEqual("ERR json expected an object, got an array", fourth)

    def test_a_line_that_comes_byte_by_byte_is_split_once(self) -> None:
        """Looking through all of it for each byte would keep every other device waiting for seconds."""
        looked_through = 0
        take_lines = LineReceiver._take_lines

        def counted(receiver: LineReceiver) -> list[bytes]:
            nonlocal looked_through
            looked_through += len(receiver._buffer)
            return take_lines(receiver)

        self.patch(LineReceiver, "_take_lines", counted)
        connection, transport = self.device()
        for line in (b'{"text":"%s"}\n' % (b"x" * 80), b'{"n":2}\n{"n"', b":3}\n"):
            for byte in line:
                connection.dataReceived(bytes([byte]))
        self.clock.advance(0)
        self.assertEqual(["OK 1", "OK 2", "OK 3"], self.answers(transport))
        self.assertLess(looked_through, 200)

    def test_what_is_not_utf8_is_kept_and_named(self) -> None:
        """The bytes are kept as they came; the answer says where it went wrong."""
        connection, transport = self.device()
        self.say(connection, b'{"name":"M\xfcller"}\n')
        self.assertEqual(["ERR utf8 byte 11 is not UTF-8"], self.answers(transport))
        self.assertEqual([b'{"name":"M\xfcller"}'], self.bodies())

    def test_a_line_that_is_too_long_is_kept_and_the_next_one_taken(self) -> None:
        """An over-long line, in one chunk or many, is one answer and one dead letter; what follows is not lost."""
        for chunk in (1, 7, 10_000):
            connection, transport = self.device()
            data = b'{"x":"' + b"y" * 150 + b'"}\n{"n":1}\n'
            for start in range(0, len(data), chunk):
                self.say(connection, data[start : start + chunk])
            long, short = self.answers(transport)
            self.assertEqual("ERR too-long 158 bytes, at most 100 are taken", long)
            self.assertTrue(short.startswith("OK "))
            connection.connectionLost()
        self.assertEqual({data[:158], b'{"n":1}'}, set(self.bodies()))

    def test_a_line_without_end_is_kept_in_part_only(self) -> None:
        """Memory is bounded whatever a device sends; the reason says how much is kept."""
        connection, transport = self.device()
        for _ in range(1000):
            self.say(connection, b"x" * 100)
        self.say(connection, b"\n")
        self.assertEqual(
            ["ERR too-long 100000 bytes, at most 100 are taken; the first 300 are kept"], self.answers(transport)
        )
        self.assertEqual([b"x" * 300], self.bodies())

    def test_a_journal_that_cannot_write_says_send_it_again(self) -> None:
        """With a full disk nothing is acknowledged and nothing kept; afterwards the same line is taken."""
        connection, transport = self.device()
        self.successResultOf(
            self.file.database.write(
                lambda c: c.execute(
                    "CREATE TEMP TRIGGER full BEFORE INSERT ON segment BEGIN "
                    "SELECT RAISE(ROLLBACK, 'database or disk is full'); END"
                )
            )
        )
        self.say(connection, b'{"id":"a"}\n')
        self.assertEqual(["ERR unavailable not stored, send it again"], self.answers(transport))
        self.successResultOf(self.file.database.write(lambda c: c.execute("DROP TRIGGER full")))
        self.say(connection, b'{"id":"a"}\n')
        self.assertEqual(["OK 1"], self.answers(transport))

    def refuse(self, failed: Exception) -> None:
        """Let the journal fail from now on."""

        async def append_batches(*_: object, **__: object) -> NoReturn:
            raise failed

        self.patch(self.file.journal, "append_batches", append_batches)

    def test_what_may_be_stored_has_no_answer(self) -> None:
        """Who is in doubt is cut off: neither "stored" nor "not stored" would be true."""
        connection, transport = self.device()
        self.refuse(CommitInDoubt("disk I/O error"))
        self.say(connection, b'{"id":"a"}\n')
        self.assertEqual(([], True), (self.answers(transport), transport.aborted))

    def test_a_damaged_journal_is_an_alarm_and_no_error_of_ours(self) -> None:
        """A page that turns out broken at a commit undoes it: the device is to send again, and the log says why."""
        connection, transport = self.device()
        self.refuse(JournalUnusable("journal.db is damaged: `lineside journal check`"))
        self.say(connection, b'{"id":"a"}\n')
        self.assertEqual(["ERR unavailable not stored, send it again"], self.answers(transport))
        self.assertEqual([], self.flushLoggedErrors())

    @settings(max_examples=60, deadline=None)
    @given(
        st.lists(
            st.one_of(
                st.just(b'{"n":1}'),
                st.just(b""),
                st.binary(max_size=40).map(lambda b: b.replace(b"\n", b" ")),
                st.integers(90, 400).map(lambda n: b"z" * n),
            ),
            max_size=12,
        ),
        st.lists(st.integers(1, 120), min_size=1, max_size=30),
    )
    def test_any_chunking_gives_the_same_events(self, lines: list[bytes], cuts: list[int]) -> None:
        """However the network cuts the bytes, the same lines are stored and the same answers given."""
        data = b"".join(line + b"\n" for line in lines)
        seen = []
        for sizes in ([len(data) or 1], cuts):
            before = len(self.bodies())
            connection, transport = self.device()
            position = index = 0
            while position < len(data):
                size = sizes[index % len(sizes)]
                self.say(connection, data[position : position + size])
                position += size
                index += 1
            answers = [answer.split()[:1] + answer.split()[2:] for answer in self.answers(transport)]
            seen.append((self.bodies()[before:], answers))
            connection.connectionLost()
        self.assertEqual(seen[0], seen[1])
        self.assertEqual(len(seen[0][0]), len(seen[0][1]))


class EndTests(LinesCase):
    """A device that has said all it wanted."""

    def test_a_device_that_ends_its_side_gets_its_answers(self) -> None:
        """After `printf ... | nc -N` every line is answered once it is committed; only then our side is closed."""
        connection, transport = self.device()
        self.file.writer.held = True
        self.say(connection, b'{"n":1}\n{"n":2}\n')
        connection.readConnectionLost()
        self.assertFalse(transport.disconnecting)
        self.file.writer.release()
        self.assertEqual(["OK 1", "OK 2"], self.answers(transport))
        self.assertTrue(transport.disconnecting)

    def test_a_device_that_ends_in_silence_is_closed_at_once(self) -> None:
        """With nothing left to answer there is nothing to wait for."""
        connection, transport = self.device()
        connection.readConnectionLost()
        self.assertTrue(transport.disconnecting)


class PressureTests(LinesCase):
    """What one device, or many, may cost."""

    def test_a_device_that_is_ahead_of_the_disk_is_paused(self) -> None:
        """After max_in_flight lines nothing more is read, and every line is answered once the disk catches up."""
        connection, transport = self.device()
        self.file.writer.held = True
        self.say(connection, b'{"n":1}\n' * 10)
        self.assertEqual("paused", transport.producerState)
        self.file.writer.release()
        self.assertEqual("producing", transport.producerState)
        self.assertEqual([f"OK {n}" for n in range(1, 11)], self.answers(transport))

    def test_a_device_that_does_not_read_its_answers_is_paused(self) -> None:
        """When the answers pile up the device is not read, until it reads."""
        connection, transport = self.device()
        assert transport.producer is not None
        transport.producer.pauseProducing()
        self.say(connection, b'{"n":1}\n')
        self.assertEqual("paused", transport.producerState)
        self.assertEqual([], self.answers(transport))
        transport.producer.resumeProducing()
        self.clock.advance(0)
        self.assertEqual(["OK 1"], self.answers(transport))

    def test_a_crowded_source_pauses_those_who_crowd_it(self) -> None:
        """Bytes that wait for the disk are bounded over all connections of a source."""
        self.patch(intake, "CROWDED", 100)
        (first, first_transport), (second, second_transport) = self.device(), self.device()
        self.file.writer.held = True
        self.say(first, b'{"n":100000}\n')
        self.say(second, b'{"n":200000}\n')
        self.assertEqual(["producing", "paused"], [first_transport.producerState, second_transport.producerState])
        self.file.writer.release()
        self.assertEqual("producing", second_transport.producerState)
        self.assertEqual([["OK 1"], ["OK 2"]], [self.answers(first_transport), self.answers(second_transport)])

    def test_one_connection_too_many_is_told_so(self) -> None:
        """Beyond max_connections a device gets an answer and is closed; the others stay."""
        self.device()
        self.device()
        surplus, transport = self.device()
        self.assertEqual(["ERR busy too many connections"], self.answers(transport))
        self.assertTrue(transport.disconnecting)
        self.say(surplus, b'{"n":1}\n')
        self.assertEqual([], self.bodies())

    def test_a_silent_device_is_cut_off(self) -> None:
        """Half-open connections do not stay for ever; each line, and each empty line, counts as a sign of life."""
        connection, transport = self.device()
        self.clock.advance(59)
        self.say(connection, b"\n")
        self.clock.advance(59)
        self.assertFalse(transport.aborted)
        self.clock.advance(1)
        self.assertTrue(transport.aborted)

    def test_a_device_that_we_paused_is_not_silent(self) -> None:
        """While a device waits for our disk its silence is ours."""
        connection, transport = self.device()
        self.file.writer.held = True
        self.say(connection, b'{"n":1}\n' * 4)
        self.clock.advance(61)
        self.assertFalse(transport.aborted)


class StopTests(LinesCase):
    """The gateway stops while devices talk."""

    def test_what_was_received_is_answered_before_the_end(self) -> None:
        """Stopping answers every line that was read, ends our side only then, and waits for the device."""
        connection, transport = self.device()
        self.file.writer.held = True
        self.say(connection, b'{"n":1}\n')
        stopping = Deferred.fromCoroutine(self.source.stop())
        self.assertFalse(transport.half_closed)
        self.file.writer.release()
        self.assertEqual(["OK 1"], self.answers(transport))
        self.assertTrue(transport.half_closed)
        self.say(connection, b'{"n":2}\n')
        self.assertEqual([], self.answers(transport))
        self.assertNoResult(stopping)
        connection.connectionLost()
        self.successResultOf(stopping)
        self.assertEqual([b'{"n":1}'], self.bodies())

    def test_a_device_that_stays_is_cut_off(self) -> None:
        """Stopping does not wait for ever."""
        connection, transport = self.device()
        stopping = Deferred.fromCoroutine(self.source.stop())
        self.clock.advance(DRAIN)
        self.assertTrue(transport.aborted)
        connection.connectionLost()
        self.successResultOf(stopping)

    def test_a_device_that_leaves_early_loses_nothing(self) -> None:
        """Lines of a device that is gone before the commit are committed all the same."""
        connection, _ = self.device()
        self.file.writer.held = True
        self.say(connection, b'{"n":1}\n{"unterminated')
        connection.connectionLost()
        self.file.writer.release()
        self.assertEqual([b'{"n":1}'], self.bodies())


class TurnTests(LinesCase):
    """Many devices speak at once."""

    decoder = JsonLines()
    limits = Limits()

    def test_a_turn_is_one_append_and_each_has_its_own_answers(self) -> None:
        """What several devices send in one turn of the reactor is stored together, and answered to each."""
        devices = []
        for host in ("10.0.0.1", "10.0.0.1", "10.0.0.2"):
            transport = DeviceTransport(peerAddress=IPv4Address("TCP", host, 1))
            connection = DeviceConnection(self.intake)
            connection.makeConnection(transport)
            devices.append((connection, transport))
        for connection, _ in devices:
            connection.dataReceived(b'{"n":1}\n')
        devices[0][0].dataReceived(b'nonsense\n{"n":2}\n')
        self.assertEqual([[]] * 3, [self.answers(transport) for _, transport in devices])
        self.clock.advance(0)
        first, second, third = (self.answers(transport) for _, transport in devices)
        self.assertEqual(["OK 1", "OK 5"], [first[0], first[2]])
        self.assertTrue(first[1].startswith("ERR json "))
        self.assertEqual([["OK 2"], ["OK 3"]], [second, third])
        page = self.successResultOf(Deferred.fromCoroutine(self.file.journal.read(Seq(0), limit=9)))
        self.assertEqual(
            ["10.0.0.1", "10.0.0.1", "10.0.0.2", "10.0.0.1", "10.0.0.1"],
            [record.event.device for record in page.records],
        )
        segments = self.file.database.read(lambda c: c.execute("SELECT COUNT(*) FROM segment").fetchone())
        self.assertEqual((1,), self.successResultOf(segments))

    def test_devices_of_many_addresses_are_decoded_together(self) -> None:
        """What each sends in a turn is one batch, in which each event is still its own sender's."""
        decoded: list[int] = []
        decode = self.intake.decode

        def counting(frames: list[bytes], sender: str | None) -> Batch:
            decoded.append(len(frames))
            return decode(frames, sender)

        self.intake.decode = counting
        came: list[list[tuple[str, int]]] = []
        self.intake.on_batch = lambda _, senders: came.append(senders)
        for number in range(1, 7):
            connection = DeviceConnection(self.intake)
            connection.makeConnection(DeviceTransport(peerAddress=IPv4Address("TCP", f"10.0.0.{number}", 1)))
            connection.dataReceived(b'{"n":1}\n')
        self.clock.advance(0)
        self.assertEqual([6], decoded)
        addresses = [f"10.0.0.{number}" for number in range(1, 7)]
        self.assertEqual([[(address, 1) for address in addresses]], came)
        page = self.successResultOf(Deferred.fromCoroutine(self.file.journal.read(Seq(0), limit=9)))
        self.assertEqual(addresses, [record.event.device for record in page.records])

    def test_a_chunk_of_faults_is_one_batch_and_one_answer(self) -> None:
        """Each is kept and has its answer in order; what a batch costs is not spent on each of them."""
        self.intake.limits = Limits(max_line=5)
        batches: list[int] = []
        self.intake.on_batch = lambda batch, _: batches.append(len(batch))
        connection, _ = self.device()
        written: list[bytes] = []
        connection.answer = written.append  # type: ignore[method-assign, assignment]
        self.say(connection, b"1234567\n" * 3 + b"{}\n" + b"12345678\n" * 2)
        self.assertEqual([3, 1, 2], batches)
        self.assertEqual([3, 1, 2], [answers.count(b"\n") for answers in written])
        self.assertEqual([b"1234567"] * 3 + [b"{}"] + [b"12345678"] * 2, self.bodies())

    def test_who_left_in_the_turn_of_the_stop_is_stored(self) -> None:
        """Stopping waits for no turn: what came just before is on its way to the journal when it returns."""
        connection, _ = self.device()
        connection.dataReceived(b'{"n":1}\n')
        connection.connectionLost()
        self.successResultOf(Deferred.fromCoroutine(self.source.stop()))
        self.assertEqual([b'{"n":1}'], self.bodies())


class UnansweredTests(LinesCase):
    """Devices that get no answers cannot send again."""

    limits = Limits(max_in_flight=2, idle_timeout=0.0, ack=False)

    def test_what_came_while_paused_is_stored_when_the_connection_is_lost(self) -> None:
        """TLS gives on what it has decrypted, though nothing more is read: the lines are taken, in order."""
        connection, _ = self.device()
        self.file.writer.held = True
        self.say(connection, b'{"n":1}\n{"n":2}\n{"n":')
        self.say(connection, b'3}\n{"n":4}\n{"unterminated')
        stopping = Deferred.fromCoroutine(self.source.stop())
        connection.connectionLost()
        self.successResultOf(stopping)
        self.file.writer.release()
        self.assertEqual([b'{"n":%d}' % n for n in range(1, 5)], self.bodies())


class PausedDeviceTests(LinesCase):
    """Devices that get answers send again what had none."""

    limits = Limits(max_in_flight=2, idle_timeout=0.0)

    def test_what_came_while_paused_and_has_no_answer_is_not_stored(self) -> None:
        """Otherwise a line without a key would be there twice when the device sends it again."""
        connection, _ = self.device()
        self.file.writer.held = True
        self.say(connection, b'{"n":1}\n{"n":2}\n')
        self.say(connection, b'{"n":3}\n')
        connection.connectionLost()
        self.clock.advance(0)
        self.file.writer.release()
        self.assertEqual([b'{"n":1}', b'{"n":2}'], self.bodies())
