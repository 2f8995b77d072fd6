"""A file on a host as a source: what is appended to it becomes events, each once, through cuts and rotations.

It is looked at again and again by `tail -c +N` over one connection. How far it was taken is stored in the
transaction that stores the events, with the bytes before: by these each look tells whether the file is the same.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Awaitable, Callable
from random import Random
from sqlite3 import Connection
from typing import Literal, Protocol

from msgspec import Struct
from twisted.internet.defer import CancelledError
from twisted.internet.interfaces import IReactorTime, IStreamClientEndpoint
from twisted.internet.task import deferLater
from twisted.logger import Logger

from lineside.background import Background
from lineside.delivery.backoff import Backoff
from lineside.edges.ssh.client.complaints import Complaints
from lineside.edges.ssh.client.connecting import enter
from lineside.edges.ssh.client.failures import HostNotKnown, NotReached
from lineside.edges.ssh.client.place import OVERLAP, Place, Taking, place_of
from lineside.edges.ssh.client.runs import begin, quoted
from lineside.edges.ssh.client.transport import ClientTransport, Visit
from lineside.journal import polls
from lineside.model.batch import Batch, Receipts
from lineside.model.errors import LinesideError, SourcePaused
from lineside.store.database import Database
from lineside.wire.framing import Fault, Framing

log = Logger()

AWAY = Backoff((0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 30.0), 0.3)
"""Seconds between two attempts while the host is away, or the journal stores nothing."""
QUIET_LOOKS = 2
"""Looks that find nothing new in a rotated file, until it is left: who writes may do so for a while yet."""


class Ledger(Protocol):
    """Where the events go: the journal, with something of ours in the same transaction."""

    async def append_batches(
        self, source: str, batches: list[Batch], *, also: Callable[[Connection], None] | None = None
    ) -> list[Receipts]:
        """Store events, and ``also``; both or neither, synced when it returns."""
        ...


class Counted(Protocol):
    """What makes events of frames, and what is told of them; see `lineside.edges.lines.intake.Intake`."""

    received: int
    undecodable: int
    decode: Callable[[list[bytes], str | None], Batch]
    on_batch: Callable[[Batch, list[tuple[str, int]]], None] | None


class Followed(Struct, frozen=True):
    """What is followed."""

    path: str
    rotated: str
    """What the file is called after its rotation."""
    sender: str
    """The device, where no field names one."""
    framing: Callable[[], Framing]
    every: float
    """Seconds from one look to the next."""
    begin: Literal["all", "new"] = "all"
    """Where a file begins that was never followed before."""


class _NoFile(NotReached):
    """The host does not show the file."""


class FollowedFile:
    """The `Part` that follows one file.

    Args:
        id: the source's name.
        endpoint: where the host is.
        visit: tells who we are and by what the host is known; may fail with `NotReached`.
        followed: which file.
        intake: makes the events, and counts them.
        ledger: the journal.
        database: the journal's, with the tables `lineside.journal.polls.POLLS`.
        clock: must follow a monotonic clock.
        random: moves the delays, so that what failed together does not come back together.
        address: of the file, for people.
        connecting: seconds until there must be a connection.

    """

    def __init__(
        self,
        id: str,  # noqa: A002 (what the configuration calls it)
        endpoint: IStreamClientEndpoint,
        visit: Callable[[], Awaitable[Visit]],
        followed: Followed,
        intake: Counted,
        ledger: Ledger,
        database: Database,
        clock: IReactorTime,
        random: Random,
        *,
        address: str,
        connecting: float,
    ) -> None:
        self.id = id
        self.name = f"source {id}"
        self.address = address
        self.problem: str | None = "not looked at yet"
        """What hinders it, in a line."""
        self._intake = intake
        self._endpoint = endpoint
        self._visit = visit
        self._followed = followed
        self._ledger = ledger
        self._database = database
        self._clock = clock
        self._random = random
        self._connecting = connecting
        self._complaints = Complaints(id, clock)
        self._place: Place | None = None
        self._quiet = 0
        self._looked = False
        """The present visit was of use."""
        self._told: str | None = None
        self._work = Background(self.name)

    async def start(self) -> None:
        """Begin to look. A host that is not there keeps nobody waiting."""
        self._work.run("follow", self._follow_on())

    async def stop(self) -> None:
        """Look no more; what was not stored is found again after the next start."""
        self._work.cancel()
        await self._work.finish()

    async def _follow_on(self) -> None:
        failures = 0
        while True:
            try:
                await self._visit_host()
            except CancelledError:
                raise
            except HostNotKnown as unknown:
                self._hinder(str(unknown), unknown.remedy, alarm=True)
            except NotReached as failed:
                self._hinder(str(failed), failed.remedy)
            except SourcePaused as paused:
                self.problem = str(paused)
            except (OSError, sqlite3.Error, LinesideError) as failed:
                self._hinder(f"cannot store: {failed}", "free space on the journal's disk or check it")
            except Exception as failed:  # noqa: BLE001 (whatever it is, the source must outlive it)
                log.failure("command.stumbled", source=self.id)
                self.problem = f"{type(failed).__name__}, see the log"
            # Perhaps it is stored all the same: the journal knows how far it has come.
            self._place = None
            failures = 1 if self._looked else failures + 1
            await deferLater(self._clock, AWAY.delay(failures, self._random))

    async def _visit_host(self) -> None:
        self._looked = False
        visit = await self._visit()
        transport = await enter(self._endpoint, visit, self._clock, connecting=self._connecting)
        transport.channels.watch(self._clock)
        try:
            while True:
                try:
                    await self._look(transport)
                except _NoFile as missing:
                    self._hinder(str(missing), missing.remedy)
                else:
                    self._looked = True
                    if self.problem is not None:
                        self.problem = self._told = None
                        log.info("command.follows", source=self.id, address=self.address)
                await deferLater(self._clock, self._followed.every)
        finally:
            transport.cut()

    def _hinder(self, reason: str, remedy: str, *, alarm: bool = False) -> None:
        self.problem = f"{reason}; {remedy}"
        if self._told == reason:
            return
        self._told = reason
        if alarm:
            log.error("command.host_not_known", source=self.id, reason=reason, remedy=remedy)
        else:
            log.warn("command.failing", source=self.id, reason=reason, remedy=remedy)

    async def _look(self, transport: ClientTransport) -> None:
        if self._place is None:
            self._place = await self._take_up(transport)
        path, rotated = self._followed.path, self._followed.rotated
        if await self._take(transport, path, self._complaints) is not None:
            self._quiet = 0
            return
        try:
            rest = await self._take(transport, rotated, None)
        except _NoFile:
            rest = None
        if rest is None:
            offset = self._place.offset
            log.warn(
                "command.place_lost",
                source=self.id,
                address=self.address,
                offset=offset,
                remedy=f"what {path} held behind its first {offset} bytes was not taken, unless that was all; look "
                "for it among its older files. The file that is there now is taken from its beginning",
            )
            await self._store([], Place(path))
        elif self._quiet >= QUIET_LOOKS:
            log.info("command.rotated", source=self.id, address=self.address, bytes=self._place.offset)
            # What has no end there will never have one.
            await self._store([rest] if rest else [], Place(path))
            self._quiet = 0

    async def _take_up(self, transport: ClientTransport) -> Place:
        path = self._followed.path
        _, text, _ = await self._database.read(lambda connection: polls.load(connection, self.id))
        if text is not None and (place := place_of(text)).path == path:
            return place
        place = Place(path)
        if self._followed.begin == "new":
            place = await self._newest(transport)
        await self._store([], place)
        return place

    async def _newest(self, transport: ClientTransport) -> Place:
        """Return the place behind the last line that has ended."""
        path = self._followed.path
        told = (await self._all_of(transport, f"wc -c < {quoted(path)}", 100)).strip()
        if not told.isdigit():
            raise _NoFile(f"the host does not say how large {path} is", "see that it has wc")
        size = int(told)
        first = max(0, size - OVERLAP)
        last = (await self._all_of(transport, _tail(path, first), size - first))[: size - first]
        end = last.rfind(b"\n") + 1 or len(last)
        return Place(path, first + end, last[:end])

    async def _all_of(self, transport: ClientTransport, command: str, most: int) -> bytes:
        output = await begin(transport, command, self._complaints, self._clock)
        told = b""
        while piece := await output.read():
            told += piece[: most - len(told)]
        self._check(output.ended, self._followed.path)
        return told

    async def _take(self, transport: ClientTransport, path: str, complaints: Complaints | None) -> bytes | None:
        """Take what a file has behind the place; return what is left of a line, or None of another file."""
        assert self._place is not None
        taking = Taking(self._place, self._followed.framing())
        output = await begin(transport, _tail(path, self._place.known_from), complaints, self._clock)
        other = fresh = False
        while piece := await output.read():
            # What is another file is read to its end all the same: a run that is left would go on.
            fed = None if other else taking.feed(piece)
            if fed is None:
                other = True
            elif fed[0]:
                fresh = True
                await self._store(*fed)
        self._check(output.ended, path)
        if other or not taking.recognised:
            return None
        self._quiet = 0 if fresh else self._quiet + 1
        return taking.rest

    def _check(self, ended: object, path: str) -> None:
        status = getattr(ended, "status", None)
        if status is None:
            raise NotReached(f"the host was lost as it told of {path}: {ended}", "it is tried again")
        if status != 0:
            raise _NoFile(
                f"the host does not show {path}: {ended}", "see that it is there, and that our user may read it"
            )

    async def _store(self, found: list[bytes | Fault], place: Place) -> None:
        sender = self._followed.sender
        batches = []
        for batch in _batches(found, self._intake.decode, sender):
            if self._intake.on_batch is not None:
                self._intake.on_batch(batch, [(sender, len(batch))])
            batches.append(batch)

        def keep(connection: Connection) -> None:
            polls.store(connection, self.id, place.stored(), {}, ())

        if batches:
            told = await self._ledger.append_batches(self.id, batches, also=keep)
        else:
            await self._database.write(keep)
            told = []
        self._place = place
        self._intake.received += sum(receipts.count for receipts in told)
        self._intake.undecodable += sum(len(receipts.errors) for receipts in told)


def _tail(path: str, first: int) -> str:
    return f"tail -c +{first + 1} {quoted(path)}"


def _batches(
    found: list[bytes | Fault], decode: Callable[[list[bytes], str | None], Batch], sender: str
) -> list[Batch]:
    batches: list[Batch] = []
    frames: list[bytes] = []
    for each in found:
        if isinstance(each, bytes):
            frames.append(each)
            continue
        if frames:
            batches.append(decode(frames, sender))
            frames = []
        batches.append(Batch.of([each.event(sender)]))
    return [*batches, decode(frames, sender)] if frames else batches
