"""What charts and Prometheus get: the last hour, and everything at this moment."""

from __future__ import annotations

from typing import Any

from prometheus_client.parser import text_string_to_metric_families
from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from lineside.edges.http.metrics import metrics_endpoint
from lineside.model.rates import Delays
from lineside.operations.history import EVERY, MOMENTS, HistoryOperations
from lineside.operations.reactorlag import EVERY as LOOK
from lineside.operations.reactorlag import ReactorLag
from lineside.operations.registry import Operations
from lineside.operations.requests import ShowHistory, ShowOverview, ShowStatus
from lineside.operations.results import (
    JournalView,
    Overview,
    RouteStatus,
    RouteView,
    SourceStatus,
    SourceView,
    SshCounts,
    Status,
    TargetView,
)
from lineside.operations.web import Call
from lineside.security.identity import Identity

VIEWER = Identity("board", "viewer")


def overview(*, rate: float = 2.5, dead: int = 1) -> Overview:
    """Return how a plant with one of everything stands."""
    return Overview(
        at="2026-11-23T04:00:00.000Z",
        uptime=60.0,
        journal=JournalView(7, 4096, 1024, 1.0, 1.0),
        sources=[SourceView("gate", "127.0.0.1:7001", 1, rate, rate, 0.0, 1, [], None, None, None, None)],
        devices=[],
        routes=[RouteView("checkin", "erp", 2.0, 3, False, 1.5, dead, None)],
        targets=[TargetView("erp", "open", 1, 4, None, None, None, None)],
        alarms=[],
        dead_letters=dead,
    )


class LastHour(SynchronousTestCase):
    """The history."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.now: Deferred[Overview] | None = None
        self.seen = overview()
        self.history = HistoryOperations(self.look, self.clock, lambda: int(self.clock.seconds() * 1e9))
        self.operations = Operations()
        self.history.register(self.operations)
        self.done(self.history.start())

    def look(self, request: ShowOverview) -> Deferred[Overview]:
        return succeed(self.seen) if self.now is None else self.now

    def done(self, work: Any) -> Any:
        return self.successResultOf(Deferred.fromCoroutine(work))

    def show(self) -> Any:
        return self.done(self.operations.call(ShowHistory(), VIEWER))

    def test_each_moment_is_kept_with_its_time(self) -> None:
        """Every list has an item for each moment, the oldest first."""
        self.clock.advance(EVERY)
        self.seen = overview(rate=4.0, dead=2)
        self.clock.advance(EVERY)
        told = self.show()
        self.assertEqual(told.at, [EVERY, 2 * EVERY])
        self.assertEqual((told.sources, told.dead_letters), ({"gate": [2.5, 4.0]}, [1, 2]))
        self.assertEqual((told.routes, told.lag), ({"checkin": [2.0, 2.0]}, {"checkin": [1.5, 1.5]}))

    def test_an_hour_is_all_that_is_kept(self) -> None:
        """However long the gateway runs."""
        for _ in range(MOMENTS + 5):
            self.clock.advance(EVERY)
        told = self.show()
        self.assertEqual((len(told.at), told.at[0]), (MOMENTS, 6 * EVERY))

    def test_before_the_first_moment_there_is_nothing(self) -> None:
        """A chart of a gateway that has just started is empty."""
        self.assertEqual((self.show().at, self.show().sources), ([], {}))

    def test_it_stops_in_the_middle_of_a_look(self) -> None:
        """A journal that hangs hinders no stop, and one that fails is told in the log and asked again."""
        self.now = Deferred()
        self.clock.advance(EVERY)
        self.done(self.history.stop())
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_a_moment_that_is_missed_is_missing(self) -> None:
        """The next one is taken all the same."""
        self.now = Deferred()
        self.clock.advance(EVERY)
        self.now.errback(OSError("the disk is away"))
        self.now = None
        self.clock.advance(EVERY)
        self.assertEqual(self.show().at, [2 * EVERY])
        self.assertEqual(len(self.flushLoggedErrors(OSError)), 1)


class Lag(SynchronousTestCase):
    """How late the reactor is."""

    def test_what_blocks_the_reactor_shows(self) -> None:
        """A call that holds everything up for three seconds is measured as that late; then all is well again."""
        clock = Clock()
        lag = ReactorLag(clock)
        self.successResultOf(Deferred.fromCoroutine(lag.start()))
        for _ in range(4):
            clock.advance(LOOK)
        self.assertLess(lag.delays.quantile(clock.seconds(), 1.0) or 0.0, 0.001)
        clock.advance(3.0 + LOOK)
        worst = lag.delays.quantile(clock.seconds(), 1.0)
        assert worst is not None
        self.assertTrue(3.0 <= worst <= 3.3, worst)
        clock.advance(LOOK)
        self.assertLess(lag.delays.quantile(clock.seconds(), 0.5) or 0.0, 0.001)
        self.successResultOf(Deferred.fromCoroutine(lag.stop()))
        self.assertEqual(clock.getDelayedCalls(), [])


class Numbers(SynchronousTestCase):
    """What Prometheus reads."""

    def scraped(self) -> dict[tuple[str, str], float]:
        """Return each sample by its name and its only label's value."""
        operations = Operations()

        async def show(request: ShowOverview) -> Overview:
            return overview()

        async def status(request: ShowStatus) -> Status:
            sources = [SourceStatus("gate", "127.0.0.1:7001", 1, 40, 2, paused=True, files_waiting=3)]
            return Status("epoch", 7, 1, sources, [RouteStatus("checkin", "erp", 4, 2, 30, 1, 5, None)])

        operations.answer(ShowOverview, show)
        operations.answer(ShowStatus, status)
        delays = Delays()
        delays.add(1.0, 0.5, 3)
        delays.add(1.0, 0.001)
        endpoint = metrics_endpoint(
            operations,
            {
                "lineside_delivery_seconds": lambda: {"erp": delays},
                "lineside_reactor_lag_seconds": lambda: {"": delays},
            },
            ssh=lambda: SshCounts(connections=5, users=4, logged_in=90, failed=3, turned_away=2),
        )
        asked: Any = endpoint.answer(Call(VIEWER, {}, {}, {}))
        answer = self.successResultOf(Deferred.fromCoroutine(asked))
        families = text_string_to_metric_families(answer.body.decode())
        return {
            (sample.name, ",".join(sample.labels.values())): sample.value
            for family in families
            for sample in family.samples
        }

    def test_counts_are_the_gateways_own(self) -> None:
        """Lines, documents, dead letters, lag, and who is paused or away."""
        told = self.scraped()
        for name, part, value in (
            ("lineside_lines_total", "gate", 40),
            ("lineside_files_waiting", "gate", 3),
            ("lineside_undecodable_lines_total", "gate", 2),
            ("lineside_source_paused", "gate", 1),
            ("lineside_delivered_total", "checkin", 30),
            ("lineside_lag_events", "checkin", 3),
            ("lineside_lag_seconds", "checkin", 1.5),
            ("lineside_dead_letters", "checkin", 1),
            ("lineside_target_up", "erp", 1),
            ("lineside_journal_bytes", "", 4096),
            ("lineside_ssh_connections", "", 5),
            ("lineside_ssh_users", "", 4),
            ("lineside_ssh_logins_total", "", 90),
            ("lineside_ssh_failed_logins_total", "", 3),
            ("lineside_ssh_turned_away_total", "", 2),
        ):
            self.assertEqual(told[name, part], value, name)

    def test_how_long_deliveries_take_is_a_histogram(self) -> None:
        """Each bucket holds those before it, the last one all; the sum is the time they took together."""
        told = self.scraped()
        buckets = [value for (name, part), value in told.items() if name == "lineside_delivery_seconds_bucket"]
        self.assertEqual(buckets, sorted(buckets))
        self.assertEqual((buckets[0], buckets[-1]), (0, 4))
        self.assertEqual(told["lineside_delivery_seconds_count", "erp"], 4)
        self.assertAlmostEqual(told["lineside_delivery_seconds_sum", "erp"], 1.501)
        self.assertEqual(told["lineside_reactor_lag_seconds_count", ""], 4)
