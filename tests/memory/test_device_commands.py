"""Commands to devices, in memory: real connections, a real database, and a clock turned by hand."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Coroutine
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any
from unittest.mock import patch

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IHalfCloseableProtocol
from twisted.internet.task import Clock
from twisted.internet.testing import EventLoggingObserver, StringTransport
from twisted.logger import globalLogPublisher
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from lineside.edges.lines import commands as lines_commands
from lineside.edges.lines.commands import ConnectedLines
from lineside.edges.lines.framed import connections
from lineside.edges.lines.intake import Intake, Limits
from lineside.journal.log import SqliteJournal
from lineside.journal.tables import JOURNAL
from lineside.model.errors import LinesideError
from lineside.model.event import Seq
from lineside.operations import commandlog
from lineside.operations.commandlog import COMMANDS
from lineside.operations.commands import CommandRecords, DeviceCommands
from lineside.operations.devicelines import CommandRules, NoAnswer
from lineside.operations.registry import Operations
from lineside.operations.requests import CommandDevice, ListDeviceCommands, ListDevices, Request
from lineside.operations.results import CommandAnswer, ConnectedDevice, DeviceCommand
from lineside.security.identity import Identity, NotPermitted
from lineside.store.database import Database
from lineside.testing.workers import HeldWorker, call_at_once
from lineside.wire.framing import Delimited, Framing
from lineside.wire.jsonl import JsonLines
from lineside.wire.lengths import LengthPrefixed
from lineside.wire.stxetx import StxEtx

ANNA = Identity("anna", "operator")
SECOND = 1_000_000_000
KILLED: list[object] = []
"""What a process was about when it was killed: it never goes on, nor is it tidied up."""


class DeviceTransport(StringTransport):
    """A device's end of the line that can be half-closed and cut."""

    def loseWriteConnection(self) -> None:
        """Nothing more is sent to it."""

    def abortConnection(self) -> None:
        """It is cut."""


class Device:
    """What is connected to a source: it hears commands, and says lines."""

    def __init__(self, case: CommandCase, source: str, framing: Callable[[], Framing] | None = None) -> None:
        self._case = case
        self._framing = framing() if framing is not None else Delimited(b"\n", 65_536, 65_536)
        self.transport = DeviceTransport()
        self.half_closed = False
        self.protocol: Any = connections(framing)(case.intakes[source])
        self.protocol.makeConnection(self.transport)

    def say(self, *lines: bytes) -> None:
        """Let frames arrive, and the reactor's turn end."""
        self.protocol.dataReceived(b"".join(map(self._framing.encode, lines)))
        self._case.clock.advance(0)

    def alive(self) -> None:
        """Give a sign of life, which is no line."""
        self.protocol.dataReceived(b"\n")

    def heard(self) -> list[bytes]:
        """Return the frames that came since the last look."""
        came = self.transport.value()
        self.transport.clear()
        return [found for found in self._framing.feed(came) if isinstance(found, bytes)]

    def hang_up(self) -> None:
        """End the connection."""
        self.protocol.connectionLost(Failure(ConnectionDone()))
        self._case.clock.advance(0)

    def half_close(self) -> None:
        """Send no more, and still read."""
        self.half_closed = True
        IHalfCloseableProtocol(self.protocol).readConnectionLost()
        self._case.clock.advance(0)

    def stops_reading(self) -> None:
        """Leave what is sent to it in the gateway's buffer."""
        assert self.transport.producer is not None
        self.transport.producer.pauseProducing()

    def reads_on(self) -> None:
        """Take what is sent to it again."""
        assert self.transport.producer is not None
        self.transport.producer.resumeProducing()


class CommandCase(SynchronousTestCase):
    """A gateway's sources ``gate`` and ``dock``, whose devices take commands."""

    limits = Limits(ack=False, max_connections=10)
    rules = CommandRules(expires=10.0, queue=2)
    named = True

    def setUp(self) -> None:
        self.path = Path(self.mktemp())
        self.clock = Clock()
        self.given: list[Deferred[CommandAnswer]] = []
        self.seen = EventLoggingObserver()
        globalLogPublisher.addObserver(self.seen)
        self.addCleanup(globalLogPublisher.removeObserver, self.seen)
        self.open()
        self.addCleanup(self.leave)

    def open(self) -> None:
        """Start, as a process does on the file that is there."""
        workers: dict[str, HeldWorker] = {}
        self.database = Database(
            self.path,
            (JOURNAL, COMMANDS),
            call_at_once,
            worker=lambda name: workers.setdefault(name, HeldWorker(name)),
        )
        self.done(self.database.open())
        self.journal = SqliteJournal(self.database)
        self.done(self.journal.open())
        self.writer = workers["journal-writer"]
        self.intakes: dict[str, Intake] = {}
        lines = {}
        for name in ("gate", "dock"):
            decoder = JsonLines(None, "id" if self.named else None)
            intake = self.intakes[name] = Intake(name, decoder, self.journal, self.clock, self.limits)
            lines[name] = intake.commands = ConnectedLines(
                name, self.rules, named=self.named, may_say=intake.may_say
            )
        numbers = count(1)
        self.operations = Operations()
        self.commands = DeviceCommands(
            self.database,
            lines,
            ["gate", "dock", "printer"],
            lambda: [ConnectedDevice("printer", "p1", "10.0.0.9", commands=False, waiting=0)],
            self.clock,
            lambda: 1_750_000_000 * SECOND + int(self.clock.seconds() * SECOND),
            random=lambda size: next(numbers).to_bytes(size, "big"),
        )
        self.commands.register(self.operations)
        CommandRecords(self.database).register(self.operations)
        self.done(self.commands.start())

    def crash(self) -> None:
        """Begin anew, as after a SIGKILL: only what was committed is left."""
        KILLED.append((self.commands, self.clock, self.given))
        self.given = []
        self.writer.lose()
        self.done(self.database.close())
        self.clock = Clock()
        self.clock.advance(1)
        self.open()

    def leave(self) -> None:
        """End what the test left under way."""
        self.writer.release()
        for intake in self.intakes.values():
            for session in list(intake.sessions):
                session.closed()
        self.done(self.commands.stop())
        for given in self.given:
            given.addErrback(lambda _: None)
        self.done(self.database.close())

    def done(self, work: Coroutine[Any, Any, Any]) -> Any:
        return self.successResultOf(Deferred.fromCoroutine(work))

    def call(self, request: Request[Any], identity: Identity = ANNA) -> Deferred[Any]:
        return Deferred.fromCoroutine(self.operations.call(request, identity))

    def give(self, device: str = "d1", payload: object = "GO", **more: Any) -> Deferred[CommandAnswer]:
        given = self.call(CommandDevice(device=device, payload=payload, **more))
        self.given.append(given)
        return given

    def on_record(self, **wanted: Any) -> list[DeviceCommand]:
        found: list[DeviceCommand] = self.successResultOf(self.call(ListDeviceCommands(**wanted))).commands
        return found

    def states(self) -> list[str]:
        """Return the states on record, the oldest command's first."""
        return [each.state for each in reversed(self.on_record())]

    def refusal(self, given: Deferred[Any], kind: type[Exception] = LinesideError) -> str:
        return str(self.failureResultOf(given, kind).value)

    def device(self, name: str = "d1", source: str = "gate") -> Device:
        """Return a device that has said its name."""
        device = Device(self, source)
        device.say(b'{"id":"%s"}' % name.encode())
        return device

    def bodies(self) -> list[bytes]:
        page = self.done(self.journal.read(Seq(0), limit=100))
        return [record.event.body or record.event.raw or b"" for record in page.records]


class Answers(CommandCase):
    """What the one who gives a command gets."""

    def test_a_command_goes_to_its_device_and_the_answer_comes_back(self) -> None:
        """Over the same connection, and the reply is no event."""
        device, other = self.device(), self.device("d2")
        given = self.give(payload="TARE", id="c-1")
        self.assertEqual((device.heard(), other.heard()), ([b"CMD c-1 TARE"], []))
        self.assertNoResult(given)
        self.clock.advance(0.25)
        device.say(b"RES c-1 0.00 kg")
        self.assertEqual(
            self.successResultOf(given), CommandAnswer("c-1", "d1", "gate", "answered", "0.00 kg", 0.25)
        )
        self.assertEqual(self.bodies(), [b'{"id":"d1"}', b'{"id":"d2"}'])

    def test_json_goes_out_as_json(self) -> None:
        """And an id is made where none is given."""
        device = self.device()
        given = self.give(payload={"lamp": "red"})
        self.assertEqual(device.heard(), [b'CMD %024x {"lamp":"red"}' % 1])
        device.say(b"RES %024x" % 1)
        self.assertEqual(self.successResultOf(given).reply, "")

    def test_a_reply_among_lines_costs_none_of_them(self) -> None:
        """In whatever chunk it comes."""
        device = self.device()
        given = self.give(id="c-1")
        device.say(b'{"n":1}', b"RES c-1 done", b'{"n":2}')
        self.assertEqual(self.successResultOf(given).reply, "done")
        self.assertEqual(self.bodies(), [b'{"id":"d1"}', b'{"n":1}', b'{"n":2}'])

    def test_a_device_that_says_no_is_quoted(self) -> None:
        """That is its answer: it was not lost."""
        device = self.device()
        given = self.give(id="c-1")
        device.say(b"RES c-1 ERR door is blocked")
        self.assertEqual(self.refusal(given, NoAnswer), "failed: door is blocked (command c-1)")

    def test_it_expires_without_an_answer(self) -> None:
        """After the source's seconds, or the caller's."""
        device = self.device()
        for expires, seconds in ((None, 10), (3.0, 3)):
            device.alive()
            given = self.give(expires=expires)
            self.clock.advance(seconds - 0.1)
            self.assertNoResult(given)
            self.clock.advance(0.2)
            self.assertIn(f"expired: no answer within {seconds} s; the device may have got it", self.refusal(given))

    def test_a_connection_that_is_lost_leaves_it_unknown(self) -> None:
        """Whether the device did it nobody can tell."""
        for lose in (Device.hang_up, Device.half_close):
            device = self.device()
            given = self.give()
            lose(device)
            self.assertIn("after it was sent; the device may have got it", self.refusal(given, NoAnswer))
        self.assertEqual(self.states(), ["unknown", "unknown"])

    def test_what_cannot_be_sent_is_said_at_once(self) -> None:
        """And leaves nothing on record."""
        device = self.device("scale-1")
        self.assertEqual(
            self.refusal(self.give("scale-2")), 'the device "scale-2" is not connected; did you mean "scale-1"?'
        )
        self.assertIn("there is no source", self.refusal(self.give("scale-1", source="gates")))
        self.assertIn("commands = true in [sources.printer]", self.refusal(self.give("p1", source="printer")))
        self.assertIn("one line", self.refusal(self.give("scale-1", payload="a\nCMD 2 b")))
        self.assertEqual((device.heard(), self.on_record()), ([], []))

    def test_a_name_on_two_sources_needs_the_source(self) -> None:
        """No device is chosen by chance."""
        self.device("d1", "gate")
        dock = self.device("d1", "dock")
        self.assertIn("is connected to gate, dock; say to which source", self.refusal(self.give("d1")))
        self.give("d1", source="dock", id="c-1")
        self.assertEqual(dock.heard(), [b"CMD c-1 GO"])

    def test_an_operator_gives_commands_and_a_viewer_reads_of_them(self) -> None:
        """A device's own token gives none either."""
        device = self.device()
        for role in ("viewer", "device", "nobody"):
            asked = self.call(CommandDevice(device="d1"), Identity("x", role))
            self.failureResultOf(asked, NotPermitted)
        self.assertEqual(device.heard(), [])
        self.successResultOf(self.call(ListDeviceCommands(), Identity("x", "viewer")))

    def test_who_does_not_wait_gets_the_id(self) -> None:
        """What becomes of it is on record."""
        device = self.device()
        answer = self.successResultOf(self.give(id="c-1", wait=False))
        self.assertEqual((answer.id, answer.state, answer.reply), ("c-1", "queued", None))
        device.say(b"RES c-1")
        self.assertEqual(self.states(), ["answered"])

    def test_a_command_goes_its_way_when_its_giver_is_gone(self) -> None:
        """It is on record, and has an end there."""
        device = self.device()
        given = self.give(id="c-1")
        given.addErrback(lambda _: None)
        given.cancel()
        device.say(b"RES c-1 done")
        self.assertEqual(self.states(), ["answered"])


class AtMostOnce(CommandCase):
    """A command is written once, or not at all."""

    def test_it_is_on_record_as_sent_before_it_is_written(self) -> None:
        """A crash in between leaves an unknown one, never one that nobody knows of."""
        device = self.device()
        self.writer.held = True
        given = self.give(id="c-1")
        self.assertEqual(device.heard(), [])
        self.writer.release()
        self.assertEqual((device.heard(), self.states()), ([b"CMD c-1 GO"], ["sent"]))
        self.assertNoResult(given)

    def test_after_a_crash_nothing_is_sent_again(self) -> None:
        """What was sent is unknown, what waited was never sent, and both are in the log."""
        self.device()
        self.give(id="c-1")
        self.give(id="c-2")
        self.assertEqual(self.states(), ["sent", "queued"])
        self.crash()
        self.assertEqual(self.states(), ["unknown", "unsent"])
        self.assertEqual([each.sent is None for each in self.on_record()], [True, False])
        device = self.device()
        self.clock.advance(60)
        self.assertEqual(device.heard(), [])
        said = [event for event in self.seen if event.get("log_format") == "commands.abandoned"]
        self.assertEqual([(event["unknown"], event["unsent"]) for event in said], [(1, 1)])
        self.crash()
        self.assertEqual(self.states(), ["unknown", "unsent"])

    def test_a_device_that_comes_back_does_not_get_it_again(self) -> None:
        """Only what was not written yet goes over the new connection."""
        device = self.device()
        first, second = self.give(id="c-1"), self.give(id="c-2")
        self.assertEqual(device.heard(), [b"CMD c-1 GO"])
        again = self.device()
        device.hang_up()
        self.assertIn("unknown", self.refusal(first))
        self.assertEqual(again.heard(), [b"CMD c-2 GO"])
        again.say(b"RES c-2 done")
        self.assertEqual(self.successResultOf(second).reply, "done")

    def test_what_waits_is_unsent_when_the_device_is_gone(self) -> None:
        """The one who gave it may safely give it again."""
        device = self.device()
        self.give(id="c-1")
        second = self.give(id="c-2")
        device.hang_up()
        self.assertEqual(self.refusal(second), "unsent: the connection ended before it could be sent (command c-2)")
        self.assertEqual(self.states(), ["unknown", "unsent"])

    def test_a_second_command_with_one_id_is_refused(self) -> None:
        """A program that lost its answer cannot do a thing twice by asking again."""
        device = self.device()
        given = self.give(id="c-1")
        self.assertIn('a command "c-1" already, which is sent', self.refusal(self.give(id="c-1")))
        device.say(b"RES c-1")
        self.successResultOf(given)
        self.assertIn("which is answered", self.refusal(self.give(id="c-1")))
        self.assertEqual(device.heard(), [b"CMD c-1 GO"])

    def test_one_that_expires_as_the_one_before_ends_is_told_so(self) -> None:
        """Whichever of the two has its end on the disk first: the queue may be gone when the other leaves it."""
        device = self.device()
        first, second = self.give(id="c-1"), self.give(id="c-2", expires=2.0)
        self.writer.held = True
        device.say(b"RES c-1")
        self.clock.advance(2.5)
        self.writer.release()
        self.successResultOf(first)
        self.assertIn("unsent: it expired", self.refusal(second, NoAnswer))
        self.assertEqual(self.states(), ["answered", "unsent"])
        device.heard()
        third = self.give(id="c-3")
        self.assertEqual(device.heard(), [b"CMD c-3 GO"])
        device.say(b"RES c-3")
        self.successResultOf(third)

    def test_a_slow_disk_makes_no_late_command(self) -> None:
        """What expired while it was put on record is not written."""
        device = self.device()
        given = self.give(expires=2.0)
        device.heard()
        device.say(b"RES %024x" % 1)
        self.successResultOf(given)
        self.writer.held = True
        given = self.give(expires=2.0)
        self.clock.advance(2.5)
        self.writer.release()
        self.assertIn("unsent: it expired", self.refusal(given))
        self.assertEqual((device.heard(), self.states()), ([], ["answered", "unsent"]))
        self.assertIsNone(self.on_record()[0].sent)

    def test_a_disk_that_refuses_lets_nothing_out(self) -> None:
        """What is not on record is not sent, and the next one is."""
        device = self.device()

        def refuse(*_: object, **__: object) -> None:
            raise sqlite3.OperationalError("disk I/O error")

        with self.patched("begin", refuse):
            self.assertIn("was not sent: disk I/O error", self.refusal(self.give()))
        with self.patched("send", refuse):
            self.assertIn("unsent: it could not be put on record", self.refusal(self.give()))
        self.assertEqual(device.heard(), [])
        with self.patched("end", refuse):
            given = self.give(id="c-3")
            device.say(b"RES c-3 done")
            self.assertEqual(self.successResultOf(given).reply, "done")
        self.assertIn("command.unrecorded", [event.get("log_format") for event in self.seen])
        self.assertEqual(self.states(), ["unsent", "sent"])

    def patched(self, name: str, work: Callable[..., None]) -> Any:
        """Return a context in which a step of the record is another one."""
        return patch.object(commandlog, name, work)


class Replies(CommandCase):
    """Which replies count."""

    def test_only_the_connection_that_got_the_command_can_answer_it(self) -> None:
        """Another device's line is a line, whatever it says."""
        device, other = self.device(), self.device("d2")
        given = self.give(id="c-1")
        other.say(b"RES c-1 done")
        self.assertNoResult(given)
        self.assertEqual(self.bodies()[-1], b"RES c-1 done")
        device.say(b"RES c-1 not yet")
        self.assertEqual(self.successResultOf(given).reply, "not yet")

    def test_an_invented_or_broken_reply_is_kept_as_a_line(self) -> None:
        """Nothing that came is dropped in silence; nor is a second answer."""
        device = self.device()
        device.say(b"RES c-1 too early")
        given = self.give(id="c-1")
        device.say(b"RES c-2 done", b"RES", b"RES c-1 done", b"RES c-1 done")
        self.successResultOf(given)
        kept = [b"RES c-1 too early", b"RES c-2 done", b"RES", b"RES c-1 done"]
        self.assertEqual(self.bodies(), [b'{"id":"d1"}', *kept])

    def test_a_late_reply_is_on_record_and_nothing_else(self) -> None:
        """It answers neither the command that expired nor the next one."""
        device = self.device()
        self.refusal_of_expired(self.give(id="c-1", expires=1.0))
        second = self.give(id="c-2")
        device.say(b"RES c-1 done")
        self.assertNoResult(second)
        (_, first) = self.on_record()
        self.assertEqual((first.state, first.late), ("expired", "2025-06-15T15:06:41.100Z"))
        self.assertEqual(self.bodies(), [b'{"id":"d1"}'])
        device.say(b"RES c-2 done")
        self.successResultOf(second)

    def refusal_of_expired(self, given: Deferred[CommandAnswer]) -> None:
        self.clock.advance(1.1)
        self.assertIn("expired", self.refusal(given))

    def test_many_late_replies_are_remembered_and_bounded(self) -> None:
        """A device that never answers costs no memory."""
        self.patch(lines_commands, "LATE", 3)
        device = self.device()
        for _ in range(5):
            self.refusal_of_expired(self.give(expires=1.0))
            device.alive()
        device.say(b"RES %024x" % 1, b"RES %024x" % 5)
        self.assertEqual(self.bodies()[1:], [b"RES %024x" % 1])

    def test_replies_are_acknowledged_by_nobody(self) -> None:
        """The answers to lines stay in their order."""
        self.intakes["gate"].limits = Limits(ack=True)
        device = self.device()
        self.assertEqual(device.heard(), [b"OK 1"])
        self.give(id="c-1")
        device.say(b'{"n":1}', b"RES c-1 done", b'{"n":2}')
        self.assertEqual(device.heard(), [b"CMD c-1 GO", b"OK 2", b"OK 3"])


class Order(CommandCase):
    """One command at a time to a device."""

    def test_the_next_one_goes_out_when_the_one_before_is_answered(self) -> None:
        """In the order in which they were given."""
        device = self.device()
        given = [self.give(payload=str(number), id=f"c-{number}") for number in range(3)]
        for number in range(3):
            self.assertEqual(device.heard(), [b"CMD c-%d %d" % (number, number)])
            device.say(b"RES c-%d" % number)
        self.assertEqual([self.successResultOf(each).id for each in given], ["c-0", "c-1", "c-2"])

    def test_the_queue_is_bounded(self) -> None:
        """One is under way, two wait, and the fourth is told so."""
        device = self.device()
        for _ in range(3):
            self.give().addErrback(lambda _: None)
        self.assertEqual(self.refusal(self.give()), "2 commands to d1 wait already; this one was not sent")
        self.assertEqual(len(self.on_record()), 3)
        device.say(b"RES %024x" % 1)
        self.assertNoResult(self.give())

    def test_what_expires_in_the_queue_is_never_sent(self) -> None:
        """Also when the one before it is answered later."""
        device = self.device()
        first, second = self.give(id="c-1"), self.give(id="c-2", expires=5.0)
        self.clock.advance(5.1)
        self.assertEqual(self.refusal(second), "unsent: it expired before it could be sent (command c-2)")
        device.say(b"RES c-1")
        self.successResultOf(first)
        self.assertEqual(device.heard(), [b"CMD c-1 GO"])

    def test_devices_do_not_wait_for_each_other(self) -> None:
        """Not even on one connection."""
        device = Device(self, "gate")
        device.say(b'{"id":"a"}', b'{"id":"b"}')
        a, b = self.give("a", id="c-a"), self.give("b", id="c-b")
        self.assertEqual(device.heard(), [b"CMD c-a GO", b"CMD c-b GO"])
        device.say(b"RES c-b 2", b"RES c-a 1")
        self.assertEqual((self.successResultOf(a).reply, self.successResultOf(b).reply), ("1", "2"))

    def test_nothing_is_written_to_a_device_that_does_not_read(self) -> None:
        """It waits; when the device reads again it goes out, if it has not expired."""
        device = self.device()
        device.stops_reading()
        first, second = self.give(id="c-1", expires=2.0), self.give(id="c-2")
        self.clock.advance(3)
        self.assertIn("unsent: it expired", self.refusal(first))
        self.assertEqual(device.heard(), [])
        device.reads_on()
        self.assertEqual(device.heard(), [b"CMD c-2 GO"])
        device.say(b"RES c-2")
        self.successResultOf(second)

    def test_commands_do_not_pile_up_before_a_device_that_hangs(self) -> None:
        """It would carry out all of them when it wakes up: after one that expired in silence none is written."""
        device = self.device()
        self.clock.advance(1)
        first = self.give(id="c-1", expires=2.0)
        self.clock.advance(2)
        self.assertIn("expired", self.refusal(first))
        second, third = self.give(id="c-2", expires=2.0), self.give(id="c-3")
        self.clock.advance(2)
        self.assertIn("unsent: it expired while the device did not read, or had said nothing", self.refusal(second))
        self.assertEqual(device.heard(), [b"CMD c-1 GO"])
        device.alive()
        self.assertEqual(device.heard(), [b"CMD c-3 GO"])
        device.say(b"RES c-3")
        self.successResultOf(third)

    def test_a_device_that_speaks_but_leaves_a_command_out_gets_the_next(self) -> None:
        """It does not hang."""
        device = self.device()
        first = self.give(id="c-1", expires=2.0)
        device.say(b'{"n":1}')
        self.clock.advance(2)
        self.assertIn("expired", self.refusal(first))
        self.give(id="c-2")
        self.assertEqual(device.heard(), [b"CMD c-1 GO", b"CMD c-2 GO"])

    def test_a_device_that_hung_and_comes_back_gets_what_waits(self) -> None:
        """Over its new connection, though the old one is still there."""
        old = self.device()
        self.give(id="c-1", expires=1.0)
        self.clock.advance(1)
        self.give(id="c-2")
        new = self.device()
        self.assertEqual((old.heard(), new.heard()), ([b"CMD c-1 GO"], [b"CMD c-2 GO"]))

    def test_a_device_that_never_reads_again_is_told_nothing(self) -> None:
        """Its connection ends before."""
        device = self.device()
        device.stops_reading()
        given = self.give()
        device.hang_up()
        self.assertIn("unsent: the connection ended", self.refusal(given))

    def test_nothing_is_left_in_memory(self) -> None:
        """Once all have their ends."""
        device = self.device()
        for number in range(3):
            self.give(id=f"c-{number}").addErrback(lambda _: None)
        device.say(b"RES c-0")
        device.hang_up()
        self.assertEqual((self.commands._turns, len(self.commands._under_way)), ({}, 0))
        self.assertEqual(self.clock.getDelayedCalls(), [])


class Places(CommandCase):
    """Which connection a device is on."""

    def test_the_connection_that_said_a_name_last_has_it(self) -> None:
        """An old one that is half dead does not get the command, and the move is in the log."""
        old, new = self.device(), self.device()
        self.give(id="c-1")
        self.assertEqual((old.heard(), new.heard()), ([], [b"CMD c-1 GO"]))
        self.assertIn("device.moved", [event.get("log_format") for event in self.seen])
        old.hang_up()
        self.assertEqual([each.device for each in self.devices()], ["d1", "p1"])
        new.hang_up()
        self.assertEqual([each.device for each in self.devices()], ["p1"])

    def devices(self, **wanted: Any) -> list[ConnectedDevice]:
        found: list[ConnectedDevice] = self.successResultOf(self.call(ListDevices(**wanted))).devices
        return found

    def test_who_is_connected_is_listed(self) -> None:
        """With how much waits for each, and those that take no commands."""
        self.device("b")
        self.device("a", "dock")
        self.give("b").addErrback(lambda _: None)
        self.assertEqual(
            [(each.source, each.device, each.commands, each.waiting) for each in self.devices()],
            [("dock", "a", True, 0), ("gate", "b", True, 1), ("printer", "p1", False, 0)],
        )
        self.assertEqual([each.device for each in self.devices(source="dock")], ["a"])
        self.assertEqual(self.successResultOf(self.call(ListDevices(limit=1))).total, 3)
        self.assertEqual(self.devices(source="x"), [])

    def test_lines_of_several_connections_in_one_turn_are_told_apart(self) -> None:
        """They are one batch, and each device is on its own connection."""
        first, second = Device(self, "gate"), Device(self, "gate")
        first.protocol.dataReceived(b'{"id":"a"}\n')
        second.protocol.dataReceived(b'{"id":"b"}\n{"id":"c"}\n')
        self.clock.advance(0)
        for name, device in (("a", first), ("b", second), ("c", second)):
            self.give(name, id=f"c-{name}")
            self.assertEqual(device.heard(), [b"CMD c-%s GO" % name.encode()])

    def test_a_flood_of_names_is_bounded(self) -> None:
        """The oldest are forgotten, and overlong names never known."""
        self.patch(lines_commands, "MOST_NAMES", 3)
        device = Device(self, "gate")
        device.say(*[b'{"id":"%d"}' % number for number in range(5)])
        device.say(b'{"id":"%s"}' % (b"x" * 300))
        self.assertEqual(len(self.devices(source="gate")), 3)
        self.assertEqual(len(self.commands._lines["gate"].find(self.devices()[0].device).names), 3)  # type: ignore[union-attr]


class Addressed(CommandCase):
    """Devices that no field names."""

    named = False

    def test_a_device_without_a_name_is_reached_by_its_address(self) -> None:
        """Before it has said anything."""
        device = Device(self, "gate")
        self.give(device.protocol.peer, id="c-1")
        self.assertEqual(device.heard(), [b"CMD c-1 GO"])


class Framed(CommandCase):
    """Devices whose frames are no lines."""

    def framed(self, framing: Callable[[], Framing]) -> Device:
        device = Device(self, "gate", framing)
        device.say(b'{"id":"d1"}')
        return device

    def test_commands_and_replies_are_framed_like_everything_else(self) -> None:
        """Between STX and ETX with a checksum, with a length, and with CR."""
        framings: list[Callable[[], Framing]] = [
            partial(StxEtx, 1000, 1000, checksum=True),
            partial(LengthPrefixed, 2, "big", 1000),
            partial(Delimited, b"\r", 1000, 1000),
        ]
        for number, framing in enumerate(framings):
            device = self.framed(framing)
            given = self.give(id=f"c-{number}", payload="TARE")
            self.assertEqual(device.heard(), [b"CMD c-%d TARE" % number])
            device.say(b"RES c-%d 0.00" % number)
            self.assertEqual(self.successResultOf(given).reply, "0.00")
            device.hang_up()

    def test_answers_are_counted_without_replies(self) -> None:
        """Bytes between frames have no answer; which ones these are is known by their number."""
        self.intakes["gate"].limits = Limits(ack=True)
        device = self.framed(partial(StxEtx, 1000, 1000))
        self.give(id="c-1")
        device.heard()
        device.protocol.dataReceived(b"\x02RES c-1 done\x03noise\x02{}\x03")
        self.clock.advance(0)
        self.assertEqual(device.heard(), [b"OK 3"])

    def test_what_the_framing_cannot_carry_is_not_sent(self) -> None:
        """A length of one byte counts to 255."""
        device = self.framed(partial(LengthPrefixed, 1, "big", 255))
        self.assertIn("unsent: the source's framing cannot carry it", self.refusal(self.give(payload="x" * 300)))
        self.assertEqual((device.heard(), self.states()), ([], ["unsent"]))


class Records(CommandCase):
    """What is on record."""

    def test_a_row_says_who_when_and_how_much_but_not_what(self) -> None:
        """A PIN in a command or in an answer is stored nowhere."""
        device = self.device()
        self.give(payload="PIN 4711", id="c-1")
        self.clock.advance(0.5)
        device.say(b"RES c-1 secret")
        at = "2025-06-15T15:06:40"
        self.assertEqual(
            self.on_record(),
            [
                DeviceCommand(
                    "c-1", "d1", "gate", "anna", "answered", f"{at}.000Z", 10.0, 8, f"{at}.000Z", f"{at}.500Z",
                    None, 6, None,
                )
            ],
        )  # fmt: skip
        self.done(self.database.close())
        stored = b"".join(path.read_bytes() for path in self.path.parent.glob(f"{self.path.name}*"))
        self.assertNotIn(b"4711", stored)
        self.assertNotIn(b"secret", stored)
        self.open()

    def test_the_list_can_be_narrowed_and_goes_on(self) -> None:
        """By device, source, state and id, the newest first, a page at a time."""
        device, other = self.device("a"), self.device("b", "dock")
        for number in range(4):
            other.alive()
            name = "ab"[number % 2]
            self.give(name, id=f"c-{number}", expires=1.0).addErrback(lambda _: None)
            if name == "a":
                device.say(b"RES c-%d" % number)
            self.clock.advance(1.1)
        for wanted, expected in (
            ({}, ["c-3", "c-2", "c-1", "c-0"]),
            ({"device": "a"}, ["c-2", "c-0"]),
            ({"source": "dock"}, ["c-3", "c-1"]),
            ({"state": "expired"}, ["c-3", "c-1"]),
            ({"id": "c-2"}, ["c-2"]),
            ({"id": "'; DROP"}, []),
        ):
            self.assertEqual([each.id for each in self.on_record(**wanted)], expected)
        first = self.successResultOf(self.call(ListDeviceCommands(limit=3)))
        rest = self.successResultOf(self.call(ListDeviceCommands(limit=3, before=first.next_before)))
        self.assertEqual([each.id for each in rest.commands], ["c-0"])
        self.assertIsNone(rest.next_before)

    def test_old_records_are_removed(self) -> None:
        """By number and by age, and none that is still under way."""
        self.patch(commandlog, "KEPT", 3)
        device = self.device()
        for number in range(6):
            self.give(id=f"c-{number}")
            device.say(b"RES c-%d" % number)
        self.assertEqual([each.id for each in self.on_record()], ["c-5", "c-4", "c-3"])
        self.clock.advance(91 * 86_400)
        self.give(id="new")
        self.assertEqual([each.id for each in self.on_record()], ["new"])


class Ends(CommandCase):
    """A gateway that stops."""

    def test_every_command_has_an_end_on_record(self) -> None:
        """What was sent is unknown, what waited was not sent, and stopping waits for neither."""
        self.device()
        first, second = self.give(), self.give()
        drained = Deferred.fromCoroutine(self.intakes["gate"].drain())
        stopped = Deferred.fromCoroutine(self.commands.stop())
        self.successResultOf(stopped)
        self.assertIn("unknown: nothing more was read from the device", self.refusal(first))
        self.assertIn("unsent", self.refusal(second))
        self.assertEqual(self.states(), ["unknown", "unsent"])
        for session in list(self.intakes["gate"].sessions):
            session.closed()
        self.successResultOf(drained)
