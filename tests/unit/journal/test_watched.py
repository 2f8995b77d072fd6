"""A disk that takes too long is told."""

from __future__ import annotations

from typing import Any, cast

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.logger import ILogObserver, globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase

from lineside.journal.watched import SAY_AGAIN, SLOW, WatchedJournal
from lineside.model.batch import Receipts
from lineside.model.event import Event, Seq
from lineside.model.traffic import Traffic


class Disk:
    """A journal whose every commit takes as long as the test wants."""

    def __init__(self) -> None:
        self.commits: list[Deferred[list[Receipts]]] = []

    async def append_batches(self, source: str, batches: object, **_: object) -> list[Receipts]:
        self.commits.append(Deferred())
        return await self.commits[-1]


class WatchedJournalTests(SynchronousTestCase):
    """What the log says of a source's commits."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.disk = Disk()
        self.journal = WatchedJournal(cast(Any, self.disk), Traffic(0.0), self.clock, lambda: 0)
        self.said: list[dict[str, Any]] = []
        observer = cast(ILogObserver, self.hear)
        globalLogPublisher.addObserver(observer)
        self.addCleanup(globalLogPublisher.removeObserver, observer)

    def hear(self, event: dict[str, Any]) -> None:
        if event["log_format"] == "journal.slow":
            self.said.append(event)

    def commit(self, seconds: float) -> None:
        """Append an event, and let its commit take so long."""
        appended = Deferred.fromCoroutine(self.journal.append("gate", [Event(b"{}")]))
        self.clock.advance(seconds)
        self.disk.commits.pop().callback([Receipts(Seq(1), 1, {}, {})])
        self.successResultOf(appended)

    def test_one_that_takes_its_time_is_named(self) -> None:
        """With how long it took."""
        self.commit(SLOW)
        self.assertEqual([], self.said)
        self.commit(SLOW + 1.5)
        self.assertEqual([("gate", 3.5)], [(said["source"], said["seconds"]) for said in self.said])

    def test_a_disk_that_stays_slow_does_not_fill_the_log(self) -> None:
        """Once a minute is enough."""
        for _ in range(5):
            self.commit(SAY_AGAIN / 4)
        self.assertEqual(2, len(self.said))
