"""Pauses that a person sets and that outlive the process."""

from __future__ import annotations

from collections.abc import Coroutine
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from lineside.journal.watched import WatchedJournal
from lineside.model.errors import NotFound, SourcePaused
from lineside.model.event import Event
from lineside.model.traffic import Traffic
from lineside.operations.pauses import PAUSES, Pauses
from lineside.operations.registry import Operations
from lineside.operations.requests import Pause, Request, Resume
from lineside.security.identity import LOCAL_USER, Identity, NotPermitted
from lineside.store.database import Database
from lineside.testing.journals import JournalOnFile
from lineside.testing.workers import HeldWorker, call_at_once


class PauseCase(SynchronousTestCase):
    """One source and one route that can be paused."""

    def setUp(self) -> None:
        self.path = Path(self.mktemp())
        self.open()

    def open(self) -> None:
        """Open the file, as a start does."""
        self.said: list[tuple[str, bool]] = []
        self.database = Database(self.path, (PAUSES,), call_at_once, worker=HeldWorker)
        self.done(self.database.open())
        parts = Pauses(
            self.database,
            {
                "source": {"gate": lambda paused: self.said.append(("gate", paused))},
                "route": {"checkin": lambda paused: self.said.append(("checkin", paused))},
                "target": {},
            },
            lambda: 1_750_000_000_123_456_789,
        )
        self.operations = Operations()
        parts.register(self.operations)
        self.done(parts.start())

    def tearDown(self) -> None:
        self.done(self.database.close())

    def done(self, work: Coroutine[Any, Any, Any]) -> Any:
        return self.successResultOf(Deferred.fromCoroutine(work))

    def call(self, request: Request[Any], identity: Identity = LOCAL_USER) -> Any:
        return self.done(self.operations.call(request, identity))


class Pausing(PauseCase):
    """What the operations do."""

    def test_a_pause_outlives_the_process(self) -> None:
        """Who stopped a route before a maintenance does not find it at work after a restart."""
        self.assertEqual(self.call(Pause(kind="route", id="checkin")).since, "2025-06-15T15:06:40.123Z")
        self.assertEqual(self.said, [("checkin", True)])
        self.tearDown()
        self.open()
        self.assertEqual(self.said, [("checkin", True)])
        self.assertIsNone(self.call(Resume(kind="route", id="checkin")).since)
        self.tearDown()
        self.open()
        self.assertEqual(self.said, [])

    def test_a_second_pause_keeps_the_first_ones_moment(self) -> None:
        """And resuming what works does no harm."""
        first = self.call(Pause(kind="source", id="gate"))
        self.assertEqual(self.call(Pause(kind="source", id="gate")), first)
        for _ in range(2):
            self.call(Resume(kind="source", id="gate"))
        self.assertEqual(self.said[-1], ("gate", False))

    def test_what_is_not_there_cannot_be_paused(self) -> None:
        """The error names what was likely meant."""
        asked = Deferred.fromCoroutine(self.operations.call(Pause(kind="route", id="chekin"), LOCAL_USER))
        self.assertEqual(
            self.failureResultOf(asked, NotFound).getErrorMessage(),
            'there is no route "chekin"; did you mean "checkin"?',
        )

    def test_who_may_only_look_pauses_nothing(self) -> None:
        """It needs the permission to operate."""
        viewer = Identity("board", "viewer")
        asked = Deferred.fromCoroutine(self.operations.call(Pause(kind="source", id="gate"), viewer))
        self.failureResultOf(asked, NotPermitted)
        self.assertEqual(self.said, [])


class PausedSource(SynchronousTestCase):
    """What senders of a paused source get."""

    def test_nothing_is_stored_and_the_sender_is_told(self) -> None:
        """The error is one after which every way in asks to send again; afterwards all is as before."""
        file = JournalOnFile(Path(self.mktemp()), lambda: 1)
        self.addCleanup(file.close)
        clock = Clock()
        journal = WatchedJournal(file.journal, Traffic(clock.seconds()), clock, lambda: 1)
        journal.pause(True)
        refused = Deferred.fromCoroutine(journal.append("gate", [Event(b"{}")]))
        self.assertIsInstance(self.failureResultOf(refused, SourcePaused).value, OSError)
        self.assertEqual(file.journal.head, 0)
        journal.pause(False)
        [receipt] = self.successResultOf(Deferred.fromCoroutine(journal.append("gate", [Event(b"{}")])))
        self.assertEqual(receipt.seq, 1)
