"""Commands on a host, in memory: real client, real source, real journal; the host and the clock are played."""

from __future__ import annotations

import struct
from pathlib import Path
from random import Random
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from tests.rig.played_host import HOST, OURS, PlayedHost, Run
from tests.rig.ssh_memory import packet
from twisted.conch.ssh.common import NS
from twisted.conch.ssh.keys import Key
from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock
from twisted.logger import LogLevel, capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from lineside.edges.lines.dialled import REDIAL, DialledSource
from lineside.edges.lines.intake import DRAIN, Intake, Limits
from lineside.edges.lines.patience import PatientJournal
from lineside.edges.ssh import sealed
from lineside.edges.ssh.client.channel import GRACE, WINDOW
from lineside.edges.ssh.client.command import BEGINNING, CommandEndpoint
from lineside.edges.ssh.client.complaints import EVERY, LONGEST, MOST
from lineside.edges.ssh.client.hosts import KnownHost
from lineside.edges.ssh.client.login import KEEPALIVE, MISSED
from lineside.edges.ssh.client.transport import Visit
from lineside.edges.ssh.hostkeys import fingerprint
from lineside.model.event import Record, Seq
from lineside.testing.journals import JournalOnFile
from lineside.wire.jsonl import JsonLines

LONGEST_PAUSE = REDIAL.steps[-1] * (1 + REDIAL.jitter)


class HostCase(SynchronousTestCase):
    """A source that runs a command on one played host, on a journal of its own."""

    limits = Limits(max_line=1_000, max_kept=4_000, max_in_flight=8, idle_timeout=0.0, ack=False)

    def setUp(self) -> None:
        self.file = JournalOnFile(Path(self.mktemp()), lambda: 1)
        self.addCleanup(self.file.close)
        self.clock = Clock()
        self.host = PlayedHost(self.clock)
        self.logged = self.enterContext(capturedLogs())
        self.visit = self.host.visit()
        self.patience = PatientJournal("scale", self.file.journal, self.clock)
        self.intake = Intake("scale", JsonLines(), self.patience, self.clock, self.limits)
        endpoint = CommandEndpoint(
            "scale", self.host, lambda: succeed(self.visit), b"tail -F x", self.clock, connecting=10.0
        )
        self.source = DialledSource(endpoint, "ssh://x", self.intake, Random(5), timeout=endpoint.patience)

    def start(self) -> Run:
        self.successResultOf(Deferred.fromCoroutine(self.source.start()))
        self.host.flush()
        return self.host.runs[-1]

    def next_run(self) -> Run:
        """Wait for the next run, however long the pause is."""
        runs = len(self.host.runs)
        for _ in range(200):
            if len(self.host.runs) > runs:
                return self.host.runs[-1]
            self.clock.advance(0.25)
            self.host.flush()
        raise AssertionError(self.source.problem)

    def stop(self) -> Deferred[None]:
        return Deferred.fromCoroutine(self.source.stop())

    def tearDown(self) -> None:
        stopped = self.stop()
        self.host.flush()
        self.clock.advance(DRAIN)
        self.successResultOf(stopped)
        self.host.flush()
        for near, far in self.host.wires:
            self.assertTrue(near.over)
            far.end(ConnectionError())
        self.assertEqual([], self.clock.getDelayedCalls())

    def records(self) -> list[Record]:
        page = self.successResultOf(
            Deferred.fromCoroutine(self.file.journal.read(Seq(0), sources=None, limit=100_000))
        )
        return page.records

    def bodies(self) -> list[bytes]:
        return [record.event.body for record in self.records()]

    def events(self, name: str) -> list[dict[str, Any]]:
        return [event for event in self.logged if event.get("log_format") == name]


class Reading(HostCase):
    """From the command's start to its end."""

    def test_what_it_writes_becomes_events(self) -> None:
        """In the pieces in which it comes, from the host as the device; it is told nothing."""
        run = self.start()
        self.assertEqual("tail -F x", run.line)
        run.say('{"n": 1}\n{"n"')
        self.host.flush()
        run.say(": 2}\n")
        self.host.flush()
        self.assertEqual([b'{"n": 1}', b'{"n": 2}'], self.bodies())
        self.assertEqual({"192.0.2.9"}, {record.event.device for record in self.records()})
        self.assertEqual(b"", run.heard)
        self.assertIsNone(self.source.problem)

    def test_what_comes_before_the_host_says_that_it_runs_is_kept(self) -> None:
        """Not all hosts say that first."""
        self.host.said = '{"n": 1}\n' * 3 + '{"n": 2}'
        run = self.start()
        run.say("\n")
        self.host.flush()
        self.assertEqual([b'{"n": 1}'] * 3 + [b'{"n": 2}'], self.bodies())

    def test_a_command_that_is_over_before_the_host_says_that_it_runs_is_read(self) -> None:
        """To its end, and run again."""
        self.host.said, self.host.ends = '{"n": 1}\n', True
        self.start()
        self.assertEqual([b'{"n": 1}'], self.bodies())
        self.assertEqual("the command ended with status 0", self.events("lines.disconnected")[0]["reason"])
        self.next_run()
        self.assertEqual(2, len(self.bodies()))

    def test_how_it_ended_is_told_and_it_is_run_again(self) -> None:
        """By its status, with the last line though that has no place in a later run."""
        run = self.start()
        run.say('{"n": 1}\n{"half')
        run.session.finish(3)
        self.host.flush()
        self.assertEqual("the command ended with status 3", self.events("lines.disconnected")[0]["reason"])
        self.assertIn("the command ended with status 3", str(self.source.problem))
        self.assertEqual(6, self.events("lines.unterminated")[0]["bytes"])
        self.next_run().say('{"n": 2}\n')
        self.host.flush()
        self.assertEqual([b'{"n": 1}', b'{"n": 2}'], self.bodies())

    def test_a_signal_is_told(self) -> None:
        """By its name."""
        run = self.start()
        run.session.conn.sendRequest(run.session, b"exit-signal", b"\0\0\0\4KILL\0" + b"\0\0\0\0" * 2)
        run.session.loseConnection()
        self.host.flush()
        self.assertEqual("the command was ended by the signal KILL", self.events("lines.disconnected")[0]["reason"])

    def test_a_command_that_only_closes_its_output_is_left(self) -> None:
        """It would be waited for without end."""
        run = self.start()
        run.session.conn.sendEOF(run.session)
        self.host.flush()
        self.clock.advance(GRACE)
        self.host.flush()
        self.assertEqual("the command closed its output", self.events("lines.disconnected")[0]["reason"])
        self.assertTrue(run.stopped)
        self.next_run()

    def test_a_cut_connection_loses_no_whole_line_that_came(self) -> None:
        """Half a line is none; the next run begins a new one."""
        run = self.start()
        run.say('{"n": 1}\n{"n": 2')
        self.host.flush()
        self.host.cut()
        self.assertIn("closed the connection", self.events("lines.disconnected")[0]["reason"])
        self.next_run().say('{"n": 3}\n')
        self.host.flush()
        self.assertEqual([b'{"n": 1}', b'{"n": 3}'], self.bodies())

    def test_what_waits_for_the_disk_as_it_is_cut_is_stored(self) -> None:
        """Nobody would send it again."""
        run = self.start()
        self.file.writer.held = True
        run.say("".join(f'{{"n": {number}}}\n' for number in range(500)))
        self.host.flush()
        self.host.cut()
        self.clock.advance(0)
        self.file.writer.release()
        self.assertEqual(500, len(self.bodies()))


class HoldingBack(HostCase):
    """A journal that does not keep up."""

    def test_the_host_sends_no_more_than_the_window_holds(self) -> None:
        """What the command writes meanwhile waits there, however long; then all of it comes, in order."""
        run = self.start()
        self.file.writer.held = True
        lines = [f'{{"n": {number}, "pad": "{"x" * 400}"}}' for number in range(3_000)]
        run.say("".join(f"{line}\n" for line in lines))
        self.host.flush()
        waiting = len(run.session.buf)
        self.assertGreater(waiting, sum(map(len, lines)) - 2 * WINDOW)
        self.assertGreater(waiting, WINDOW)
        for _ in range(3 * MISSED):
            self.clock.advance(KEEPALIVE)
            self.host.flush()
        self.assertEqual(waiting, len(run.session.buf))
        self.assertIsNone(self.source.problem)
        self.file.writer.release()
        for _ in range(20):
            self.host.flush()
        self.assertEqual([line.encode() for line in lines], self.bodies())

    def test_a_host_that_sends_more_than_it_may_is_left(self) -> None:
        """It would fill the memory; what came before is kept, also where it says nothing more."""
        run = self.start()
        self.file.writer.held = True
        run.say('{"n": 1}\n' * 20)
        self.host.flush()
        run.session.remoteWindowLeft = 1 << 30
        run.say("x" * 10 * WINDOW)
        near, far = self.host.wires[-1]
        far.pass_on()
        self.clock.advance(GRACE)
        self.clock.advance(0)
        self.file.writer.release()
        self.assertEqual("the host sent more than it may", self.events("lines.disconnected")[0]["reason"])
        self.assertEqual(b'{"n": 1}', self.bodies()[0])
        self.assertTrue(near.over)

    def test_a_long_stream_goes_through_new_keys(self) -> None:
        """Which either side asks for after so many bytes, in the middle of a line."""
        self.patch(sealed, "REKEY_BYTES", 40_000)
        run = self.start()
        lines = [f'{{"n": {number}, "pad": "{"x" * 400}"}}' for number in range(2_000)]
        first = self.host.wires[-1][0].protocol.nextEncryptions
        for line in lines:
            run.say(f"{line}\n")
            if len(run.session.buf) > WINDOW:
                self.host.flush()
        self.host.flush()
        self.assertEqual([line.encode() for line in lines], self.bodies())
        self.assertIsNot(first, self.host.wires[-1][0].protocol.nextEncryptions)
        self.assertEqual(1, len(self.host.wires))

    def test_standard_error_is_told_within_bounds(self) -> None:
        """Five lines a minute, none longer than is bearable; the lines that are events are not touched."""
        run = self.start()
        for number in range(1_000):
            run.complain(f"{number} \x1b[2J{'x' * 10_000}\n" if number == 1 else f"trouble {number}\n")
            self.host.flush()
        run.say('{"n": 1}\n')
        run.complain("not ended")
        self.host.flush()
        told = self.events("command.complains")
        self.assertEqual(MOST, len(told))
        self.assertEqual("trouble 0", told[0]["text"])
        self.assertEqual(f"1 ·[2J{'x' * 1_000}"[:LONGEST], told[1]["text"])
        self.clock.advance(EVERY)
        self.host.flush()
        run.session.finish(0)
        self.host.flush()
        last = self.events("command.complains")[-1]
        self.assertEqual(("not ended", 1_000 - MOST), (last["text"], last["left_out"]))
        self.assertEqual([b'{"n": 1}'], self.bodies())


class Silence(HostCase):
    """Hosts that hang."""

    def test_a_host_that_answers_no_more_is_left(self) -> None:
        """After three questions; it is gone to again."""
        self.start()
        for _ in range(MISSED + 1):
            self.clock.advance(KEEPALIVE)
        self.assertEqual(
            f"the host has not answered for {KEEPALIVE * MISSED:.0f} s",
            self.events("lines.disconnected")[0]["reason"],
        )
        self.next_run()

    def test_a_host_that_only_answers_questions_is_there(self) -> None:
        """Not every command has something to write."""
        self.start()
        for _ in range(20):
            self.clock.advance(KEEPALIVE)
            self.host.flush()
        self.assertIsNone(self.source.problem)
        self.assertEqual(1, len(self.host.wires))

    def test_a_command_that_never_begins_is_given_up(self) -> None:
        """The host let us in, and then hangs."""
        self.successResultOf(Deferred.fromCoroutine(self.source.start()))
        client: Any = self.host.wires[0][0].protocol
        self.host.flush(until=lambda: client.entered.called)
        self.clock.advance(BEGINNING)
        self.assertIn("scale:22 did not begin the command within 30 s", str(self.source.problem))
        self.next_run()

    def test_a_host_that_says_nothing_is_given_up(self) -> None:
        """It takes the connection, and there is no key exchange."""
        self.successResultOf(Deferred.fromCoroutine(self.source.start()))
        self.clock.advance(30)
        self.assertIn("scale:22 did not let us in within 30 s", str(self.source.problem))
        self.next_run()

    def test_the_gateway_stops_although_a_host_hangs(self) -> None:
        """While it is connected, and while it is being connected."""
        self.start()
        stopped = self.stop()
        self.clock.advance(DRAIN)
        self.successResultOf(stopped)

    def test_the_gateway_stops_while_it_goes_to_a_host(self) -> None:
        """Nothing of the attempt is left."""
        self.successResultOf(Deferred.fromCoroutine(self.source.start()))
        self.successResultOf(self.stop())
        self.clock.advance(0)
        self.assertTrue(self.host.wires[0][0].over)

    def test_the_gateway_stops_while_nobody_answers(self) -> None:
        """No wire is there yet."""
        self.host.away = True
        self.successResultOf(Deferred.fromCoroutine(self.source.start()))
        self.successResultOf(self.stop())


class Doors(HostCase):
    """Who is the host, and who are we."""

    def go(self, visit: Visit) -> str:
        self.visit = visit
        self.successResultOf(Deferred.fromCoroutine(self.source.start()))
        self.host.flush()
        return str(self.source.problem)

    def test_a_host_with_another_key_is_sent_nothing(self) -> None:
        """Neither our name nor a signature; it is an alarm, once for each reason."""
        other = Key(Ed25519PrivateKey.generate()).public().blob()
        told = self.go(self.host.visit(host=KnownHost("scale:22", frozenset({other}))))
        self.assertIn("scale:22 shows another key than the one it is known by", told)
        self.clock.advance(LONGEST_PAUSE)
        self.host.flush()
        self.assertEqual(2, len(self.host.wires))
        self.assertEqual(1, len(self.events("command.host_not_known")))
        self.assertEqual(0, self.host.door.failures.total)

    def test_a_host_that_nobody_vouched_for_is_sent_nothing(self) -> None:
        """There is no first use on trust."""
        self.assertIn("nobody knows scale:22", self.go(self.host.visit(host=KnownHost("scale:22"))))

    def test_a_revoked_key_is_none(self) -> None:
        """Even where it stands among the known ones."""
        blob = HOST.public().blob()
        host = KnownHost("scale:22", frozenset({blob}), revoked=frozenset({blob}))
        self.assertIn("scale:22 shows a revoked key", self.go(self.host.visit(host=host)))

    def test_a_pinned_fingerprint_is_enough(self) -> None:
        """The host may show any kind of key, if it is that one."""
        host = KnownHost("scale:22", pinned=fingerprint(HOST.public().blob()))
        self.assertEqual("None", self.go(self.host.visit(host=host)))

    def test_a_known_key_of_another_kind_is_no_way_in(self) -> None:
        """The host is asked for that kind only, and says what it has."""
        self.assertIn(
            "has no host key of ours, only ssh-ed25519",
            self.go(self.host.visit(host=KnownHost("scale:22", frozenset({b"\0\0\0\x07ssh-rsa" + bytes(8)})))),
        )

    def test_a_key_that_the_host_does_not_know_is_told(self) -> None:
        """With what to look at."""
        told = self.go(self.host.visit(key=Key(Ed25519PrivateKey.generate())))
        self.assertIn("scale:22 does not let ops in: it takes publickey", told)
        self.assertIn("authorized_keys", str(self.events("lines.unreachable")[0]["remedy"]))

    def test_a_password_is_not_shown_where_none_is_taken(self) -> None:
        """The host takes keys alone."""
        told = self.go(self.host.visit(key=None, password="s3cret"))
        self.assertIn("does not let ops in", told)
        self.assertEqual(1, self.host.door.failures.total)

    def test_a_host_that_opens_a_channel_to_us_gets_none(self) -> None:
        """Whatever it calls it; the command goes on."""
        run = self.start()
        refused: list[bytes] = []
        run.session.conn.ssh_CHANNEL_OPEN_FAILURE = refused.append
        for kind in (b"forwarded-tcpip", b"auth-agent@openssh.com", b"session", b"x11"):
            asked = NS(kind) + struct.pack(">3L", 7, 1 << 20, 1 << 15)
            run.session.conn.transport.sendPacket(90, asked)
        run.say('{"n": 1}\n')
        self.host.flush()
        self.assertEqual(4, len(refused))
        self.assertEqual([b'{"n": 1}'], self.bodies())

    def test_a_host_that_runs_no_commands_is_told(self) -> None:
        """It lets us in for something else."""
        self.host.commands = False
        self.assertIn("the host runs no commands for us", self.go(self.host.visit(key=OURS)))


class Malformed(HostCase):
    """A host that is the known one, and says what nobody should."""

    def test_nothing_that_it_says_is_an_end(self) -> None:
        """Messages of any kind, with anything in them, on a channel that is there: it is gone to again."""
        random = Random(7)
        run = self.start()
        left = 0
        for _ in range(120):
            number = random.choice([*range(1, 8), 20, 21, 30, 31, *range(50, 62), *range(80, 101)])
            channel = random.choice([b"", bytes(4), bytes(4), bytes(3), b"\0\0\0\7", b"\xff" * 4])
            name = random.choice([b"", NS(b"exit-status") + b"\0", NS(b"exit-signal") + b"\1", NS(b"x" * 20)])
            run.session.conn.transport.sendPacket(number, channel + name + random.randbytes(random.randrange(24)))
            self.host.flush()
            if self.host.wires[-1][0].over:
                left += 1
                run = self.next_run()
        self.assertGreater(left, 20)
        # What a host says of a channel's window or on its standard error may have done something to this one.
        self.host.cut()
        self.next_run().say('{"n": 1}\n')
        self.host.flush()
        self.assertEqual(b'{"n": 1}', self.bodies()[-1])
        self.assertEqual([], [event for event in self.logged if event["log_level"] is LogLevel.critical])

    def test_nothing_that_it_says_before_there_are_keys_is_an_end(self) -> None:
        """Bytes, and packets that are well formed, in the place of its greeting and after it."""
        random = Random(8)
        for number in range(150):
            if number == 0:
                self.successResultOf(Deferred.fromCoroutine(self.source.start()))
            wires = len(self.host.wires)
            while len(self.host.wires) == wires and number:
                self.clock.advance(0.25)
            near, _ = self.host.wires[-1]
            said = random.choice([b"", b"SSH-2.0-x\r\n", b"hello\n" * 3, b"SSH-1.5-x\n", b"\xff" * 20_000])
            for _ in range(random.randrange(4)):
                said += packet(bytes((random.randrange(101),)) + random.randbytes(random.randrange(64)))
            near.protocol.dataReceived(said + random.randbytes(random.randrange(64)))
            self.host.cut()
        self.host.flush()
        self.next_run().say('{"n": 1}\n')
        self.host.flush()
        self.assertEqual([b'{"n": 1}'], self.bodies())
        self.assertEqual([], [event for event in self.logged if event["log_level"] is LogLevel.critical])
