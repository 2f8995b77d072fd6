"""Damage is found before it is met: in a journal on a real file, without threads."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.logger import ILogObserver, globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase

from lineside.journal.inspection import EVERY, NEWEST, REST, Inspection
from lineside.model.errors import JournalUnusable
from lineside.model.event import Event
from lineside.testing.journals import JournalOnFile

PAGE = 4096
EVENTS = 3 * NEWEST


class InspectionCase(SynchronousTestCase):
    """Events of more than a page each, every one a segment of its own."""

    def setUp(self) -> None:
        self.path = Path(self.mktemp())
        self.file = JournalOnFile(self.path, lambda: 0)
        for number in range(1, EVENTS + 1):
            self.append(Event(self.body(number), key=f"key-{number}"))
        self.file.close()
        self.clock = Clock()
        self.said: list[dict[str, Any]] = []
        observer = cast(ILogObserver, self.hear)
        globalLogPublisher.addObserver(observer)
        self.addCleanup(globalLogPublisher.removeObserver, observer)

    def hear(self, event: dict[str, Any]) -> None:
        if event["log_format"] == "journal.damaged":
            self.said.append(event)

    def append(self, event: Event) -> None:
        self.successResultOf(Deferred.fromCoroutine(self.file.journal.append("gate", [event])))

    def body(self, number: int) -> bytes:
        return b'{"n": "%s"}' % (b"event-%d-" % number * 2_000)

    def damage(self, number: int, garbage: bytes) -> None:
        """Put garbage over a page in the middle of an event."""
        with self.path.open("r+b") as file:
            pages = iter(lambda: file.read(PAGE), b"")
            full = [place for place, page in enumerate(pages) if page.count(b"event-%d-" % number) > 300]
            file.seek(full[1] * PAGE)
            file.write(garbage * PAGE)

    def start(self) -> Deferred[None]:
        """Open the journal, as a gateway does."""
        self.file = JournalOnFile(self.path, lambda: 0)
        self.addCleanup(self.file.close)
        self.inspection = Inspection(self.file.database, self.clock)
        return Deferred.fromCoroutine(self.inspection.start())

    def inspect(self) -> int:
        """Let it come to its end; returns how many steps that took."""
        self.successResultOf(self.start())
        self.addCleanup(lambda: self.successResultOf(Deferred.fromCoroutine(self.inspection.stop())))
        steps = 0
        while self.clock.getDelayedCalls()[0].getTime() < EVERY:
            self.clock.advance(REST)
            steps += 1
        return steps


class Damaged(InspectionCase):
    """One page of one event."""

    def test_what_is_new_hinders_the_start(self) -> None:
        """The gateway says so, and takes nothing into a journal that breaks at its end."""
        self.damage(EVENTS, b"\xff")
        self.failureResultOf(self.start(), JournalUnusable)

    def test_what_is_old_is_an_alarm(self) -> None:
        """The gateway works; the log says after which event, and what to do."""
        self.damage(5, b"\xff")
        self.inspect()
        [alarm] = self.said
        self.assertEqual(("segment", "malformed"), (alarm["table"], alarm["reason"].split()[-1]))
        self.assertIn("lineside journal check", alarm["remedy"])

    def test_it_is_told_again_each_day(self) -> None:
        """As long as nobody has done anything about it."""
        self.damage(5, b"\xff")
        self.inspect()
        self.clock.advance(EVERY)
        for _ in range(EVENTS):
            self.clock.advance(REST)
        self.assertEqual(2, len(self.said))

    def test_contents_that_are_none(self) -> None:
        """Pages that hang together, with something else in them, are told by what they held."""
        self.file = JournalOnFile(self.path, lambda: 0)
        self.successResultOf(
            self.file.database.write(lambda c: c.execute("UPDATE segment SET events = x'00' WHERE first = 5"))
        )
        self.file.close()
        self.inspect()
        [alarm] = self.said
        self.assertIn("events 5 to 5 cannot be decoded", alarm["reason"])


class Sound(InspectionCase):
    """Nothing is wrong."""

    def test_nothing_is_said(self) -> None:
        """And it takes steps, between which others read."""
        self.assertGreater(self.inspect(), EVENTS * 20_000 // (1024 * 1024))
        self.assertEqual([], self.said)

    def test_it_can_be_ended_at_any_moment(self) -> None:
        """Nothing is left behind, whatever it was about to read."""
        self.successResultOf(self.start())
        self.clock.advance(REST)
        self.successResultOf(Deferred.fromCoroutine(self.inspection.stop()))
        self.assertEqual([], self.clock.getDelayedCalls())
