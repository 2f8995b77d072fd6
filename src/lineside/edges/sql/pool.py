"""Connections to one database, for one use, on threads of their own."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from threading import Lock, Thread
from typing import Any, Generic, TypeVar, cast

from twisted.enterprise import adbapi
from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from lineside.edges.sql.dialect import Dialect, Use
from lineside.edges.sql.trouble import DatabaseFailed, Trouble

T = TypeVar("T")

log = Logger()

GRACE = 2.0
"""Seconds past its time after which work is cut off by us: the server ends a statement by itself, if it is well."""
STOP = 3.0
"""Seconds that threads get to see that their connections were cut, at the end."""
FRESH = 1.0
"""Seconds for which a connection that was just used is taken to have its server still."""


class Job(Generic[T]):
    """A piece of work on a connection, under way or waiting for one.

    ``result`` fires on the reactor's thread: with what the work returned, or `DatabaseFailed`.
    """

    def __init__(self, dialect: Dialect) -> None:
        self.result: Deferred[T] = Deferred(lambda _: self.cut())
        self.is_cut = False
        self._dialect = dialect
        self._lock = Lock()
        self._connection: Any = None

    def cut(self) -> None:
        """End it, from any thread. Work that did not begin never will."""
        with self._lock:
            self.is_cut = True
            if self._connection is not None:
                self._dialect.cut(self._connection)

    def holds(self, connection: Any) -> bool:
        """Note what is to be cut from now on; tell whether the work is still wanted."""
        with self._lock:
            self._connection = connection
            return not self.is_cut


class Pool:
    """The `Part` that holds up to ``size`` connections, each with its thread; they are made when they are needed.

    Work gets the DB-API's own connection, in no transaction, and leaves it in none: what it leaves open is rolled
    back. A database that hangs is cut off when the work's time is over.

    Args:
        reactor: with threads.
        dialect: of the database.
        name: for the log, such as ``target erp``.
        size: how many pieces of work are under way at a time; further ones wait.
        use: what the connections are for.

    """

    def __init__(self, reactor: Any, dialect: Dialect, name: str, *, size: int, use: Use) -> None:
        self.name = f"connections of {name}"
        self.dialect = dialect
        self.size = size
        self.use = use
        self._reactor = reactor
        self._clock: IReactorTime = reactor
        self._pool: adbapi.ConnectionPool | None = None
        self._jobs: dict[Job[Any], Deferred[Any]] = {}
        self._used: dict[Any, float] = {}

    @property
    def under_way(self) -> int:
        """How many pieces of work run or wait."""
        return len(self._jobs)

    async def start(self) -> None:
        """Make room for threads; nobody is connected yet."""
        pool = adbapi.ConnectionPool(
            self.dialect.module,
            cp_reactor=self._reactor,
            cp_min=0,
            cp_max=self.size,
            cp_openfun=self._prepare,
            **self.dialect.arguments(self.use),
        )
        pool.connectionFactory = cast(Any, _Seat)
        # One that hangs in a look-up of a name, which nothing can cut, must not keep the process alive.
        pool.threadpool.threadFactory = cast(Any, partial(Thread, daemon=True))
        pool.threadpool.name = self.name
        pool.start()
        self._pool = pool

    async def stop(self) -> None:
        """Cut what is under way, and end the threads."""
        pool, self._pool = self._pool, None
        if pool is None:
            return
        for job in list(self._jobs):
            job.cut()
        ended = DeferredList(list(self._jobs.values()))
        late = self._clock.callLater(STOP, ended.cancel)
        await ended
        if late.active():
            late.cancel()
        else:
            log.warn("sql.thread_hangs", name=self.name, remedy="none is needed; it ends with the process")
            # Nobody waits for it, least of all the reactor's thread.
            cast(Any, pool.threadpool).stop = lambda: None
        pool.close()

    def begin(self, work: Callable[[Any, Job[T]], T]) -> Job[T]:
        """Let ``work`` run with a connection and its own job, on one of the threads, as soon as one is free."""
        job: Job[T] = Job(self.dialect)
        pool = self._pool
        if pool is None:
            trouble = Trouble("down", "the connections are closed", connected=False)
            job.result.errback(DatabaseFailed(trouble))
            return job
        ended = pool.runWithConnection(self._carry_out, job, work)
        self._jobs[job] = ended

        def tell(outcome: Any) -> None:
            del self._jobs[job]
            if not job.result.called:
                job.result.callback(outcome)

        ended.addBoth(tell)
        return job

    async def run(self, work: Callable[[Any], T], *, within: float) -> T:
        """Run ``work`` with a connection and return what it returns.

        Cancelling it cuts the connection.

        Args:
            work: blocks, on a thread of the pool.
            within: seconds, waiting for a connection included. `GRACE` later it is cut off.

        Raises:
            DatabaseFailed: it did not; ``trouble`` says why.

        """
        job = self.begin(lambda connection, _: work(connection))

        def give_up() -> None:
            job.cut()
            trouble = Trouble("overdue", f"there was no answer within {within + GRACE:g} s")
            if not job.result.called:
                job.result.errback(DatabaseFailed(trouble))

        late = self._clock.callLater(within + GRACE, give_up)
        try:
            return await job.result
        finally:
            if late.active():
                late.cancel()

    def _prepare(self, connection: Any) -> None:
        try:
            self.dialect.prepare(connection, self.use)
        except BaseException:
            connection.close()
            raise

    # What follows runs on the threads.

    def _carry_out(self, seat: _Seat, job: Job[T], work: Callable[[Any, Job[T]], T]) -> T:
        connection = None
        try:
            connection = self._connected(seat, job)
            result = work(connection, job)
            if job.is_cut:
                self._drop(seat)
        except BaseException as failed:
            job.holds(None)
            trouble = self._explained(failed, job, connected=connection is not None)
            self._tidy(seat, connection, broken=job.is_cut or trouble.kind == "down")
            if isinstance(failed, DatabaseFailed):
                raise
            raise DatabaseFailed(trouble) from failed
        job.holds(None)
        if not job.is_cut:
            self._used[connection] = self._clock.seconds()
        return result

    def _connected(self, seat: _Seat, job: Job[Any]) -> Any:
        if not job.holds(None):
            raise DatabaseFailed(_GIVEN_UP)
        connection = seat.connection()
        idle = self._clock.seconds() - self._used.pop(connection, float("inf"))
        if not job.holds(connection):
            raise DatabaseFailed(_GIVEN_UP)
        if idle > FRESH and not self.dialect.answers(connection):
            # The server was started anew since, or a firewall forgot about us.
            self._drop(seat)
            connection = seat.connection()
            if not job.holds(connection):
                raise DatabaseFailed(_GIVEN_UP)
        return connection

    def _explained(self, failed: BaseException, job: Job[Any], *, connected: bool) -> Trouble:
        if isinstance(failed, DatabaseFailed):
            return failed.trouble
        trouble = self.dialect.explain(failed)
        if job.is_cut:
            return Trouble("overdue", "it took too long, and was cut off", trouble.code)
        if not connected:
            kind = trouble.kind if trouble.kind in {"down", "denied"} else "down"
            return Trouble(kind, f"{self.dialect.address.place}: {trouble.reason}", trouble.code, connected=False)
        return trouble

    def _tidy(self, seat: _Seat, connection: Any, *, broken: bool) -> None:
        if connection is None:
            return
        if not broken:
            try:
                connection.rollback()
            except Exception:  # noqa: BLE001 (what cannot be rolled back is thrown away)
                broken = True
        if broken:
            self._drop(seat)

    def _drop(self, seat: _Seat) -> None:
        self._used.pop(seat.drop(), None)


_GIVEN_UP = Trouble("overdue", "it was given up before it began", connected=False)


class _Seat:
    """What adbapi hands to work: the thread's place in the pool. Transactions are the work's own business."""

    def __init__(self, pool: adbapi.ConnectionPool) -> None:
        self._pool = pool

    def connection(self) -> Any:
        """Return the thread's connection, made if there is none."""
        return self._pool.connect()

    def drop(self) -> Any:
        """Close the thread's connection, if there is one; returns it."""
        connection = self._pool.connections.pop(self._pool.threadID(), None)
        if connection is not None:
            try:
                connection.close()
            except Exception:  # noqa: BLE001 (it is as good as closed)
                return connection
        return connection

    def commit(self) -> None:
        """Nothing is open."""

    def rollback(self) -> None:
        """Nothing is open."""
