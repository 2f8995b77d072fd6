"""Work on files, which blocks, on threads of its own."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from lineside.store.database import FromThread
from lineside.store.workers import ThreadWorker, Worker

T = TypeVar("T")


class Aside:
    """One thread for blocking work, one piece after the other.

    Args:
        name: the thread's.
        call_from_thread: the reactor's.
        worker: makes the thread, once `start` is called.

    """

    def __init__(
        self, name: str, call_from_thread: FromThread, worker: Callable[[str], Worker] = ThreadWorker
    ) -> None:
        self._name = name
        self._call_from_thread = call_from_thread
        self._make = worker
        self._worker: Worker | None = None

    def start(self) -> None:
        """Begin to work."""
        self._worker = self._make(self._name)

    def stop(self) -> None:
        """Finish what was given; nothing may follow."""
        if self._worker is not None:
            self._worker.quit()
            self._worker = None

    async def run(self, work: Callable[[], T]) -> T:
        """Run ``work`` there; return or raise what it does. Where this is cancelled, it is done all the same."""
        assert self._worker is not None
        ended: Deferred[T] = Deferred()

        def run() -> None:
            outcome: T | Failure
            try:
                outcome = work()
            except BaseException:  # noqa: BLE001 (it goes to the caller)
                outcome = Failure()
            self._call_from_thread(ended.callback, outcome)

        self._worker.do(run)
        return await ended

    def last(self, work: Callable[[], None]) -> None:
        """Run ``work``, which never raises, after all that was given."""
        if self._worker is not None:
            self._worker.do(work)
