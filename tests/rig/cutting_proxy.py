"""Stands between a client and a server's Unix socket, and cuts connections at the worst moment."""

from __future__ import annotations

from typing import Any, Literal

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ServerEndpoint, UNIXClientEndpoint, connectProtocol
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.python.failure import Failure

Cut = Literal["before", "after"]
"""``before``: what was said never reaches the server. ``after``: the server did it, and its answer is lost."""


class CuttingProxy:
    """One listening port on loopback.

    Args:
        reactor: real.
        path: of the server's socket.

    """

    def __init__(self, reactor: Any, path: str) -> None:
        self._reactor = reactor
        self._path = path
        self._port: Any = None
        self._sides: set[_Client] = set()
        self.cuts: list[tuple[bytes, Cut]] = []
        """What is cut next: the client's words, and when."""
        self.cut_off = 0
        self.silent = False
        """Nothing passes any more, and nothing is closed."""

    async def start(self) -> int:
        """Listen; returns the port."""
        self._port = await TCP4ServerEndpoint(self._reactor, 0, interface="127.0.0.1").listen(
            Factory.forProtocol(lambda: _Client(self))
        )
        address: Any = self._port.getHost()
        port: int = address.port
        return port

    async def stop(self) -> None:
        """Listen no more and hang up on everybody."""
        assert self._port is not None
        stopped = self._port.stopListening()
        if isinstance(stopped, Deferred):
            await stopped
        for side in list(self._sides):
            side.hang_up()
            await side.gone

    def connect(self, client: _Client) -> Deferred[Any]:
        """Reach the server for a client."""
        self._sides.add(client)
        reached: Deferred[Any] = connectProtocol(
            UNIXClientEndpoint(self._reactor, self._path), _Server(self, client)
        )
        return reached

    def lost(self, client: _Client) -> None:
        """Forget a client."""
        self._sides.discard(client)


class _Client(Protocol):
    def __init__(self, proxy: CuttingProxy) -> None:
        self._proxy = proxy
        self._server: _Server | None = None
        self._waiting = b""
        self.gone: Deferred[None] = Deferred()
        self.doomed = False

    def connectionMade(self) -> None:
        self._proxy.connect(self).addCallbacks(self._connected, lambda _: self.hang_up())

    def _connected(self, server: _Server) -> None:
        self._server = server
        waiting, self._waiting = self._waiting, b""
        if self.gone.called:
            server.hang_up()
        elif waiting:
            self.dataReceived(waiting)

    def dataReceived(self, data: bytes) -> None:
        if self._server is None:
            self._waiting += data
            return
        for cut in self._proxy.cuts:
            words, when = cut
            if words in data:
                self._proxy.cuts.remove(cut)
                self._proxy.cut_off += 1
                if when == "before":
                    self.hang_up()
                    return
                self.doomed = True
                break
        if not self._proxy.silent:
            self._server.send(data)

    def hang_up(self) -> None:
        transport: Any = self.transport
        transport.abortConnection()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if self._server is not None:
            self._server.hang_up()
        self._proxy.lost(self)
        self.gone.callback(None)


class _Server(Protocol):
    def __init__(self, proxy: CuttingProxy, client: _Client) -> None:
        self._proxy = proxy
        self._client = client

    def send(self, data: bytes) -> None:
        transport: Any = self.transport
        transport.write(data)

    def hang_up(self) -> None:
        transport: Any = self.transport
        transport.abortConnection()

    def dataReceived(self, data: bytes) -> None:
        if self._client.doomed:
            self._client.hang_up()
        elif not self._proxy.silent:
            transport: Any = self._client.transport
            transport.write(data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if not self._client.gone.called:
            self._client.hang_up()
