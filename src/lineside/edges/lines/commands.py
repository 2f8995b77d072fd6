"""Commands to the devices of one source: which connection a device is on, and the replies that come over it."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import Protocol

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from lineside.model.batch import Batch
from lineside.model.traffic import LONGEST_NAME
from lineside.operations.devicelines import CommandRules, DeviceLine, LineLost
from lineside.wire.commands import REPLY, Reply, encode_command, parse_reply

log = Logger()

MOST_NAMES = 10_000
"""Devices of one source that are known at a time; of more, those whose names are the oldest are forgotten."""
LATE = 64
"""Commands of one connection whose replies are still known when they come late."""


class Line(Protocol):
    """The way to a device; see `lineside.edges.lines.session.Link`."""

    @property
    def peer(self) -> str:
        """Who the device is, where its frames don't say."""
        ...

    def say(self, frame: bytes) -> None:
        """Send a frame; raises `ValueError` where the framing cannot carry it."""
        ...


class ConnectedLines:
    """The `DeviceLines` of one source.

    A device is on the connection that said its name last. Where no field of its lines names it, its name is its
    address, and it is there as soon as it is connected.

    Args:
        source: the source's name.
        rules: how its devices are sent commands.
        named: a field names devices.
        may_say: whether an event of this name may be logged now.

    """

    def __init__(self, source: str, rules: CommandRules, *, named: bool, may_say: Callable[[str], bool]) -> None:
        self.rules = rules
        self.on_late: Callable[[str], None] = _nobody_waits
        self._source = source
        self._named = named
        self._may_say = may_say
        self._lines: OrderedDict[str, ConnectedLine] = OrderedDict()
        """By device."""

    def find(self, device: str) -> DeviceLine | None:
        """Return the connection on which a device was heard last; None where it is not connected."""
        return self._lines.get(device)

    def connected(self) -> Iterator[tuple[str, DeviceLine]]:
        """Yield each device and its connection."""
        yield from self._lines.items()

    def opened(self, way: Line) -> ConnectedLine:
        """Return what a new connection is to commands."""
        line = ConnectedLine(self, way)
        if not self._named:
            self._is_on(way.peer, line)
        return line

    def heard(self, batch: Batch, runs: list[tuple[ConnectedLine | None, int]]) -> None:
        """Take note of whose a batch is: so many of its events, in order, came over each connection."""
        common, exceptions = batch.device, batch.devices
        lines = self._lines
        place = 0
        for line, count in runs:
            if line is not None and not line.lost:
                if count == 1 or not exceptions:
                    names = {exceptions.get(place, common)}
                else:
                    names = {exceptions.get(each, common) for each in range(place, place + count)}
                for name in names:
                    if name is not None and lines.get(name) is not line and len(name) <= LONGEST_NAME:
                        self._is_on(name, line)
            place += count

    def ended(self, line: ConnectedLine) -> None:
        """Forget who was on a connection."""
        for name in line.names:
            self._lines.pop(name, None)

    def _is_on(self, name: str, line: ConnectedLine) -> None:
        before = self._lines.pop(name, None)
        self._lines[name] = line
        line.names.add(name)
        if len(self._lines) > MOST_NAMES:
            oldest, its = self._lines.popitem(last=False)
            its.left_by(oldest)
        if before is not None:
            if self._named and self._may_say("device.moved"):
                log.info("device.moved", source=self._source, device=name, peer=line.peer, before=before.peer)
            before.left_by(name)


class ConnectedLine:
    """The `DeviceLine` of one connection.

    Args:
        lines: those of its source.
        way: to the device.

    """

    def __init__(self, lines: ConnectedLines, way: Line) -> None:
        self.names: set[str] = set()
        """The devices that are on it."""
        self.lost = False
        self.listens = False
        """A reply may come: before a command was sent, a frame that looks like one is a frame like any other."""
        self._lines = lines
        self._way = way
        self._takes = True
        """The transport takes more for the other end."""
        self._silent = False
        """Nothing came since the last command was written."""
        self._hangs = False
        """And that has expired: what it left unread, it would carry out late, and every further one as well."""
        self._asked: dict[str, Deferred[Reply]] = {}
        self._given_up: OrderedDict[str, None] = OrderedDict()
        self._waiting: list[Deferred[None]] = []

    @property
    def peer(self) -> str:
        """Where it leads."""
        return self._way.peer

    @property
    def reads(self) -> bool:
        """The other end takes what is sent to it, as far as can be seen."""
        return self._takes and not self._hangs

    def changed(self) -> Deferred[None]:
        """Return what fires when it reads again, is lost, or is no longer a device's: look anew then."""
        waiting: Deferred[None] = Deferred(self._waiting.remove)
        self._waiting.append(waiting)
        return waiting

    def ask(self, identifier: str, payload: bytes) -> Deferred[Reply]:
        """Write one command; see `DeviceLine`."""
        self._way.say(encode_command(identifier, payload))
        asked: Deferred[Reply] = Deferred(lambda _: self._give_up(identifier))
        self._asked[identifier] = asked
        self._silent = self.listens = True
        return asked

    def without_replies(self, frames: list[bytes]) -> list[bytes]:
        """Return frames without the replies to this connection's commands; for `Session`, where it `listens`."""
        return [frame for frame in frames if not (frame.startswith(REPLY) and self._replied(frame))]

    def left_by(self, device: str) -> None:
        """A device is on another connection now: what waits for it here goes there."""
        self.names.discard(device)
        self._tell()

    def spoke(self) -> None:
        """Take a sign of life."""
        self._silent = False
        if self._hangs:
            self._hangs = False
            self._tell()

    def hold(self) -> None:
        """Write nothing more: what was sent waits for the other end already."""
        self._takes = False

    def go_on(self) -> None:
        """Write again."""
        self._takes = True
        self._tell()

    def end(self, why: str) -> None:
        """No reply will come any more; a second call does nothing."""
        if self.lost:
            return
        self.lost = True
        self._lines.ended(self)
        asked, self._asked = self._asked, {}
        self._tell()
        for each in asked.values():
            each.errback(LineLost(why))

    def _give_up(self, identifier: str) -> None:
        if self._asked.pop(identifier, None) is not None:
            self._hangs = self._hangs or self._silent
            self._given_up[identifier] = None
            if len(self._given_up) > LATE:
                self._given_up.popitem(last=False)

    def _replied(self, frame: bytes) -> bool:
        reply = parse_reply(frame)
        if reply is None:
            return False
        asked = self._asked.pop(reply.id, None)
        if asked is not None:
            self.listens = bool(self._asked or self._given_up)
            asked.callback(reply)
            return True
        if reply.id not in self._given_up:
            # Another connection's, one that was answered already, or invented: a frame like any other.
            return False
        del self._given_up[reply.id]
        self.listens = bool(self._asked or self._given_up)
        self._lines.on_late(reply.id)
        return True

    def _tell(self) -> None:
        waiting, self._waiting = self._waiting, []
        for each in waiting:
            each.callback(None)


def _nobody_waits(identifier: str) -> None:
    """Do nothing: no command was ever sent."""
