"""The composition root: settings in, connected parts out. Nothing else knows who is connected to whom."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from random import Random
from typing import Any

from twisted.internet.endpoints import serverFromString
from twisted.logger import Logger

from lineside.assemble.settings import FrappeTargetSettings, LinesSourceSettings, RouteSettings, Settings
from lineside.delivery.backoff import Backoff
from lineside.delivery.courier import Courier
from lineside.delivery.gate import Gate
from lineside.delivery.route import Route
from lineside.delivery.templates import compile_condition, compile_template
from lineside.edges.frappe.client import FrappeClient
from lineside.edges.frappe.target import FrappeTarget
from lineside.edges.lines.source import Limits, LinesSource
from lineside.journal.consumer import DurableConsumer
from lineside.journal.deadletters import DeadLetter
from lineside.journal.log import SqliteJournal
from lineside.journal.tables import JOURNAL
from lineside.model.event import Event
from lineside.model.ports import ConsumerSpec, Part
from lineside.operations.consumers import ConsumerOperations
from lineside.operations.control import ControlSocket
from lineside.operations.deadletters import DeadLetterOperations
from lineside.operations.events import EventOperations
from lineside.operations.registry import Operations
from lineside.operations.requests import RouteStatus, SourceStatus
from lineside.operations.status import StatusOperations
from lineside.store.database import Database
from lineside.wire.jsonl import JsonLines

log = Logger()

JITTER = 0.1
"""The share by which a route's delays vary."""


class Gateway:
    """A whole gateway, not started yet.

    Args:
        reactor: its timers must follow a monotonic clock, see `lineside.assemble.lifecycle`.

    """

    def __init__(self, reactor: Any, settings: Settings) -> None:
        self._reactor = reactor
        self._settings = settings
        random = Random()  # noqa: S311 (jitter)
        store = JournalPart(reactor, settings)
        self.operations = Operations()
        self.targets = {name: FrappePart(reactor, name, target) for name, target in settings.targets.items()}
        self.couriers: list[Courier] = []
        consumers: dict[str, DurableConsumer] = {}
        gates = {
            name: Gate(name, self.targets[name].target, reactor, random, concurrency=target.concurrency)
            for name, target in settings.targets.items()
        }
        for name in settings.routes:
            route = compile_route(settings, name)
            consumer = consumer_of(store, reactor, settings.routes[name], route)
            consumers[route.id] = consumer
            backoff = Backoff(tuple(settings.routes[name].backoff), JITTER)
            self.couriers.append(Courier(route, consumer, gates[route.target], reactor, random, backoff=backoff))
        self.sources = [
            LinesSource(
                name,
                serverFromString(reactor, source.listen),
                source.listen,
                decoder_of(source),
                store.journal,
                reactor,
                limits_of(source),
            )
            for name, source in settings.sources.items()
        ]
        offer(self.operations, store, settings, consumers, running=True)
        StatusOperations(store.journal, store.database, self._source_status, self._route_status).register(
            self.operations
        )
        self.stages: list[list[Part]] = [
            [store],
            [*self.targets.values()],
            [*self.couriers],
            # Only once the routes have their places can anything be told of them.
            [ControlSocket(reactor, settings.journal.control_path, self.operations)],
            [*self.sources],
        ]

    def announce(self) -> None:
        """Say in the log that all parts work, and where."""
        for source in self.sources:
            log.info("source.listening", source=source.id, address=source.address)
        log.info("gateway.ready", journal=str(self._settings.journal.path), routes=len(self.couriers))

    def _source_status(self) -> list[SourceStatus]:
        return [
            SourceStatus(source.id, source.address, len(source.connections), source.received, source.undecodable)
            for source in self.sources
        ]

    def _route_status(self) -> list[RouteStatus]:
        return [
            RouteStatus(
                id=courier.route.id,
                target=courier.route.target,
                floor=courier.consumer.floor,
                pending=courier.consumer.pending,
                delivered=courier.delivered,
                refused=courier.refused,
                retried=courier.retried,
                problem=None if courier.problem is None else courier.problem.reason,
            )
            for courier in self.couriers
        ]


class Offline:
    """The operations on a journal that no gateway holds."""

    def __init__(self, reactor: Any, settings: Settings) -> None:
        self._store = JournalPart(reactor, settings)
        routes = {name: compile_route(settings, name) for name in settings.routes}
        self._consumers = {
            route.id: Dormant(consumer_of(self._store, reactor, settings.routes[name], route))
            for name, route in routes.items()
        }
        self.operations = Operations()
        offer(self.operations, self._store, settings, self._consumers, running=False)
        StatusOperations(self._store.journal, self._store.database, list, list).register(self.operations)

    async def open(self) -> None:
        """Open the journal.

        Raises:
            JournalLocked: another process holds it.
            JournalUnusable: it cannot be opened.

        """
        await self._store.start()

    async def close(self) -> None:
        """Let go of the journal."""
        for consumer in self._consumers.values():
            await consumer.close()
        await self._store.stop()


class Dormant:
    """A consumer that is opened when a dead letter is to be handed out again, and not before."""

    def __init__(self, consumer: DurableConsumer) -> None:
        self.spec = consumer.spec
        self._consumer = consumer
        self._open = False

    async def readmit(self, letter: DeadLetter) -> bool:
        """Let the route deliver a dead letter once the gateway runs."""
        if not self._open:
            await self._consumer.open()
            self._open = True
        return await self._consumer.readmit(letter)

    async def close(self) -> None:
        """Close it if it was opened."""
        if self._open:
            await self._consumer.close()


class JournalPart:
    """The `Part` that holds the journal's file."""

    name = "journal"

    def __init__(self, reactor: Any, settings: Settings) -> None:
        self.database = Database(settings.journal.path, (JOURNAL,), reactor.callFromThread)
        self.journal = SqliteJournal(self.database, dedupe_window=settings.journal.dedupe_window)

    async def start(self) -> None:
        """Open the journal; raises `JournalLocked` or `JournalUnusable`."""
        await self.database.open()
        await self.journal.open()

    async def stop(self) -> None:
        """Close the journal after its last commit."""
        await self.database.close()


class FrappePart:
    """The `Part` that holds the connections to one Frappe site."""

    def __init__(self, reactor: Any, name: str, settings: FrappeTargetSettings) -> None:
        self.name = f"target {name}"
        self.client = frappe_client(reactor, settings)
        self.target = FrappeTarget(self.client, settings.id_field, settings.time_zone)

    async def start(self) -> None:
        """Connections are made when they are needed."""

    async def stop(self) -> None:
        """Close what is kept open."""
        await self.client.close()


def frappe_client(reactor: Any, settings: FrappeTargetSettings) -> FrappeClient:
    """Return the client of one target."""
    return FrappeClient(
        reactor,
        settings.url,
        settings.api_key.reveal(),
        settings.api_secret.reveal(),
        site=settings.site,
        timeout=settings.timeout,
        pool_size=settings.concurrency,
    )


def compile_route(settings: Settings, name: str) -> Route:
    """Return a route with its templates compiled; the configuration was checked when it was loaded."""
    route = settings.routes[name]
    path = f"routes.{name}"
    target = settings.target_of(route)
    return Route(
        id=route.id or name,
        sources=frozenset(route.sources or settings.sources),
        target=target,
        action=route.action,
        doctype=route.doctype or "",
        document=compile_template(route.document, f"{path}.document"),
        when=None if route.when is None else compile_condition(route.when, f"{path}.when"),
        order_by=route.order_by,
        concurrency=route.concurrency or settings.targets[target].concurrency,
        batch=route.at_once,
        match=None if route.match is None else compile_template(route.match, f"{path}.match"),
        submit=route.submit,
        method=route.method or "",
    )


def decoder_of(source: LinesSourceSettings) -> JsonLines:
    """Return what turns a source's frames into events."""
    return JsonLines(source.dedupe, source.device)


def limits_of(source: LinesSourceSettings) -> Limits:
    """Return what a source bears."""
    return Limits(
        max_line=source.max_line,
        max_kept=4 * source.max_line,
        max_in_flight=source.max_in_flight,
        max_connections=source.max_connections,
        idle_timeout=source.idle_timeout,
        ack=source.ack,
    )


def consumer_of(store: JournalPart, reactor: Any, settings: RouteSettings, route: Route) -> DurableConsumer:
    """Return a route's durable consumer, not opened yet."""
    spec = ConsumerSpec(
        id=route.id,
        sources=route.sources,
        accepts=route.accepts,
        order_key=route.order_key,
        order_by=route.order_by,
        max_deliver=settings.max_deliver,
        deliver_policy=settings.deliver_policy,
    )
    return DurableConsumer(spec, store.journal, store.database, reactor)


def offer(
    operations: Operations,
    store: JournalPart,
    settings: Settings,
    consumers: Mapping[str, DurableConsumer | Dormant],
    *,
    running: bool,
) -> None:
    """Offer the operations on the journal."""
    decoders: dict[str, Callable[[bytes, str | None], Event]] = {
        name: decoder_of(source).decode for name, source in settings.sources.items()
    }
    specs = {route: consumer.spec for route, consumer in consumers.items()}
    EventOperations(store.journal, store.database, specs).register(operations)
    DeadLetterOperations(store.journal, store.database, decoders, consumers).register(operations)
    ConsumerOperations(store.journal, store.database, consumers.keys(), running=running).register(operations)
