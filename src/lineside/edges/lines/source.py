"""Line devices that dial in: the listening side, and what all of its connections share."""

from __future__ import annotations

from msgspec import Struct
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import Deferred
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IListeningPort, IReactorTime, IStreamServerEndpoint
from twisted.internet.protocol import Factory
from twisted.logger import Logger
from twisted.python.failure import Failure

from lineside.edges.lines.protocol import DeviceConnection
from lineside.model.errors import LinesideError
from lineside.model.event import Event, Receipt
from lineside.model.ports import Journal
from lineside.wire.jsonl import JsonLines

log = Logger()

DRAIN = 5.0
"""Seconds that connections get to take their last answers when the gateway stops."""
CROWDED = 64 * 1024 * 1024
"""Bytes of one source that may wait for the disk before its devices are paused."""


class Limits(Struct, frozen=True):
    """What one source bears."""

    max_line: int = 65_536
    """Bytes of a line without its delimiter."""
    max_kept: int = 262_144
    """Bytes that are kept of a line that is too long."""
    max_in_flight: int = 4_096
    """Lines of one connection that may wait for the disk before it is paused."""
    max_connections: int = 1_024
    idle_timeout: float = 300.0
    """Seconds of silence after which a device is cut off; 0 for never."""
    ack: bool = True
    """Whether lines are answered."""


class LinesSource:
    """The `Part` that listens for one source's devices and appends their lines to the journal."""

    def __init__(
        self,
        id: str,  # noqa: A002 (what the configuration calls it)
        endpoint: IStreamServerEndpoint,
        where: str,
        decoder: JsonLines,
        journal: Journal,
        clock: IReactorTime,
        limits: Limits,
    ) -> None:
        self.id = id
        self.name = f"source {id}"
        self.decoder = decoder
        self.limits = limits
        self.clock = clock
        self.connections: set[DeviceConnection] = set()
        self.received = 0
        self.undecodable = 0
        self._endpoint = endpoint
        self.where = where
        self._journal = journal
        self._port: IListeningPort | None = None
        self._waiting_bytes = 0
        self._crowd: set[DeviceConnection] = set()
        self._failing = False
        self._emptied: Deferred[None] | None = None

    @property
    def address(self) -> str:
        """Where it listens: ``host:port`` once started, before that as configured."""
        if self._port is None:
            return self.where
        host = self._port.getHost()
        return f"{host.host}:{host.port}" if isinstance(host, IPv4Address | IPv6Address) else str(host)

    async def start(self) -> None:
        """Listen.

        Raises:
            LinesideError: the address is in use or not ours.

        """
        factory = Factory.forProtocol(lambda: DeviceConnection(self))
        factory.noisy = False
        try:
            self._port = await self._endpoint.listen(factory)
        except CannotListenError as busy:
            raise LinesideError(
                f"sources.{self.id}: cannot listen on {self.where}: {_cause(busy)}; "
                "is another gateway or service using this address?"
            ) from busy

    async def stop(self) -> None:
        """Take no more connections and lines; answer what was received, for `DRAIN` seconds at most."""
        if self._port is not None:
            stopped = self._port.stopListening()
            if isinstance(stopped, Deferred):
                await stopped
            self._port = None
        late = self.clock.callLater(DRAIN, self._cut_all)
        for connection in list(self.connections):
            connection.finish()
        if self.connections:
            emptied = self._emptied = Deferred()
            await emptied
        if late.active():
            late.cancel()

    def admit(self, connection: DeviceConnection) -> bool:
        """Count a connection in, if there is room."""
        if len(self.connections) >= self.limits.max_connections:
            log.warn("lines.busy", source=self.id, connections=len(self.connections), peer=connection.peer)
            return False
        self.connections.add(connection)
        return True

    def dismiss(self, connection: DeviceConnection) -> None:
        """Count a connection out."""
        self.connections.discard(connection)
        self._crowd.discard(connection)
        if not self.connections and self._emptied is not None:
            emptied, self._emptied = self._emptied, None
            emptied.callback(None)

    async def append(self, events: list[Event]) -> list[Receipt]:
        """Append a connection's events; see `lineside.model.ports.Journal.append`."""
        size = _size(events)
        self._waiting_bytes += size
        try:
            receipts = await self._journal.append(self.id, events)
        finally:
            self._waiting_bytes -= size
            if self._crowd and 2 * self._waiting_bytes <= CROWDED:
                crowd, self._crowd = self._crowd, set()
                for connection in crowd:
                    connection.let_go("crowd")
        self.received += len(events)
        self.undecodable += sum(receipt.error is not None for receipt in receipts)
        if self._failing:
            self._failing = False
            log.info("journal.writes_again", source=self.id)
        return receipts

    def crowded_by(self, connection: DeviceConnection, events: list[Event]) -> bool:
        """Whether ``events`` are more than the source may still hold; the connection is let go later."""
        if self._waiting_bytes + _size(events) <= CROWDED:
            return False
        self._crowd.add(connection)
        return True

    def not_stored(self, failure: Failure) -> None:
        """The journal could not store events: raise the alarm once, not for every line."""
        if not self._failing:
            self._failing = True
            log.error(
                "journal.cannot_write",
                source=self.id,
                reason=str(failure.value),
                remedy="free space on the journal's disk or check it; devices are told to send again",
            )

    def _cut_all(self) -> None:
        for connection in list(self.connections):
            connection.abort()


def _size(events: list[Event]) -> int:
    return sum(event.size for event in events)


def _cause(busy: CannotListenError) -> str:
    error = busy.socketError
    return getattr(error, "strerror", None) or str(error)
