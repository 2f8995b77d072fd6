"""What watches a gateway's stream: traffic by source, silence alarms, recent alarms, and the overview of it all."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import msgspec
from twisted.logger import globalLogPublisher

from lineside.assemble.linessettings import LinesSourceSettings
from lineside.assemble.parts import JournalPart
from lineside.assemble.settings import Settings
from lineside.delivery.courier import Courier
from lineside.delivery.gate import Gate
from lineside.journal.consumer import DurableConsumer
from lineside.journal.watched import WatchedJournal
from lineside.model.ports import Part
from lineside.model.traffic import Traffic
from lineside.operations.alarms import RecentAlarms
from lineside.operations.overview import OverviewOperations, RouteAtWork
from lineside.operations.registry import Operations
from lineside.operations.results import SourceStatus, TasksView
from lineside.operations.silence import MOST_DEVICES, Expectation, SilenceWatch
from lineside.operations.texts import moment


class Watching:
    """The watchers of one gateway, not started yet.

    Args:
        reactor: its timers must follow a monotonic clock.
        settings: of the whole gateway.
        store: its journal.

    """

    def __init__(self, reactor: Any, settings: Settings, store: JournalPart) -> None:
        self._reactor = reactor
        self._store = store
        self._live = settings.live is not None
        expectations = []
        self.traffics: dict[str, Traffic] = {}
        self.journals: dict[str, WatchedJournal] = {}
        """By source: where its events go, counted."""
        for name, source in settings.sources.items():
            devices = source.silence_of == "device"
            traffic = Traffic(reactor.seconds(), *([MOST_DEVICES] if devices else []))
            self.traffics[name] = traffic
            self.journals[name] = WatchedJournal(store.journal, traffic, reactor, time.time_ns)
            if source.silence:
                hours = settings.hours_of(source)
                # A certificate names its device always: no address stands for one that does not say its name.
                certified = isinstance(source, LinesSourceSettings) and source.certified
                named = source.device is not None and not certified
                expectations.append(Expectation(name, traffic, source.silence, hours, devices, named))
        self._alarms = RecentAlarms(globalLogPublisher, reactor, time.time_ns)
        self._silence = SilenceWatch(expectations, store.journal, store.database, reactor, time.time_ns)
        self.parts: list[Part] = [self._alarms, self._silence]
        """Start them once the journal is open, and before the sources."""

    def told(self, status: SourceStatus) -> SourceStatus:
        """Return a source's status with what is known of its traffic."""
        traffic = self.traffics[status.id]
        return msgspec.structs.replace(
            status,
            rate=traffic.lines.last_minute(self._reactor.seconds()),
            last_seen=None if traffic.heard is None else moment(traffic.heard_ns),
            silent=self._silence.silent(status.id),
            paused=self.journals[status.id].paused,
        )

    def offer(
        self,
        operations: Operations,
        sources: Callable[[], list[SourceStatus]],
        couriers: list[Courier],
        consumers: Mapping[str, DurableConsumer],
        gates: Mapping[str, Gate],
        tasks: Callable[[], Awaitable[TasksView]] | None = None,
    ) -> None:
        """Offer the overview."""
        OverviewOperations(
            self._store.journal,
            self._store.database,
            traffics=self.traffics,
            sources=sources,
            silent=self._silence.silent,
            routes=[RouteAtWork(courier, consumers[courier.route.id]) for courier in couriers],
            gates=gates,
            alarms=self._alarms,
            clock=self._reactor,
            now_ns=time.time_ns,
            live=self._live,
            tasks=tasks,
        ).register(operations)
