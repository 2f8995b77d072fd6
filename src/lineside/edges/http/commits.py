"""One source's events on their way from requests to the disk, and what their senders may be told of it."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import Protocol
from weakref import WeakValueDictionary

import msgspec
from msgspec import Struct
from twisted.internet.defer import CancelledError, Deferred, DeferredLock
from twisted.logger import Logger
from twisted.python.failure import Failure

from lineside.model.batch import Batch, Receipts
from lineside.model.errors import CommitInDoubt, JournalClosed, JournalFull, JournalUnusable
from lineside.model.event import Event, Record, Seq
from lineside.model.ports import Journal
from lineside.operations.web import Problem

log = Logger()

RETRY_AFTER = {"Retry-After": "5"}


class Sender(Struct, frozen=True):
    """Who sent a request."""

    name: str
    """The device, where an event itself does not say."""
    peer: str
    """Its address."""
    key: str | None
    """The request's ``Idempotency-Key``."""


class Stored(Protocol):
    """What the journal tells of events that it has."""

    async def get(self, seqs: list[Seq]) -> dict[Seq, Record]:
        """Return those of the records that are still kept."""
        ...

    async def known(self, source: str, keys: list[str | None]) -> dict[int, Seq]:
        """Return by their place the sequences of those keys that are known."""
        ...


class Commits:
    """Stores one source's events.

    Args:
        source: its name.
        journal: where they go.
        stored: what is there already.

    """

    def __init__(self, source: str, journal: Journal, stored: Stored) -> None:
        self.received = 0
        self.undecodable = 0
        self.problem: str | None = None
        """Why the last events could not be stored, in a line."""
        self.on_batch: Callable[[Batch, list[tuple[str, int]]], None] | None = None
        """Called with each batch before it is stored."""
        self._source = source
        self._journal = journal
        self._stored = stored
        self._turns: WeakValueDictionary[str, DeferredLock] = WeakValueDictionary()
        """By the keys of the requests under way."""

    async def store(self, batch: Batch, sender: Sender, before: int, *, last: bool) -> Receipts:
        """Store events; return when they are on disk, also where the request is cancelled meanwhile.

        Args:
            batch: the caller's own: what has no key in it gets one from the sender's.
            sender: who sent it.
            before: how many items of the request came before.
            last: nothing more of the request is to come. Otherwise a cancellation is raised afterwards.

        Raises:
            Problem: nothing is stored (503), nobody knows (500), or the sender's key came with other items (409)
                and nothing is stored either.
                ``stored`` tells how many items of the request, from the first on, are on disk.

        """
        if sender.key is None:
            return await self._store(batch, sender, before, last=last)
        # What is compared must be what is stored next.
        turn = self._turns.setdefault(sender.key, DeferredLock())
        async with turn:
            return await self._store(batch, sender, before, last=last)

    async def _store(self, batch: Batch, sender: Sender, before: int, *, last: bool) -> Receipts:
        keyed = [] if sender.key is None else _give_keys(batch, sender.key, before)
        compared: set[int] = set()
        if keyed and len(batch) > 1:
            # Before it is stored: what is new in it would come again with another key, and be there twice.
            compared = await self._compare_known(batch, keyed, before)
        if self.on_batch is not None:
            self.on_batch(batch, [(sender.peer, len(batch))])
        receipts = await self._commit(batch, before, last=last)
        self.received += receipts.count
        self.undecodable += len(receipts.errors)
        if receipts.repeats:
            places = [place for place in keyed if place in receipts.repeats and place not in compared]
            known = {place: receipts.repeats[place] for place in places}
            await self._compare(batch, known, before)
        return receipts

    async def _commit(self, batch: Batch, before: int, *, last: bool) -> Receipts:
        told = Deferred.fromCoroutine(self._journal.append_batches(self._source, [batch]))
        cancelled = False
        while not told.called:
            waiting: Deferred[None] = Deferred()
            told.addBoth(_wake, waiting)
            try:
                await waiting
            except CancelledError:
                # The gateway stops, or the client left: the commit goes on, and who is answered hears the truth.
                cancelled = True
        try:
            [receipts] = await told
        except CommitInDoubt as doubt:
            self._fail(doubt)
            raise Problem(
                500,
                "the disk failed in the middle of the commit, and nobody knows whether this is stored. It may be "
                "sent again with the same Idempotency-Key, or where each event has a key of its own",
                stored=before,
            ) from doubt
        except (JournalFull, JournalClosed) as refused:
            # Its own line is in the log.
            raise Problem(503, f"not stored: {refused}", headers=RETRY_AFTER, stored=before) from refused
        except (OSError, sqlite3.Error, JournalUnusable) as failed:
            self._fail(failed)
            raise Problem(
                503, "not stored: the journal cannot write", headers=RETRY_AFTER, stored=before
            ) from failed
        if self.problem is not None:
            self.problem = None
            log.info("journal.writes_again", source=self._source)
        if cancelled and not last:
            raise CancelledError
        return receipts

    def _fail(self, failure: Exception) -> None:
        # Once, not for every request.
        if self.problem is None:
            self.problem = f"cannot store: {failure}"
            log.error(
                "journal.cannot_write",
                source=self._source,
                reason=str(failure),
                remedy=f"{_remedy(failure)}; senders are told to send again",
            )

    async def _compare_known(self, batch: Batch, keyed: list[int], before: int) -> set[int]:
        """Compare what is known before it is stored; return the places that were."""
        try:
            found = await self._stored.known(self._source, batch.keys or [])
            known = {place: found[place] for place in keyed if place in found}
            await self._compare(batch, known, before)
        except (OSError, sqlite3.Error, JournalClosed, JournalUnusable):
            # The commit meets the same, and tells it.
            return set()
        return set(known)

    async def _compare(self, batch: Batch, known: dict[int, Seq], before: int) -> None:
        """Make sure that what the sender's key alone takes for repeats is what came with it the first time."""
        first = await self._stored.get(list(known.values())) if known else {}
        for place, seq in known.items():
            if seq in first and not _same(first[seq].event, batch.event(place)):
                raise Problem(
                    409,
                    f"this Idempotency-Key came with something else before: item {before + place} is not that of "
                    f"event {seq}, and is not stored; use a key of its own for each request",
                    index=before + place,
                    sequence=seq,
                    stored=before,
                )


def _give_keys(batch: Batch, key: str, before: int) -> list[int]:
    """Give a key to each event that has none, and return their places."""
    keys = batch.keys or [None] * len(batch)
    places = [place for place, own in enumerate(keys) if own is None]
    for place in places:
        keys[place] = f"idempotency-key:{key}#{before + place}"
    batch.keys = keys
    return places


def _remedy(failure: Exception) -> str:
    if isinstance(failure, JournalUnusable):
        return "lineside journal check says where it is damaged, lineside journal restore puts a backup back"
    return "free space on the journal's disk or check it"


def _same(one: Event, other: Event) -> bool:
    if one.device != other.device:
        return False
    if one.body == other.body and one.raw == other.raw:
        return True
    if one.error is not None or other.error is not None:
        return False
    return _sorted(one.body) == _sorted(other.body)


def _sorted(body: bytes) -> bytes:
    return msgspec.json.encode(msgspec.json.decode(body), order="sorted")


def _wake(result: list[Receipts] | Failure, waiting: Deferred[None]) -> list[Receipts] | Failure:
    if not waiting.called:
        waiting.callback(None)
    return result
