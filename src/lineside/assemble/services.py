"""From the name of a service to the endpoint that connects to it."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Any

from twisted.internet.endpoints import HostnameEndpoint
from twisted.internet.interfaces import IStreamClientEndpoint

from lineside.assemble.dnssettings import parse_server_address
from lineside.edges.dns.endpoint import PATIENCE, ServiceEndpoint
from lineside.edges.dns.lookups import ServiceLookups
from lineside.edges.dns.resolver import ServerResolver, system_servers


def service_endpoint(reactor: Any, service: str, servers: Sequence[str]) -> IStreamClientEndpoint:
    """Return the endpoint of a service.

    Args:
        reactor: asks and connects.
        service: its name, such as ``_erp._tcp.plant.example``.
        servers: the name servers to ask; none for the machine's own.

    """
    places = [parse_server_address(server) for server in servers]
    known = [(str(address), port) for address, port in places]
    lookups = ServiceLookups(service, ServerResolver(reactor, lambda: known or system_servers()), reactor)

    def place(address: str, port: int) -> IStreamClientEndpoint:
        return HostnameEndpoint(reactor, address, port, PATIENCE)

    return ServiceEndpoint(lookups, place, reactor, Random())  # noqa: S311 (spreads load)
