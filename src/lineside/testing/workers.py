"""Workers without threads: work runs at once, or when the test says so."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable


class InlineWorker:
    """Runs work at once, on the caller's thread."""

    def __init__(self, name: str = "") -> None:
        self.name = name

    def do(self, work: Callable[[], None]) -> None:
        """Run ``work`` now."""
        work()

    def quit(self) -> None:
        """Nothing is left to finish."""


class HeldWorker:
    """Keeps work until `release`: a disk that takes as long as the test wants.

    While ``held`` is False it runs work at once, as `InlineWorker` does.
    """

    def __init__(self, name: str = "") -> None:
        self.name = name
        self.held = False
        self._queue: deque[Callable[[], None]] = deque()

    def do(self, work: Callable[[], None]) -> None:
        """Run ``work`` now, or keep it while held."""
        if self.held:
            self._queue.append(work)
        else:
            work()

    def release(self) -> None:
        """Run everything that was kept."""
        self.held = False
        while self._queue:
            self._queue.popleft()()

    def forget(self) -> None:
        """Drop everything that was kept, as a process does that is killed."""
        self.held = False
        self._queue.clear()

    def quit(self) -> None:
        """Run everything that was kept, then stop."""
        self.release()


def call_at_once(f: Callable[..., object], *args: object) -> object:
    """Stand in for ``reactor.callFromThread`` where everything runs on one thread."""
    return f(*args)
