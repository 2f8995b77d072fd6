"""The HTTP services of a gateway: who answers what, and to whom."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from twisted.internet.endpoints import serverFromString

from lineside.assemble.httpsettings import HttpSettings
from lineside.edges.http.api import description_endpoint, operation_endpoints
from lineside.edges.http.files import dashboard_endpoints
from lineside.edges.http.health import health_endpoints
from lineside.edges.http.identification import Identification, Tokens
from lineside.edges.http.part import HttpPart
from lineside.edges.http.site import Desk
from lineside.operations.registry import Operations
from lineside.operations.web import Endpoint


def http_part(
    reactor: Any,
    settings: HttpSettings,
    operations: Operations,
    tokens: Tokens,
    *,
    hindered: Callable[[], list[str]],
    described: Iterable[Endpoint] = (),
    files: Iterable[Endpoint] = (),
) -> HttpPart:
    """Return the part that serves them.

    Args:
        reactor: its timers must follow a monotonic clock.
        settings: the ``[http]`` table.
        operations: what may be asked.
        tokens: by which a caller is known.
        hindered: what keeps the gateway from taking events.
        described: endpoints of other parts.
        files: endpoints that the API's description leaves out, beside the dashboard's.

    """
    endpoints = [*health_endpoints(hindered), *operation_endpoints(operations), *described]
    desk = Desk(
        [*endpoints, description_endpoint(endpoints), *dashboard_endpoints(), *files],
        Identification(tokens, frozenset(settings.hosts)),
        max_body=settings.max_body,
    )
    return HttpPart(
        serverFromString(reactor, settings.listen),
        settings.listen,
        desk,
        reactor,
        max_connections=settings.max_connections,
    )
