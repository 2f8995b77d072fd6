"""A result on its way from a thread to a reader on the reactor's: in pieces, no faster than they are taken."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator
from threading import Semaphore
from typing import Any, Literal, Protocol

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from lineside.edges.sql.dialect import Rows
from lineside.edges.sql.pool import Job, Pool
from lineside.edges.sql.trouble import DatabaseFailed, Trouble

FETCH = 100
"""Rows that are fetched together."""
PIECE = 64 * 1024
"""Bytes, about, of a piece."""
AHEAD = 2
"""Pieces that may wait for the reader."""
CUT = 1.0
"""Seconds past its time after which a query is cut off: the server ends it by itself, if it is well."""

Cause = Literal["rows", "time"]


class Form(Protocol):
    """How rows are written."""

    def head(self, columns: list[str]) -> bytes:
        """Return what comes before the rows.

        Raises:
            DatabaseFailed: these columns cannot be written so.

        """
        ...

    def rows(self, rows: list[Any]) -> bytes:
        """Return some rows."""
        ...

    def tail(self, count: int, truncated: Cause | None) -> bytes:
        """Return what comes after so many rows; ``truncated``: there are more, and why they are not here."""
        ...


class RowStream(AsyncIterator[bytes]):
    """One query's result, written as ``form`` says. Reads nothing before `begin`, and ends when it is closed.

    Args:
        reactor: with threads.
        pool: for reading.
        sql: as the dialect takes it.
        values: what is bound.
        form: how rows are written.
        max_rows: after so many it ends, truncated.
        within: seconds for all of it, the reader's own included; after them it ends, truncated.

    """

    def __init__(
        self,
        reactor: Any,
        pool: Pool,
        sql: str,
        values: dict[str, Any],
        form: Form,
        *,
        max_rows: int,
        within: float,
    ) -> None:
        self._reactor = reactor
        self._pool = pool
        self._sql = sql
        self._values = values
        self._form = form
        self._max_rows = max_rows
        self._within = within
        self._room = Semaphore(AHEAD)
        self._pieces: deque[bytes] = deque()
        self._news: Deferred[None] | None = None
        self._failed: Failure | None = None
        self._ended = False
        self._closed = False
        self._overdue = False
        self.truncated: Cause | None = None
        """Known at the end."""

    async def begin(self) -> None:
        """Start the query and return when its first piece is there.

        Raises:
            DatabaseFailed: there is none.

        """
        self._job = self._pool.begin(self._produce)
        self._timers = [
            self._reactor.callLater(self._within, self._is_overdue),
            self._reactor.callLater(self._within + CUT, self._job.cut),
        ]
        self._job.result.addBoth(self._end)
        try:
            while not self._pieces and not self._ended:
                await self._more()
        except BaseException:
            self._close()
            raise
        if not self._pieces and self._failed is not None:
            self._failed.raiseException()

    async def __anext__(self) -> bytes:
        while not self._pieces:
            if self._failed is not None:
                self._failed.raiseException()
            if self._ended:
                raise StopAsyncIteration
            await self._more()
        piece = self._pieces.popleft()
        self._room.release()
        return piece

    async def aclose(self) -> None:
        """Read no more; the query is cut off if it still runs."""
        self._close()

    def _close(self) -> None:
        self._closed = True
        self._pieces.clear()
        self._room.release()
        if not self._ended:
            self._job.cut()

    def _is_overdue(self) -> None:
        self._overdue = True
        self._room.release()

    async def _more(self) -> None:
        news = self._news = Deferred()
        await news

    def _wake(self) -> None:
        news, self._news = self._news, None
        if news is not None and not news.called:
            news.callback(None)

    def _came(self, piece: bytes) -> None:
        if not self._closed:
            self._pieces.append(piece)
            self._wake()

    def _end(self, outcome: Any) -> None:
        self._ended = True
        for timer in self._timers:
            if timer.active():
                timer.cancel()
        if isinstance(outcome, Failure) and not self._closed:
            self._failed = outcome
            if self._overdue:
                late = Trouble("overdue", f"the query took more than {self._within:g} s")
                self._failed = Failure(DatabaseFailed(late))
        self._wake()

    # What follows runs on the pool's thread.

    def _produce(self, connection: Any, job: Job[None]) -> None:
        dialect = self._pool.dialect
        dialect.begin(connection, "read", self._within)
        rows = dialect.open_rows(connection, self._sql, self._values)
        usable = False
        try:
            self._write(rows)
        finally:
            usable = dialect.close_rows(connection, rows)
            if not usable:
                job.cut()
        if usable:
            connection.rollback()

    def _write(self, rows: Rows) -> None:
        count = 0
        piece = self._form.head([column[0] for column in rows.description or ()])
        begun = False
        truncated: Cause | None = None
        while True:
            try:
                some = list(rows.fetchmany(FETCH))
            except Exception:
                if not (begun and self._overdue):
                    raise
                truncated = "time"
                break
            if not some:
                break
            if count + len(some) > self._max_rows:
                some = some[: self._max_rows - count]
                truncated = "rows"
            count += len(some)
            piece += self._form.rows(some)
            if truncated:
                break
            if len(piece) >= PIECE:
                if not self._hand_over(piece):
                    piece = b""
                    truncated = "time"
                    break
                piece = b""
                begun = True
        if not self._closed:
            self.truncated = truncated
            self._reactor.callFromThread(self._came, piece + self._form.tail(count, truncated))

    def _hand_over(self, piece: bytes) -> bool:
        """Wait until the reader has room; tell whether it wants more."""
        self._room.acquire()
        if self._closed:
            return False
        self._reactor.callFromThread(self._came, piece)
        return not self._overdue
