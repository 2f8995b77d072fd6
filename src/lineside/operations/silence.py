"""Alarms for sources and devices that are not heard for longer than they should be, in working hours.

Silence is counted by the monotonic clock; only the question whether it is working time goes to the wall clock. So a
clock that is set makes nobody silent, and nobody heard. What was before the start is known by the stamps of the
journal, so that a restart hides no silent device.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from functools import partial
from sqlite3 import Connection

from msgspec import Struct
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from lineside.background import Background
from lineside.journal.log import SqliteJournal
from lineside.model.errors import LinesideError
from lineside.model.hours import Hours
from lineside.model.traffic import Device, Traffic
from lineside.store.database import Database
from lineside.store.migrations import Component

log = Logger()

LOOK = 1.0
"""Seconds between two looks. An alarm comes up to two of them late, and never early."""
STORE = 60.0
"""Seconds after which it is stored when devices were heard."""
EXPECTED = 7 * 86_400.0
"""A device that was not heard for so long is none any more."""
FEW = 5
"""Devices that have a line of the log each; where more fall silent at one look, one line tells of them all."""
MOST_DEVICES = 10_000
"""Devices of a source that are watched, at most."""

DEVICES = Component(
    "devices",
    (
        (
            """CREATE TABLE device (
                source TEXT NOT NULL,
                name TEXT NOT NULL,
                heard_ns INTEGER NOT NULL,
                PRIMARY KEY (source, name)
            ) WITHOUT ROWID""",
        ),
    ),
)
"""When each device was last heard, about: of those sources only whose devices are watched."""


class Expectation(Struct, frozen=True):
    """How long a source may be silent."""

    source: str
    traffic: Traffic
    silence: float
    """Seconds of working time."""
    hours: Hours | None
    """None where it is always working time."""
    devices: bool
    """Each of its devices, too."""
    named: bool = False
    """Devices name themselves in their lines: an address, as of a line that makes no sense, is none."""


class SilenceWatch:
    """The `Part` that raises the alarms. Start it once the journal is open, and before the sources.

    Args:
        expectations: of the sources that are watched.
        journal: tells when they were heard before the start.
        database: the journal's, with the table `DEVICES`.
        clock: must follow a monotonic clock.
        now_ns: the wall clock.

    """

    name = "silence alarms"

    def __init__(
        self,
        expectations: list[Expectation],
        journal: SqliteJournal,
        database: Database,
        clock: IReactorTime,
        now_ns: Callable[[], int],
    ) -> None:
        self._watched = {each.source: _Watched(each, database, now_ns) for each in expectations}
        self._journal = journal
        self._clock = clock
        self._background = Background(self.name)
        self._stored = 0.0
        self._looking = LoopingCall(self._look)
        self._looking.clock = clock

    async def start(self) -> None:
        """Find out for how long each was silent already, and begin to look."""
        for source, watched in self._watched.items():
            records = await self._journal.last(1, sources=frozenset({source}))
            await watched.begin(records[-1].received_ns if records else None, self._clock.seconds())
        self._stored = self._clock.seconds()
        self._looking.start(LOOK, now=False)

    async def stop(self) -> None:
        """Look no more, and store who was heard."""
        self._looking.stop()
        await self._background.finish()
        await self._store()

    def silent(self, source: str) -> list[str]:
        """Return what of a source is silent at present: itself as ``""``, then devices, the most silent first."""
        watched = self._watched.get(source)
        return [] if watched is None else watched.silent_names

    def _look(self) -> None:
        now = self._clock.seconds()
        for watched in self._watched.values():
            watched.look(now)
        if now - self._stored >= STORE and not len(self._background):
            self._stored = now
            self._background.run("store", self._store())

    async def _store(self) -> None:
        for watched in self._watched.values():
            await watched.store(self._clock.seconds())


class _Watched:
    def __init__(self, expectation: Expectation, database: Database, now_ns: Callable[[], int]) -> None:
        self._source = expectation.source
        self._traffic = expectation.traffic
        self._silence = expectation.silence
        self._hours = expectation.hours
        self._devices = expectation.devices
        self._named = expectation.named
        self._database = database
        self._now_ns = now_ns
        self._looked = 0.0
        self._heard: float | None = None
        self._worked = 0.0
        self._silent = False
        self._silent_devices: dict[str, tuple[Device, float]] = {}
        self._stored = float("-inf")
        self._too_many = False

    @property
    def silent_names(self) -> list[str]:
        return ([""] if self._silent else []) + list(self._silent_devices)

    async def begin(self, last_ns: int | None, now: float) -> None:
        self._looked = now
        if last_ns is not None:
            self._worked = -self._worked_since(last_ns)
        if self._devices:
            since = self._now_ns() - int(EXPECTED * 1e9)
            read = partial(_read, source=self._source, since_ns=since)
            for name, heard_ns in reversed(await self._database.read(read)):
                self._traffic.restore(name, heard_ns, -self._worked_since(heard_ns), now)

    def look(self, now: float) -> None:
        passed, self._looked = now - self._looked, now
        traffic = self._traffic
        if traffic.heard != self._heard:
            self._heard, self._worked = traffic.heard, traffic.worked
            if self._silent:
                self._silent = False
                log.info("source.heard_again", source=self._source)
        if self._hours is None or self._hours.at_work(self._now_ns() / 1e9):
            traffic.worked += passed
        # A look is when it may have been heard after the clock of working time was last moved.
        if not self._silent and traffic.worked - self._worked >= self._silence + LOOK:
            self._silent = True
            log.error("source.silent", source=self._source, seconds=self._silence, remedy=_REMEDY)
        if self._devices:
            self._look_at_devices()

    def _look_at_devices(self) -> None:
        watched = self._traffic.devices
        heard_again, fallen = [], []
        for name, (device, heard) in list(self._silent_devices.items()):
            known = watched.get(name)
            if known is None:
                # It had to go for want of room. Names that are made up must not fill the memory by way of alarms.
                del self._silent_devices[name]
            elif known is not device or known.heard != heard:
                del self._silent_devices[name]
                heard_again.append(name)
        for device in watched.values():
            if self._traffic.worked - device.worked < self._silence + LOOK:
                break
            if device.name not in self._silent_devices and self._expected(device):
                self._silent_devices[device.name] = (device, device.heard)
                fallen.append(device.name)
        self._tell_heard_again(heard_again)
        self._tell_silent(fallen)
        if self._traffic.others and not self._too_many:
            self._too_many = True
            log.warn("source.many_devices", source=self._source, watched=MOST_DEVICES)

    def _tell_silent(self, names: list[str]) -> None:
        if len(names) > FEW:
            # A whole hall without power would drive every other alarm out of sight.
            log.error(
                "devices.silent",
                source=self._source,
                count=len(names),
                devices=_first(names),
                seconds=self._silence,
                remedy=_REMEDY,
            )
            return
        for name in names:
            log.error("device.silent", source=self._source, device=name, seconds=self._silence, remedy=_REMEDY)

    def _tell_heard_again(self, names: list[str]) -> None:
        if len(names) > FEW:
            log.info("devices.heard_again", source=self._source, count=len(names), devices=_first(names))
            return
        for name in names:
            log.info("device.heard_again", source=self._source, device=name)

    async def store(self, now: float) -> None:
        """Store who was heard since the last time; what the disk refuses is stored the next time."""
        if not self._devices:
            return
        heard = []
        for device in self._traffic.newest():
            if device.heard <= self._stored:
                break
            if self._expected(device):
                heard.append((self._source, device.name, device.heard_ns))
        gone = []
        for device in self._traffic.devices.values():
            if now - device.heard < EXPECTED:
                break
            gone.append(device.name)
        if heard or gone:
            try:
                await self._database.write(partial(_write, source=self._source, heard=heard, gone=gone))
            except (OSError, sqlite3.Error, LinesideError):
                return
        for name in gone:
            self._traffic.forget(name)
            self._silent_devices.pop(name, None)
        self._stored = now

    def _expected(self, device: Device) -> bool:
        return not self._named or device.name != device.peer

    def _worked_since(self, ns: int) -> float:
        now, since, enough = self._now_ns() / 1e9, ns / 1e9, self._silence + LOOK
        if since >= now:
            return 0.0
        return min(now - since, enough) if self._hours is None else self._hours.worked(since, now, enough)


_REMEDY = "look whether it has power and a connection; `lineside top` shows when each was last heard"


def _first(names: list[str]) -> str:
    return f"{', '.join(names[:FEW])}, ..."


def _read(connection: Connection, source: str, since_ns: int) -> list[tuple[str, int]]:
    return connection.execute(
        "SELECT name, heard_ns FROM device WHERE source = ? AND heard_ns > ? ORDER BY heard_ns DESC LIMIT ?",
        (source, since_ns, MOST_DEVICES),
    ).fetchall()


def _write(connection: Connection, source: str, heard: list[tuple[str, str, int]], gone: list[str]) -> None:
    connection.executemany("INSERT OR REPLACE INTO device (source, name, heard_ns) VALUES (?, ?, ?)", heard)
    connection.executemany("DELETE FROM device WHERE source = ? AND name = ?", [(source, name) for name in gone])
    # Those that had to go for want of room are not among the gone.
    connection.execute(
        """DELETE FROM device WHERE source = :source AND heard_ns < (
            SELECT heard_ns FROM device WHERE source = :source ORDER BY heard_ns DESC LIMIT 1 OFFSET :most - 1
        )""",
        {"source": source, "most": MOST_DEVICES},
    )
