"""The composition root: settings in, connected parts out. Nothing else knows who is connected to whom."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping
from functools import partial
from importlib.metadata import version
from random import Random
from typing import TYPE_CHECKING, Any

import msgspec
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from lineside.assemble.deliveries import Deliveries
from lineside.assemble.descriptors import HANDSHAKES, RESERVED, shares
from lineside.assemble.documentlinks import document_links
from lineside.assemble.edges import (
    bringers,
    certificates,
    databases,
    dns_view,
    drop_boxes,
    erp_views,
    frappe_sources,
    http_services,
    live_services,
    offline_tasks,
    posts,
    ssh_services,
    tasks,
)
from lineside.assemble.entrance import Entrance
from lineside.assemble.exposure import AskedDoor, is_unix
from lineside.assemble.parts import Dormant, JournalPart
from lineside.assemble.settings import Settings
from lineside.assemble.sources import WayIn
from lineside.assemble.tasksources import status_of, task_sources
from lineside.assemble.tasktriggers import trigger_routes, trigger_spec
from lineside.assemble.translation import compile_route, consumer_spec, decoder_of
from lineside.assemble.troubles import source_trouble, target_trouble
from lineside.assemble.watching import Watching
from lineside.edges.systemd.notify import UNSUPERVISED, Supervision, Supervisor, sender
from lineside.edges.systemd.readiness import Readiness, status_line
from lineside.edges.systemd.watchdog import Watchdog
from lineside.journal.consumer import DurableConsumer
from lineside.journal.inspection import Inspection
from lineside.journal.retention import Retention
from lineside.model.event import NO_SEQ, Event, Seq
from lineside.model.ports import Part
from lineside.model.wording import key_path
from lineside.operations.audit import Audit
from lineside.operations.commands import CommandRecords, DeviceCommands
from lineside.operations.consumers import ConsumerOperations
from lineside.operations.control import ControlSocket
from lineside.operations.deadletters import DeadLetterOperations
from lineside.operations.erpcalls import ErpCallOperations
from lineside.operations.events import EventOperations
from lineside.operations.files import FileOperations
from lineside.operations.names import NameOperations
from lineside.operations.pauses import Kind, Pauses
from lineside.operations.registry import Operations
from lineside.operations.results import ConnectedDevice, SourceStatus
from lineside.operations.sessions import SessionOperations
from lineside.operations.status import StatusOperations
from lineside.operations.tokens import TokenOperations
from lineside.security.turnstile import Turnstile

if TYPE_CHECKING:
    from lineside.edges.dns.view import DnsView

log = Logger()

UNASKED = 40.0
"""Seconds to `Watchdog` where no supervisor says: a disk that hangs is in the log within 30."""


class Gateway:
    """A whole gateway, not started yet.

    Args:
        reactor: its timers must follow a monotonic clock, see `lineside.assemble.lifecycle`.
        supervised: by whom, if by anyone.
        descriptors: how many files the process may open; sources get fewer connections where they are too few.

    """

    def __init__(
        self,
        reactor: Any,
        settings: Settings,
        supervised: Supervision = UNSUPERVISED,
        *,
        descriptors: int = sys.maxsize,
    ) -> None:
        self._reactor = reactor
        self._settings = settings
        random = Random()  # noqa: S311 (jitter)
        store = JournalPart(reactor, settings.journal)
        began = {"configuration": str(settings.path), "blake2b": settings.digest, "version": version("lineside")}
        audit = Audit(store.database, reactor, time.time_ns, began=began)
        self.operations = Operations(audit)
        audit.register(self.operations)
        self.deliveries = Deliveries(reactor, settings, store, random)
        targets, gates, couriers = self.deliveries.targets, self.deliveries.gates, self.deliveries.couriers
        consumers = dict(self.deliveries.consumers)
        self._watching = Watching(reactor, settings, store)
        self.certificates = certificates(reactor, settings)
        self.turnstile = Turnstile(settings.limits.bounds, reactor)
        journals = self._watching.journals
        self._ways_in = [
            WayIn(reactor, name, source, journals[name], random, self.certificates, store.database)
            for name, source in settings.streams.items()
        ]
        self.sources = [way.source for way in self._ways_in]
        self.databases = databases(reactor, settings, store, self._watching.journals, random)
        self.hooks = frappe_sources(reactor, settings, store, self._watching.journals, targets, gates, random)
        self.bringers = bringers(reactor, settings, store, self._watching.journals, consumers, random)
        self.posts = posts(reactor, settings, store, self._watching.journals)
        self.task_sources = task_sources(settings, self._watching.journals)
        self.erp = erp_views(reactor, settings, targets, self.operations)
        (ErpCallOperations(None) if self.erp is None else self.erp.calls).register(self.operations)
        self.tasks = tasks(
            reactor, settings, store, random, self.task_sources, targets, gates, lambda: self.retention
        )
        if self.tasks is not None:
            # Events that start tasks are owed to them as others are to routes.
            consumers |= self.tasks.consumers
            self.tasks.register(self.operations)
        offer(self.operations, store, settings, consumers, reactor, running=True)
        taken = {route: consumer.spec.sources for route, consumer in consumers.items()}
        self.retention = Retention(
            store.journal,
            store.database,
            reactor,
            settings.journal.keeping,
            sources=taken,
            floors=lambda: {route: consumer.floor for route, consumer in consumers.items()},
        )
        StatusOperations(
            store.journal,
            store.database,
            self._source_status,
            lambda: self.deliveries.status,
            taken=taken,
            problem=lambda: self.retention.problem,
        ).register(self.operations)
        self._watching.offer(
            self.operations,
            self._source_status,
            couriers,
            consumers,
            gates,
            None if self.tasks is None else self.tasks.operations.glance,
        )
        pauses = Pauses(
            store.database,
            {
                "source": {name: journal.pause for name, journal in self._watching.journals.items()},
                "route": self.deliveries.pauses,
                "target": self.deliveries.target_pauses,
            },
            time.time_ns,
        )
        commands = DeviceCommands(
            store.database,
            {way.source.id: way.commands for way in self._ways_in if way.commands is not None},
            settings.sources,
            self._uncommanded,
            reactor,
            time.time_ns,
        )
        for offered in (pauses, commands):
            offered.register(self.operations)
        self.entrance = Entrance(reactor, settings, store, targets, audit, self.operations)
        self.names = self._naming()
        self.live = live_services(
            reactor,
            settings,
            store,
            self.operations,
            self.entrance.tokens,
            couriers,
            self._watching.journals.values(),
            targets,
            {} if self.posts is None else {"events.append": self.posts.append},
            None if self.erp is None or not settings.erp else self.erp.reader,
            None if self.tasks is None else self.tasks.runner,
            failed_login=audit.failed_login,
            sessions=self.entrance.sessions,
            turnstile=self.turnstile,
        )
        if self.live is not None and self.tasks is not None:
            self.live.tell_of(dict(zip(self.tasks.consumers, self.tasks.triggers, strict=True)))
        self._join(self.entrance.tokens, audit, descriptors)
        self.http = (
            None
            if settings.http is None or self.posts is None
            else http_services(
                reactor,
                settings.http,
                self.operations,
                self.entrance.tokens,
                gates,
                hindered=self._hindered,
                failed_login=audit.failed_login,
                turnstile=self.turnstile,
                described=[
                    *self.posts.endpoints,
                    *([] if self.databases is None else self.databases.endpoints),
                    *([] if self.hooks is None else self.hooks.endpoints),
                    *([] if self.live is None else [self.live.part.endpoint]),
                    *([] if self.erp is None else self.erp.endpoints),
                ],
                certificates=self.certificates,
                log_ins=self.entrance.log_ins,
                ssh=lambda: None if self.ssh is None else self.ssh.counts,
            )
        )
        self.drop_boxes = drop_boxes(
            reactor, settings, store, self._watching.journals, consumers, random, record=audit.note
        )
        self.ssh = ssh_services(
            reactor,
            settings,
            self.operations,
            record=audit.note,
            failed_login=audit.failed_login,
            boxes=None if self.drop_boxes is None else self.drop_boxes.served,
        )
        self.stages: list[list[Part]] = [
            [store],
            [audit],
            [self.entrance.tokens, self.entrance.sessions, pauses, commands],
            [*self._watching.parts, *([] if self.certificates is None else [self.certificates])],
            [*targets.values(), *([] if self.databases is None else self.databases.parts)],
            [*couriers],
            *([] if self.tasks is None else self.tasks.stages),
            [self.retention, Inspection(store.database, reactor)],
            # Only once the routes have their places can anything be told of them.
            [ControlSocket(reactor, settings.journal.control_path, self.operations, reactor)],
            *([] if self.live is None else [self.live.parts]),
            *(
                []
                if self.http is None
                else [[*self._doors(self.entrance.tokens), *self.http.watchers], list[Part]([self.http.part])]
            ),
            *([] if self.names is None else [list[Part]([self.names])]),
            *self._waiting,
            *([] if self.bringers is None else self.bringers.stages),
            *([] if self.drop_boxes is None else self.drop_boxes.stages),
            *([] if self.ssh is None else [list[Part]([self.ssh.part])]),
            [
                *self.sources,
                *([] if self.databases is None else self.databases.sources),
                *([] if self.hooks is None else self.hooks.parts),
                *([] if self.bringers is None else self.bringers.parts),
            ],
        ]
        self._supervise(supervised, store)

    def _supervise(self, supervised: Supervision, store: JournalPart) -> None:
        send = _to_nobody if supervised.address is None else sender(supervised.address)
        supervisor = Supervisor(send, self._reactor)
        # As long as there is a journal, so that stopping is watched too.
        watchdog = Watchdog(supervisor, supervised.watchdog or UNASKED, store.database.echo, self._reactor)
        self.stages.insert(1, [watchdog])
        if supervised.address is not None:
            self.stages.append([Readiness(supervisor, self._status_line, self._reactor)])

    def announce(self) -> None:
        """Say in the log that all parts work, and where."""
        for way in self._ways_in:
            if way.dials:
                log.info("source.dialling", source=way.source.id, address=way.source.address)
            else:
                log.info("source.listening", source=way.source.id, address=way.source.address)
        for source in [] if self.databases is None else self.databases.sources:
            log.info("source.polling", source=source.id, address=source.address)
        if self.bringers is not None:
            self.bringers.announce()
        for hooks in [] if self.hooks is None else self.hooks.sources:
            log.info("source.hooked", source=hooks.id, address=hooks.address)
        if self.http is not None:
            log.info("http.listening", address=self.http.part.address)
        if self.names is not None:
            log.info("dns.listening", address=self.names.address)
        if self.ssh is not None:
            log.info("ssh.listening", address=self.ssh.part.address)
        log.info("gateway.ready", journal=str(self._settings.journal.path), routes=len(self.deliveries.couriers))

    def _join(self, tokens: TokenOperations, audit: Audit, descriptors: int) -> None:
        """Tell the ways in by whom they are watched, and what they are held to."""
        for way in self._ways_in:
            intake = way.source.intake
            intake.on_batch = self._watching.journals[intake.id].came
            lines = self._settings.lines.get(intake.id)
            if lines is not None and lines.allow is not None:
                intake.door = self.turnstile.door(key_path("sources", intake.id), lines.allow)
            if lines is not None and way.takes_connections and not is_unix(lines.listen):
                intake.share = self.turnstile.share(key_path("sources", intake.id), intake.limits.max_connections)
        for hooked in [] if self.hooks is None else self.hooks.sources:
            if hooked.hooks is not None:
                hooked.hooks.on_refused = partial(self._unsigned, audit, hooked.id)
        if self.live is not None:
            tokens.on_revoked.append(self.live.part.review)
        self._share_descriptors(descriptors)

    def _share_descriptors(self, descriptors: int) -> None:
        # Dialled sources and datagrams have one each, which the reserve bears.
        intakes = {way.source.id: way.source.intake for way in self._ways_in if way.takes_connections}
        wanted = {name: intake.limits.max_connections for name, intake in intakes.items()}
        viewers = 0 if self.live is None else self.live.part.max_connections
        handshakes = HANDSHAKES * self._settings.secured
        handshakes += 0 if self._settings.ssh is None else self._settings.ssh.max_connections
        allowed = shares(descriptors - handshakes, wanted, viewers)
        for name, intake in intakes.items():
            intake.limits = msgspec.structs.replace(intake.limits, max_connections=allowed.sources[name])
            if intake.share is not None:
                intake.share.lower(allowed.sources[name])
        if self.live is not None:
            self.live.part.max_connections = allowed.live
            if self.live.part.share is not None:
                self.live.part.share.lower(allowed.live)
        connections, total = sum(allowed.sources.values()) + allowed.live, sum(wanted.values()) + viewers
        if (allowed.sources, allowed.live) != (wanted, viewers):
            log.warn(
                "gateway.few_descriptors",
                limit=descriptors,
                connections=connections,
                wanted=total,
                remedy=f"allow {total + RESERVED + handshakes} open files (LimitNOFILE in the unit, ulimit -n in a "
                "shell), or lower max_connections",
            )

    def _unsigned(self, audit: Audit, source: str, peer: str) -> float:
        audit.failed_login(f"webhook {peer}")
        return self.turnstile.failed(key_path("sources", source), peer)

    @property
    def _waiting(self) -> list[list[Part]]:
        waiting: list[Part] = [way.patience for way in self._ways_in if way.patience is not None]
        return [waiting] if waiting else []

    def _doors(self, tokens: TokenOperations) -> list[Part]:
        http = self._settings.http
        return [] if http is None else [AskedDoor(http.listen, tokens, meant=http.public or http.login is not None)]

    def _uncommanded(self) -> list[ConnectedDevice]:
        """Return the devices of sources that send no commands, as far as their addresses tell who is connected."""
        found = []
        for way in self._ways_in:
            if way.commands is None and (way.dials or way.takes_connections):
                peers = {session.peer for session in way.source.intake.sessions}
                found += [
                    ConnectedDevice(way.source.id, device.name, device.peer, commands=False, waiting=0)
                    for device in self._watching.traffics[way.source.id].devices.values()
                    if device.peer is not None and device.peer in peers
                ]
        return found

    def _hindered(self) -> list[str]:
        return [] if self.retention.problem is None else [self.retention.problem]

    def _naming(self) -> DnsView | None:
        view = dns_view(self._reactor, self._settings, self._source_trouble, self._target_trouble)
        NameOperations(view).register(self.operations)
        return view

    def _source_trouble(self, name: str) -> str | None:
        return source_trouble(next(one for one in self._source_status() if one.id == name), self._hindered())

    def _target_trouble(self, name: str) -> str | None:
        return target_trouble(self.deliveries.gates.get(name))

    def _status_line(self) -> str:
        return status_line(self._source_status(), self.deliveries.status)

    def _source_status(self) -> list[SourceStatus]:
        polled = [] if self.databases is None else self.databases.status
        hooked = [] if self.hooks is None else self.hooks.status
        posted = [] if self.posts is None else self.posts.status
        filled = status_of(self.task_sources)
        brought = [] if self.bringers is None else self.bringers.status
        left = [] if self.drop_boxes is None else self.drop_boxes.status
        ways = (way.status for way in self._ways_in)
        every = (*ways, *polled, *hooked, *posted, *filled, *brought, *left)
        return [self._watching.told(status) for status in every]


class Offline:
    """The operations on a journal that no gateway holds."""

    def __init__(self, reactor: Any, settings: Settings) -> None:
        self._store = JournalPart(reactor, settings.journal)
        routes = {name: compile_route(settings, name) for name in settings.routes}
        self._consumers = {
            route.id: Dormant(self._store.consumer(consumer_spec(settings.routes[name], route)))
            for name, route in routes.items()
        }
        for route in trigger_routes(settings).values():
            self._consumers[route.id] = Dormant(self._store.consumer(trigger_spec(route)))
        self._audit = Audit(self._store.database, reactor, time.time_ns)
        self.operations = Operations(self._audit)
        self._audit.register(self.operations)
        offer(self.operations, self._store, settings, self._consumers, reactor, running=False)
        TokenOperations(self._store.database, settings.sources, time.time_ns).register(self.operations)
        SessionOperations(self._store.database, time.time_ns).register(self.operations)
        paused: dict[Kind, dict[str, Callable[[bool], None]]] = {
            # The next start pauses them.
            "source": dict.fromkeys(settings.sources, lambda _: None),
            "route": dict.fromkeys(settings.routes, lambda _: None),
            "target": dict.fromkeys(settings.targets, lambda _: None),
        }
        Pauses(self._store.database, paused, time.time_ns).register(self.operations)
        if settings.tasks:
            offline_tasks(reactor, settings, self._store).register(self.operations)
        taken = {route: consumer.spec.sources for route, consumer in self._consumers.items()}
        StatusOperations(self._store.journal, self._store.database, list, list, taken=taken).register(
            self.operations
        )
        NameOperations(None).register(self.operations)

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
        await self._audit.stop()
        await self._store.stop()


def offer(
    operations: Operations,
    store: JournalPart,
    settings: Settings,
    consumers: Mapping[str, DurableConsumer | Dormant],
    clock: IReactorTime,
    *,
    running: bool,
) -> None:
    """Offer the operations on the journal."""
    decoders: dict[str, Callable[[bytes, str | None], Event]] = {
        name: decoder_of(source).decode
        for name, source in (settings.streams | settings.posts | settings.hooks).items()
    }
    decoders |= dict.fromkeys((*settings.folders, *settings.drop_boxes, *settings.pulls), once_only)
    specs = {route: consumer.spec for route, consumer in consumers.items()}
    EventOperations(store.journal, store.database, specs, clock, document_links(settings)).register(operations)
    DeadLetterOperations(store.journal, store.database, decoders, consumers).register(operations)
    FileOperations(store.database, lambda source: _floors(consumers, source, running=running)).register(operations)
    ConsumerOperations(store.journal, store.database, consumers.keys(), running=running).register(operations)
    CommandRecords(store.database).register(operations)


def _floors(consumers: Mapping[str, DurableConsumer | Dormant], source: str, *, running: bool) -> dict[str, Seq]:
    """Return how far the routes are that take a source's events; without a gateway only what is stored is known."""
    taking = {name: consumer for name, consumer in consumers.items() if source in consumer.spec.sources}
    return {
        name: consumer.floor if running and isinstance(consumer, DurableConsumer) else NO_SEQ
        for name, consumer in taking.items()
    }


def once_only(raw: bytes, device: str | None) -> Event:
    """Say of a row that could not be decoded that it is not tried again: it would not know its file any more."""
    return Event(b"", raw=raw, device=device, error="a row is not decoded again; let it be sent in a new file")


def _to_nobody(datagram: bytes) -> None:
    """Send nothing: the log is all that there is."""
