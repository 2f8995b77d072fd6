"""Other Lineside commands as child processes."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from twisted.internet.defer import Deferred
from twisted.internet.error import ProcessDone, ProcessExitedAlready, ProcessTerminated
from twisted.internet.interfaces import IProcessTransport
from twisted.internet.protocol import ProcessProtocol
from twisted.python.failure import Failure

LINESIDE = ("-m", "lineside.cli.child")
"""What Python is to run, before the arguments of ``lineside``."""


class Process(Protocol):
    """A command at work."""

    code: int | None
    """The exit code, negative for a signal; None while it runs."""

    async def ended(self) -> int:
        """Wait for its end; returns the exit code."""
        ...

    def signal(self, name: str) -> None:
        """Send a signal (``TERM``, ``KILL``) unless it has ended."""
        ...


class Start(Protocol):
    """Starts ``lineside`` with arguments: standard error goes to the file ``log``, ``line`` gets what it prints."""

    def __call__(  # noqa: D102
        self,
        reactor: Any,
        arguments: list[str],
        *,
        log: Path,
        environ: Mapping[str, str],
        line: Callable[[str], None] = ...,
    ) -> Process: ...


class Child(ProcessProtocol):
    """One ``lineside`` command; what it prints on standard error goes to a file."""

    transport: IProcessTransport

    def __init__(self, log: Path, line: Callable[[str], None] = lambda line: None) -> None:
        self.code: int | None = None
        """The exit code, negative for a signal; None while it runs."""
        self._waiting: list[Deferred[int]] = []
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
        program: Sequence[str] = LINESIDE,
    ) -> Child:
        """Start ``lineside`` with these arguments under this interpreter; ``line`` gets what it prints."""
        child = cls(log, line)
        command = [sys.executable, *program, *arguments]
        reactor.spawnProcess(child, sys.executable, command, env={**os.environ, **environ})
        return child

    async def ended(self) -> int:
        """Wait for its end; returns the exit code, negative for a signal."""
        if self.code is not None:
            return self.code
        waiting: Deferred[int] = Deferred(self._waiting.remove)
        self._waiting.append(waiting)
        return await waiting

    def signal(self, name: str) -> None:
        """Send a signal (``TERM``, ``KILL``, ...) unless it has ended."""
        try:
            self.transport.signalProcess(signal.Signals[f"SIG{name}"])
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
        self._log.close()
        self.code = 0
        if not reason.check(ProcessDone):
            status = reason.value
            assert isinstance(status, ProcessTerminated)
            self.code = status.exitCode if status.signal is None else -status.signal
        waiting, self._waiting = self._waiting, []
        for one in waiting:
            one.callback(self.code)
