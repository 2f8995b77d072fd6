"""The writer's transactions: groups that share one commit, and what a commit that failed leaves behind."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from sqlite3 import Connection
from sqlite3 import Error as SqliteError
from typing import Any

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from lineside.model.errors import CommitInDoubt


class Write:
    """A piece of work for the writer, and the Deferred of its result."""

    __slots__ = ("alone", "result", "work")

    def __init__(
        self, work: Callable[[Connection], Any], alone: Callable[[Connection], bool] | None = None
    ) -> None:
        self.work = work
        self.alone = alone
        """See `lineside.store.database.Database.write`."""
        self.result: Deferred[Any] = Deferred()


class Commits:
    """Carries out groups of writes on one connection, each in one synced transaction. All on the writer's thread.

    A commit whose sync fails leaves the whole transaction at the end of SQLite's log (the file ``-wal``), past the
    place up to which the log counts. SQLite undoes it in memory, and would write over it next time. But were the
    process to end now, the next one would read the log from its beginning, find the transaction whole, and take it
    for committed. So the first thing after a failure is another transaction of one page, which takes its place: a
    frame whose checksum does not follow from the one before ends the log (https://www.sqlite.org/walformat.html).
    Nothing else is written, and nobody is told "not stored", before that has succeeded.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._remains = False

    def carry_out(self, group: list[Write]) -> list[Any]:
        """Return each one's result or `Failure`.

        A write that raises is undone alone. When the transaction itself fails, all of them failed, and nothing
        of them is stored; with `CommitInDoubt`, it may be stored nevertheless.
        """
        if self._remains and (failure := self._bury()) is not None:
            # Of this group nothing was written.
            return [failure] * len(group)
        outcomes: list[Any] = []
        if len(group) == 1 and (alone := group[0].alone) is not None:
            try:
                if alone(self._connection):
                    return [None]
            except BaseException:  # noqa: BLE001 (it goes to the caller)
                # The statement may have failed at its very end, in its commit.
                return [self._failed(Failure())]
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            if len(group) == 1:
                # Alone it needs no savepoint: each statement may have to wait for the reactor's thread to pause.
                outcomes.append(group[0].work(self._connection))
            for write in group if len(group) > 1 else ():
                self._connection.execute("SAVEPOINT one")
                try:
                    outcomes.append(write.work(self._connection))
                except BaseException:  # noqa: BLE001 (it goes to the caller)
                    outcomes.append(Failure())
                    if not self._connection.in_transaction:
                        # A full disk or a failing one makes SQLite itself undo the whole transaction.
                        return [outcomes[-1]] * len(group)
                    self._connection.execute("ROLLBACK TO one")
                self._connection.execute("RELEASE one")
        except BaseException:  # noqa: BLE001 (it goes to the callers)
            failure = Failure()
            roll_back(self._connection)
            return [failure] * len(group)
        return outcomes if (failure := self._commit()) is None else [failure] * len(group)

    def _commit(self) -> Failure | None:
        try:
            self._connection.execute("COMMIT")
        except BaseException:  # noqa: BLE001 (it goes to the callers)
            return self._failed(Failure())
        return None

    def _failed(self, failure: Failure) -> Failure:
        roll_back(self._connection)
        self._remains = True
        if self._bury() is None:
            return failure
        doubt = CommitInDoubt(f"{failure.value}, in the middle of a commit: what it held may be stored or not")
        doubt.__cause__ = failure.value
        return Failure(doubt)

    def _bury(self) -> Failure | None:
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            # Nobody uses this number; setting it writes the file's first page whether it changes or not.
            self._connection.execute("PRAGMA user_version = 0")
            self._connection.execute("COMMIT")
        except BaseException:  # noqa: BLE001 (it goes to the callers)
            failure = Failure()
            roll_back(self._connection)
            return failure
        self._remains = False
        return None


def roll_back(connection: Connection) -> None:
    """Undo what is open, where something is."""
    # A disk that fails may refuse this too. It must not end the thread; the next transaction cannot begin then,
    # fails as well, and tries again.
    if connection.in_transaction:
        with suppress(SqliteError):
            connection.execute("ROLLBACK")
