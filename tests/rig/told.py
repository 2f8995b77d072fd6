"""Programs that tell in JSON lines what happens to them, and tests that wait for it."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.defer import TimeoutError as TimedOut
from twisted.internet.error import ProcessExitedAlready
from twisted.internet.protocol import ProcessProtocol
from twisted.python.failure import Failure

T = TypeVar("T")
Said = dict[str, Any]
PATIENCE = 60.0
"""Seconds without a word: a promise broken, not a promise of speed."""


class Program(ProcessProtocol):
    """One process.

    Args:
        command: the program, as a path, and its arguments.
        directory: in which it runs.
        environ: variables beside its usual ones.
        spawn: starts it, in the place of the reactor's `spawnProcess`; see `tests.rig.forked.Nursery.spawn`.

    """

    def __init__(
        self,
        reactor: Any,
        command: Sequence[str],
        directory: Path,
        environ: Mapping[str, str] = MappingProxyType({}),
        spawn: Callable[..., object] | None = None,
    ) -> None:
        self.said: list[Said] = []
        """What it told and `heard` did not take yet."""
        self.other: list[str] = []
        """Lines that are no JSON: complaints."""
        self._reactor = reactor
        self._rest: dict[int, bytes] = {}
        self._waiting: Deferred[None] | None = None
        self._gone: Deferred[None] = Deferred()
        self._code: int | None = None
        everything = {**os.environ, "PYTHONUNBUFFERED": "1", **environ}
        (spawn or reactor.spawnProcess)(self, command[0], list(command), env=everything, path=str(directory))

    @property
    def pid(self) -> int:
        """The process, while it runs."""
        transport: Any = self.transport
        return int(transport.pid)

    def tell(self, **order: object) -> None:
        """Write a line to its standard input."""
        transport: Any = self.transport
        transport.write(json.dumps(order).encode() + b"\n")

    async def until(self, what: str, holds: Callable[[], T | None]) -> T:
        """Return what ``holds`` returns once it is true; it is asked whenever something was told."""
        while not (found := holds()):
            assert self._code is None, f"it ended with {self._code} while {what} was waited for:\n{self._last()}"
            assert self._waiting is None, "one waits at a time"
            self._waiting = Deferred()
            self._waiting.addTimeout(PATIENCE, self._reactor)
            try:
                await self._waiting
            except TimedOut as late:
                raise AssertionError(f"{what} was waited for; last it said:\n{self._last()}") from late
            finally:
                self._waiting = None
        return found

    async def heard(self, event: str, **facts: object) -> Said:
        """Take the first of what it told that is such an event, when it is there."""

        def look() -> Said | None:
            for at, said in enumerate(self.said):
                if said.get("event") == event and facts.items() <= said.items():
                    return self.said.pop(at)
            return None

        return await self.until(f"{event} {facts}", look)

    async def do(self, do: str, **order: object) -> Said:
        """Let a client carry out an order; returns its answer."""
        self.tell(do=do, **order)

        def look() -> Said | None:
            for at, said in enumerate(self.said):
                if said["event"] in {"answer", "refused"} and said["do"] == do:
                    return self.said.pop(at)
            return None

        return await self.until(f"the answer to {do}", look)

    def signal(self, name: str) -> None:
        """Send it a signal (``TERM``, ``KILL``, ``STOP``, ``CONT``)."""
        transport: Any = self.transport
        with suppress(ProcessExitedAlready):
            transport.signalProcess(signal.Signals[f"SIG{name}"])

    async def ended(self) -> int | None:
        """Wait until it ends by itself; returns the exit code."""
        await self._gone
        return self._code

    async def end(self, name: str = "KILL") -> int | None:
        """End it with a signal, if it runs; returns the exit code, None for a signal."""
        self.signal(name)
        await self._gone
        return self._code

    def childDataReceived(self, childFD: int, data: bytes) -> None:
        """Take lines from either of its outputs."""
        *lines, self._rest[childFD] = (self._rest.get(childFD, b"") + data).split(b"\n")
        for line in lines:
            try:
                said = json.loads(line)
            except ValueError:
                self.other.append(line.decode(errors="replace"))
            else:
                self.said.append(said)
        self._look()

    def processEnded(self, reason: Failure) -> None:
        """Tell who waits."""
        status: Any = reason.value
        self._code = -1 if status.exitCode is None else status.exitCode
        self._gone.callback(None)
        self._look()

    def _look(self) -> None:
        if self._waiting is not None and not self._waiting.called:
            self._waiting.callback(None)

    def _last(self) -> str:
        rest = [said for said in self.said if said.get("event") != "publication"]
        told = [f"{len(self.said) - len(rest)} publications", *(json.dumps(said)[:300] for said in rest[-15:])]
        return "\n".join([*told, *self.other[-15:]])


def of(said: Sequence[Said], event: str, **facts: object) -> list[Mapping[str, Any]]:
    """Return the events of a kind."""
    return [each for each in said if each.get("event") == event and facts.items() <= each.items()]
