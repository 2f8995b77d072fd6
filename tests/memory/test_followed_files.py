"""Files on a host that are followed, in memory: the host is a simulated box, and it is cut off at every moment."""

from __future__ import annotations

import json
from itertools import count
from pathlib import Path
from random import Random
from typing import Any

from tests.rig.played_host import PlayedHost, Run
from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock
from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from lineside.edges.lines.intake import Intake, Limits
from lineside.edges.ssh.client.command import BEGINNING
from lineside.edges.ssh.client.follow import AWAY, QUIET_LOOKS, Followed, FollowedFile
from lineside.edges.ssh.client.runs import PATIENCE, quoted
from lineside.model.errors import SourcePaused
from lineside.model.event import Record, Seq
from lineside.testing.journals import JournalOnFile
from lineside.testing.legacyhost import OldBox
from lineside.wire.framing import Delimited
from lineside.wire.jsonl import JsonLines

LOG = "/var/log/scale.log"
LONGEST_PAUSE = AWAY.steps[-1] * (1 + AWAY.jitter)


class FollowCase(SynchronousTestCase):
    """One box, and the source that follows its log."""

    def setUp(self) -> None:
        self.file = JournalOnFile(Path(self.mktemp()), lambda: 1)
        self.addCleanup(self.file.close)
        self.clock = Clock()
        self.logged = self.enterContext(capturedLogs())
        self.box = OldBox(self.clock, iter(()), rate=1.0, path=LOG)
        self.numbers = count()
        self.host = PlayedHost(self.clock)
        self.host.run = self.box.run
        self.source = self.make()

    def make(self, begin: Any = "all", journal: Any = None) -> FollowedFile:
        self.intake = Intake("scale", JsonLines(), self.file.journal, self.clock, Limits())
        visit = self.host.visit()
        return FollowedFile(
            "scale",
            self.host,
            lambda: succeed(visit),
            Followed(LOG, f"{LOG}.1", "scale", lambda: Delimited(b"\n", 1_000, 4_000), 1.0, begin),
            self.intake,
            journal or self.file.journal,
            self.file.database,
            self.clock,
            Random(5),
            address="ssh://x",
            connecting=10.0,
        )

    def write(self, lines: int) -> None:
        for _ in range(lines):
            self.box.write(b'{"n": %d}' % next(self.numbers))

    def start(self) -> None:
        self.successResultOf(Deferred.fromCoroutine(self.source.start()))

    def stop(self) -> None:
        self.successResultOf(Deferred.fromCoroutine(self.source.stop()))
        self.clock.advance(0)

    def look(self, times: int = 1) -> None:
        """Let it look so many times more."""
        self.host.flush()
        for _ in range(times):
            self.clock.advance(1.0)
            self.host.flush()

    def tearDown(self) -> None:
        self.stop()
        for near, far in self.host.wires:
            self.assertTrue(near.over)
            far.end(ConnectionError())
        self.assertEqual([], self.clock.getDelayedCalls())

    def taken(self) -> list[int]:
        page = self.successResultOf(
            Deferred.fromCoroutine(self.file.journal.read(Seq(0), sources=None, limit=100_000))
        )
        records: list[Record] = page.records
        return [json.loads(record.event.body)["n"] for record in records]

    def events(self, name: str) -> list[dict[str, Any]]:
        return [event for event in self.logged if event.get("log_format") == name]


class Following(FollowCase):
    """One log."""

    def test_lines_are_taken_once_and_over_one_connection(self) -> None:
        """However often it is looked at."""
        self.write(3)
        self.start()
        self.look()
        self.write(2)
        self.look(5)
        self.assertEqual([0, 1, 2, 3, 4], self.taken())
        self.assertEqual((1, 5), (len(self.host.wires), self.intake.received))
        self.assertIsNone(self.source.problem)

    def test_a_cut_at_any_moment_loses_and_doubles_nothing(self) -> None:
        """Of the connection, after each piece that goes over it; and the log is rotated meanwhile."""
        self.start()
        for moment in range(60):
            self.write(2)
            passed = iter(range(moment))
            self.host.flush(until=lambda passed=passed: next(passed, None) is None)  # type: ignore[misc]
            self.host.cut()
            if moment % 20 == 10:
                self.box.files[f"{LOG}.1"] = self.box.files[LOG]
                self.box.files[LOG] = bytearray()
            for _ in range(QUIET_LOOKS + 4):
                self.clock.advance(1.0)
                self.host.flush()
        self.look(40)
        self.assertEqual(list(range(120)), self.taken())
        self.assertEqual([], self.events("command.place_lost"))

    def test_it_goes_on_after_a_restart(self) -> None:
        """Where the journal says, which may be behind what the last gateway saw."""
        self.write(3)
        self.start()
        self.look()
        self.stop()
        self.write(3)
        self.file.restart()
        self.source = self.make()
        self.start()
        self.look()
        self.assertEqual(list(range(6)), self.taken())

    def test_what_a_person_pauses_waits_on_the_host(self) -> None:
        """And comes when the source is resumed."""
        journal = self.file.journal

        class Paused:
            paused = True

            async def append_batches(self, source: str, batches: Any, *, also: Any = None) -> Any:
                if self.paused:
                    raise SourcePaused("the source is paused")
                return await journal.append_batches(source, batches, also=also)

        pausing = Paused()
        self.source = self.make(journal=pausing)
        self.write(3)
        self.start()
        self.look()
        self.assertEqual("the source is paused", self.source.problem)
        self.assertEqual([], self.events("command.failing"))
        pausing.paused = False
        self.look(60)
        self.assertEqual([0, 1, 2], self.taken())
        self.assertIsNone(self.source.problem)

    def test_a_file_may_begin_with_what_is_to_come(self) -> None:
        """Nothing of what was there before, also where it is empty."""
        self.write(500)
        self.source = self.make("new")
        self.start()
        self.look()
        self.write(2)
        self.look()
        self.assertEqual([500, 501], self.taken())

    def test_a_host_that_hangs_is_left(self) -> None:
        """And gone to again."""
        self.write(3)
        self.start()
        self.look()
        self.clock.advance(1.0)
        self.clock.advance(BEGINNING)
        self.assertIn("the host did not begin a command within 30 s", str(self.source.problem))
        self.write(1)
        for _ in range(60):
            self.clock.advance(1.0)
            self.host.flush()
        self.assertEqual([0, 1, 2, 3], self.taken())

    def test_a_command_that_hangs_is_left(self) -> None:
        """As on a disk that is away, while the host itself answers."""
        self.write(1)
        self.host.run = lambda session, line: Run(session, line, "", ends=False)
        self.start()
        self.host.flush()
        for _ in range(int(PATIENCE / 5)):
            self.clock.advance(5.0)
            self.host.flush()
        self.assertIn("a command has hung there for 60 s", str(self.source.problem))
        self.host.run = self.box.run
        self.look(int(LONGEST_PAUSE) + 2)
        self.assertEqual([0], self.taken())

    def test_a_path_is_one_word_to_the_shell(self) -> None:
        """Whatever is in it."""
        self.assertEqual("'/var/log/it'\\''s $(x).log'", quoted("/var/log/it's $(x).log"))
