"""The site's documents, from the reactor's thread: each piece of work is one transaction elsewhere."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from datetime import datetime
from random import Random, SystemRandom
from sqlite3 import Connection
from typing import Protocol, TypeVar
from zoneinfo import ZoneInfo

from twisted.internet.defer import Deferred, fail, succeed
from twisted.python.failure import Failure

from lineside.standin import tables
from lineside.standin.authentication import ADMINISTRATOR
from lineside.standin.catalogue import Catalogue
from lineside.standin.doctypes import Library, read_library
from lineside.standin.records import Records
from lineside.standin.settings import SiteSettings
from lineside.standin.webhooks import Hook, asked_for
from lineside.store.migrations import migrate

T = TypeVar("T")


class Storage(Protocol):
    """A SQLite database off the reactor's thread; `lineside.store.database.Database` is one."""

    def write(self, work: Callable[[Connection], T]) -> Deferred[T]:
        """Run work in a transaction; fires when it is durable, fails with what the work raised."""
        ...

    def read(self, work: Callable[[Connection], T]) -> Deferred[T]:
        """Run work in one snapshot of what is committed."""
        ...


class MemoryStorage:
    """A `Storage` in memory that does its work at once, on the caller's thread: for tests."""

    def __init__(self) -> None:
        self._connection = sqlite3.connect(":memory:", isolation_level=None)
        migrate(self._connection, (tables.COMPONENT,))

    def write(self, work: Callable[[Connection], T]) -> Deferred[T]:
        """Run work in a transaction, now."""
        return self._transaction(work, "COMMIT")

    def read(self, work: Callable[[Connection], T]) -> Deferred[T]:
        """Run work now."""
        return self._transaction(work, "ROLLBACK")

    def close(self) -> None:
        """Forget everything."""
        self._connection.close()

    def _transaction(self, work: Callable[[Connection], T], end: str) -> Deferred[T]:
        self._connection.execute("BEGIN")
        try:
            result = work(self._connection)
        except BaseException:  # noqa: BLE001 (it goes to the caller)
            self._connection.execute("ROLLBACK")
            return fail(Failure())
        self._connection.execute(end)
        return succeed(result)


class Documents:
    """The documents of one site; `open` comes first. Deferreds fire on the reactor's thread.

    Args:
        storage: where they lie.
        library: the DocTypes, and the documents a new site begins with.
        time_zone: IANA name; times are naive and in this zone, as in Frappe.
        now: the wall clock in that zone, naive; called on the storage's threads.
        random: draws the names of documents without a naming rule, on the writer's thread.

    """

    def __init__(
        self,
        storage: Storage,
        library: Library | None = None,
        *,
        time_zone: str = "Europe/Berlin",
        now: Callable[[], datetime] | None = None,
        random: Random | None = None,
    ) -> None:
        self.time_zone = time_zone
        self._storage = storage
        self._library = library or read_library()
        self._now = now or _wall_clock(time_zone)
        self._random = random or SystemRandom()
        self._writing = Catalogue(self._library.doctypes)
        self._reading = Catalogue(self._library.doctypes)
        self.settings = SiteSettings()
        """Those of the site that documents are held to."""
        self.on_webhooks: Callable[[list[Hook]], None] = _not_sent
        """Called on the reactor's thread, after each commit that asks for webhooks."""

    def open(self) -> Deferred[None]:
        """Make or bring up to date the tables, and insert the documents every site has."""
        return self.write(self._prepare)

    def write(self, work: Callable[[Records], T]) -> Deferred[T]:
        """Run work in a transaction; durable when the Deferred fires, undone when it fails."""
        hooks: list[Hook] = []

        def run(connection: Connection) -> T:
            hooks.clear()
            records = self._records(connection, self._writing)
            result = work(records)
            if records.happenings:
                hooks.extend(asked_for(records, records.happenings))
            return result

        def committed(result: T) -> T:
            if hooks:
                self.on_webhooks(hooks)
            return result

        return self._storage.write(run).addCallback(committed)

    def read(self, work: Callable[[Records], T]) -> Deferred[T]:
        """Run work on one snapshot of what is committed; it must not write."""
        return self._storage.read(lambda connection: work(self._records(connection, self._reading)))

    def _records(self, connection: Connection, catalogue: Catalogue) -> Records:
        return Records(connection, catalogue, self._now, self._random, self.settings.now)

    def _prepare(self, records: Records) -> None:
        connection = records.connection
        library = self._library.doctypes
        # The others' tables depend on what lies in this one.
        tables.synchronise(connection, tables.Table(library["Custom Field"]))
        records.definitions_changed()
        for name in library:
            tables.synchronise(connection, records.table(name))
        for kind in library.values():
            if not records.exists("DocType", kind.name):
                records.install("DocType", kind.described(), ADMINISTRATOR)
        for document in self._library.documents:
            if not records.exists(document["doctype"], document["name"]):
                records.insert(document["doctype"], document, ADMINISTRATOR)


def memory_documents(
    library: Library | None = None,
    *,
    time_zone: str = "Europe/Berlin",
    now: Callable[[], datetime] | None = None,
    random: Random | None = None,
) -> Documents:
    """Return documents in memory, open and without threads: for tests.

    Arguments are those of `Documents`.
    """
    documents = Documents(MemoryStorage(), library, time_zone=time_zone, now=now, random=random)
    failures: list[Failure] = []
    documents.open().addErrback(failures.append)
    for failure in failures:
        failure.raiseException()
    return documents


def _not_sent(_hooks: list[Hook]) -> None:
    """Nobody sends webhooks for documents that are only in memory."""


def _wall_clock(time_zone: str) -> Callable[[], datetime]:
    zone = ZoneInfo(time_zone)
    return lambda: datetime.now(zone).replace(tzinfo=None)
