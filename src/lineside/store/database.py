"""The one SQLite database: writes in groups on one thread, reads on another."""

from __future__ import annotations

import os
import sqlite3
from collections import deque
from collections.abc import Callable
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from sqlite3 import Connection
from typing import Any, Protocol, TypeVar

from twisted.internet.defer import Deferred, fail
from twisted.python.failure import Failure

from lineside.model.errors import JournalClosed, JournalUnusable
from lineside.store.clearing import AT_MOST, LogClearing, copy_log
from lineside.store.commits import Commits, Write, roll_back
from lineside.store.lock import FileLock
from lineside.store.migrations import Component, migrate
from lineside.store.workers import ThreadWorker, Worker

T = TypeVar("T")

DAMAGE = {
    sqlite3.SQLITE_CORRUPT: (
        "is damaged ({}): `lineside journal check` says where, `lineside journal restore` puts a backup back,"
    ),
    sqlite3.SQLITE_NOTADB: (
        "is no journal, or is damaged ({}); set another journal.path, or `lineside journal restore` a backup,"
    ),
}
"""What to say of the file, by SQLite's primary result code (https://www.sqlite.org/rescode.html)."""
WRITER, READER = "journal-writer", "journal-reader"
"""The threads' names."""
GUIDE = "as the guide Operations shows"


class FromThread(Protocol):
    """`IReactorFromThreads.callFromThread`: run a function on the reactor's thread, soon."""

    def __call__(self, f: Callable[..., object], *args: object) -> object:  # noqa: D102
        ...


class Database:
    """A SQLite file in WAL mode whose commits are synced, and which one process holds at a time.

    Writes that wait while a commit is under way are committed together by the next one: there is no
    timer, a lone write goes at once. Methods are called, and their Deferreds fire, on the reactor's
    thread; the work passed in runs on the writer's or the reader's.
    """

    def __init__(
        self,
        path: Path,
        components: tuple[Component, ...],
        call_from_thread: FromThread,
        *,
        worker: Callable[[str], Worker] = ThreadWorker,
    ) -> None:
        self._path = path
        self._components = components
        self._call_from_thread = call_from_thread
        self._worker = worker
        self._lock = FileLock(path.with_name(path.name + ".lock"))
        self._waiting: deque[Write] = deque()
        self._open = False

    async def open(self) -> None:
        """Take the lock, start the threads, create or migrate the file.

        Raises:
            JournalLocked: another process holds it.
            JournalUnusable: it cannot be opened, is damaged or no database, or belongs to a newer release.

        """
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._lock.acquire()
        except OSError as failed:
            raise JournalUnusable(f"cannot open {self._path}: {failed}") from failed
        self._writer = self._worker(WRITER)
        self._reader = self._worker(READER)
        try:
            await self._run_on(self._writer, self._connect)
        except BaseException as failed:
            self._release()
            if isinstance(failed, OSError | sqlite3.Error):
                raise JournalUnusable(f"cannot open {self._path}: {failed}") from failed
            raise
        self._open = True

    def write(
        self, work: Callable[[Connection], T], alone: Callable[[Connection], bool] | None = None
    ) -> Deferred[T]:
        """Run ``work`` in a transaction on the writer's thread.

        ``alone`` may do the same in a single statement, which is a transaction by itself and takes half the time.
        It is called first, outside of any transaction, where no other write waits; it returns whether it has done
        it, or has done nothing. The result is None then.

        The Deferred fires when the transaction is synced to disk. It fails with what ``work`` raised,
        whose own changes are then undone, or with the error of the commit: then nothing of the group
        is stored, now or after a crash. Only of a `CommitInDoubt` nobody knows. A damaged file is a
        `JournalUnusable`; a database that is not open a `JournalClosed`, at once.
        """
        if not self._open:
            return fail(self._closed())
        write = Write(work, alone)
        self._waiting.append(write)
        self._writer.do(self._commit_waiting)
        return write.result

    def read(self, work: Callable[[Connection], T]) -> Deferred[T]:
        """Run ``work`` on the reader's thread, in one snapshot of what is committed; fails as `write` does."""
        if not self._open:
            return fail(self._closed())

        def snapshot() -> T:
            roll_back(self._read_connection)
            self._read_connection.execute("BEGIN")
            try:
                return work(self._read_connection)
            finally:
                self._read_connection.execute("COMMIT")

        return self._run_on(self._reader, snapshot)

    def checkpoint(self) -> Deferred[None]:
        """Copy what is committed from the log into the file, on the reader's thread: no write waits for it.

        It is done by itself whenever the log is long. Who writes much that nobody waits for calls this in between.
        """
        if not self._open:
            return fail(self._closed())

        def work() -> None:
            copy_log(self._read_connection)

        return self._run_on(self._reader, work)

    def echo(self) -> dict[str, Deferred[None]]:
        """Ask both threads, by their names, to answer: each Deferred fires when what its thread has to do is done.

        It says that they are not stuck, nothing of the file. A database that is not open has none to ask.
        """
        if not self._open:
            return {}
        return {
            name: self._run_on(worker, lambda: None)
            for name, worker in ((WRITER, self._writer), (READER, self._reader))
        }

    async def close(self) -> None:
        """Finish what is queued, close the file, release the lock. A second call does nothing."""
        if not self._open:
            return
        self._open = False
        try:
            await self._run_on(self._reader, self._read_connection.close)
            await self._run_on(self._writer, self._write_connection.close)
        finally:
            self._release()
            # Last, for the locks' sake: see `LogClearing`.
            os.close(self._file)

    def _connect(self) -> None:
        with ExitStack() as opened:
            file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            opened.callback(os.close, file)
            writing = opened.enter_context(closing(_connect(self._path)))
            migrate(writing, self._components)
            _empty_log(writing)
            reading = opened.enter_context(closing(_connect(self._path)))
            reading.execute("PRAGMA query_only=ON")
            opened.pop_all()
        self._write_connection, self._read_connection = writing, reading
        self._commits = Commits(writing)
        self._clearing = LogClearing(self._writer, writing, self._reader, reading, file=file)
        self._file = file

    def _release(self) -> None:
        self._reader.quit()
        self._writer.quit()
        self._lock.release()

    def _run_on(self, worker: Worker, work: Callable[[], T]) -> Deferred[T]:
        result: Deferred[T] = Deferred()

        def run() -> None:
            outcome: T | Failure
            try:
                outcome = work()
            except BaseException:  # noqa: BLE001 (it goes to the caller)
                outcome = self._explained(Failure())
            self._call_from_thread(result.callback, outcome)

        worker.do(run)
        return result

    def _commit_waiting(self) -> None:
        group = []
        while self._waiting:
            group.append(self._waiting.popleft())
        if group:
            outcomes = self._commits.carry_out(group)
            explained = [
                self._explained(outcome) if isinstance(outcome, Failure) else outcome for outcome in outcomes
            ]
            self._call_from_thread(_tell, group, explained)
            self._clearing.committed()

    def _explained(self, failure: Failure) -> Failure:
        # Damage shows wherever the broken page is met, so that every piece of work may be the one that meets it.
        code = getattr(failure.value, "sqlite_errorcode", 0) & 0xFF
        if code not in DAMAGE:
            return failure
        unusable = JournalUnusable(f"{self._path} {DAMAGE[code].format(failure.value)} {GUIDE}")
        unusable.__cause__ = failure.value
        return Failure(unusable)

    def _closed(self) -> JournalClosed:
        return JournalClosed(f"the journal {self._path} is not open")


def _empty_log(connection: Connection) -> None:
    """Copy what another process left in the log into the file, and begin the log anew.

    Where its sync failed, the log's last pages may be in the system's memory alone, which then says of them that
    they are on the disk (https://wiki.postgresql.org/wiki/Fsync_Errors). All that is added behind them would go
    with them in a power cut. The file is written and synced now. A full disk may refuse, and hinders nothing else.
    """
    with suppress(sqlite3.OperationalError):
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()


def _tell(group: list[Write], outcomes: list[Any]) -> None:
    for write, outcome in zip(group, outcomes, strict=True):
        write.result.callback(outcome)


def _connect(path: Path) -> Connection:
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, cached_statements=256)
    try:
        for pragma in (
            "auto_vacuum=INCREMENTAL",
            "journal_mode=WAL",
            "synchronous=FULL",
            "busy_timeout=5000",
            "temp_store=MEMORY",
            "cache_size=-16384",
            f"wal_autocheckpoint={AT_MOST}",
            "journal_size_limit=67108864",
        ):
            connection.execute(f"PRAGMA {pragma}")
    except BaseException:
        connection.close()
        raise
    return connection
