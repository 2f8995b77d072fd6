"""The whole gateway at a moment: sources, devices, journal, routes, targets, alarms."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from heapq import nlargest, nsmallest
from typing import Literal

from twisted.internet.interfaces import IReactorTime

from lineside.delivery.courier import Courier
from lineside.delivery.gate import Gate
from lineside.journal import deadletters
from lineside.journal.capacity import measure
from lineside.journal.consumer import DurableConsumer
from lineside.journal.log import SqliteJournal
from lineside.model.outcome import Blocked
from lineside.model.traffic import Device, Traffic
from lineside.operations.alarms import RecentAlarms
from lineside.operations.registry import Operations
from lineside.operations.requests import ShowOverview
from lineside.operations.results import (
    DeviceView,
    JournalView,
    Overview,
    RouteView,
    SourceStatus,
    SourceView,
    TargetView,
    TasksView,
)
from lineside.operations.texts import moment
from lineside.store.database import Database

MOST_DEVICES = 1_000


class RouteAtWork:
    """A route's courier and its place in the journal."""

    def __init__(self, courier: Courier, consumer: DurableConsumer) -> None:
        self.courier = courier
        self.consumer = consumer


class OverviewOperations:
    """What may be asked of all parts at once. It costs the gateway something only when it is asked.

    Args:
        journal: open.
        database: the journal's.
        traffics: by source.
        sources: their states.
        silent: what of a source is silent at present.
        routes: those at work.
        gates: by target.
        alarms: of the last minutes.
        clock: must follow a monotonic clock.
        now_ns: the wall clock.
        live: there are live channels.
        tasks: tells what tasks do; None where there are none.

    """

    def __init__(
        self,
        journal: SqliteJournal,
        database: Database,
        *,
        traffics: Mapping[str, Traffic],
        sources: Callable[[], list[SourceStatus]],
        silent: Callable[[str], list[str]],
        routes: list[RouteAtWork],
        gates: Mapping[str, Gate],
        alarms: RecentAlarms,
        clock: IReactorTime,
        now_ns: Callable[[], int],
        live: bool = False,
        tasks: Callable[[], Awaitable[TasksView]] | None = None,
    ) -> None:
        self._journal = journal
        self._database = database
        self._traffics = traffics
        self._sources = sources
        self._silent = silent
        self._routes = routes
        self._gates = gates
        self._alarms = alarms
        self._clock = clock
        self._now_ns = now_ns
        self._live = live
        self._tasks = tasks
        self._began = clock.seconds()

    def register(self, operations: Operations) -> None:
        """Offer the operation."""
        operations.answer(ShowOverview, self.show)

    async def show(self, request: ShowOverview) -> Overview:
        """Return how everything stands."""
        usage, dead = await self._database.read(
            lambda connection: (measure(connection), deadletters.count_by_consumer(connection))
        )
        routes = [await self._route(route, dead) for route in self._routes]
        tasks = None if self._tasks is None else await self._tasks()
        now = self._clock.seconds()
        lines = [traffic.lines for traffic in self._traffics.values()]
        return Overview(
            at=moment(self._now_ns()),
            uptime=now - self._began,
            journal=JournalView(
                head=self._journal.head,
                size=usage.size,
                unused=usage.size - usage.used,
                rate=sum(rate.last_second(now) for rate in lines),
                rate_minute=sum(rate.last_minute(now) for rate in lines),
            ),
            sources=[self._source(status, now) for status in self._sources()],
            devices=self._devices(request, now),
            routes=routes,
            targets=[self._target(name, gate, now) for name, gate in self._gates.items()],
            alarms=self._alarms.recent(),
            dead_letters=sum(dead.values()),
            live=self._live,
            tasks=tasks,
        )

    def _source(self, status: SourceStatus, now: float) -> SourceView:
        traffic = self._traffics[status.id]
        return SourceView(
            id=status.id,
            address=status.address,
            connections=status.connections,
            rate=traffic.lines.last_second(now),
            rate_minute=traffic.lines.last_minute(now),
            undecodable_minute=traffic.undecodable.last_minute(now),
            devices=len(traffic.devices) + traffic.others,
            silent=self._silent(status.id),
            silent_for=None if traffic.heard is None else now - traffic.heard,
            last_seen=None if traffic.heard is None else moment(traffic.heard_ns),
            commit_p50=traffic.commits.quantile(now, 0.5),
            commit_p99=traffic.commits.quantile(now, 0.99),
            paused=status.paused,
            files_waiting=status.files_waiting,
        )

    def _devices(self, request: ShowOverview, now: float) -> list[DeviceView]:
        known = [
            (source, device) for source, traffic in self._traffics.items() for device in traffic.devices.values()
        ]
        limit = min(request.devices, MOST_DEVICES)
        if request.order == "busiest":
            chosen = nlargest(limit, known, key=lambda one: (one[1].rate.rate(now), one[1].heard))
        else:
            chosen = nsmallest(limit, known, key=lambda one: one[1].heard_ns)
        silent = {source: frozenset(self._silent(source)) for source in self._traffics}
        wall = self._now_ns()
        return [self._device(source, device, device.name in silent[source], now, wall) for source, device in chosen]

    def _device(self, source: str, device: Device, silent: bool, now: float, wall: int) -> DeviceView:
        # Of one that a former process heard, only the stamp is known.
        silent_for = now - device.heard if device.lines else max(0.0, (wall - device.heard_ns) / 1e9)
        return DeviceView(
            source=source,
            device=device.name,
            peer=device.peer,
            rate=device.rate.rate(now),
            lines=device.lines,
            silent_for=silent_for,
            last_seen=moment(device.heard_ns),
            silent=silent,
        )

    async def _route(self, route: RouteAtWork, dead: Mapping[str, int]) -> RouteView:
        courier = route.courier
        backlog = await route.consumer.backlog()
        waited = None if backlog.oldest_ns is None else max(0.0, (self._now_ns() - backlog.oldest_ns) / 1e9)
        return RouteView(
            id=courier.route.id,
            target=courier.route.target,
            rate_minute=courier.rate.last_minute(self._clock.seconds()),
            waiting=backlog.waiting,
            more=backlog.more,
            oldest=waited,
            dead_letters=dead.get(courier.route.id, 0),
            problem=None if courier.problem is None else courier.problem.reason,
            paused=courier.paused,
        )

    def _target(self, name: str, gate: Gate, now: float) -> TargetView:
        problem = gate.problem
        return TargetView(
            id=name,
            state=_state(gate),
            in_use=gate.under_way,
            limit=gate.limit,
            p50=gate.latency.quantile(now, 0.5),
            p99=gate.latency.quantile(now, 0.99),
            paced=gate.paced,
            problem=None if problem is None else problem.reason,
            paused=gate.paused,
        )


def _state(gate: Gate) -> Literal["open", "down", "blocked", "not asked yet"]:
    if gate.ready:
        return "open"
    if gate.problem is None:
        return "not asked yet"
    return "blocked" if isinstance(gate.problem, Blocked) else "down"
