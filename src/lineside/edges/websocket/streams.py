"""Streams of channels: where a client may go on after it was away.

The offset of ``events:SOURCE`` and ``device:ID`` is the journal's sequence, so that one cursor serves pages,
devices and the ERP, and survives a restart of the gateway.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import msgspec
from msgspec import Raw
from twisted.internet.defer import Deferred, DeferredSemaphore
from twisted.internet.interfaces import IReactorTime

from lineside.edges.websocket.channels import Hub, Publication, Ring
from lineside.edges.websocket.messages import one_line
from lineside.edges.websocket.sweep import Stretch, Sweep
from lineside.journal.log import SqliteJournal
from lineside.journal.search import Wanted, search_back, search_on
from lineside.model.event import Record, Seq
from lineside.model.moments import utc_text
from lineside.operations.texts import readable
from lineside.store.database import Database

KEPT = 1024
"""Publications of one source that are kept in memory, so that many who come back at once read no disk."""
READERS = 2
"""Reads of the journal at a time; the others wait for their turn, and appends for none of them."""
FAR = 128 * 1024 * 1024
"""Stored bytes of the journal, at most, that are looked through for one device's events that a client missed."""
FOUND = 2_000
"""Events that one look finds at most."""
UNWATCHED = 60.0
"""Seconds without a subscriber after which nothing is kept."""

_encode = msgspec.json.Encoder().encode


class Stream(Protocol):
    """What a channel publishes, in order."""

    @property
    def epoch(self) -> str:
        """Changes when offsets begin anew."""
        ...

    @property
    def top(self) -> int:
        """The offset above which everything is still to come."""
        ...

    async def since(self, offset: int, limit: int) -> list[Publication] | None:
        """Return all above ``offset``; None if some are gone, or there are more than ``limit``."""
        ...

    async def history(self, limit: int, *, since: int | None, reverse: bool) -> list[Publication]:
        """Return at most ``limit``: above ``since`` oldest first, or below it newest first."""
        ...


class MemoryStream:
    """What is published in one channel since the gateway's start, as far as there is room.

    Args:
        hub: sends it out.
        channel: the channel's name.
        epoch: of this start.
        most: publications that are kept.

    """

    def __init__(self, hub: Hub, channel: str, epoch: str, *, most: int = KEPT) -> None:
        self._hub = hub
        self._channel = channel
        self.epoch = epoch
        self.top = 0
        self._ring = Ring(0, most=most)

    def publish(self, content: Any) -> None:
        """Publish what becomes JSON."""
        self.top += 1
        publication = Publication(Raw(_encode(content)), self.top)
        self._ring.add(publication)
        self._hub.publish(self._channel, publication)

    async def since(self, offset: int, limit: int) -> list[Publication] | None:
        """Return what is kept above ``offset``; see `Stream.since`."""
        if not self._ring.after <= offset <= self.top:
            return None
        newer = self._ring.since(offset)
        return newer if len(newer) <= limit else None

    async def history(self, limit: int, *, since: int | None, reverse: bool) -> list[Publication]:
        """Return what is kept; see `Stream.history`."""
        if reverse:
            older = [each for each in self._ring if since is None or each.offset < since]
            return older[::-1][:limit]
        return self._ring.since(since or 0)[:limit]


class JournalStreams:
    """The streams whose offset is the journal's sequence.

    As long as somebody is subscribed to one, every commit is looked through; otherwise it costs appends nothing.

    Args:
        journal: open when the first stream is asked for.
        database: the journal's.
        hub: sends publications out.
        clock: tells how long nobody was there.

    """

    def __init__(self, journal: SqliteJournal, database: Database, hub: Hub, clock: IReactorTime) -> None:
        self.journal = journal
        self.hub = hub
        self._database = database
        self._clock = clock
        self._reading = DeferredSemaphore(READERS)
        self.missed_of_sources = Sweep(self._look_for_sources, clock)
        self.missed_of_devices = Sweep(self._look_for_devices, clock, far=FAR)
        self._sources: dict[str, SourceStream] = {}
        self._unlisten: Callable[[], None] | None = None
        self._watched = 0.0
        self.position = 0
        """The last record that was published. The journal may hold more, which is published yet."""

    def of(self, channel: str) -> Stream:
        """Return the stream of a channel ``events:SOURCE`` or ``device:ID``."""
        self._watched = self._clock.seconds()
        if self._unlisten is None:
            self.position = self.journal.head
            self._unlisten = self.journal.on_commit(self._committed)
        kind, _, name = channel.partition(":")
        if kind == "device":
            return DeviceStream(self, name)
        return self._sources.setdefault(name, SourceStream(self, name))

    def stop(self) -> None:
        """Listen to the journal no more, and keep nothing."""
        if self._unlisten is not None:
            self._unlisten()
            self._unlisten = None
        self.missed_of_sources.stop()
        self.missed_of_devices.stop()
        self._sources.clear()

    async def search(self, wanted: Wanted, *, after: int | None, before: int | None, limit: int) -> Found:
        """Look through the journal: on from ``after``, or back from ``before``."""

        def read(connection: Any) -> Found:
            (oldest,) = connection.execute("SELECT MIN(first) FROM segment").fetchone()
            floor = 0 if oldest is None else oldest - 1
            if after is not None:
                found = search_on(connection, wanted, Seq(after), limit)
                return Found(found.records, floor, found.reached, found.looked)
            back = search_back(connection, wanted, None if before is None else Seq(before), limit)
            return Found(back.records, floor, back.reached, back.looked)

        found: Found = await self._reading.run(self._database.read, read)
        # What was committed a moment ago is published yet: nobody shall get it twice.
        published = [record for record in found.records if record.seq <= self.position]
        return Found(published, found.floor, found.reached, found.looked)

    async def _look_for_sources(self, names: frozenset[str], after: int) -> Stretch:
        return await self._look(Wanted(names), after, lambda record: record.source)

    async def _look_for_devices(self, names: frozenset[str], after: int) -> Stretch:
        return await self._look(Wanted(devices=names), after, lambda record: record.event.device or "")

    async def _look(self, wanted: Wanted, after: int, name_of: Callable[[Record], str]) -> Stretch:
        found = await self.search(wanted, after=after, before=None, limit=FOUND)
        named = [(name_of(record), Publication(Raw(told(record)), record.seq)) for record in found.records]
        return Stretch(named, found.floor, found.reached, found.looked)

    def _committed(self, records: list[Record]) -> None:
        watched = False
        for record in records:
            stream = self._sources.get(record.source)
            channel = f"events:{record.source}"
            device = None if record.event.device is None else f"device:{record.event.device}"
            for_source = channel in self.hub
            for_device = device is not None and device in self.hub
            if stream is None and not for_device and not for_source:
                continue
            publication = Publication(Raw(told(record)), record.seq)
            if stream is not None:
                stream.add(publication)
            if for_source:
                self.hub.publish(channel, publication)
            if for_device and device is not None:
                self.hub.publish(device, publication)
            watched |= for_source or for_device
        self.position = records[-1].seq
        now = self._clock.seconds()
        if watched:
            self._watched = now
        elif now - self._watched > UNWATCHED:
            if any(channel.startswith(("events:", "device:")) for channel in self.hub):
                self._watched = now
            else:
                self.stop()


class Found(msgspec.Struct, frozen=True):
    """Records by ascending sequence."""

    records: list[Record]
    floor: int
    """All at or below may be gone."""
    reached: Seq | None
    """From where there may be more; None if these are all."""
    looked: int
    """Stored bytes that were looked through."""


class SourceStream:
    """The events of one source."""

    def __init__(self, streams: JournalStreams, source: str) -> None:
        self._streams = streams
        self._source = source
        self._wanted = Wanted(frozenset({source}))
        self._ring: Ring | None = None
        self._missed: list[Publication] | None = None
        self._filling: list[Deferred[None]] = []

    @property
    def epoch(self) -> str:
        """The journal's."""
        return self._streams.journal.epoch

    @property
    def top(self) -> int:
        """The last record that was published."""
        return self._streams.position

    def add(self, publication: Publication) -> None:
        """Keep the newest event, if anybody ever asked."""
        if self._ring is not None:
            self._ring.add(publication)
        elif self._missed is not None:
            self._missed.append(publication)

    async def since(self, offset: int, limit: int) -> list[Publication] | None:
        """Return all above ``offset``; see `Stream.since`."""
        if offset > self.top:
            return None
        ring = await self._filled()
        if offset >= ring.after:
            newer = ring.since(offset)
            return newer if len(newer) <= limit else None
        return await self._streams.missed_of_sources.since(self._source, offset, limit)

    async def history(self, limit: int, *, since: int | None, reverse: bool) -> list[Publication]:
        """Return events; see `Stream.history`."""
        return await history(self._streams, self._wanted, limit, since=since, reverse=reverse)

    async def _filled(self) -> Ring:
        if self._ring is not None:
            return self._ring
        if self._missed is None:
            self._missed = []
            try:
                self._ring = await self._fill()
            finally:
                self._missed = None
                waiting, self._filling = self._filling, []
                for each in waiting:
                    each.callback(None)
            return self._ring
        waits: Deferred[None] = Deferred(self._filling.remove)
        self._filling.append(waits)
        await waits
        # Whoever filled it may have failed: the next one tries.
        return await self._filled()

    async def _fill(self) -> Ring:
        found = await self._streams.search(self._wanted, after=None, before=None, limit=KEPT)
        # All that was found may be unpublished yet; what lies below was not looked at all the same.
        oldest = found.floor if found.reached is None else found.reached - 1
        ring = Ring(oldest, most=KEPT)
        newest = 0
        for publication in publications(found.records):
            ring.add(publication)
            newest = publication.offset
        for publication in self._missed or []:
            if publication.offset > newest:
                ring.add(publication)
        return ring


class DeviceStream:
    """The events of one device, whatever source they came by."""

    def __init__(self, streams: JournalStreams, device: str) -> None:
        self._streams = streams
        self._device = device
        self._wanted = Wanted(devices=frozenset({device}))

    @property
    def epoch(self) -> str:
        """The journal's."""
        return self._streams.journal.epoch

    @property
    def top(self) -> int:
        """The last record that was published."""
        return self._streams.position

    async def since(self, offset: int, limit: int) -> list[Publication] | None:
        """Return all above ``offset``; see `Stream.since`. Who was away for very long is told that it lost some."""
        if offset > self.top:
            return None
        if offset == self.top:
            return []
        return await self._streams.missed_of_devices.since(self._device, offset, limit)

    async def history(self, limit: int, *, since: int | None, reverse: bool) -> list[Publication]:
        """Return events; see `Stream.history`."""
        return await history(self._streams, self._wanted, limit, since=since, reverse=reverse)


async def history(
    streams: JournalStreams, wanted: Wanted, limit: int, *, since: int | None, reverse: bool
) -> list[Publication]:
    """Return what a stretch of the journal holds of it; see `Stream.history`."""
    if reverse:
        found = await streams.search(wanted, after=None, before=since, limit=limit)
        return publications(found.records)[::-1]
    return publications((await streams.search(wanted, after=since or 0, before=None, limit=limit)).records)


def publications(records: list[Record]) -> list[Publication]:
    """Return records as what is published of them."""
    return [Publication(Raw(told(record)), record.seq) for record in records]


def told(record: Record) -> bytes:
    """Return what is published of an event, as JSON in one line.

    ``event`` is the event itself; of an undecodable one there are ``error`` and, escaped, ``raw`` instead.
    """
    event = record.event
    content: dict[str, Any] = {
        "seq": record.seq,
        "source": record.source,
        "received": utc_text(record.received_ns, "milliseconds"),
    }
    if event.device is not None:
        content["device"] = event.device
    if event.key is not None:
        content["key"] = event.key
    if event.error is None:
        content["event"] = Raw(one_line(event.body))
    else:
        content["error"] = event.error
        content["raw"] = readable(event.raw or event.body)
    return _encode(content)
