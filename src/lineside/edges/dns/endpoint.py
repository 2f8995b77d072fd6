"""Connects to a service, whichever of its servers is there."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IProtocol, IProtocolFactory, IReactorTime, IStreamClientEndpoint
from twisted.logger import Logger
from zope.interface import implementer

from lineside.edges.dns.lookups import ServiceLookups
from lineside.edges.dns.services import Service, in_order

log = Logger()

PATIENCE = 4.0
"""Seconds in which one server must take a connection."""
SHUNNED = 30.0
"""Seconds for which a server that took none is tried after all others."""


@implementer(IStreamClientEndpoint)
class ServiceEndpoint:
    """Connects to the first server of a service that takes the connection.

    Args:
        lookups: say where the servers are.
        place: makes the endpoint of an IP address and a port.
        clock: times out.
        random: chooses among servers by their weights.

    """

    def __init__(
        self,
        lookups: ServiceLookups,
        place: Callable[[str, int], IStreamClientEndpoint],
        clock: IReactorTime,
        random: Random,
    ) -> None:
        self._lookups = lookups
        self._place = place
        self._clock = clock
        self._random = random
        self._shunned: dict[tuple[str, int], float] = {}

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        """Connect.

        The Deferred fails with what the last server failed with, or with `DNSLookupError` where there is none.
        """
        return Deferred.fromCoroutine(self._connected(protocolFactory))

    async def _connected(self, factory: IProtocolFactory) -> IProtocol:
        failure: Exception | None = None
        for host, address, port in self._places(await self._lookups.find()):
            # Each has its own time, whatever the endpoint has: the next one waits.
            connecting = self._place(address, port).connect(factory).addTimeout(PATIENCE, self._clock)
            try:
                protocol: IProtocol = await connecting
            except CancelledError:
                raise
            except Exception as failed:  # noqa: BLE001 (an endpoint may raise anything; the next one is tried)
                failure = failed
                if (address, port) not in self._shunned:
                    log.warn(
                        "dns.server_away",
                        service=self._lookups.name,
                        host=host,
                        address=f"{address} port {port}",
                        reason=str(failed) or type(failed).__name__,
                        remedy="the service's other servers are tried first for 30 s; take it out of its SRV "
                        "records if it is gone for good",
                    )
                self._shunned[address, port] = self._clock.seconds() + SHUNNED
                continue
            if self._shunned.pop((address, port), None) is not None:
                log.info("dns.server_back", service=self._lookups.name, host=host)
            return protocol
        self._lookups.doubt()
        assert failure is not None
        raise failure

    def _places(self, services: tuple[Service, ...]) -> list[tuple[str, str, int]]:
        ordered = [
            (one.host, address, one.port) for one in in_order(services, self._random) for address in one.addresses
        ]
        places = {(address, port) for _, address, port in ordered}
        now = self._clock.seconds()
        self._shunned = {place: until for place, until in self._shunned.items() if place in places and until > now}
        return sorted(ordered, key=lambda one: (one[1], one[2]) in self._shunned)
