"""Coroutines that run beside their caller: each is tracked, none is forgotten."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any

from twisted.internet.defer import CancelledError, Deferred, DeferredList
from twisted.logger import Logger
from twisted.python.failure import Failure

log = Logger()


class Background:
    """The coroutines of one owner. A failure is logged as ``background.failed``; cancelling is none."""

    def __init__(self, owner: str) -> None:
        self._owner = owner
        self._running: set[Deferred[None]] = set()

    def __len__(self) -> int:
        return len(self._running)

    def run(self, name: str, work: Coroutine[Deferred[Any], Any, None]) -> Deferred[None]:
        """Start ``work`` and track it to its end. The Deferred fires then, with None in any case."""
        deferred = Deferred.fromCoroutine(work)
        self._running.add(deferred)

        def ended(result: Failure | None) -> None:
            self._running.discard(deferred)
            if isinstance(result, Failure) and not result.check(CancelledError):
                log.failure("background.failed", failure=result, owner=self._owner, work=name)

        deferred.addBoth(ended)
        return deferred

    async def finish(self) -> None:
        """Return when nothing runs any more."""
        while self._running:
            await DeferredList(list(self._running))

    def cancel(self) -> None:
        """Cancel everything that runs."""
        for deferred in list(self._running):
            deferred.cancel()
