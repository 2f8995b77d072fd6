"""The tests' side of the nursery: ``lineside`` commands as processes that start in no time."""

from __future__ import annotations

import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec import Struct
from tests.rig.hatched import Hatched
from tests.rig.nursery import Order
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import UNIXClientEndpoint, connectProtocol
from twisted.internet.protocol import ProcessProtocol, connectionDone
from twisted.protocols.basic import LineOnlyReceiver
from twisted.python.failure import Failure

ROOT = Path(__file__).resolve().parents[2]
QUICK = ROOT / "tests/rig/quick.py"


class Forked(LineOnlyReceiver):
    """One command: a `lineside.demo.children.Process`. It is killed when the connection is closed."""

    delimiter = b"\n"
    MAX_LENGTH = 1024 * 1024

    def __init__(self, order: Order, line: Callable[[str], None]) -> None:
        self.code: int | None = None
        self.pid: int | None = None
        self._ended = -signal.SIGKILL
        self._order = order
        self._line = line
        self._signals: list[int] = []
        self._waiting: list[Deferred[int]] = []

    def connectionMade(self) -> None:
        """Order it."""
        assert self.transport is not None
        self.transport.write(msgspec.json.encode(self._order) + b"\n")

    def lineReceived(self, line: bytes) -> None:
        """Take what it prints, and what becomes of it."""
        if line.startswith(b"\0pid "):
            self.pid = int(line[5:])
            for number in self._signals:
                os.kill(self.pid, number)
        elif line.startswith(b"\0ended "):
            self._ended = int(line[7:])
        elif line:
            self._line(line.decode(errors="replace"))

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Tell who waits; without a connection there is no process."""
        self.code = self._ended
        waiting, self._waiting = self._waiting, []
        for one in waiting:
            one.callback(self.code)

    def failed(self, failure: Failure) -> Failure:
        """Tell who waits, and let the test fail: there is no nursery any more."""
        self.connectionLost()
        return failure

    async def ended(self) -> int:
        """Wait for its end; returns the exit code, negative for a signal."""
        if self.code is not None:
            return self.code
        waiting: Deferred[int] = Deferred(self._waiting.remove)
        self._waiting.append(waiting)
        return await waiting

    def signal(self, name: str) -> None:
        """Send a signal (``TERM``, ``KILL``) unless it has ended."""
        number = signal.Signals[f"SIG{name}"]
        if self.pid is None:
            self._signals.append(number)
        elif self.code is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)


class Finished(Struct, frozen=True):
    """A command that ran to its end."""

    code: int
    """Negative for a signal."""
    out: str
    err: str


class Nursery:
    """The process that forks; one serves a whole run of tests."""

    def __init__(self) -> None:
        self._directory = tempfile.TemporaryDirectory(prefix="lineside-")
        self.socket = str(Path(self._directory.name) / "nursery")
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.rig.nursery", self.socket], cwd=ROOT, stdout=subprocess.PIPE
        )
        assert self._process.stdout is not None
        if self._process.stdout.readline() != b"ready\n":
            self.close()
            raise RuntimeError("the nursery did not start; its standard error says why")

    def close(self) -> None:
        """Kill it, and whatever it forked."""
        self._process.kill()
        self._process.communicate()
        self._directory.cleanup()

    @property
    def command(self) -> tuple[str, ...]:
        """What stands for ``lineside`` before its arguments, where a program is named; it starts at once.

        Its process stands before that of the command, which a SIGKILL reaches a moment later: only who has read its
        outputs to their end knows that it is gone. A `Quick` or `spawn` has the command's own process.
        """
        return (sys.executable, "-I", "-S", str(QUICK), self.socket)

    def program(self, directory: Path) -> Path:
        """Make the program ``lineside`` in a directory, for shells: that of the package, and it starts at once."""
        directory.mkdir(exist_ok=True)
        program = directory / "lineside"
        program.write_text(f'#!/bin/sh\nexec {shlex.join(self.command)} "$@"\n')
        program.chmod(0o700)
        return program

    def start(
        self,
        reactor: Any,
        arguments: list[str],
        *,
        log: Path,
        environ: Mapping[str, str],
        line: Callable[[str], None] = lambda line: None,
        dies_at: tuple[str, int] | None = None,
    ) -> Forked:
        """Start a command: a `lineside.demo.children.Start`."""
        forked = Forked(Order(arguments, dict(environ), str(log), dies_at), line)
        connectProtocol(UNIXClientEndpoint(reactor, self.socket), forked).addErrback(forked.failed)
        return forked

    def spawn(
        self, reactor: Any
    ) -> Callable[[ProcessProtocol, str, Sequence[str], Mapping[str, str], str], Hatched]:
        """Make a `spawnProcess` for the program ``lineside``, of whose name nothing depends."""

        def spawn(
            protocol: ProcessProtocol, name: str, command: Sequence[str], env: Mapping[str, str], path: str
        ) -> Hatched:
            return Hatched(reactor, self.socket, protocol, command[1:], env, path)

        return spawn

    def run(self, arguments: Sequence[str], environ: Mapping[str, str], within: float) -> Finished:
        """Run a command to its end, ``within`` so many seconds; needs no reactor."""
        with tempfile.NamedTemporaryFile() as log, socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(within)
            connection.connect(self.socket)
            connection.sendall(msgspec.json.encode(Order(list(arguments), dict(environ), log.name)) + b"\n")
            told = b"".join(iter(partial(connection.recv, 65_536), b""))
            err = Path(log.name).read_text()
        out, ended, code = re.sub(rb"\0pid \d+\n", b"", told, count=1).rpartition(b"\n\0ended ")
        if not ended:
            raise RuntimeError(f"{arguments} was not seen to end: {told!r}, {err}")
        return Finished(int(code), out.decode(), err)


@pytest.fixture(scope="session")
def nursery() -> Iterator[Nursery]:
    """Have one nursery for all tests of this process."""
    nursery = Nursery()
    yield nursery
    nursery.close()
