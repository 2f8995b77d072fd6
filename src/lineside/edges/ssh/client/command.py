"""A command on a host as a stream. To whoever reads it, it is an endpoint like any other, which dials."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.defer import TimeoutError as TookTooLong
from twisted.internet.interfaces import IProtocol, IProtocolFactory, IReactorTime, IStreamClientEndpoint
from twisted.logger import Logger
from zope.interface import implementer

from lineside.edges.ssh.client.channel import CommandChannel
from lineside.edges.ssh.client.complaints import Complaints
from lineside.edges.ssh.client.connecting import ENTERING, enter
from lineside.edges.ssh.client.failures import HostNotKnown, NotReached
from lineside.edges.ssh.client.transport import Visit

log = Logger()

BEGINNING = 30.0
"""Seconds that the host may take until the command runs."""


@implementer(IStreamClientEndpoint)
class CommandEndpoint:
    """Goes to a host, and runs a command there, anew for each connection.

    Args:
        source: for the log.
        endpoint: where the host is.
        visit: tells who we are and by what the host is known; may fail with `NotReached`.
        command: what to run.
        clock: must follow a monotonic clock.
        connecting: seconds until there must be a connection.

    """

    def __init__(
        self,
        source: str,
        endpoint: IStreamClientEndpoint,
        visit: Callable[[], Awaitable[Visit]],
        command: bytes,
        clock: IReactorTime,
        *,
        connecting: float,
    ) -> None:
        self.patience = connecting + ENTERING + BEGINNING
        """Seconds after which an attempt has failed in any case."""
        self._source = source
        self._endpoint = endpoint
        self._visit = visit
        self._command = command
        self._clock = clock
        self._connecting = connecting
        self._complaints = Complaints(source, clock)
        self._unknown: str | None = None

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        """Return what fires with the protocol that reads the command, or fails with `NotReached`."""
        return Deferred.fromCoroutine(self._connect(protocolFactory))

    async def _connect(self, factory: IProtocolFactory) -> IProtocol:
        try:
            channel = await self._begin()
        except HostNotKnown as unknown:
            if self._unknown != str(unknown):
                self._unknown = str(unknown)
                log.error("command.host_not_known", source=self._source, reason=str(unknown), remedy=unknown.remedy)
            raise
        self._unknown = None
        reader = factory.buildProtocol(channel.getPeer())
        if reader is None:
            channel.abortConnection()
            raise NotReached("nobody reads the command", "it is begun again")
        channel.join(reader)
        return reader

    async def _begin(self) -> CommandChannel:
        visit = await self._visit()
        transport = await enter(self._endpoint, visit, self._clock, connecting=self._connecting)
        channel = CommandChannel(self._command, self._complaints, self._clock)
        try:
            transport.channels.watch(self._clock)
            transport.channels.openChannel(channel)
            await channel.begun.addTimeout(BEGINNING, self._clock)
        except CancelledError:
            transport.cut()
            raise
        except TookTooLong as late:
            transport.cut()
            raise NotReached(
                f"{visit.host.name} did not begin the command within {BEGINNING:.0f} s", "see its load"
            ) from late
        except BaseException:
            transport.cut()
            raise
        return channel
