"""The HTTP services as a `Part`."""

from __future__ import annotations

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import Deferred
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IListeningPort, IReactorTime, IStreamServerEndpoint

from lineside.edges.http.site import Desk, GatewaySite
from lineside.model.errors import LinesideError
from lineside.security.turnstile import ConnectionShare


class HttpPart:
    """Listens for HTTP requests.

    Args:
        endpoint: where it listens.
        where: the same as the configuration has it, for messages.
        desk: answers.
        clock: ends connections that are silent or slow.
        max_connections: see `GatewaySite`.
        share: likewise.

    """

    name = "http"

    def __init__(
        self,
        endpoint: IStreamServerEndpoint,
        where: str,
        desk: Desk,
        clock: IReactorTime,
        *,
        max_connections: int,
        share: ConnectionShare | None = None,
    ) -> None:
        self._endpoint = endpoint
        self._where = where
        self._desk = desk
        self._site = GatewaySite(desk, clock, max_connections=max_connections, share=share)
        self._port: IListeningPort | None = None

    @property
    def address(self) -> str:
        """Where it listens: ``host:port`` once started, before that as configured."""
        host = None if self._port is None else self._port.getHost()
        match host:
            case IPv4Address():
                return f"{host.host}:{host.port}"
            case IPv6Address():
                return f"[{host.host}]:{host.port}"
        return self._where

    async def start(self) -> None:
        """Listen.

        Raises:
            LinesideError: the address is in use or not ours.

        """
        try:
            self._port = await self._endpoint.listen(self._site)
        except CannotListenError as busy:
            raise LinesideError(
                f"http: cannot listen on {self._where}: {busy.socketError}; "
                "is another gateway or service using this address?"
            ) from busy

    async def stop(self) -> None:
        """Take no more requests, end those under way, and close the connections."""
        if self._port is not None:
            stopped = self._port.stopListening()
            if isinstance(stopped, Deferred):
                await stopped
            self._port = None
        # Who asks anew with each answer would keep it from stopping.
        for connection in list(self._site.connections):
            connection.end()
        self._desk.answering.cancel()
        await self._desk.answering.finish()
        for connection in list(self._site.connections):
            connection.loseConnection()
