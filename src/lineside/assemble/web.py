"""The HTTP services of a gateway: who answers what, and to whom."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred

from lineside.assemble.httpsettings import HttpSettings
from lineside.assemble.listening import listener
from lineside.delivery.gate import Gate
from lineside.edges.http.api import description_endpoint, operation_endpoints
from lineside.edges.http.files import dashboard_endpoints
from lineside.edges.http.health import health_endpoints
from lineside.edges.http.identification import Identification, Tokens
from lineside.edges.http.login import SessionEndpoints
from lineside.edges.http.metrics import metrics_endpoint
from lineside.edges.http.part import HttpPart
from lineside.edges.http.site import Desk
from lineside.model.ports import Part
from lineside.model.rates import Delays
from lineside.operations.history import HistoryOperations
from lineside.operations.logins import LogIns
from lineside.operations.reactorlag import ReactorLag
from lineside.operations.registry import Operations
from lineside.operations.results import SshCounts
from lineside.operations.web import Endpoint
from lineside.security.identity import LOCAL_USER
from lineside.security.turnstile import Turnstile

if TYPE_CHECKING:
    from lineside.security.tls import ServerSide


class HttpServices:
    """The parts that serve HTTP requests.

    Args:
        reactor: its timers must follow a monotonic clock.
        settings: the ``[http]`` table.
        operations: what may be asked; the history of the last hour is added.
        tokens: by which a caller is known.
        gates: by target.
        hindered: what keeps the gateway from taking events, a line each.
        failed_login: is told from where somebody came whose token is none.
        turnstile: holds callers to the limits.
        described: endpoints of other parts.
        side: makes the connections, where they have TLS.
        certificates: for how many seconds each that is shown is still good.
        log_ins: lets people in; None where nobody logs in.
        ssh: tells who is at the SSH server; None where there is none.

    """

    def __init__(
        self,
        reactor: Any,
        settings: HttpSettings,
        operations: Operations,
        tokens: Tokens,
        gates: Mapping[str, Gate],
        *,
        hindered: Callable[[], list[str]],
        failed_login: Callable[[str], None],
        turnstile: Turnstile,
        described: Iterable[Endpoint] = (),
        side: ServerSide | None = None,
        certificates: Callable[[], Mapping[str, float]] = dict,
        log_ins: LogIns | None = None,
        ssh: Callable[[], SshCounts | None] = lambda: None,
    ) -> None:
        login = settings.login
        session = SessionEndpoints(
            log_ins,
            secure=settings.tls is not None or (login is not None and login.behind_tls),
            insecure=login is not None and login.insecure,
        )
        lag = ReactorLag(reactor)
        history = HistoryOperations(
            lambda request: Deferred.fromCoroutine(operations.call(request, LOCAL_USER)), reactor, time.time_ns
        )
        history.register(operations)
        self.watchers: list[Part] = [lag, history]
        """Start them before `part`."""
        delays: dict[str, Callable[[], Mapping[str, Delays]]] = {
            "lineside_delivery_seconds": lambda: {name: gate.latency for name, gate in gates.items()},
            "lineside_reactor_lag_seconds": lambda: {"": lag.delays},
        }
        endpoints = [
            *health_endpoints(hindered),
            metrics_endpoint(operations, delays, certificates, turnstile.refused, ssh),
            *session.endpoints,
            *operation_endpoints(operations),
            *described,
        ]
        desk = Desk(
            [*endpoints, description_endpoint(endpoints), *dashboard_endpoints()],
            Identification(
                tokens,
                frozenset(settings.hosts),
                failed=failed_login,
                sessions=None if log_ins is None else log_ins.sessions,
                cookie=session.cookie,
                wait=partial(turnstile.failed, "http"),
            ),
            max_body=settings.max_body,
            turnstile=turnstile,
        )
        self.part = HttpPart(
            listener(reactor, settings.listen, "http", side),
            settings.listen,
            desk,
            reactor,
            max_connections=settings.max_connections,
            share=turnstile.share("http", settings.max_connections),
        )
