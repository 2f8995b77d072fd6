"""Coroutines beside their caller: none is forgotten, no failure is lost."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from lineside.background import Background


class BackgroundTests(SynchronousTestCase):
    """What runs, how it ends, and who hears of it."""

    def setUp(self) -> None:
        self.background = Background("test")
        self.gate: Deferred[None] = Deferred()

    async def work(self) -> None:
        await self.gate

    def test_finish_waits_for_all_that_runs(self) -> None:
        """Also for what was started meanwhile."""
        later: Deferred[None] = Deferred()

        async def follow() -> None:
            await later

        async def lead() -> None:
            await self.gate
            self.background.run("follow", follow())

        self.background.run("lead", lead())
        finished = Deferred.fromCoroutine(self.background.finish())
        self.gate.callback(None)
        self.assertNoResult(finished)
        self.assertEqual(1, len(self.background))
        later.callback(None)
        self.successResultOf(finished)
        self.assertEqual(0, len(self.background))

    def test_a_failure_is_logged_and_ends_nothing_else(self) -> None:
        """The one who waits for the end hears of no error; the log does."""
        ended = self.background.run("work", self.work())
        self.gate.errback(ZeroDivisionError())
        self.assertIsNone(self.successResultOf(ended))
        self.assertEqual(1, len(self.flushLoggedErrors(ZeroDivisionError)))

    def test_cancelling_is_no_failure(self) -> None:
        """What was told to end has ended, and nobody is alarmed."""
        ended = self.background.run("work", self.work())
        self.background.cancel()
        self.assertIsNone(self.successResultOf(ended))
        self.assertEqual([], self.flushLoggedErrors())
        self.assertEqual(0, len(self.background))
