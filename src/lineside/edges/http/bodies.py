"""A request's body on its way in: as a bounded stream, or whole up to a limit."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Callable

from twisted.internet.defer import Deferred

from lineside.operations.web import Problem

ENOUGH = 256 * 1024
"""Bytes that may wait in a stream before the connection is read no further."""
PIECE = 64
"""Bytes that a piece takes beside what it holds, about."""


class BodyStream(AsyncIterator[bytes]):
    """The pieces of a body, taken by one reader. It is cancelled if the client leaves before all is there.

    Args:
        pause: read the connection no further.
        resume: read on.

    """

    def __init__(self, pause: Callable[[], None], resume: Callable[[], None]) -> None:
        self._pause = pause
        self._resume = resume
        self._pieces: deque[bytes] = deque()
        self._size = 0
        self._paused = False
        self._ended = False
        self._waiting: Deferred[None] | None = None

    def push(self, piece: bytes) -> None:
        """Take what came."""
        self._pieces.append(piece)
        self._size += PIECE + len(piece)
        if self._size >= ENOUGH and not self._paused:
            self._paused = True
            self._pause()
        self._wake()

    def end(self) -> None:
        """All is there."""
        self._ended = True
        self._wake()

    def abandon(self) -> None:
        """Nobody reads any more: let what still comes pass."""
        self._pieces.clear()
        self._size = 0
        self._ended = True
        if self._paused:
            self._paused = False
            self._resume()

    async def __anext__(self) -> bytes:
        while not self._pieces:
            if self._ended:
                raise StopAsyncIteration
            self._waiting = Deferred()
            await self._waiting
        piece = self._pieces.popleft()
        self._size -= PIECE + len(piece)
        if self._paused and self._size < ENOUGH:
            self._paused = False
            self._resume()
        return piece

    def _wake(self) -> None:
        waiting, self._waiting = self._waiting, None
        if waiting is not None and not waiting.called:
            waiting.callback(None)


class WholeBody:
    """A body that is kept until all is there.

    Args:
        limit: bytes at most.

    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._first = b""
        self._rest = bytearray()

    def push(self, piece: bytes) -> None:
        """Take what came.

        Raises:
            Problem: 413, it is more than the limit.

        """
        if len(self._first) + len(self._rest) + len(piece) > self._limit:
            raise too_large(self._limit)
        if self._first:
            self._rest += piece
        else:
            self._first = piece

    def value(self) -> bytes:
        """Return it."""
        return self._first + self._rest if self._rest else self._first


def too_large(limit: int) -> Problem:
    """Return what a client is told whose body is larger than ``limit`` bytes."""
    return Problem(413, f"the body is larger than {limit} bytes", limit=limit)
