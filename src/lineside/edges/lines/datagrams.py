"""Lines in UDP datagrams: taken as they come, never answered."""

from __future__ import annotations

import socket
import struct
from typing import Any

from twisted.internet.defer import maybeDeferred
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IListeningPort
from twisted.internet.protocol import DatagramProtocol
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from lineside.edges.lines.intake import Intake
from lineside.edges.lines.session import Session
from lineside.model.errors import LinesideError
from lineside.security.limits import Buckets, Rate, caller_of
from lineside.wire.lines import contents, too_long

log = Logger()

BUFFER = 4 * 1024 * 1024
"""Bytes asked of the operating system for datagrams that are not read yet; it may give less (net.core.rmem_max)."""
LOOK = 5.0
"""Seconds between two looks at what the operating system had to drop."""
LARGEST = 65_536
"""Bytes that are read of a datagram; none is longer."""

_SO_MEMINFO = getattr(socket, "SO_MEMINFO", 55)
_MEMINFO = struct.Struct("=9I")
_DROPS = 8


class DatagramSource:
    """The `Part` that takes one source's datagrams, each with one line or several, into its `Intake`.

    A line ends with LF or with its datagram. While too many lines wait for the disk, no datagram is read: the
    operating system keeps some, and drops the others. It counts them, so that they can be told.

    Args:
        reactor: gives the port.
        port: 0 for any that is free.
        interface: the address to listen on, empty for all.
        where: the same as the configuration has it, for messages.
        intake: the way to the journal; of this source alone. It must answer nothing, cut nobody for silence, and
            have no rate.
        rate: lines of one address; datagrams beyond are dropped, since nobody could be asked to wait.

    """

    def __init__(
        self, reactor: Any, port: int, interface: str, where: str, intake: Intake, rate: Rate | None = None
    ) -> None:
        self.id = intake.id
        self.name = f"source {intake.id}"
        self.intake = intake
        self.where = where
        self.dropped = 0
        """Datagrams that the operating system dropped, since the start."""
        self._rate = rate
        self._taking: _Taking | None = None
        self._exceeded = 0
        self._exceeding = False
        self._reactor = reactor
        self._number = port
        self._interface = interface
        self._port: Any = None
        self._looking = LoopingCall(self._look)
        self._looking.clock = intake.clock
        self._seen = 0
        self._losing = False

    @property
    def address(self) -> str:
        """Where it listens: ``host:port`` once started, before that as configured."""
        if self._port is None:
            return self.where
        host = self._port.getHost()
        return f"udp {host.host}:{host.port}"

    @property
    def problem(self) -> str | None:
        """What was lost, in a line."""
        lost = ((self.dropped, "", self._losing), (self.over, " over the rate", self._exceeding))
        told = [
            f"{count} datagrams{why} dropped since the start{', and more are' if more else ''}"
            for count, why, more in lost
            if count
        ]
        return "; ".join(told) or None

    @property
    def over(self) -> int:
        """Datagrams that were dropped since they were over the rate, since the start."""
        return 0 if self._taking is None else self._taking.over

    async def start(self) -> None:
        """Listen.

        Raises:
            LinesideError: the address is in use or not ours.

        """
        taking = self._taking = _Taking(self.intake, self._rate)
        try:
            self._port = self._reactor.listenUDP(self._number, taking, self._interface, LARGEST)
        except CannotListenError as busy:
            cause = getattr(busy.socketError, "strerror", None) or busy.socketError
            raise LinesideError(
                f"sources.{self.id}: cannot listen on {self.where}: {cause}; "
                "is another gateway or service using this address?"
            ) from busy
        self._port.getHandle().setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER)
        self._seen = dropped_by_system(self._port.getHandle()) or 0
        self._looking.start(LOOK, now=False)

    async def stop(self) -> None:
        """Take no more datagrams; store those that were read. What the operating system still holds is lost."""
        if self._port is not None:
            self._looking.stop()
            self._look()
            port: IListeningPort = self._port
            self._port = None
            await maybeDeferred(port.stopListening)
        await self.intake.drain()

    def _look(self) -> None:
        self._look_at_rate()
        count = dropped_by_system(self._port.getHandle())
        if count is None:
            return
        lost = (count - self._seen) % 2**32
        self._seen = count
        self.dropped += lost
        if lost and not self._losing:
            log.error(
                "lines.datagrams_dropped",
                source=self.id,
                dropped=lost,
                remedy="send less, raise net.core.rmem_max, or mend a slow disk; what must not be lost needs TCP",
            )
        elif self._losing and not lost:
            log.info("lines.datagrams_kept", source=self.id, dropped=self.dropped)
        self._losing = bool(lost)

    def _look_at_rate(self) -> None:
        over = self.over - self._exceeded
        self._exceeded = self.over
        if over and not self._exceeding:
            log.error(
                "lines.datagrams_over_rate",
                source=self.id,
                dropped=over,
                remedy="send less, or raise the source's rate; what must not be lost needs TCP, where devices wait",
            )
        elif self._exceeding and not over:
            log.info("lines.datagrams_within_rate", source=self.id, dropped=self.over)
        self._exceeding = bool(over)


class _Taking(DatagramProtocol):
    """All senders are one `Session`, so that they share the pressure; each line has its own sender's address."""

    noisy = False
    transport: Any

    def __init__(self, intake: Intake, rate: Rate | None) -> None:
        self.over = 0
        """Datagrams that came too fast."""
        self._buckets = None if rate is None else Buckets(rate)
        self.peer = ""
        self._intake = intake
        self._ended = False

    def startProtocol(self) -> None:
        """Begin the session."""
        self._begin()

    def stopProtocol(self) -> None:
        """Let the session end once everything is stored."""
        self._ended = True
        self._session.finish()

    def datagramReceived(self, datagram: bytes, addr: tuple[str, int]) -> None:
        """Take a datagram's lines. One of white space is a sign of life."""
        if not self._intake.admits(addr[0]):
            return
        lines = datagram.split(b"\n")
        if self._buckets is not None and self._is_over(addr[0], len(contents(lines))):
            self.over += 1
            return
        self.peer = addr[0]
        limits = self._intake.limits
        if max(map(len, lines)) <= limits.max_line:
            if said := contents(lines):
                self._session.take(said)
        else:
            for line in lines:
                if len(line) > limits.max_line:
                    self._session.keep(too_long(line[: limits.max_kept], len(line), limits.max_line, self.peer))
                elif said := contents([line]):
                    self._session.take(said)

    def pause(self) -> None:
        """Leave further datagrams to the operating system."""
        if not self._ended:
            self.transport.stopReading()

    def resume(self) -> None:
        """Read on."""
        if not self._ended:
            self.transport.startReading()

    def answer(self, answers: bytes) -> None:
        """Nobody is there to be answered."""

    def say(self, frame: bytes) -> None:
        """Nobody is there to be told: a source of datagrams sends no commands."""
        raise ValueError("datagrams have no connection")

    def refuse(self, answer: bytes) -> None:
        """Datagrams always have room: their source has this one session."""

    def turn_out(self, answer: bytes) -> None:
        """Datagrams show no certificates."""

    def end(self) -> None:
        """Everything is stored."""
        self._session.closed()

    def abort(self) -> None:
        """Give up on what is not stored yet, and on nothing that is still to come."""
        self._session.closed()
        if not self._ended:
            self._begin()
            self.transport.startReading()

    def _is_over(self, peer: str, count: int) -> bool:
        assert self._buckets is not None
        return count > 0 and self._buckets.spend(caller_of(peer), self._intake.clock.seconds(), count) > 0

    def _begin(self) -> None:
        self._session = Session(self._intake, self)
        self._session.open()


def dropped_by_system(handle: socket.socket) -> int | None:
    """Return how many datagrams the kernel dropped on a socket, modulo 2**32; None where it does not tell.

    Linux 4.12 and later do (``SO_MEMINFO``, see sock_diag(7) on ``SK_MEMINFO_DROPS``).
    """
    try:
        answer = handle.getsockopt(socket.SOL_SOCKET, _SO_MEMINFO, _MEMINFO.size)
        drops: int = _MEMINFO.unpack(answer)[_DROPS]
    except (OSError, struct.error):
        return None
    return drops
