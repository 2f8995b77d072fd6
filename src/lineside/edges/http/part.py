"""The HTTP services as a `Part`."""

from __future__ import annotations

from twisted.internet.interfaces import IReactorTime, IStreamServerEndpoint

from lineside.edges.http.site import Desk, GatewaySite
from lineside.listeningport import ListeningPort
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
        self._desk = desk
        self._site = GatewaySite(desk, clock, max_connections=max_connections, share=share)
        self._port = ListeningPort(self.name, endpoint, where)

    @property
    def address(self) -> str:
        """Where it listens; see `ListeningPort.address`."""
        return self._port.address

    async def start(self) -> None:
        """Listen.

        Raises:
            LinesideError: the address is in use or not ours.

        """
        await self._port.listen(self._site)

    async def stop(self) -> None:
        """Take no more requests, end those under way, and close the connections."""
        await self._port.close()
        # Who asks anew with each answer would keep it from stopping.
        for connection in list(self._site.connections):
            connection.end()
        self._desk.answering.cancel()
        await self._desk.answering.finish()
        for connection in list(self._site.connections):
            connection.loseConnection()
