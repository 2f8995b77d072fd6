"""The live channels of a gateway: what is published where, and who may look."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from lineside.assemble.importing import importing
from lineside.assemble.livesettings import FrappeRealtimeSettings
from lineside.assemble.parts import JournalPart
from lineside.assemble.settings import Settings
from lineside.delivery.courier import Courier
from lineside.edges.websocket.access import Access, Rule
from lineside.edges.websocket.channels import Hub, publication
from lineside.edges.websocket.erpcalls import erp_get
from lineside.edges.websocket.part import LivePart
from lineside.edges.websocket.part import LiveSettings as Bounds
from lineside.edges.websocket.recognition import Recognition, Sessions, Tokens
from lineside.edges.websocket.rpc import Offered, Rpc
from lineside.edges.websocket.sessions import Limits
from lineside.edges.websocket.streams import JournalStreams, MemoryStream
from lineside.journal.watched import WatchedJournal
from lineside.model.errors import ConfigurationError
from lineside.model.event import Seq
from lineside.model.outcome import Delivered, Outcome, Refused
from lineside.model.ports import Part, Pending, PermissionOracle
from lineside.operations.erp import ErpReader
from lineside.operations.registry import Operations
from lineside.operations.tasks import summary
from lineside.security.jwts import JwtTokens

if TYPE_CHECKING:
    from lineside.assemble.edges import TargetPart
    from lineside.security.turnstile import Turnstile
    from lineside.tasks.runner import Runner
    from lineside.tasks.runs import Run
    from lineside.tasks.triggers import Trigger


class LiveServices:
    """Publishes what the gateway does, and serves it.

    Args:
        reactor: its timers must follow a monotonic clock.
        settings: with a table ``[live]``.
        store: the journal.
        operations: what clients may call.
        tokens: API tokens.
        couriers: whose deliveries are told.
        journals: whose undecodable events are told.
        targets: the ERP's sites among them.
        offered: further calls, by their names.
        reader: shows what clients may see of the ERP.
        runner: whose tasks' runs are told.
        failed_login: is told from where somebody came whose token is none.
        sessions: of people who logged in; None where nobody does.
        turnstile: holds callers to the limits.

    """

    def __init__(
        self,
        reactor: Any,
        settings: Settings,
        store: JournalPart,
        operations: Operations,
        tokens: Tokens,
        couriers: Iterable[Courier],
        journals: Iterable[WatchedJournal],
        targets: Mapping[str, TargetPart],
        offered: Mapping[str, Offered],
        reader: ErpReader | None = None,
        runner: Runner | None = None,
        *,
        failed_login: Callable[[str], None],
        sessions: Sessions | None = None,
        turnstile: Turnstile,
    ) -> None:
        live = settings.live
        assert live is not None
        hub = Hub()
        # They settle in no order of the journal's, so that a position is good for this start only.
        run = store.journal.run
        self._deliveries = MemoryStream(hub, "deliveries", run)
        self._dead_letters = MemoryStream(hub, "deadletters", run)
        self._tasks: dict[str, MemoryStream] = {}
        if runner is not None:
            self._tasks = {name: MemoryStream(hub, f"tasks:{name}", run) for name in runner.tasks}
            runner.on_change.append(self._changed)
        for courier in couriers:
            courier.on_settled.append(partial(self._settled, courier.route.id))
        for journal in journals:
            journal.on_undecodable.append(self._undecodable)
        rules = {
            name: Rule(frozenset(table.subscribe), frozenset(table.publish), presence=table.presence)
            for name, table in settings.channels.items()
        }
        jwts = None
        if live.jwt_key is not None:
            jwts = JwtTokens(live.jwt_key.reveal(), time.time, audience=live.jwt_audience, issuer=live.jwt_issuer)
        oracle = self.bridge = None
        if live.frappe is not None:
            name = live.frappe.target or next(iter(settings.sites))
            oracle, self.bridge = realtime(reactor, live.frappe, targets[name], settings.sites[name].site, hub)
        self.part = LivePart(
            reactor,
            Bounds(
                limits=Limits(channels=live.max_channels, history=live.recovery_limit),
                origins=frozenset(live.allowed_origins),
                max_connections=live.max_connections,
                max_message=live.max_message,
                room=live.max_queued,
                compress=live.compression,
            ),
            hub,
            Access(rules, oracle, sources=settings.sources, tasks=settings.tasks),
            JournalStreams(store.journal, store.database, hub, reactor),
            {
                "deliveries": self._deliveries,
                "deadletters": self._dead_letters,
                **{f"tasks:{name}": stream for name, stream in self._tasks.items()},
            },
            Rpc(operations, {**offered, **({} if reader is None else {"erp.get": erp_get(reader)})}),
            Recognition(
                tokens,
                jwts,
                oracle,
                erp_role="nobody" if live.frappe is None else live.frappe.role,
                failed=failed_login,
                sessions=sessions,
                wait=partial(turnstile.failed, "live"),
            ),
            turnstile.share("live", live.max_connections),
        )
        self.parts: list[Part] = [self.part, *([] if self.bridge is None else [self.bridge])]

    def tell_of(self, triggers: Mapping[str, Trigger]) -> None:
        """Publish what starts no run among the dead letters, by the names of the triggers' places."""
        for place, trigger in triggers.items():
            trigger.on_refused.append(partial(self._refused, place))

    def _changed(self, changed: list[Run]) -> None:
        now = time.time_ns()
        for run in changed:
            # A run that waits may be one of a task that is configured no more.
            if run.task in self._tasks:
                self._tasks[run.task].publish(summary(run, now))

    def _undecodable(self, source: str, seq: Seq, error: str) -> None:
        self._dead_letters.publish(unreadable(source, seq, error))

    def _refused(self, place: str, refused: list[tuple[Pending, Outcome]]) -> None:
        for pending, outcome in refused:
            _, letter = told(place, pending, outcome)
            if letter is not None:
                self._dead_letters.publish(letter)

    def _settled(self, route: str, done: list[tuple[Pending, Outcome]]) -> None:
        for pending, outcome in done:
            delivery, letter = told(route, pending, outcome)
            if delivery is not None:
                self._deliveries.publish(delivery)
            if letter is not None:
                self._dead_letters.publish(letter)


def told(route: str, pending: Pending, outcome: Outcome) -> tuple[dict[str, Any] | None, dict[str, Any] | None]:
    """Return what is published of an outcome in ``deliveries`` and in ``deadletters``; None for nothing."""
    of = {"route": route, "seq": pending.record.seq, "source": pending.record.source, "attempt": pending.attempt}
    match outcome:
        case Delivered(name=name, found=found):
            return {**of, "state": "delivered", "document": name, "found": found}, None
        case Refused(code=code, reason=reason):
            return {**of, "state": "refused", "code": code}, {**of, "code": code, "reason": reason}
        case _:
            return None, None


def unreadable(source: str, seq: Seq, error: str) -> dict[str, Any]:
    """Return what is published in ``deadletters`` of an event that could not be decoded; it has no route."""
    code, _, reason = error.partition(": ")
    return {"seq": seq, "source": source, "code": code, "reason": reason}


def realtime(
    reactor: Any, settings: FrappeRealtimeSettings, target: TargetPart, site: str | None, hub: Hub
) -> tuple[PermissionOracle, Part]:
    """Return who knows a site's users, and the part that follows what the site publishes.

    Raises:
        ConfigurationError: what it needs is not installed.

    """
    from lineside.assemble.frappesites import FrappePart  # noqa: PLC0415 (an edge of its own)
    from lineside.edges.frappe.readers import FrappeReaders  # noqa: PLC0415

    try:
        with importing():
            from lineside.edges.frappe.realtime import RealtimeBridge  # noqa: PLC0415
    except ModuleNotFoundError as missing:
        raise ConfigurationError(["live.frappe: needs redis: pip install 'lineside[realtime]'"]) from missing
    assert isinstance(target, FrappePart)

    def publish(channel: str, data: bytes) -> None:
        if channel in hub:
            hub.publish(channel, publication(data))

    bridge = RealtimeBridge(reactor, settings.redis, settings.site or site, publish)
    return FrappeReaders(target.client), bridge
