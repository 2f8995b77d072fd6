"""Devices that wait to be dialled, in memory: real protocol, real journal; the device and the clock are played."""

from __future__ import annotations

from pathlib import Path
from random import Random

import msgspec
from tests.rig.played_device import PlayedDevice, PlayedTransport
from twisted.internet import error
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone, ConnectionLost, NoRouteError
from twisted.internet.protocol import Protocol
from twisted.internet.task import Clock
from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from lineside.edges.lines.commands import ConnectedLines
from lineside.edges.lines.dialled import LIVED, REDIAL, DialledSource
from lineside.edges.lines.intake import Intake, Limits
from lineside.edges.lines.polling import Poll
from lineside.edges.lines.session import Session
from lineside.model.event import Record, Seq
from lineside.operations.devicelines import CommandRules, LineLost
from lineside.testing.journals import JournalOnFile
from lineside.wire.jsonl import JsonLines

LONGEST = REDIAL.steps[-1] * (1 + REDIAL.jitter)


class DialledCase(SynchronousTestCase):
    """A source that dials one played device, on a journal of its own."""

    limits = Limits(max_line=100, max_kept=300, max_in_flight=4, idle_timeout=0.0, ack=False)
    poll: Poll | None = None

    def setUp(self) -> None:
        self.file = JournalOnFile(Path(self.mktemp()), lambda: 1)
        self.addCleanup(self.file.close)
        self.clock = Clock()
        self.device = PlayedDevice()
        self.logged = self.enterContext(capturedLogs())
        self.intake = self.make_intake(self.limits)
        self.source = self.make_source()

    def make_intake(self, limits: Limits) -> Intake:
        return Intake("scale", JsonLines(), self.file.journal, self.clock, limits)

    def make_source(self) -> DialledSource:
        return DialledSource(self.device, "tcp:10.0.0.5:4001", self.intake, Random(5), timeout=10.0, poll=self.poll)

    def start(self) -> None:
        self.successResultOf(Deferred.fromCoroutine(self.source.start()))

    def connect(self) -> PlayedTransport:
        """Wait for the call, however long the pause is, and take it."""
        while not self.device.ringing:
            self.clock.advance(0.25)
        return self.device.answer()

    def say(self, transport: PlayedTransport, data: bytes) -> None:
        """Let the device speak, and the reactor's turn end."""
        transport.protocol.dataReceived(data)
        self.clock.advance(0)

    def records(self) -> list[Record]:
        page = self.successResultOf(Deferred.fromCoroutine(self.file.journal.read(Seq(0), limit=1000)))
        return page.records

    def bodies(self) -> list[bytes]:
        return [record.event.body for record in self.records()]

    def events(self, name: str) -> list[dict[str, object]]:
        """Return what was logged under a name."""
        return [event for event in self.logged if event.get("log_format") == name]


class Dialling(DialledCase):
    """From the start to the first line."""

    def test_its_lines_are_kept_and_not_answered(self) -> None:
        """What the device says becomes events with its address; it is told nothing, since it would not read it."""
        self.start()
        transport = self.connect()
        self.say(transport, b'{"kg":1')
        self.say(transport, b'.5}\r\n{"kg":2}\r\n')
        self.assertEqual([b'{"kg":1.5}', b'{"kg":2}'], self.bodies())
        self.assertEqual({transport.getPeer().host}, {record.event.device for record in self.records()})
        self.assertEqual(b"", transport.said())
        self.assertIsNone(self.source.problem)

    def test_a_device_that_reads_answers_gets_them(self) -> None:
        """With `ack = true` a dialled device has the promise of one that dials in."""
        self.intake = self.make_intake(msgspec.structs.replace(self.limits, ack=True))
        self.source = self.make_source()
        self.start()
        transport = self.connect()
        self.file.writer.held = True
        self.say(transport, b'{"n":1}\n')
        self.assertEqual(b"", transport.said())
        self.file.writer.release()
        self.assertEqual(b"OK 1\n", transport.said())

    def test_a_device_that_is_not_there_keeps_nobody_waiting(self) -> None:
        """The gateway is up whether its devices are or not, and says since when it dials."""
        self.start()
        self.clock.advance(5)
        self.assertEqual("dialling for 5 s: not dialled yet", self.source.problem)
        self.device.refuse(error.ConnectionRefusedError())
        self.assertEqual("dialling for 5 s: it refuses the connection", self.source.problem)

    def test_a_call_that_nobody_takes_is_given_up(self) -> None:
        """After the time-out it counts as vain, and the device is dialled again."""
        self.start()
        self.clock.advance(10)
        self.assertEqual((1, False), (self.device.hung_up, self.device.ringing))
        self.assertEqual("dialling for 10 s: it does not answer", self.source.problem)
        self.connect()
        self.assertEqual(2, self.device.calls)

    def test_any_framing_goes_over_the_call(self) -> None:
        """Which protocol finds the frames is chosen for the source; this one takes each chunk for a frame."""

        class Chunks(Protocol):
            peer = "bench"

            def __init__(self, intake: Intake) -> None:
                self.session = Session(intake, self)  # type: ignore[arg-type]

            def connectionMade(self) -> None:
                self.session.open()

            def dataReceived(self, data: bytes) -> None:
                self.session.take([data])

            def connectionLost(self, reason: object = None) -> None:
                self.session.closed()

        self.source = DialledSource(self.device, "x", self.intake, Random(5), connection=Chunks)
        self.start()
        self.say(self.connect(), b'{"n":1}')
        self.assertEqual([b'{"n":1}'], self.bodies())


class DiallingAgain(DialledCase):
    """The connection is not there, or not any more."""

    def pause(self) -> float:
        """Return how long it takes until the device is dialled, to a hundredth of a second."""
        waited = 0.0
        while not self.device.ringing:
            self.clock.advance(0.01)
            waited += 0.01
        return waited

    def test_it_is_dialled_for_ever_at_growing_intervals(self) -> None:
        """From half a second to half a minute, each moved at random, and never given up."""
        self.start()
        for attempt in range(1, 30):
            self.device.refuse(error.ConnectionRefusedError())
            step = REDIAL.steps[min(attempt, len(REDIAL.steps)) - 1]
            pause = self.pause()
            self.assertGreaterEqual(pause, step * (1 - REDIAL.jitter) - 0.01)
            self.assertLessEqual(pause, step * (1 + REDIAL.jitter) + 0.02)
        self.assertEqual((0.5, 30.0), (REDIAL.steps[0], REDIAL.steps[-1]))

    def test_gateways_that_lost_their_devices_together_do_not_dial_together(self) -> None:
        """Two sources of one failure wait differently."""
        pauses = set()
        for seed in range(5):
            self.device = PlayedDevice()
            self.source = DialledSource(self.device, "x", self.make_intake(self.limits), Random(seed))
            self.start()
            self.device.refuse(error.ConnectionRefusedError())
            pauses.add(round(self.pause(), 2))
        self.assertGreater(len(pauses), 2)

    def dial_in_vain(self, times: int) -> None:
        for _ in range(times):
            self.device.refuse(error.ConnectionRefusedError())
            self.pause()

    def test_a_connection_that_was_of_use_is_soon_dialled_again(self) -> None:
        """One that lived and gave data begins the pauses anew; nothing of a line that was cut is taken."""
        self.start()
        self.dial_in_vain(6)
        transport = self.device.answer()
        self.say(transport, b'{"n":1}\n{"n":')
        self.clock.advance(LIVED)
        transport.end(ConnectionLost())
        self.assertEqual("dialling for 0 s: the connection broke", self.source.problem)
        self.assertLess(self.pause(), 1.0)
        self.say(self.device.answer(), b'{"n":2}\n')
        self.assertEqual([b'{"n":1}', b'{"n":2}'], self.bodies())

    def test_a_connection_in_vain_does_not_shorten_the_pauses(self) -> None:
        """A port that takes calls and drops them, or says nothing, is no reason to dial twice a second."""
        for said, lives in ((b"hello\n", 0.0), (b"", LIVED)):
            self.device = PlayedDevice()
            self.intake = self.make_intake(self.limits)
            self.source = self.make_source()
            self.start()
            self.dial_in_vain(6)
            transport = self.device.answer()
            if said:
                self.say(transport, said)
            self.clock.advance(lives)
            transport.end(ConnectionDone())
            self.assertGreater(self.pause(), 20.0)

    def test_a_device_that_ends_its_side_is_dialled_again(self) -> None:
        """What it said before is stored first."""
        self.start()
        transport = self.connect()
        self.file.writer.held = True
        self.say(transport, b'{"n":1}\n')
        transport.protocol.readConnectionLost()
        self.assertFalse(transport.ended)
        self.file.writer.release()
        self.assertTrue(transport.ended)
        self.connect()
        self.assertEqual([b'{"n":1}'], self.bodies())

    def test_silence_is_cut_and_dialled_again(self) -> None:
        """With an `idle_timeout` a device that hangs is given a new connection."""
        self.intake = self.make_intake(msgspec.structs.replace(self.limits, idle_timeout=60.0))
        self.source = self.make_source()
        self.start()
        transport = self.connect()
        self.clock.advance(59)
        self.say(transport, b"\n")
        self.clock.advance(59)
        self.assertFalse(transport.ended)
        self.clock.advance(1)
        self.assertTrue(transport.ended)
        self.assertEqual("dialling for 0 s: it was cut off", self.source.problem)
        self.connect()

    def test_an_outage_is_told_once_and_so_is_its_end(self) -> None:
        """A device that is off over the weekend does not fill the log; another reason is worth another line."""
        self.start()
        self.dial_in_vain(10)
        self.assertEqual(1, len(self.events("lines.unreachable")))
        self.device.refuse(NoRouteError())
        self.pause()
        refused, no_way = self.events("lines.unreachable")
        self.assertEqual("it refuses the connection", refused["reason"])
        self.assertEqual("there is no way to its address", no_way["reason"])
        self.assertTrue(refused["remedy"] and no_way["remedy"])
        transport = self.device.answer()
        [connected] = self.events("lines.connected")
        self.assertEqual(round(self.clock.seconds(), 1), connected["after"])
        transport.end(ConnectionDone())
        [lost] = self.events("lines.disconnected")
        self.assertEqual("the device closed the connection", lost["reason"])


class Pressure(DialledCase):
    """A device that is faster than the disk."""

    def test_it_is_not_read_while_the_disk_is_behind(self) -> None:
        """The network holds what it sends, and nothing is lost."""
        self.start()
        transport = self.connect()
        self.file.writer.held = True
        self.say(transport, b'{"n":1}\n' * 10)
        self.assertEqual("paused", transport.producerState)
        self.file.writer.release()
        self.assertEqual("producing", transport.producerState)
        self.assertEqual(10, len(self.bodies()))


class Stopping(DialledCase):
    """The gateway stops."""

    def stop(self) -> Deferred[None]:
        return Deferred.fromCoroutine(self.source.stop())

    def test_a_call_under_way_is_given_up(self) -> None:
        """And no further one is made."""
        self.start()
        self.successResultOf(self.stop())
        self.clock.advance(1000)
        self.assertEqual((1, 1, []), (self.device.calls, self.device.hung_up, self.clock.getDelayedCalls()))

    def test_a_pause_is_over(self) -> None:
        """Nothing is left that would dial."""
        self.start()
        self.device.refuse(error.ConnectionRefusedError())
        self.successResultOf(self.stop())
        self.clock.advance(LONGEST)
        self.assertEqual((1, []), (self.device.calls, self.clock.getDelayedCalls()))

    def test_what_was_read_is_stored_before_the_connection_ends(self) -> None:
        """Then it ends at once: a device that does not read answers will not end its side."""
        self.start()
        transport = self.connect()
        self.file.writer.held = True
        self.say(transport, b'{"n":1}\n')
        stopping = self.stop()
        self.assertNoResult(stopping)
        self.file.writer.release()
        self.successResultOf(stopping)
        self.assertTrue(transport.ended)
        self.assertEqual([b'{"n":1}'], self.bodies())
        self.clock.advance(LONGEST)
        self.assertEqual((1, []), (self.device.calls, self.clock.getDelayedCalls()))


class Asking(DialledCase):
    """A device that speaks when it is asked."""

    poll = Poll(b"S\r\n", every=1.0, timeout=5.0)

    def setUp(self) -> None:
        super().setUp()
        self.start()
        self.transport = self.connect()

    def test_it_is_asked_at_once_and_then_on_the_beat(self) -> None:
        """Each answer becomes an event, and the next question waits for its time."""
        for number in range(3):
            self.assertEqual(b"S\r\n", self.transport.said())
            self.clock.advance(0.2)
            self.say(self.transport, b'{"n":%d}\r\n' % number)
            self.assertEqual(b"", self.transport.said())
            self.clock.advance(0.8)
        self.assertEqual([b'{"n":0}', b'{"n":1}', b'{"n":2}'], self.bodies())

    def test_questions_never_overlap(self) -> None:
        """While an answer is owed, begun or not, nothing is asked; then the beat goes on as before."""
        self.transport.said()
        self.clock.pump([0.5] * 4)
        self.say(self.transport, b'{"n":')
        self.clock.pump([0.5] * 3)
        self.assertEqual(b"", self.transport.said())
        self.say(self.transport, b"1}\r\n")
        self.assertEqual(b"", self.transport.said())
        self.clock.advance(0.5)
        self.assertEqual(b"S\r\n", self.transport.said())

    def test_an_answer_that_does_not_come_is_given_up(self) -> None:
        """After the time-out the device is asked again; the log says so once, until it answers."""
        self.transport.said()
        self.clock.pump([0.5] * 9)
        self.assertEqual(b"", self.transport.said())
        for unanswered in (1, 2, 3):
            self.clock.pump([0.5] * 12)
            self.assertEqual(b"S\r\n", self.transport.said(), unanswered)
        self.assertEqual("3 polls in a row without an answer", self.source.problem)
        self.assertEqual(1, len(self.events("lines.poll_unanswered")))
        self.say(self.transport, b'{"n":1}\r\n')
        self.assertIsNone(self.source.problem)
        self.assertEqual(1, len(self.events("lines.poll_answered")))

    def test_who_is_not_read_is_not_asked(self) -> None:
        """While the disk is behind, answers would only pile up in the device."""
        self.transport.said()
        self.file.writer.held = True
        self.say(self.transport, b'{"n":1}\r\n' * 4)
        self.clock.pump([0.5] * 20)
        self.assertEqual(b"", self.transport.said())
        self.file.writer.release()
        self.clock.advance(1)
        self.assertEqual(b"S\r\n", self.transport.said())

    def test_what_cannot_be_decoded_is_an_answer(self) -> None:
        """It is kept as a dead letter, and the device is asked again in its time."""
        self.transport.said()
        self.say(self.transport, b"ES\r\n")
        self.clock.advance(1)
        self.assertEqual(b"S\r\n", self.transport.said())
        [record] = self.records()
        self.assertTrue(str(record.event.error).startswith("json: "))

    def test_asking_ends_with_the_connection_and_begins_with_the_next(self) -> None:
        """An answer that the old connection owed does not keep the new one silent."""
        self.transport.end(ConnectionLost())
        self.assertEqual(1, len(self.clock.getDelayedCalls()))
        self.assertEqual(b"S\r\n", self.connect().said())

    def test_stopping_ends_it(self) -> None:
        """No question goes out once the gateway stops, while lines are still stored."""
        self.transport.said()
        self.file.writer.held = True
        self.say(self.transport, b'{"n":1}\r\n')
        stopping = Deferred.fromCoroutine(self.source.stop())
        self.clock.advance(2)
        self.assertEqual(b"", self.transport.said())
        self.file.writer.release()
        self.successResultOf(stopping)
        self.assertEqual([], self.clock.getDelayedCalls())


class Commands(DialledCase):
    """A dialled device is told something, over whichever connection there is."""

    poll = Poll(b"S\r\n", 5.0)

    def make_intake(self, limits: Limits) -> Intake:
        intake = super().make_intake(limits)
        self.lines = intake.commands = ConnectedLines("scale", CommandRules(), named=False, may_say=intake.may_say)
        return intake

    def test_a_device_without_a_name_is_there_once_it_is_connected(self) -> None:
        """By its address; a question of the poll and a command cross, and each has its own answer."""
        self.start()
        self.assertEqual([], list(self.lines.connected()))
        transport = self.connect()
        [(name, line)] = self.lines.connected()
        self.assertEqual(name, line.peer)
        asked = line.ask("c-1", b"TARE")
        self.assertEqual(b"S\r\nCMD c-1 TARE\n", transport.value())
        self.say(transport, b'{"kg":1}\nRES c-1 0.00\n')
        self.assertEqual("0.00", self.successResultOf(asked).text)
        self.assertEqual([b'{"kg":1}'], self.bodies())

    def test_a_connection_that_breaks_takes_its_commands_along(self) -> None:
        """The next one is another connection, and begins without any."""
        self.start()
        first = self.connect()
        [(name, line)] = self.lines.connected()
        asked = line.ask("c-1", b"TARE")
        first.end(ConnectionLost())
        self.failureResultOf(asked, LineLost)
        self.assertIsNone(self.lines.find(name))
        second = self.connect()
        self.say(second, b"RES c-1 0.00\n")
        self.assertEqual(b"S\r\n", second.value())
        self.assertEqual(b"RES c-1 0.00", self.records()[-1].event.raw)
