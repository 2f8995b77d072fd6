"""The journal as tasks add to it: documents become events of a source."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from sqlite3 import Connection
from typing import Any

import msgspec
from msgspec import Struct
from twisted.internet.defer import CancelledError, Deferred

from lineside.journal.watched import WatchedJournal
from lineside.model.batch import Batch
from lineside.model.errors import LinesideError
from lineside.model.event import Event, Receipt
from lineside.model.wording import did_you_mean
from lineside.wire.decoding import Decoder

TOGETHER = 1_000
"""Events that are stored in one transaction."""
LARGEST = 16_777_216
"""Bytes of one event."""


class NoSource(LinesideError):
    """Tasks add no events to what was named."""


class TaskSource(Struct, frozen=True):
    """One source that tasks fill."""

    journal: WatchedJournal
    decoder: Decoder
    """Knows the fields of the sender's key and of the device."""


class TaskSources:
    """What `lineside.tasks.context.Appending` promises.

    Args:
        sources: of the type ``tasks``, by name.
        others: names of sources of other types.

    """

    def __init__(self, sources: Mapping[str, TaskSource], others: Collection[str] = ()) -> None:
        self._sources = sources
        self._others = others
        self.received = dict.fromkeys(sources, 0)
        """By source, the events that are new since the start."""

    async def append(
        self,
        source: str,
        documents: Sequence[Mapping[str, Any]],
        *,
        keys: Sequence[str | None] | None = None,
    ) -> list[Receipt]:
        """Store documents as events; see `lineside.tasks.context.Appending.append`."""
        way = self.way(source)
        if keys is not None and len(keys) != len(documents):
            raise ValueError(f"{len(documents)} documents and {len(keys)} keys: give one for each, or none")
        # All of them before any is stored, so that a bad one leaves nothing half done.
        events = list(_events(way.decoder, documents, keys))
        receipts: list[Receipt] = []
        for start in range(0, len(events), TOGETHER):
            receipts += await self.store(source, events[start : start + TOGETHER])
        return receipts

    async def store(
        self, source: str, events: list[Event], also: Callable[[Connection], None] | None = None
    ) -> list[Receipt]:
        """Store events of a source of ours, and ``also``, in one transaction.

        Raises:
            NoSource: as `append`.
            JournalFull: as there.

        """
        journal = self.way(source).journal
        if events:
            journal.came(Batch.of(events), [("task", len(events))])
        receipts = await journal.append(source, events, also=also)
        self.received[source] += sum(not receipt.repeated for receipt in receipts)
        return receipts

    def way(self, source: str) -> TaskSource:
        """Return a source of ours.

        Raises:
            NoSource: there is none of the name.

        """
        if source in self._sources:
            return self._sources[source]
        if source in self._others:
            raise NoSource(f'the source {source} is of another type: tasks add to sources with type = "tasks"')
        hint = did_you_mean(source, self._sources) if self._sources else '; add one with type = "tasks"'
        raise NoSource(f'there is no source "{source}"{hint}')


class Filling:
    """The journal for what finds events by itself and keeps its place in the same transaction."""

    def __init__(self, sources: TaskSources) -> None:
        self._sources = sources

    async def append(
        self, source: str, events: list[Event], *, also: Callable[[Connection], None] | None
    ) -> list[Receipt]:
        """Store events, and ``also``; see `TaskSources.store`.

        It is not left before they are stored or refused, also where it is cancelled: a next run that looked in
        between would not see them, and bring them once more.

        Raises:
            CancelledError: it was cancelled, and has come to its end.

        """
        ended = _Patient()
        Deferred.fromCoroutine(self._sources.store(source, events, also)).addBoth(ended.callback)
        receipts = await ended
        if ended.cancelled:
            raise CancelledError
        return receipts


class _Patient(Deferred[list[Receipt]]):
    """A Deferred that remembers that it was cancelled, and fires when it does."""

    cancelled = False

    def cancel(self) -> None:
        self.cancelled = True


def _events(
    decoder: Decoder, documents: Sequence[Mapping[str, Any]], keys: Sequence[str | None] | None
) -> Iterator[Event]:
    for place, document in enumerate(documents):
        try:
            # A NaN would be stored as null, and nobody would know.
            text = json.dumps(msgspec.to_builtins(dict(document)), allow_nan=False, ensure_ascii=False).encode()
        except (TypeError, ValueError, RecursionError) as wrong:
            raise ValueError(f"document {place + 1} is no JSON object: {wrong}") from wrong
        if len(text) > LARGEST:
            raise ValueError(f"document {place + 1} has {len(text)} bytes; an event has {LARGEST} at most")
        event = decoder.decode(text)
        if event.error is not None:
            raise ValueError(f"document {place + 1} is no event: {event.error}")
        key = None if keys is None else keys[place]
        yield event if key is None else msgspec.structs.replace(event, key=key)
