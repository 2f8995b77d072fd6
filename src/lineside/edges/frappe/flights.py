"""Single flight: however many want the same at a time, the work is done once, and all get what comes of it."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, Generic, TypeVar

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

T = TypeVar("T")


class _Flight(Generic[T]):
    def __init__(self) -> None:
        self.waiting: list[Deferred[T]] = []
        self.work: Deferred[None] | None = None


class Flights(Generic[T]):
    """The work under way, by key.

    Who gives up (is cancelled) takes nothing from the others; the work is cancelled when the last one has given up.
    """

    def __init__(self) -> None:
        self._under_way: dict[bytes, _Flight[T]] = {}

    def __len__(self) -> int:
        return len(self._under_way)

    def under_way(self, key: bytes) -> bool:
        """Tell whether somebody waits for this already."""
        return key in self._under_way

    async def join(self, key: bytes, begin: Callable[[], Coroutine[Deferred[Any], Any, T]]) -> T:
        """Return what comes of the work under way for a key, or of the one that ``begin`` makes."""
        flight = self._under_way.get(key)
        if flight is not None:
            return await self._seat(key, flight)
        flight = self._under_way[key] = _Flight()
        seat = self._seat(key, flight)
        flight.work = Deferred.fromCoroutine(begin()).addBoth(lambda result: self._land(key, flight, result))
        return await seat

    def _seat(self, key: bytes, flight: _Flight[T]) -> Deferred[T]:
        seat: Deferred[T] = Deferred(lambda given_up: self._leave(key, flight, given_up))
        flight.waiting.append(seat)
        return seat

    def _leave(self, key: bytes, flight: _Flight[T], seat: Deferred[T]) -> None:
        if seat not in flight.waiting:
            return
        flight.waiting.remove(seat)
        if not flight.waiting and flight.work is not None:
            # Whoever comes from now on must not wait for what is being cancelled.
            self._forget(key, flight)
            flight.work.cancel()

    def _land(self, key: bytes, flight: _Flight[T], result: T | Failure) -> None:
        self._forget(key, flight)
        waiting, flight.waiting = flight.waiting, []
        for seat in waiting:
            if seat.called:
                # Given up because of what one before made of the result.
                continue
            if isinstance(result, Failure):
                assert result.value is not None
                seat.errback(Failure(result.value))
            else:
                seat.callback(result)

    def _forget(self, key: bytes, flight: _Flight[T]) -> None:
        if self._under_way.get(key) is flight:
            del self._under_way[key]
