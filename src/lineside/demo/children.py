"""Other Lineside commands as child processes."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.error import ProcessDone, ProcessExitedAlready, ProcessTerminated
from twisted.internet.interfaces import IProcessTransport
from twisted.internet.protocol import ProcessProtocol
from twisted.python.failure import Failure


class Child(ProcessProtocol):
    """One ``lineside`` command; what it prints on standard error goes to a file.

    ``ended`` fires with its exit code, negative for a signal.
    """

    transport: IProcessTransport

    def __init__(self, log: Path, line: Callable[[str], None] = lambda line: None) -> None:
        self.ended: Deferred[int] = Deferred()
        self.running = True
        self._log = log.open("ab")
        self._line = line
        self._out = b""

    @classmethod
    def start(
        cls,
        reactor: Any,
        arguments: list[str],
        *,
        log: Path,
        environ: Mapping[str, str],
        line: Callable[[str], None] = lambda line: None,
    ) -> Child:
        """Start ``lineside`` with these arguments under this interpreter; ``line`` gets what it prints."""
        child = cls(log, line)
        command = [sys.executable, "-m", "lineside", *arguments]
        reactor.spawnProcess(child, sys.executable, command, env={**os.environ, **environ})
        return child

    def signal(self, name: str) -> None:
        """Send a signal (``TERM``, ``KILL``) unless it has ended."""
        try:
            self.transport.signalProcess(name)
        except ProcessExitedAlready:
            return

    def outReceived(self, data: bytes) -> None:
        """Hand on whole lines."""
        *lines, self._out = (self._out + data).split(b"\n")
        for line in lines:
            self._line(line.decode(errors="replace"))

    def errReceived(self, data: bytes) -> None:
        """Keep the log."""
        self._log.write(data)
        self._log.flush()

    def processEnded(self, reason: Failure) -> None:
        """Tell who waits."""
        self.running = False
        self._log.close()
        if reason.check(ProcessDone):
            self.ended.callback(0)
        else:
            status = reason.value
            assert isinstance(status, ProcessTerminated)
            self.ended.callback(status.exitCode if status.signal is None else -status.signal)
