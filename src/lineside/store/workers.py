"""Where blocking work runs: one thread that takes one job after the other."""

from __future__ import annotations

from collections.abc import Callable
from queue import SimpleQueue
from threading import Thread
from typing import Protocol


class Worker(Protocol):
    """Runs work in the order given, one at a time, wherever it likes."""

    def do(self, work: Callable[[], None]) -> None:
        """Queue ``work``; returns at once. ``work`` never raises."""
        ...

    def quit(self) -> None:
        """Finish what is queued, then stop."""
        ...


class ThreadWorker:
    """A `Worker` on a daemon thread of its own."""

    def __init__(self, name: str) -> None:
        self._queue: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._thread = Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def do(self, work: Callable[[], None]) -> None:
        """Queue ``work`` for the thread."""
        self._queue.put(work)

    def quit(self) -> None:
        """Let the thread end after what is queued, and wait for it."""
        self._queue.put(None)
        self._thread.join()

    def _run(self) -> None:
        while (work := self._queue.get()) is not None:
            work()
