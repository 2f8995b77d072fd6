"""Threads on which a drop box does what blocks."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from lineside.store.database import FromThread
from lineside.store.workers import ThreadWorker, Worker

T = TypeVar("T")


class Threads:
    """A few threads that share the work of every drop box, each piece in its turn; a `Part`.

    Args:
        call_from_thread: the reactor's.
        number: how many.
        worker: makes one, once `start` is called.

    """

    name = "drop box threads"

    def __init__(
        self, call_from_thread: FromThread, number: int = 2, worker: Callable[[str], Worker] = ThreadWorker
    ) -> None:
        self._call_from_thread = call_from_thread
        self._number = number
        self._make = worker
        self._workers: list[Worker] = []
        self._given = [0] * number

    async def start(self) -> None:
        """Begin to work."""
        self._workers = [self._make(f"drop box {number}") for number in range(1, self._number + 1)]

    async def stop(self) -> None:
        """Finish what was given; nothing may follow."""
        while self._workers:
            self._workers.pop().quit()

    def run(self, work: Callable[[], T]) -> Deferred[T]:
        """Run ``work`` on the thread with the least to do. Cancelling stops nothing: it is done all the same."""
        least = min(range(len(self._workers)), key=self._given.__getitem__)
        self._given[least] += 1
        ended: Deferred[T] = Deferred(lambda _: None)

        def tell(outcome: T | Failure) -> None:
            self._given[least] -= 1
            ended.callback(outcome)

        def run() -> None:
            outcome: T | Failure
            try:
                outcome = work()
            except BaseException:  # noqa: BLE001 (it goes to the caller)
                outcome = Failure()
            self._call_from_thread(tell, outcome)

        self._workers[least].do(run)
        return ended
