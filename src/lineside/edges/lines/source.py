"""Line devices that dial in: the listening side."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet import tcp
from twisted.internet.interfaces import IAddress, IStreamServerEndpoint
from twisted.internet.protocol import Factory, Protocol

from lineside.edges.lines.intake import Intake
from lineside.edges.lines.protocol import DeviceConnection
from lineside.listeningport import ListeningPort

ACCEPTS = 16
"""How many connections are taken before devices that are there have their turn; with Twisted's growth, 36."""


class LinesSource:
    """The `Part` that listens for one source's devices and gives each a connection into its `Intake`.

    Args:
        endpoint: where it listens.
        where: the same as the configuration has it, for messages.
        intake: what the connections share.
        connection: makes the protocol that finds a device's frames, see `lineside.edges.lines.framed.connections`.

    """

    def __init__(
        self,
        endpoint: IStreamServerEndpoint,
        where: str,
        intake: Intake,
        connection: Callable[[Intake], Protocol] = DeviceConnection,
    ) -> None:
        self.id = intake.id
        self.name = f"source {intake.id}"
        self.intake = intake
        self.problem: str | None = None
        """What hinders it: nothing, once it listens."""
        self._connection = connection
        self._port = ListeningPort(f"sources.{intake.id}", endpoint, where)

    @property
    def address(self) -> str:
        """Where it listens; see `ListeningPort.address`."""
        return self._port.address

    async def start(self) -> None:
        """Listen.

        Raises:
            LinesideError: the address is in use or not ours.

        """
        await self._port.listen(_Devices(self._connect))

    async def stop(self) -> None:
        """Take no more connections and lines; answer what was received; see `Intake.drain`."""
        await self._port.close()
        await self.intake.drain()

    def _connect(self, peer: str) -> Protocol | None:
        if not self.intake.admits(peer):
            return None
        if isinstance(self._port.port, tcp.Port):
            # Twisted would take ever more at a time while they keep coming; devices that are there would wait, and
            # those that are turned away are open until the next turn.
            self._port.port.numberAccepts = ACCEPTS
        return self._connection(self.intake)


class _Devices(Factory):
    noisy = False

    def __init__(self, connect: Callable[[str], Protocol | None]) -> None:
        self._connect = connect

    def buildProtocol(self, addr: IAddress | None) -> Protocol | None:
        made = self._connect(str(getattr(addr, "host", "")))
        if made is not None:
            made.factory = self
        return made
