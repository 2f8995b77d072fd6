"""Devices on a serial port, as an endpoint that is dialled like any other. It needs the extra ``serial``."""

from __future__ import annotations

import contextlib
import errno
import termios
from typing import Any

from msgspec import Struct
from twisted.internet import error
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.interfaces import (
    IAddress,
    IProtocol,
    IProtocolFactory,
    IReactorTime,
    IStreamClientEndpoint,
)
from twisted.internet.serialport import SerialPort, serial
from twisted.python.failure import Failure
from zope.interface import implementer

from lineside.edges.lines.unreachable import PortUnusable, Unreachable


class SerialLine(Struct, frozen=True):
    """A serial port and how it speaks."""

    device: str
    """The path of its device file."""
    baudrate: int
    bytesize: int = 8
    parity: str = "N"
    """``N``, ``E``, ``O``, ``M`` or ``S``."""
    stopbits: float = 1
    rtscts: bool = False
    xonxoff: bool = False


@implementer(IAddress)
class SerialAddress(Struct, frozen=True):
    """Who is at a serial port: the port itself."""

    host: str
    """The path of its device file."""


@implementer(IStreamClientEndpoint)
class SerialEndpoint:
    """Opens a serial port. What lay in its input buffer before is thrown away.

    Args:
        reactor: reads and writes the port; no thread does.
        line: which port.

    """

    def __init__(self, reactor: Any, line: SerialLine) -> None:
        self._reactor = reactor
        self._line = line

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        """Open the port for ourselves alone; it fails with `PortUnusable`."""
        protocol = protocolFactory.buildProtocol(SerialAddress(self._line.device))
        assert protocol is not None
        try:
            _SerialConnection(protocol, self._line, self._reactor)
        except (OSError, ValueError, termios.error) as failed:
            return fail(PortUnusable(_why_unusable(failed)))
        return succeed(protocol)


class _SerialConnection(SerialPort):
    """A port that behaves like a connection: it can be cut, and ending our side ends it."""

    def __init__(self, protocol: IProtocol, line: SerialLine, reactor: Any) -> None:
        self._address = SerialAddress(line.device)
        self._timer: IReactorTime = reactor
        super().__init__(
            protocol,
            line.device,
            reactor,
            baudrate=line.baudrate,
            bytesize=line.bytesize,
            parity=line.parity,
            stopbits=line.stopbits,
            xonxoff=line.xonxoff,
            rtscts=line.rtscts,
        )

    def _serialFactory(self, *arguments: Any, **options: Any) -> Any:
        # Two programs on one port would each get some of its bytes.
        return serial.Serial(*arguments, **options, exclusive=True)

    def getPeer(self) -> SerialAddress:
        return self._address

    def getHost(self) -> SerialAddress:
        return self._address

    def loseWriteConnection(self) -> None:
        self.loseConnection()

    def abortConnection(self) -> None:
        if not self.disconnected:
            self.stopReading()
            self.stopWriting()
            self._timer.callLater(0, self.connectionLost, Failure(error.ConnectionAborted()))

    def connectionLost(self, reason: Failure) -> None:
        if self.disconnected:
            return
        if not reason.check(error.ConnectionDone):
            # Closing waits for output that a device does not take, half a minute and more: throw it away.
            with contextlib.suppress(OSError, termios.error):
                self.flushOutput()
        super().connectionLost(reason)


def _why_unusable(failed: Exception) -> Unreachable:
    # pyserial tells the number of some errors only; termios.error has it as its first argument.
    number = getattr(failed, "errno", None)
    if number is None:
        termios_error = failed if isinstance(failed, termios.error) else failed.__context__
        number = termios_error.args[0] if isinstance(termios_error, termios.error) else None
    unknown = Unreachable(f"it cannot be opened: {failed}", "check its path and its options")
    return unknown if number is None else _REASONS.get(number, unknown)


_NO_PORT = Unreachable("there is no such port", "is it plugged in? `ls -l /dev/serial/by-id` lists adapters")
_IN_USE = Unreachable("another program uses the port", "end it: `fuser -v` with the port's path names it")
_REASONS = {
    errno.ENOENT: _NO_PORT,
    errno.ENXIO: _NO_PORT,
    errno.ENODEV: _NO_PORT,
    errno.EACCES: Unreachable(
        "permission denied",
        "put the gateway's user into the group of the device file, mostly dialout (`sudo usermod -aG dialout "
        "USER`), and restart the gateway",
    ),
    errno.EPERM: Unreachable("permission denied", "the service must be allowed to use this device file"),
    errno.EBUSY: _IN_USE,
    errno.EAGAIN: _IN_USE,
    errno.ENOTTY: Unreachable("it is no serial port", "check the path"),
}
