"""``lineside`` under Twisted's process protocol, forked by the nursery: `spawnProcess` without Python's start."""

from __future__ import annotations

import socket
from collections.abc import Mapping, Sequence
from typing import Any

from tests.rig.quick import Quick
from twisted.internet.error import ProcessDone, ProcessExitedAlready, ProcessTerminated
from twisted.internet.interfaces import IAddress
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.protocol import ProcessProtocol as ToldOfAProcess
from twisted.python.failure import Failure

END = 60.0
"""Seconds that a process may take to be gone after its outputs are closed."""


class Output(Protocol):
    """One of the two outputs; the first is the standard input as well."""

    def __init__(self, number: int, process: Hatched) -> None:
        self._number = number
        self._process = process

    def dataReceived(self, data: bytes) -> None:
        self._process.told(self._number, data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._process.closed()


class Hatched:
    """The command, as the transport of its protocol: what tests use of `IProcessTransport`.

    Args:
        reactor: reads what it prints.
        nursery: its socket.
        protocol: is told all that a process of `spawnProcess` tells.
        arguments: of ``lineside``.
        environ: all of its environment.
        directory: in which it works.

    """

    def __init__(
        self,
        reactor: Any,
        nursery: str,
        protocol: ToldOfAProcess,
        arguments: Sequence[str],
        environ: Mapping[str, str],
        directory: str,
    ) -> None:
        self._protocol = protocol
        self._open = 2
        (out, theirs_out), (err, theirs_err) = socket.socketpair(), socket.socketpair()
        with out, theirs_out, err, theirs_err:
            streams = (theirs_out.fileno(), theirs_out.fileno(), theirs_err.fileno())
            self._quick = Quick(nursery, arguments, directory, environ, streams)
            self._outputs = [Output(1, self), Output(2, self)]
            for ours, output in zip((out, err), self._outputs, strict=True):
                reactor.adoptStreamConnection(ours.fileno(), socket.AF_UNIX, Given(output))
        protocol.makeConnection(self)

    @property
    def pid(self) -> int:
        """The command's own process."""
        return self._quick.pid

    def write(self, data: bytes) -> None:
        """Write to its standard input."""
        transport: Any = self._outputs[0].transport
        transport.write(data)

    def signalProcess(self, number: int) -> None:
        """Send it a signal.

        Raises:
            ProcessExitedAlready: it has ended.

        """
        if self._quick.code is not None:
            raise ProcessExitedAlready
        self._quick.send_signal(number)

    def told(self, number: int, data: bytes) -> None:
        """Hand on what it printed."""
        self._protocol.childDataReceived(number, data)

    def closed(self) -> None:
        """See it end, once both outputs are closed."""
        self._open -= 1
        if self._open:
            return
        code = self._quick.wait(END)
        ended = ProcessTerminated(exitCode=code) if code > 0 else ProcessTerminated(signal=-code)
        self._protocol.processEnded(Failure(ProcessDone(None) if code == 0 else ended))


class Given(Factory):
    """Makes the one protocol of a connection that is there already."""

    noisy = False

    def __init__(self, protocol: Protocol) -> None:
        self._protocol = protocol

    def buildProtocol(self, addr: IAddress | None) -> Protocol:
        return self._protocol
