"""`lineside top` over time: it asks each second, and bears a gateway that is away, slow, or back again."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from lineside.cli.top import PATIENCE, REFRESH, Watch
from lineside.operations.control import NoGateway
from lineside.operations.requests import ShowOverview
from lineside.operations.results import JournalView, Overview


def overview(head: int) -> Overview:
    return Overview("2026-03-04T09:00:00.000Z", 1.0, JournalView(head, 1, 0, 0.0, 0.0), [], [], [], [], [], 0)


class Watching(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.asked: list[tuple[ShowOverview, Deferred[Overview]]] = []
        self.pages: list[str] = []
        self.watch = Watch(self.ask, self.clock, ShowOverview(devices=7), self.draw)
        self.watch.start()

    async def ask(self, request: ShowOverview) -> Overview:
        answer: Deferred[Overview] = Deferred()
        self.asked.append((request, answer))
        return await answer

    def draw(self, page: Any) -> None:
        console = Console(width=100, color_system=None)
        with console.capture() as captured:
            console.print(page)
        self.pages.append(captured.get())

    def answer(self, head: int) -> None:
        self.asked[-1][1].callback(overview(head))

    def test_a_page_each_second(self) -> None:
        """The first at once; the next when a second is over."""
        self.answer(1)
        self.assertIn("last event 1,", self.pages[-1])
        self.clock.advance(REFRESH)
        self.answer(2)
        self.assertIn("last event 2,", self.pages[-1])
        self.assertEqual(len(self.pages), 2)

    def test_a_slow_gateway_is_not_asked_twice_at_a_time(self) -> None:
        """While an answer is outstanding no further question is sent."""
        self.clock.pump([REFRESH] * 3)
        self.assertEqual(len(self.asked), 1)
        self.answer(1)
        self.clock.advance(REFRESH)
        self.assertEqual(len(self.asked), 2)

    def test_a_gateway_that_goes_away_and_comes_back(self) -> None:
        """The last page stays, with a line that says so, until there is a new one."""
        self.answer(1)
        self.clock.advance(REFRESH)
        self.asked[-1][1].errback(NoGateway("no gateway listens on j.sock"))
        self.assertIn("no gateway listens on j.sock; what follows is of", self.pages[-1])
        self.assertIn("last event 1,", self.pages[-1])
        self.clock.advance(REFRESH)
        self.answer(2)
        self.assertNotIn("no gateway", self.pages[-1])
        self.assertIn("last event 2,", self.pages[-1])

    def test_a_gateway_that_hangs_is_said_to(self) -> None:
        """After some seconds; it is asked again all the same."""
        self.clock.pump([0.5] * int(2 * PATIENCE))
        self.assertIn(f"the gateway did not answer within {PATIENCE:g} s", self.pages[-1])
        self.clock.advance(REFRESH)
        self.assertEqual(len(self.asked), 2)

    def test_the_devices_that_are_wanted(self) -> None:
        """A key changes which are shown, and not how many."""
        self.answer(1)
        self.watch.keys["s"]()
        self.clock.advance(REFRESH)
        self.assertEqual(self.asked[-1][0], ShowOverview(devices=7, order="silent"))
        self.answer(1)
        self.watch.keys["b"]()
        self.clock.advance(REFRESH)
        self.assertEqual(self.asked[-1][0].order, "busiest")

    def test_nothing_is_drawn_after_the_end(self) -> None:
        """The terminal belongs to the shell again, whatever answer is on its way."""
        self.watch.stop()
        self.answer(1)
        self.assertEqual((self.pages, self.clock.getDelayedCalls()), ([], []))

    def test_an_error_of_our_own_ends_it(self) -> None:
        """It is not repeated each second for nobody to see."""
        self.watch.stop()
        ended = Watch(self.ask, self.clock, ShowOverview(), self.draw).start()
        self.asked[-1][1].errback(ZeroDivisionError())
        self.failureResultOf(ended, ZeroDivisionError)
