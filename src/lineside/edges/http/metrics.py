"""``/metrics``: the gateway in numbers, as Prometheus reads them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress

from prometheus_client import CollectorRegistry, Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector

from lineside.model.rates import Delays
from lineside.operations.registry import NotOffered, Operations
from lineside.operations.requests import ShowOverview, ShowStatus, ShowZone
from lineside.operations.results import Overview, SshCounts, Status
from lineside.operations.web import Answer, Call, Endpoint, Reply
from lineside.operations.zoneresults import ZoneView

DOUBLINGS = range(7, 27)
"""A histogram's bounds: from 128 µs to 67 s, each twice the one before."""


def metrics_endpoint(
    operations: Operations,
    delays: Mapping[str, Callable[[], Mapping[str, Delays]]],
    certificates: Callable[[], Mapping[str, float]] = dict,
    refused: Mapping[tuple[str, str], int] | None = None,
    ssh: Callable[[], SshCounts | None] = lambda: None,
) -> Endpoint:
    """Return the endpoint.

    Args:
        operations: tell how everything stands.
        delays: by the name of a histogram, how long things took by target; under "" where there is no target.
        certificates: for how many seconds each is still good.
        refused: how often, by limit and listener.
        ssh: tells who is at the SSH server; None where there is none.

    """

    async def answer(call: Call) -> Answer:
        status = await operations.call(ShowStatus(), call.identity)
        overview = await operations.call(ShowOverview(devices=0), call.identity)
        registry = CollectorRegistry(auto_describe=False)
        registry.register(Now(status, overview, delays, certificates(), refused or {}))
        visitors = ssh()
        if visitors is not None:
            registry.register(Visitors(visitors))
        with suppress(NotOffered):
            registry.register(Names(await operations.call(ShowZone(), call.identity)))
        return Answer(200, generate_latest(registry), CONTENT_TYPE_LATEST, (("Cache-Control", "no-store"),))

    return Endpoint(
        "GET",
        "/metrics",
        "metrics",
        "The gateway in numbers, as Prometheus reads them",
        "read",
        answer,
        replies={
            200: Reply("Prometheus' text format.", {CONTENT_TYPE_LATEST.partition(";")[0]: {"type": "string"}})
        },
        tag="health",
    )


class Now(Collector):
    """How everything stands, as metrics. Nothing is counted twice: they are the gateway's own counts."""

    def __init__(
        self,
        status: Status,
        overview: Overview,
        delays: Mapping[str, Callable[[], Mapping[str, Delays]]],
        certificates: Mapping[str, float],
        refused: Mapping[tuple[str, str], int],
    ) -> None:
        self._status = status
        self._overview = overview
        self._delays = delays
        self._certificates = certificates
        self._refused = refused

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics."""
        sources, routes = self._status.sources, self._status.routes
        yield _counter("lineside_lines", "Lines taken", "source", ((one.id, one.received) for one in sources))
        yield _counter(
            "lineside_undecodable_lines",
            "Lines that could not be decoded",
            "source",
            ((one.id, one.undecodable) for one in sources),
        )
        yield _gauge("lineside_connections", "Open connections", "source", ((o.id, o.connections) for o in sources))
        yield _gauge(
            "lineside_source_paused", "1 while paused", "source", ((one.id, one.paused) for one in sources)
        )
        yield _gauge(
            "lineside_files_waiting",
            "Files whose rows are not all read",
            "source",
            ((one.id, one.files_waiting) for one in sources if one.files_waiting is not None),
        )
        yield _counter("lineside_delivered", "Documents", "route", ((one.id, one.delivered) for one in routes))
        yield _counter("lineside_refused", "Dead letters made", "route", ((one.id, one.refused) for one in routes))
        yield _counter("lineside_retried", "Attempts repeated", "route", ((one.id, one.retried) for one in routes))
        yield _gauge("lineside_pending", "Records under way", "route", ((one.id, one.pending) for one in routes))
        yield _gauge("lineside_route_paused", "1 while paused", "route", ((one.id, one.paused) for one in routes))
        views = self._overview.routes
        yield _gauge(
            "lineside_lag_events", "Events not decided on yet", "route", ((one.id, one.waiting) for one in views)
        )
        yield _gauge(
            "lineside_lag_seconds", "Age of the oldest of them", "route", ((o.id, o.oldest or 0.0) for o in views)
        )
        yield _gauge("lineside_dead_letters", "That wait", "route", ((one.id, one.dead_letters) for one in views))
        targets = self._overview.targets
        yield _gauge(
            "lineside_target_up", "1 while it answers", "target", ((o.id, o.state == "open") for o in targets)
        )
        yield _gauge("lineside_target_limit", "Deliveries at a time", "target", ((o.id, o.limit) for o in targets))
        journal = self._overview.journal
        yield GaugeMetricFamily("lineside_journal_bytes", "Of the journal's file", journal.size)
        yield GaugeMetricFamily("lineside_journal_unused_bytes", "Of it that hold nothing", journal.unused)
        yield GaugeMetricFamily("lineside_journal_head", "The newest event's sequence", journal.head)
        yield GaugeMetricFamily("lineside_uptime_seconds", "Since the start", self._overview.uptime)
        if self._certificates:
            yield _gauge(
                "lineside_certificate_expires_seconds", "Until then", "certificate", self._certificates.items()
            )
        refused = CounterMetricFamily(
            "lineside_limited", "Refused for what one caller may have", labels=["limit", "listener"]
        )
        for (limit, listener), times in self._refused.items():
            refused.add_metric([limit, listener], float(times))
        yield refused
        for name, by_part in self._delays.items():
            yield _histogram(name, by_part())


class Visitors(Collector):
    """Who is at the SSH server, as metrics."""

    def __init__(self, counts: SshCounts) -> None:
        self._counts = counts

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics."""
        counts = self._counts
        yield GaugeMetricFamily("lineside_ssh_connections", "Open connections", counts.connections)
        yield GaugeMetricFamily("lineside_ssh_users", "Of them those of users who are logged in", counts.users)
        yield CounterMetricFamily("lineside_ssh_logins", "Log-ins", counts.logged_in)
        yield CounterMetricFamily("lineside_ssh_failed_logins", "Log-ins that failed", counts.failed)
        yield CounterMetricFamily("lineside_ssh_turned_away", "Connections that were too many", counts.turned_away)


class Names(Collector):
    """What DNS answers, as metrics."""

    def __init__(self, zone: ZoneView) -> None:
        self._zone = zone

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics."""
        counts = self._zone.counts
        yield _counter("lineside_dns_answers", "Answers", "rcode", counts.answers.items())
        yield CounterMetricFamily("lineside_dns_remembered", "Of them, those that were", counts.from_cache)
        yield CounterMetricFamily("lineside_dns_limited", "Questions over the rate", counts.limited)
        yield CounterMetricFamily("lineside_dns_ignored", "Packets that were no questions", counts.ignored)
        yield GaugeMetricFamily("lineside_dns_connections", "Over TCP", counts.connections)
        yield GaugeMetricFamily("lineside_dns_down", "Conditions that do not hold", len(self._zone.down))
        yield GaugeMetricFamily("lineside_dns_all_down", "Names of which nothing is up", len(self._zone.all_down))


def _counter(name: str, told: str, label: str, values: Iterable[tuple[str, float]]) -> Metric:
    family = CounterMetricFamily(name, told, labels=[label])
    for part, value in values:
        family.add_metric([part], float(value))
    return family


def _gauge(name: str, told: str, label: str, values: Iterable[tuple[str, float]]) -> Metric:
    family = GaugeMetricFamily(name, told, labels=[label])
    for part, value in values:
        family.add_metric([part], float(value))
    return family


def _histogram(name: str, by_part: Mapping[str, Delays]) -> Metric:
    labelled = any(by_part)
    family = HistogramMetricFamily(name, "Seconds", labels=["target"] if labelled else None)
    for part, delays in by_part.items():
        buckets = [
            ("+Inf" if bound == float("inf") else f"{bound:.6g}", float(count))
            for bound, count in delays.within(DOUBLINGS)
        ]
        family.add_metric([part] if labelled else [], buckets, delays.seconds)
    return family
