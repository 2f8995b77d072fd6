"""Line devices that wait to be dialled: the connecting side."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any, TypeVar, cast

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import (
    IAddress,
    IHalfCloseableProtocol,
    IProtocol,
    IStreamClientEndpoint,
    ITransport,
)
from twisted.internet.protocol import Factory
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from lineside.background import Background
from lineside.delivery.backoff import Backoff
from lineside.edges.lines.intake import Intake
from lineside.edges.lines.keepalive import keep_alive
from lineside.edges.lines.polling import Poll, Polling
from lineside.edges.lines.protocol import DeviceConnection
from lineside.edges.lines.unreachable import why_lost, why_unreachable

log = Logger()

T = TypeVar("T")

REDIAL = Backoff((0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 30.0), 0.3)
"""How long to wait before the device is dialled again, after the first, second, ... vain connection."""
LIVED = 10.0
"""A connection that gave data and lived so many seconds was not in vain."""


class DialledSource:
    """The `Part` that connects to one device, again and again, and gives it a connection into its `Intake`.

    Args:
        endpoint: where the device is.
        where: the same as the configuration has it, for messages.
        intake: the way to the journal; of this source alone.
        random: moves the delays, so that what failed together does not come back together.
        timeout: seconds that connecting may take.
        poll: what the device is asked; None where it speaks by itself.
        connection: makes the protocol that finds the device's frames.

    """

    def __init__(
        self,
        endpoint: IStreamClientEndpoint,
        where: str,
        intake: Intake,
        random: Random,
        *,
        timeout: float = 10.0,
        poll: Poll | None = None,
        connection: Callable[[Intake], IProtocol] = DeviceConnection,
    ) -> None:
        self.id = intake.id
        self.name = f"source {intake.id}"
        self.intake = intake
        self.address = where
        self._endpoint = endpoint
        self._random = random
        self._timeout = timeout
        self._poll = poll
        self._connection = connection
        self._background = Background(self.name)
        self._waiting: Deferred[Any] | None = None
        self._polling: Polling | None = None
        self._away_since: float | None = None
        self._reason = "not dialled yet"
        self._told: str | None = None
        self._stopping = False

    @property
    def problem(self) -> str | None:
        """What hinders it, in a line; None while the device is connected and answers."""
        if self._away_since is not None:
            seconds = self.intake.clock.seconds() - self._away_since
            return f"dialling for {seconds:.0f} s: {self._reason}"
        if self._polling is not None and self._polling.unanswered:
            return f"{self._polling.unanswered} polls in a row without an answer"
        return None

    async def start(self) -> None:
        """Begin to dial. A device that is not there keeps nobody waiting."""
        self._away_since = self.intake.clock.seconds()
        self._background.run("dial", self._dial_on())

    async def stop(self) -> None:
        """Dial and ask no more; store and answer what was received; see `Intake.drain`."""
        self._stopping = True
        if self._waiting is not None:
            self._waiting.cancel()
        if self._polling is not None:
            self._polling.stop()
        await self.intake.drain()
        await self._background.finish()

    async def _dial_on(self) -> None:
        vain = 0
        while not self._stopping:
            line = await self._dial()
            if line is None:
                vain += 1
            else:
                vain = 0 if await self._stay(line) else vain + 1
            if not self._stopping:
                delay = REDIAL.delay(max(vain, 1), self._random)
                await self._wait(deferLater(self.intake.clock, delay))

    async def _dial(self) -> _Watched | None:
        connecting = self._endpoint.connect(_OneDevice(lambda: self._connection(self.intake)))
        connecting.addTimeout(self._timeout, self.intake.clock)
        try:
            return cast(_Watched, await self._wait(connecting))
        except CancelledError:
            raise
        except Exception as failed:  # noqa: BLE001 (an endpoint may raise anything; it is told, and dialled again)
            why = why_unreachable(failed)
            self._reason = why.reason
            if self._told != why.reason:
                # Once, not for every attempt.
                self._told = why.reason
                log.warn(
                    "lines.unreachable",
                    source=self.id,
                    address=self.address,
                    reason=why.reason,
                    remedy=why.remedy,
                )
            return None

    async def _stay(self, line: _Watched) -> bool:
        """Keep to a connection up to its end; return whether it was of use."""
        clock = self.intake.clock
        began = clock.seconds()
        away = 0.0 if self._away_since is None else began - self._away_since
        log.info("lines.connected", source=self.id, address=self.address, after=round(away, 1))
        self._away_since = self._told = None
        if self._poll is not None:
            self._polling = Polling(self._poll, clock, self.id, line.write, self._reading)
            self.intake.on_frames = self._polling.answered
            self._polling.start()
        ended = await line.ended
        if self._polling is not None:
            self._polling.stop()
            self.intake.on_frames = self._polling = None
        self._away_since = clock.seconds()
        self._reason = ended
        log.info("lines.disconnected", source=self.id, address=self.address, reason=self._reason)
        return line.gave_data and self._away_since - began >= LIVED

    def _reading(self) -> bool:
        return not any(session.held for session in self.intake.sessions)

    async def _wait(self, deferred: Deferred[T]) -> T:
        # What waits here is cancelled by `stop`.
        self._waiting = deferred
        try:
            return await deferred
        finally:
            self._waiting = None


class _OneDevice(Factory):
    noisy = False

    def __init__(self, connection: Callable[[], IProtocol]) -> None:
        self._connection = connection

    def buildProtocol(self, addr: IAddress | None) -> Any:
        return _Watched(self._connection())


@implementer(IHalfCloseableProtocol, IProtocol)
class _Watched:
    """A device's protocol with somebody who looks on: whether it gave data, and when it ended."""

    def __init__(self, inner: IProtocol) -> None:
        self.ended: Deferred[str] = Deferred()
        """Fires with how it ended."""
        self.gave_data = False
        self._inner = inner
        self._transport: ITransport | None = None

    def write(self, data: bytes) -> None:
        """Send to the device."""
        if self._transport is not None:
            self._transport.write(data)

    def makeConnection(self, transport: ITransport) -> None:
        self._transport = transport
        keep_alive(transport)
        self._inner.makeConnection(transport)

    def connectionMade(self) -> None:
        """The protocol that is looked at was told by `makeConnection`."""

    def dataReceived(self, data: bytes) -> None:
        self.gave_data = True
        self._inner.dataReceived(data)

    def connectionLost(self, reason: Failure) -> None:
        self._transport = None
        try:
            self._inner.connectionLost(reason)
        finally:
            self.ended.callback(why_lost(reason.value))

    def readConnectionLost(self) -> None:
        inner = IHalfCloseableProtocol(self._inner, None)
        if inner is not None:
            inner.readConnectionLost()
        elif self._transport is not None:
            self._transport.loseConnection()

    def writeConnectionLost(self) -> None:
        inner = IHalfCloseableProtocol(self._inner, None)
        if inner is not None:
            inner.writeConnectionLost()
