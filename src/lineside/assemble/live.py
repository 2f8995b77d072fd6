"""The live channels of a gateway: what is published where, and who may look."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any

from lineside.assemble.livesettings import ChannelSettings, LiveSettings
from lineside.assemble.parts import JournalPart
from lineside.delivery.courier import Courier
from lineside.edges.websocket.access import Access, Rule
from lineside.edges.websocket.channels import Hub
from lineside.edges.websocket.part import LivePart
from lineside.edges.websocket.part import LiveSettings as Bounds
from lineside.edges.websocket.rpc import Offered, Rpc
from lineside.edges.websocket.sessions import Limits, Tokens
from lineside.edges.websocket.streams import JournalStreams, MemoryStream
from lineside.model.outcome import Delivered, Outcome, Refused
from lineside.model.ports import Pending
from lineside.operations.registry import Operations
from lineside.security.jwts import JwtTokens


class LiveServices:
    """Publishes what the gateway does, and serves it.

    Args:
        reactor: its timers must follow a monotonic clock.
        settings: the ``[live]`` table.
        channels: the ``[channels.NAME]`` tables.
        store: the journal.
        operations: what clients may call.
        offered: what else they may call.
        tokens: API tokens.
        couriers: whose deliveries are told.

    """

    def __init__(
        self,
        reactor: Any,
        settings: LiveSettings,
        channels: Mapping[str, ChannelSettings],
        store: JournalPart,
        operations: Operations,
        tokens: Tokens,
        couriers: Iterable[Courier],
        offered: Mapping[str, Offered] | None = None,
    ) -> None:
        hub = Hub()
        # They settle in no order of the journal's, so that a position is good for this start only.
        run = store.journal.run
        self._deliveries = MemoryStream(hub, "deliveries", run)
        self._dead_letters = MemoryStream(hub, "deadletters", run)
        for courier in couriers:
            courier.on_settled.append(partial(self._settled, courier.route.id))
        rules = {
            name: Rule(frozenset(table.subscribe), frozenset(table.publish), presence=table.presence)
            for name, table in channels.items()
        }
        jwts = None
        if settings.jwt_key is not None:
            jwts = JwtTokens(
                settings.jwt_key.reveal(), time.time, audience=settings.jwt_audience, issuer=settings.jwt_issuer
            )
        self.part = LivePart(
            reactor,
            Bounds(
                limits=Limits(channels=settings.max_channels, history=settings.recovery_limit),
                origins=frozenset(settings.allowed_origins),
                max_connections=settings.max_connections,
                max_message=settings.max_message,
                room=settings.max_queued,
                compress=settings.compression,
            ),
            hub,
            Access(rules),
            JournalStreams(store.journal, store.database, hub, reactor),
            {"deliveries": self._deliveries, "deadletters": self._dead_letters},
            Rpc(operations, offered),
            tokens,
            jwts,
        )

    def _settled(self, route: str, done: list[tuple[Pending, Outcome]]) -> None:
        for pending, outcome in done:
            told: dict[str, Any] = {
                "route": route,
                "seq": pending.record.seq,
                "source": pending.record.source,
                "attempt": pending.attempt,
            }
            match outcome:
                case Delivered(name=name, found=found):
                    self._deliveries.publish({**told, "state": "delivered", "document": name, "found": found})
                case Refused(code=code, reason=reason):
                    self._deliveries.publish({**told, "state": "refused", "code": code})
                    self._dead_letters.publish({**told, "code": code, "reason": reason})
                case _:
                    pass
