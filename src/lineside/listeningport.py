"""A port that listens: it tells its address, and says in words why it cannot."""

from __future__ import annotations

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import maybeDeferred
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IListeningPort, IProtocolFactory, IStreamServerEndpoint

from lineside.model.errors import LinesideError


class ListeningPort:
    """Where one part takes connections.

    Args:
        key: of the part in the configuration, for messages.
        endpoint: where it listens.
        where: the same as the configuration has it.

    """

    def __init__(self, key: str, endpoint: IStreamServerEndpoint, where: str) -> None:
        self._key = key
        self._endpoint = endpoint
        self._where = where
        self.port: IListeningPort | None = None
        """Twisted's, while it listens."""

    @property
    def address(self) -> str:
        """Where it listens: ``host:port`` once it does, before that and for other kinds of ports as configured."""
        match None if self.port is None else self.port.getHost():
            case IPv4Address(host=host, port=port):
                return f"{host}:{port}"
            case IPv6Address(host=host, port=port):
                return f"[{host}]:{port}"
        return self._where

    async def listen(self, factory: IProtocolFactory) -> None:
        """Take connections.

        Raises:
            LinesideError: the address is in use or not ours.

        """
        try:
            self.port = await self._endpoint.listen(factory)
        except CannotListenError as busy:
            cause = getattr(busy.socketError, "strerror", None) or busy.socketError
            raise LinesideError(
                f"{self._key}: cannot listen on {self._where}: {cause}; "
                "is another gateway or service using this address?"
            ) from busy

    async def close(self) -> None:
        """Take no more; the connections that there are stay. A second call does nothing."""
        port, self.port = self.port, None
        if port is not None:
            await maybeDeferred(port.stopListening)
