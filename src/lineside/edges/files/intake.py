"""One source's files: they are taken into the spool, and their rows into the journal."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from functools import partial
from pathlib import Path
from random import Random
from sqlite3 import Connection
from typing import Protocol

from msgspec import Struct
from twisted.internet.defer import CancelledError, Deferred, DeferredLock
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger

from lineside.background import Background
from lineside.delivery.backoff import Backoff
from lineside.edges.files import spool
from lineside.edges.files.aside import Aside
from lineside.edges.files.reading import Batches, survey
from lineside.journal import files
from lineside.journal.files import KeptFile
from lineside.model.batch import Batch, Receipts
from lineside.model.errors import FileNotTaken, LinesideError, SourcePaused
from lineside.model.ports import TakenFile
from lineside.store.database import Database
from lineside.wakeup import Wakeup
from lineside.wire.rows.forms import FileForm, Surveyed
from lineside.wire.rows.reading import About, NoRows

log = Logger()

AGAIN = Backoff((1.0, 2.0, 5.0, 15.0, 30.0), jitter=0.2)
"""Seconds between two attempts while the journal stores nothing, or the spool's disk fails."""
FORGET_EVERY = 3_600.0
FORGET_AT_ONCE = 200
"""Files."""


class Ledger(Protocol):
    """Where rows go: the journal, with something of ours in the same transaction."""

    paused: bool

    async def append_batches(
        self,
        source: str,
        batches: list[Batch],
        *,
        note: Callable[[Connection, list[Receipts]], None],
    ) -> list[Receipts]:
        """Store batches, and what ``note`` stores of their receipts; all or nothing, synced when it returns."""
        ...


class Places(Struct, frozen=True):
    """One sender's folders."""

    outbox: Path | None
    """Where answers go; None where there are none."""
    archive: Path | None
    """Where a file goes once its rows are events, or it was refused; None where it is removed then."""


class Rules(Struct, frozen=True):
    """How one source takes files."""

    form: FileForm
    spool: Path
    """The folder where files wait; of this source alone."""
    places: Callable[[str], Places]
    """By sender."""
    max_spool: int
    """Bytes of files that may wait."""
    remember: float
    """Seconds for which the same bytes are known again."""
    about: str = "file"
    """The field in which events say from which file they are."""


class Intake:
    """The `FileIntake` and the `Part` of one source.

    How far a file has come is stored in the transactions that store its rows: after a crash at any moment no row is
    lost, and none becomes two events.

    Args:
        id: the source's name.
        rules: how it takes files.
        ledger: the journal.
        database: the journal's, with the tables `lineside.journal.files.FILES`.
        clock: must follow a monotonic clock.
        random: for delays.
        now_ns: the wall clock, for people and for what is remembered.
        taking: the thread on which files are taken.
        reading: the thread on which they are read.

    """

    def __init__(
        self,
        id: str,  # noqa: A002 (what the configuration calls it)
        rules: Rules,
        ledger: Ledger,
        database: Database,
        clock: IReactorTime,
        random: Random,
        now_ns: Callable[[], int],
        *,
        taking: Aside,
        reading: Aside,
    ) -> None:
        self.id = id
        self.name = f"files of {id}"
        self.rules = rules
        self.rows = 0
        """Rows that became events, or dead letters, since the start."""
        self.bad = 0
        """How many of them are dead letters."""
        self.waiting = 0
        """Files whose rows are not all events yet."""
        self.waiting_bytes = 0
        self.last: str | None = None
        """The name of the file that came last; None where none has since the start."""
        self.problem: str | None = None
        """What hinders it, in a line."""
        self.on_batch: Callable[[Batch, list[tuple[str, int]]], None] | None = None
        """Called with each batch before it is stored."""
        self.on_decided: Callable[[], None] = lambda: None
        """Called when a file may be answered."""
        self._ledger = ledger
        self._database = database
        self._clock = clock
        self._random = random
        self._now_ns = now_ns
        self._taking = taking
        self._reading = reading
        self._takes = DeferredLock()
        self._came = Wakeup()
        self._work = Background(self.name)
        self._running = False
        self._failures = 0
        self._full = False

    async def start(self) -> None:
        """Go on with the files in the spool.

        Raises:
            LinesideError: there is no such folder, and it cannot be made.

        """
        for aside in (self._taking, self._reading):
            aside.start()
        try:
            await self._taking.run(self._make_spool)
            await self._sort_out()
        except OSError as failed:
            self._stop_threads()
            raise LinesideError(f"the spool {self.rules.spool} of {self.id} cannot be used: {failed}") from failed
        except BaseException:
            self._stop_threads()
            raise
        self._running = True
        self._work.run("read", self._read_all())
        self._work.run("forget", self._forget_all())

    async def stop(self) -> None:
        """Take nothing more; what is being read goes on after the next start."""
        self._running = False
        # A file that is under way into the spool gets there.
        await self._takes.acquire()
        self._takes.release()
        self._work.cancel()
        await self._work.finish()
        self._stop_threads()

    async def take(self, path: Path, name: str, sender: str) -> TakenFile:
        """Take a file; see `lineside.model.ports.FileIntake.take`."""
        self._check_open()
        digest, size = await self._taking.run(lambda: spool.digest_of(path))
        await self._takes.acquire()
        try:
            self._check_open()
            taken = await self._take(path, name, sender, digest, size)
        finally:
            self._takes.release()
        self.last = name
        log.info("file.taken", source=self.id, file=name, sender=sender, bytes=size, repeated=taken.repeated)
        return taken

    def _check_open(self) -> None:
        if not self._running:
            raise FileNotTaken(f"{self.id} takes no files at present: the gateway starts or stops")
        if self._ledger.paused:
            raise FileNotTaken(f"the source is paused: lineside resume source {self.id}")

    async def _take(self, path: Path, name: str, sender: str, digest: str, size: int) -> TakenFile:
        self._make_room(name, size)
        file, known = await self._database.write(
            lambda connection: files.begin(connection, self.id, sender, digest, name, size, self._now_ns())
        )
        if known:
            await self._taking.run(lambda: spool.remove(path))
            self.on_decided()
            return TakenFile(digest, repeated=True)
        place = self._place(file)
        try:
            await self._taking.run(lambda: spool.take_in(path, place))
        except OSError:
            if not await self._taking.run(place.exists):
                await self._database.write(lambda connection: files.never_came(connection, file.id))
                raise
            await self._taking.run(lambda: spool.sync(place.parent))
        await self._database.write(lambda connection: files.arrived(connection, file.id))
        self.waiting += 1
        self.waiting_bytes += size
        self._came.set()
        return TakenFile(digest, repeated=False)

    def _make_room(self, name: str, size: int) -> None:
        most = self.rules.max_spool
        if self.waiting_bytes + size <= most:
            if self._full:
                self._full = False
                log.info("files.spool_has_room", source=self.id)
            return
        reason = f"the spool of {self.id} has no room: {self.waiting_bytes + size} bytes, and {most} are allowed"
        if not self._full:
            self._full = True
            log.error(
                "files.spool_full",
                source=self.id,
                file=name,
                bytes=self.waiting_bytes + size,
                allowed=most,
                remedy="see why rows wait (lineside status), or raise max_spool; it is taken once there is room",
            )
        raise FileNotTaken(reason)

    def _make_spool(self) -> None:
        self.rules.spool.mkdir(parents=True, exist_ok=True)
        spool.sync(self.rules.spool.parent)

    def _place(self, file: KeptFile) -> Path:
        return spool.place_of(self.rules.spool, file.source, file.sender, file.digest)

    async def _sort_out(self) -> None:
        """Find out which files that were on their way have arrived."""
        known = await self._database.read(lambda connection: files.unread(connection, self.id))
        self.waiting = self.waiting_bytes = 0
        for file in known:
            there = await self._taking.run(self._place(file).exists)
            if file.state == "arriving":
                settle = files.arrived if there else files.never_came
                await self._taking.run(lambda: spool.sync(self.rules.spool))
                await self._database.write(partial(settle, file=file.id))
                if not there:
                    continue
            self.waiting += 1
            self.waiting_bytes += file.size

    async def _read_all(self) -> None:
        while True:
            found = await self._database.read(lambda connection: files.unread(connection, self.id))
            waiting = [file for file in found if file.state == "waiting"]
            if not waiting:
                await self._came.wait()
                continue
            try:
                await self._read(waiting[0])
            except CancelledError:
                raise
            except SourcePaused as paused:
                self.problem = str(paused)
                await deferLater(self._clock, AGAIN.delay(1, self._random))
            except (OSError, sqlite3.Error, LinesideError) as failed:
                await self._rest(str(failed), "free space on the disks of the journal and the spool, or check them")
            except Exception as failed:  # noqa: BLE001 (a file that nobody thought of must not end the source)
                log.failure("files.stumbled", source=self.id)
                await self._rest(f"{type(failed).__name__}, see the log", "it is tried again")
            else:
                self._failures = 0
                if self.problem is not None:
                    self.problem = None
                    log.info("files.works_again", source=self.id)

    async def _rest(self, reason: str, remedy: str) -> None:
        self._failures += 1
        delay = AGAIN.delay(self._failures, self._random)
        if self.problem is None:
            log.warn("files.failing", source=self.id, reason=reason, again_in=round(delay, 1), remedy=remedy)
        self.problem = f"{reason}; {remedy}"
        await deferLater(self._clock, delay)

    async def _read(self, file: KeptFile) -> None:
        place = self._place(file)
        name = await self._database.read(lambda connection: _name_of(connection, file))
        found = await self._reading.run(lambda: survey(self.rules.form, place))
        if found.refusal is None:
            try:
                await self._append(file, name, place, found)
            except NoRows as wrong:
                found = Surveyed(str(wrong), reply=found.reply)
        if found.refusal is not None and not file.rows:
            reason = found.refusal
            await self._database.write(lambda connection: files.refused(connection, file.id, reason, found.reply))
            log.error(
                "file.refused",
                source=self.id,
                file=name,
                sender=file.sender,
                code=reason.partition(":")[0],
                remedy=f"lineside files show {file.id} tells why; let its sender mend it and send it again",
            )
        else:
            await self._database.write(lambda connection: files.finished(connection, file.id, found.reply))
        archive = self.rules.places(file.sender).archive
        await self._reading.run(
            lambda: spool.remove(place) if archive is None else spool.move_on(place, archive, spool.plain(name))
        )
        self.waiting -= 1
        self.waiting_bytes -= file.size
        self.on_decided()

    async def _append(self, file: KeptFile, name: str, place: Path, found: Surveyed) -> None:
        about = About(self.rules.about, name, file.digest)
        batches = Batches(self.rules.form, place, about, file.sender, skip=file.rows, rows=found.rows)
        try:
            batch = await self._reading.run(batches.next)
            while batch is not None:
                # The next one is decoded while this one is on its way to the disk.
                following = Deferred.fromCoroutine(self._reading.run(batches.next))
                try:
                    await self._store(file, batch)
                except BaseException:
                    await _ended(following)
                    raise
                batch = await following
        finally:
            # What is being decoded comes first.
            self._reading.last(batches.close)

    async def _store(self, file: KeptFile, batch: Batch) -> None:
        if self.on_batch is not None:
            self.on_batch(batch, [(file.sender, len(batch))])
        await self._ledger.append_batches(
            self.id, [batch], note=lambda connection, told: files.took(connection, file.id, told)
        )
        self.rows += len(batch)
        self.bad += len(batch.errors)

    async def _forget_all(self) -> None:
        while True:
            before = self._now_ns() - int(self.rules.remember * 1e9)
            try:
                while await self._database.write(
                    lambda connection: files.forget(connection, self.id, before, FORGET_AT_ONCE)  # noqa: B023
                ):
                    pass
            except (OSError, sqlite3.Error) as failed:
                log.warn("files.not_forgotten", source=self.id, reason=str(failed), remedy="it is tried again")
            await deferLater(self._clock, FORGET_EVERY)

    def _stop_threads(self) -> None:
        for aside in (self._taking, self._reading):
            aside.stop()


def _name_of(connection: Connection, file: KeptFile) -> str:
    listed = files.get(connection, file.id)
    assert listed is not None
    return listed.names[0][0]


async def _ended(following: Deferred[Batch | None]) -> None:
    """Wait for what is being decoded, whatever comes of it."""
    ended: Deferred[None] = Deferred()
    following.addBoth(lambda _: ended.callback(None))
    await ended
