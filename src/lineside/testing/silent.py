"""Devices that get no answers: they send, and never know what became of it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from random import Random
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IPushProducer, IReactorTime, IStreamClientEndpoint
from twisted.internet.protocol import Protocol, connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from lineside.testing.connection import dialling
from lineside.testing.devices import CLOSE_WITHIN, Counts, framed
from lineside.testing.ledger import Ledger, Line
from lineside.testing.pace import Pace
from lineside.testing.speech import Speech, command_in

log = Logger()

BURST = 64
"""Lines that go out in one turn where no rate is given."""


class SilentDevice:
    """Sends lines to a gateway that answers none, as fast as the way there takes them, or at a rate.

    What was under way when a connection broke is lost, as with the devices that it plays. Each line is one write.
    The arguments are those of `lineside.testing.devices.LineDevice`.
    """

    def __init__(
        self,
        reactor: IReactorTime,
        endpoint: IStreamClientEndpoint,
        lines: Iterator[Line],
        ledger: Ledger,
        speech: Speech,
        *,
        name: str = "device",
        rate: float | None = None,
        wall: Callable[[], float] = time.time,
        random: Random | None = None,
    ) -> None:
        self.name = name
        self.counts = Counts()
        self.trouble: str | None = None
        """Why there is no connection, in one line; None while there is one, and before the first dial."""
        self.unanswered: list[Line] = []
        """No line is owed an answer."""
        self._reactor = reactor
        self._lines = lines
        self._ledger = ledger
        self._frame = speech.framing().encode
        self._pace = None if rate is None else Pace(rate)
        self._wall = wall
        self._service = dialling(
            reactor,
            endpoint,
            self._dial_failed,
            lambda: _Outlet(self, reactor, speech),
            random if random is not None else Random(),  # noqa: S311 - jitter
        )
        self._outlet: _Outlet | None = None
        self._wakeup: IDelayedCall | None = None
        self._over = False
        self._failure: Failure | None = None
        self._waiters: list[Deferred[None]] = []

    @property
    def connected(self) -> bool:
        """There is a connection now."""
        return self._outlet is not None

    def start(self) -> None:
        """Dial the gateway, and keep dialling until `stop`."""
        self._service.startService()

    async def finished(self) -> None:
        """Wait until every line is sent, or the device is stopping.

        Raises:
            Exception: whatever the lines or the ledger raised; the device has stopped sending.

        """
        if not self._over:
            waiter: Deferred[None] = Deferred()
            self._waiters.append(waiter)
            await waiter
        if self._failure is not None:
            self._failure.raiseException()

    async def stop(self, within: float) -> list[Line]:
        """Send nothing new, and hang up once all is written; there is nothing to wait for otherwise."""
        self._end()
        hung_up = self._service.stopService()
        overdue = self._reactor.callLater(CLOSE_WITHIN, self._cut)
        try:
            await hung_up
        finally:
            if overdue.active():
                overdue.cancel()
        return []

    def opened(self, outlet: _Outlet) -> None:
        """Begin to send, or go on."""
        self._outlet = outlet
        self.trouble = None
        self.counts.reconnects += 1 if self.counts.connections else 0
        self.counts.connections += 1
        log.info("device.connected", device=self.name, again=0)
        self.go_on()

    def lost(self, outlet: _Outlet, reason: Failure) -> None:
        """Wait for the service to dial again."""
        if self._outlet is outlet:
            self._outlet = None
        self.trouble = reason.getErrorMessage()
        log.info("device.cut", device=self.name, reason=self.trouble)

    def obeyed(self) -> None:
        """Count a command."""
        self.counts.commands += 1

    def go_on(self) -> None:
        """Send what may be sent now, and see to it that the rest has its turn."""
        outlet = self._outlet
        if outlet is None or outlet.paused or self._over or (self._wakeup is not None and self._wakeup.active()):
            return
        now = self._reactor.seconds()
        try:
            for _ in range(BURST if self._pace is None else self._pace.take(BURST, now)):
                if not self._send_one(outlet):
                    self._end()
                    return
        except Exception:  # noqa: BLE001 - whatever the lines or the ledger raise belongs to `finished`
            self._failure = Failure()
            log.error("device.failed", device=self.name, error=self._failure.getErrorMessage())
            self._end()
            return
        self._wakeup = self._reactor.callLater(0 if self._pace is None else self._pace.wait(now), self._woken)

    def _send_one(self, outlet: _Outlet) -> bool:
        line = next(self._lines, None)
        if line is None:
            return False
        frame = framed(line, self._frame)
        self._ledger.on_sent(line, self._wall())
        self.counts.sent += 1
        outlet.send(frame)
        return True

    def _woken(self) -> None:
        self._wakeup = None
        self.go_on()

    def _end(self) -> None:
        self._over = True
        if self._wakeup is not None and self._wakeup.active():
            self._wakeup.cancel()
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            waiter.callback(None)

    def _cut(self) -> None:
        if self._outlet is not None:
            self._outlet.cut()

    def _dial_failed(self, failure: Failure) -> None:
        self.trouble = failure.getErrorMessage()


@implementer(IPushProducer)
class _Outlet(Protocol):
    """One connection, which pauses its device while the network takes no more.

    Of what comes back only commands are looked at, and replied to.
    """

    def __init__(self, device: SilentDevice, reactor: IReactorTime, speech: Speech) -> None:
        self._framing = speech.framing()
        self.paused = False
        self._device = device
        self._reactor = reactor
        self._open = False

    def connectionMade(self) -> None:
        """Tell the device in the next turn: until then the dialling cannot be stopped cleanly."""
        self._open = True
        transport: Any = self.transport
        transport.registerProducer(self, True)
        self._reactor.callLater(0, self._tell_opened)

    def _tell_opened(self) -> None:
        if self._open:
            self._device.opened(self)

    def send(self, frame: bytes) -> None:
        assert self.transport is not None
        self.transport.write(frame)

    def dataReceived(self, data: bytes) -> None:
        """Obey commands."""
        for found in self._framing.feed(data):
            heard = command_in(found) if isinstance(found, bytes) else None
            if heard is not None:
                reply = heard.reply
                if reply is not None:
                    self.send(self._framing.encode(reply))
                self._device.obeyed()

    def cut(self) -> None:
        transport: Any = self.transport
        transport.abortConnection()

    def pauseProducing(self) -> None:
        self.paused = True

    def resumeProducing(self) -> None:
        self.paused = False
        self._device.go_on()

    def stopProducing(self) -> None:
        """The connection is gone, which `connectionLost` tells."""

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Tell the device."""
        self._open = False
        self._device.lost(self, reason)
