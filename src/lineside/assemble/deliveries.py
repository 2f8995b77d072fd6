"""Everything that carries events to targets, as the composition root puts it together."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from random import Random
from typing import TYPE_CHECKING, Any

from lineside.assemble.edges import target_part
from lineside.assemble.parts import JournalPart
from lineside.assemble.settings import Settings
from lineside.assemble.translation import compile_route, consumer_spec
from lineside.delivery.backoff import Backoff
from lineside.delivery.courier import Courier
from lineside.delivery.gate import Gate
from lineside.journal.consumer import DurableConsumer
from lineside.operations.results import RouteStatus

if TYPE_CHECKING:
    from lineside.assemble.edges import TargetPart

JITTER = 0.1
"""The share by which a route's delays vary."""


class Deliveries:
    """The targets of a gateway, and the routes that lead to them, not started yet.

    Args:
        reactor: its timers must follow a monotonic clock.
        settings: of the whole gateway.
        store: the journal.
        random: for delays.

    """

    def __init__(self, reactor: Any, settings: Settings, store: JournalPart, random: Random) -> None:
        self._routes = list(settings.routes)
        self.targets: dict[str, TargetPart] = {
            name: target_part(reactor, name, settings) for name in settings.targets
        }
        self.gates = {
            name: Gate(
                name,
                self.targets[name].target,
                reactor,
                random,
                concurrency=target.concurrency,
                budget=self.targets[name].budget,
            )
            for name, target in settings.targets.items()
        }
        self.couriers: list[Courier] = []
        """In the order of the configuration."""
        self.consumers: dict[str, DurableConsumer] = {}
        """The routes' places in the journal, by the routes' permanent names."""
        for name, table in settings.routes.items():
            route = compile_route(settings, name)
            consumer = self.consumers[route.id] = store.consumer(consumer_spec(table, route))
            backoff = Backoff(tuple(table.backoff), JITTER)
            gate = self.gates[route.target]
            self.couriers.append(Courier(route, consumer, gate, reactor, random, backoff=backoff))

    @property
    def pauses(self) -> dict[str, Callable[[bool], None]]:
        """What pauses a route or lets it go on, by its name."""
        return {name: courier.pause for name, courier in zip(self._routes, self.couriers, strict=True)}

    @property
    def target_pauses(self) -> Mapping[str, Callable[[bool], None]]:
        """What pauses all that goes to a target, by its name."""
        return {name: partial(self._pause_target, gate) for name, gate in self.gates.items()}

    @property
    def status(self) -> list[RouteStatus]:
        """What is told of the routes."""
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
                paced=courier.gate.paced,
                altered=courier.alterations.documents,
                warning=courier.alterations.line(),
                paused=courier.paused,
            )
            for courier in self.couriers
        ]

    def _pause_target(self, gate: Gate, paused: bool) -> None:
        gate.paused = paused
        for courier in self.couriers:
            if courier.gate is gate:
                courier.go_on()
