"""Commands to devices: each is on record before it is written, goes out once, and is never sent again."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from sqlite3 import Connection
from typing import TypeVar

from msgspec import Struct
from twisted.internet.defer import CancelledError, Deferred, DeferredLock
from twisted.internet.defer import TimeoutError as TooLate
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from lineside.background import Background
from lineside.model.errors import LinesideError
from lineside.model.wording import did_you_mean
from lineside.operations import commandlog
from lineside.operations.commandlog import End, Given
from lineside.operations.devicelines import DeviceLine, DeviceLines, LineLost, NoAnswer
from lineside.operations.registry import Operations
from lineside.operations.requests import CommandDevice, ListDeviceCommands, ListDevices
from lineside.operations.results import (
    CommandAnswer,
    ConnectedDevice,
    ConnectedDeviceList,
    DeviceCommandList,
)
from lineside.security.identity import Identity
from lineside.store.database import Database
from lineside.wire.answers import reason_line
from lineside.wire.commands import Reply, payload_of

log = Logger()

T = TypeVar("T")

STUCK = "while the device did not read, or had said nothing since a command to it expired"
MOST_DEVICES = 10_000
"""Connected devices in one answer."""


class _Order(Struct, eq=False):
    """A command on its way."""

    given: Given
    payload: bytes
    deadline: float
    queue: DeferredLock
    """Of the device's commands. Once nobody is in it another one may take its place."""
    turn: Deferred[DeferredLock]
    """Fires when no other command to the device is under way."""
    told: Deferred[CommandAnswer]
    """What the one who gave it waits for."""
    began: float
    wait: bool
    holds: bool = False
    """It is its turn."""

    def granted(self, lock: DeferredLock) -> DeferredLock:
        """Take note that it is its turn."""
        self.holds = True
        return lock


class _NotSent(Exception):
    """Nothing was written, and nothing will be."""


class DeviceCommands:
    """The commands to the devices of a running gateway, and the `Part` that ends those of a former one.

    Commands to one device go out in the order in which they were given, the next one when the one before has its
    answer or has expired. A command that is on record goes its way whether the one who gave it still waits or not.

    Args:
        database: the journal's.
        lines: the sources whose devices take commands.
        sources: the names of all sources.
        others: what else is connected, to be listed.
        clock: must follow a monotonic clock.
        now_ns: the wall clock.
        random: returns so many bytes that no two calls share.

    """

    name = "device commands"

    def __init__(
        self,
        database: Database,
        lines: Mapping[str, DeviceLines],
        sources: Iterable[str],
        others: Callable[[], Iterable[ConnectedDevice]],
        clock: IReactorTime,
        now_ns: Callable[[], int],
        *,
        random: Callable[[int], bytes] = os.urandom,
    ) -> None:
        self._database = database
        self._lines = lines
        self._sources = list(sources)
        self._others = others
        self._clock = clock
        self._now_ns = now_ns
        self._random = random
        self._turns: dict[tuple[str, str], DeferredLock] = {}
        """By source and device, while there are commands to it."""
        self._under_way = Background(self.name)
        for each in lines.values():
            each.on_late = self._came_late

    async def start(self) -> None:
        """End what a former process left open: what it had sent is not sent again. The journal must be open."""
        now = self._now_ns()
        if not await self._database.read(commandlog.any_open):
            return
        try:
            unknown, unsent = await self._database.write(lambda connection: commandlog.abandon(connection, now))
        except (sqlite3.Error, OSError) as refused:
            # A full disk hinders no start.
            self._say_unrecorded("those of a former process", "unknown", refused)
        else:
            log.warn(
                "commands.abandoned",
                unknown=unknown,
                unsent=unsent,
                remedy="lineside devices commands --state unknown lists those that a device may have carried out",
            )

    async def stop(self) -> None:
        """Put the last ends on record. The sources must have stopped: then no answer is waited for."""
        await self._under_way.finish()

    def register(self, operations: Operations) -> None:
        """Offer the operations."""
        operations.answer(ListDevices, self.list_devices)
        operations.answer_to(CommandDevice, self.command)

    async def list_devices(self, request: ListDevices) -> ConnectedDeviceList:
        """Return who is connected now."""
        found = [
            ConnectedDevice(source, device, line.peer, commands=True, waiting=self._count(source, device))
            for source, lines in self._lines.items()
            for device, line in lines.connected()
        ]
        found += self._others()
        chosen = sorted(
            (each for each in found if request.source in {None, each.source}),
            key=lambda each: (each.source, each.device),
        )
        return ConnectedDeviceList(chosen[: max(1, min(request.limit, MOST_DEVICES))], len(chosen))

    async def command(self, request: CommandDevice, identity: Identity) -> CommandAnswer:
        """Send a command, and return its answer.

        Raises:
            NoAnswer: it is on record, and has no good answer.
            LinesideError: it is not on record, and was not sent; the text says why: not connected, no such source,
                no commands to it, too many waiting, an unusable payload, an id that was used.

        """
        try:
            payload = payload_of(request.payload)
        except ValueError as wrong:
            raise LinesideError(str(wrong)) from wrong
        source = self._place(request.device, request.source)
        rules = self._lines[source].rules
        if self._count(source, request.device) > rules.queue:
            raise LinesideError(f"{rules.queue} commands to {request.device} wait already; this one was not sent")
        now = self._clock.seconds()
        expires = rules.expires if request.expires is None else request.expires
        given = Given(
            request.id or self._random(12).hex(), request.device, source, identity.name, expires, len(payload)
        )
        lock = self._turns.setdefault((source, request.device), DeferredLock())
        # The place in the queue is taken now, so that the order is that of the calls.
        order = _Order(given, payload, now + expires, lock, lock.acquire(), Deferred(), now, request.wait)
        order.turn.addCallback(order.granted)
        self._under_way.run("command", self._carry_out(order))
        return await order.told

    def _place(self, device: str, source: str | None) -> str:
        """Return the source on which a device is connected."""
        if source is not None:
            if source not in self._sources:
                raise LinesideError(f'there is no source "{source}"{did_you_mean(source, self._sources)}')
            if source not in self._lines:
                raise LinesideError(
                    f'the source "{source}" sends no commands; it needs commands = true in [sources.{source}]'
                )
        elif not self._lines:
            raise LinesideError("no source sends commands; it needs commands = true in [sources.NAME]")
        there = [
            name for name, lines in self._lines.items() if source in {None, name} and lines.find(device) is not None
        ]
        if not there:
            names = [name for lines in self._lines.values() for name, _ in lines.connected()]
            raise LinesideError(f'the device "{device}" is not connected{did_you_mean(device, names)}')
        if len(there) > 1:
            raise LinesideError(f'a device "{device}" is connected to {", ".join(there)}; say to which source')
        return there[0]

    def _count(self, source: str, device: str) -> int:
        lock = self._turns.get((source, device))
        return 0 if lock is None else len(lock.waiting) + int(lock.locked)

    async def _carry_out(self, order: _Order) -> None:
        given = order.given
        try:
            try:
                await self._put_on_record(given)
                if not order.wait:
                    order.told.callback(CommandAnswer(given.id, given.device, given.source, "queued"))
                reply, end = await self._attempt(order)
                await self._record_end(given, end)
            finally:
                self._leave(order)
        except CancelledError:
            raise
        except Exception as failed:
            if order.told.called:
                raise
            order.told.errback(failed)
            return
        log.info(
            "command.ended",
            id=given.id,
            device=given.device,
            source=given.source,
            by=given.by,
            state=end.state,
            seconds=round(self._clock.seconds() - order.began, 3),
        )
        if order.told.called:
            return
        if reply is None or reply.error:
            order.told.errback(NoAnswer(given.id, end.state, end.reason))
        else:
            took = round(self._clock.seconds() - order.began, 6)
            order.told.callback(CommandAnswer(given.id, given.device, given.source, "answered", reply.text, took))

    async def _put_on_record(self, given: Given) -> None:
        now = self._now_ns()

        def work(connection: Connection) -> str | None:
            known = commandlog.state_of(connection, given.id)
            if known is None:
                commandlog.begin(connection, given, now)
            return known

        try:
            known = await self._database.write(work)
        except (sqlite3.Error, OSError) as refused:
            raise LinesideError(f"it cannot be put on record, and was not sent: {refused}") from refused
        if known is not None:
            raise LinesideError(
                f'there was a command "{given.id}" already, which is {known}; this one was not sent'
            )

    async def _attempt(self, order: _Order) -> tuple[Reply | None, End]:
        given = order.given
        try:
            asked = (await self._reach(order)).ask(given.id, order.payload)
        except _NotSent as why:
            return None, End("unsent", str(why))
        except ValueError as wrong:
            return None, End("unsent", f"the source's framing cannot carry it: {wrong}")
        try:
            reply = await self._within(order, asked)
        except TooLate:
            return None, End("expired", f"no answer within {given.expires:g} s; the device may have got it")
        except LineLost as lost:
            return None, End("unknown", f"{lost} after it was sent; the device may have got it")
        size = len(reply.text.encode())
        if reply.error:
            return reply, End("failed", reason_line(reply.text) or "the device answered with an error", size)
        return reply, End("answered", None, size)

    async def _reach(self, order: _Order) -> DeviceLine:
        """Return the connection for a command that is on record as sent, when nothing keeps it from being so."""
        try:
            await self._within(order, order.turn)
            line = await self._line(order)
        except TooLate:
            line = self._lines[order.given.source].find(order.given.device)
            stuck = order.holds and line is not None and not line.reads
            raise _NotSent(f"it expired {STUCK if stuck else 'before it could be sent'}") from None
        if line is not None:
            try:
                now = self._now_ns()
                await self._database.write(partial(commandlog.send, identifier=order.given.id, now_ns=now))
            except (sqlite3.Error, OSError, LinesideError) as refused:
                raise _NotSent(f"it could not be put on record: {refused}") from refused
        if line is None or line.lost:
            raise _NotSent("the connection ended before it could be sent")
        if self._clock.seconds() >= order.deadline:
            raise _NotSent("it expired while it was put on record")
        return line

    async def _line(self, order: _Order) -> DeviceLine | None:
        """Return the device's connection once it takes what is sent to it; None where it is gone."""
        while True:
            line = self._lines[order.given.source].find(order.given.device)
            if line is None or line.reads:
                return line
            await self._within(order, line.changed())

    async def _within(self, order: _Order, waiting: Deferred[T]) -> T:
        return await waiting.addTimeout(max(0.0, order.deadline - self._clock.seconds()), self._clock)

    def _leave(self, order: _Order) -> None:
        place = order.given.source, order.given.device
        lock = order.queue
        if order.holds:
            lock.release()
        elif not order.turn.called:
            order.turn.addErrback(lambda _: None)
            order.turn.cancel()
        if not lock.locked and self._turns.get(place) is lock:
            del self._turns[place]

    async def _record_end(self, given: Given, end: End) -> None:
        now = self._now_ns()
        try:
            await self._database.write(lambda connection: commandlog.end(connection, given.id, end, now))
        except (sqlite3.Error, OSError, LinesideError) as refused:
            # The one who gave it is told all the same; the next start takes it for unknown.
            self._say_unrecorded(given.id, end.state, refused)

    def _say_unrecorded(self, identifier: str, state: str, refused: Exception) -> None:
        log.error(
            "command.unrecorded",
            id=identifier,
            state=state,
            reason=str(refused),
            remedy="free space on the journal's disk or check it",
        )

    def _came_late(self, identifier: str) -> None:
        self._under_way.run("late reply", self._record_late(identifier, self._now_ns()))

    async def _record_late(self, identifier: str, now: int) -> None:
        log.warn(
            "command.late", id=identifier, remedy="give the command longer (expires), or see what keeps the device"
        )
        await self._database.write(lambda connection: commandlog.late(connection, identifier, now))


class CommandRecords:
    """What may be asked of commands that were given, with a gateway at work or without.

    Args:
        database: the journal's.

    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def register(self, operations: Operations) -> None:
        """Offer the operation."""
        operations.answer(ListDeviceCommands, self.list_commands)

    async def list_commands(self, request: ListDeviceCommands) -> DeviceCommandList:
        """Return commands, the newest first."""
        found, before = await self._database.read(lambda connection: commandlog.page(connection, request))
        return DeviceCommandList(found, before)
