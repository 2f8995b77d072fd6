"""Commands on a host that are run one after the other over one connection, and read to their ends."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.defer import TimeoutError as TookTooLong
from twisted.internet.interfaces import IPushProducer, IReactorTime
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure

from lineside.edges.ssh.client.channel import CommandChannel, CommandEnded
from lineside.edges.ssh.client.command import BEGINNING
from lineside.edges.ssh.client.complaints import Complaints
from lineside.edges.ssh.client.failures import NotReached
from lineside.edges.ssh.client.transport import ClientTransport

MOST = 1 << 18
"""Bytes that may wait for who reads; then the host is held back."""

PATIENCE = 60.0
"""Seconds that a command may write nothing, and not end."""


class Output(Protocol):
    """What one run writes, piece by piece."""

    transport: Any

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._come = bytearray()
        self._ended: CommandEnded | None = None
        self._waiting: Deferred[None] | None = None

    @property
    def ended(self) -> CommandEnded | None:
        """How it ended, once all was read."""
        return None if self._come else self._ended

    async def read(self) -> bytes:
        """Return what came; nothing once it has ended.

        Raises:
            NotReached: nothing comes.

        """
        while not self._come and self._ended is None:
            waiting: Deferred[None] = Deferred()
            self._waiting = waiting
            try:
                await waiting.addTimeout(PATIENCE, self._clock)
            except TookTooLong as late:
                raise NotReached(
                    f"a command has hung there for {PATIENCE:.0f} s", "see the host and its disks"
                ) from late
            finally:
                self._waiting = None
        come, self._come = bytes(self._come), bytearray()
        if come and self._ended is None:
            IPushProducer(self.transport).resumeProducing()
        return come

    def dataReceived(self, data: bytes) -> None:
        """Keep it for who reads."""
        self._come += data
        if len(self._come) >= MOST:
            IPushProducer(self.transport).pauseProducing()
        self._wake()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Take note of the end."""
        ended = reason.value
        assert isinstance(ended, CommandEnded)
        self._ended = ended
        self._wake()

    def _wake(self) -> None:
        waiting, self._waiting = self._waiting, None
        if waiting is not None:
            waiting.callback(None)


async def begin(
    transport: ClientTransport, command: str, complaints: Complaints | None, clock: IReactorTime
) -> Output:
    """Begin a command on a connection; what it writes is to be read to its end.

    Args:
        transport: to the host.
        command: as its shell reads it.
        complaints: takes its standard error; None where that says nothing new.
        clock: must follow a monotonic clock.

    Raises:
        NotReached: it does not begin.

    """
    if transport.over:
        raise transport.why or NotReached("the connection was lost", "it is tried again")
    channel = CommandChannel(command.encode(), complaints, clock, alone=False)
    transport.channels.openChannel(channel)
    try:
        await channel.begun.addTimeout(BEGINNING, clock)
    except CancelledError:
        raise
    except TookTooLong as late:
        raise NotReached(f"the host did not begin a command within {BEGINNING:.0f} s", "see its load") from late
    output = Output(clock)
    channel.join(output)
    return output


def quoted(path: str) -> str:
    """Return a path as one word of a shell's."""
    return "'" + path.replace("'", "'\\''") + "'"
