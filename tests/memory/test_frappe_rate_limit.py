"""Deliveries to a stand-in that limits its clients, in simulated time: the limit is kept, not run into."""

from __future__ import annotations

from random import Random
from typing import Any

from treq.testing import RequestTraversalAgent
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.iweb import IAgent

from lineside.delivery.budget import Budget
from lineside.delivery.gate import Gate
from lineside.edges.frappe.allowance import allowance
from lineside.edges.frappe.client import FrappeClient, url_path
from lineside.edges.frappe.prepare import prepare
from lineside.edges.frappe.reply import Reply
from lineside.edges.frappe.target import FrappeTarget
from lineside.model.event import delivery_id
from lineside.model.outcome import Delivered
from lineside.model.ports import Delivery
from lineside.standin.authentication import Credentials
from lineside.standin.documents import memory_documents
from lineside.standin.faults import FaultKnobs
from lineside.standin.settings import SiteSettings
from lineside.standin.site import make_site

WINDOW = 30.0
LIMIT = 2.0
WORK = 0.02
LANES = 4
DOCUMENTS = 250
"""They need two and a half times what a window allows."""


class RateLimit(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.settings = SiteSettings()
        faults = FaultKnobs(Random(2))
        site = make_site(
            self.clock,
            memory_documents(random=Random(1)),
            faults,
            Credentials("key", "secret"),
            settings=self.settings,
        )
        self.agent = RequestTraversalAgent(site.resource)
        plain = self.connect(self.agent)
        self.eventually(Deferred.fromCoroutine(prepare(plain, ["ToDo"], "lineside_id")))
        faults.turn({"service_time": WORK})
        self.settings.turn({"rate_limit": LIMIT, "rate_window": WINDOW})
        self.statuses: list[int] = []
        self.said: set[str | None] = set()

    def connect(self, agent: IAgent, budget: Budget | None = None) -> FrappeClient:
        return FrappeClient(self.clock, "http://erp.example", "key", "secret", agent=agent, budget=budget)

    def advance(self, seconds: float) -> None:
        self.clock.advance(seconds)
        # What the site has written now must reach the client.
        self.agent.flush()

    def eventually(self, result: Deferred[Any]) -> None:
        """Let as much time pass as something waits for."""
        while not result.called and (waiting := self.clock.getDelayedCalls()):
            self.advance(max(0.0, min(call.getTime() for call in waiting) - self.clock.seconds()))
        self.successResultOf(result)

    def deliver_all(self, budget: Budget | None) -> float:
        """Deliver a backlog through a gate; return the seconds that took."""
        client = self.connect(self.agent, budget)
        inner = client.request

        async def watched(*arguments: str, **options: object) -> Reply:
            reply = await inner(*arguments, **options)  # type: ignore[arg-type]
            self.statuses.append(reply.status)
            self.said.add(gate.paced)
            return reply

        self.patch(client, "request", watched)
        gate = Gate("erp", FrappeTarget(client), self.clock, Random(1), concurrency=LANES, budget=budget)
        owed = [
            Delivery(delivery_id(f"e-{n}", "todo"), "insert", "ToDo", {"description": "d"})
            for n in range(DOCUMENTS)
        ]
        begun = self.clock.seconds()

        async def lane() -> None:
            while owed:
                delivery = owed.pop()
                await gate.passed()
                [outcome] = await gate.deliver([delivery])
                if not isinstance(outcome, Delivered):
                    owed.append(delivery)

        self.eventually(gatherResults([Deferred.fromCoroutine(lane()) for _ in range(LANES)]))
        return self.clock.seconds() - begun

    def test_a_backlog_goes_through_without_a_429(self) -> None:
        """Held back in time, no request is turned away, and it takes no window more than it must."""
        seconds = self.deliver_all(Budget())
        self.assertEqual(set(self.statuses), {200})
        self.assertLess(seconds, WINDOW * (1 + DOCUMENTS * WORK / LIMIT))
        self.assertGreater(seconds, WINDOW)
        # Whoever asks for the state is told why it takes so long.
        self.assertTrue(any(said and said.startswith("paced by the site's rate limit") for said in self.said))

    def test_what_it_would_be_without(self) -> None:
        """The same backlog runs into the limit where nothing holds it back."""
        self.deliver_all(None)
        self.assertIn(429, self.statuses)

    def test_a_limit_that_was_met_by_others_is_waited_for(self) -> None:
        """After a 429 all the same, nothing is sent before the window that the site named."""
        budget = Budget()
        plain = self.connect(self.agent)
        self.settings.turn({"rate_limit": WORK / 2})
        path = url_path("api", "method", "ping")
        self.eventually(Deferred.fromCoroutine(plain.request("GET", path)))
        client = self.connect(self.agent, budget)
        turned_away = Deferred.fromCoroutine(client.request("GET", path))
        self.assertEqual(self.successResultOf(turned_away).status, 429)
        waiting = Deferred.fromCoroutine(client.request("GET", path))
        left = WINDOW - self.clock.seconds() % WINDOW
        self.advance(left - 0.1)
        self.assertNoResult(waiting)
        self.advance(1.1)
        self.advance(WORK)
        self.assertEqual(self.successResultOf(waiting).status, 200)

    def test_a_wait_can_be_given_up(self) -> None:
        """Stopping does not wait for the site's next window, and leaves nothing behind."""
        budget = Budget()
        budget.end(budget.begin(0.0), allowance(told(limit="1000000", remaining="1", reset="3600")), 0.0)
        waiting = Deferred.fromCoroutine(self.connect(self.agent, budget).request("GET", "/"))
        self.assertNoResult(waiting)
        waiting.cancel()
        self.failureResultOf(waiting)
        self.assertEqual(self.clock.getDelayedCalls(), [])


class Headers(SynchronousTestCase):
    def test_answers_that_say_nothing_sensible_limit_nothing(self) -> None:
        """A site without a limit, a proxy's own headers, numbers that are none."""
        for limit, remaining, reset in (
            ("", "1", "1"),
            ("0", "0", "1"),
            ("x", "1", "1"),
            ("5", "nan", "1"),
            ("5", "1", "-1"),
        ):
            self.assertIsNone(allowance(told(limit=limit, remaining=remaining, reset=reset)))
        self.assertIsNone(allowance(Reply(200, {}, "", b"")))

    def test_microseconds_are_read_as_seconds(self) -> None:
        """A limit, what is left of it and what was used; a rejection used nothing."""
        found = allowance(told(limit="2000000", remaining="500000", reset="7", used="1500"))
        assert found is not None
        self.assertEqual((found.limit, found.remaining, found.resets_in, found.used), (2.0, 0.5, 7.0, 0.0015))
        rejected = allowance(told(limit="2000000", remaining="0", reset="7"))
        assert rejected is not None
        self.assertIsNone(rejected.used)


def told(**headers: str) -> Reply:
    """Return an answer with these of the limiter's headers."""
    return Reply(200, {f"x-ratelimit-{name}": value for name, value in headers.items()}, "", b"")
