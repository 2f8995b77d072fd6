"""The built-in task ``erp-poll``: documents that were changed become events, each change once."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from random import Random
from time import time
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo

from msgspec import Meta, Struct
from twisted.internet.defer import DeferredLock

from lineside.delivery.backoff import Backoff
from lineside.delivery.gate import Gate
from lineside.edges.frappe.changedrows import ChangedRows, Unlisted
from lineside.edges.frappe.client import FrappeClient
from lineside.edges.frappe.newchanges import NewChanges
from lineside.store.database import Database
from lineside.tasks.context import Context
from lineside.tasks.erp import ErpRefused
from lineside.tasks.sources import Filling, TaskSources

AWAY = Backoff((1.0, 2.0, 5.0, 15.0, 30.0, 60.0), jitter=0.2)
"""Seconds between two attempts while the site does not answer."""
PAUSE = 1.0
"""Seconds between two looks whether a person has let the target go on."""

FieldName = Annotated[str, Meta(pattern="^[a-z][a-z0-9_]{0,139}$")]


class ErpPollParams(Struct, frozen=True, forbid_unknown_fields=True):
    """What ``erp-poll`` is told."""

    doctype: Annotated[str, Meta(min_length=1, max_length=140)]
    """Whose documents."""
    into: str
    """The source that gets the events; of the type ``tasks``."""
    fields: tuple[FieldName, ...] = ()
    """What an event has beside ``name``, ``modified`` and ``docstatus``."""
    filters: tuple[tuple[str, str, Any], ...] = ()
    """Which documents, such as ``[["status", "=", "Open"]]``."""
    overlap: Annotated[float, Meta(gt=0, le=86_400)] = 300.0
    """Seconds by which each look goes back, for documents whose transaction was committed late."""
    batch: Annotated[int, Meta(ge=1, le=1_000)] = 200
    """Documents that are read, and stored, at a time."""
    begin: Literal["all", "new"] = "new"
    """Where it begins that was never there before: with all documents, or with changes to come."""


class Found(Struct, frozen=True):
    """What a run found."""

    events: int
    """That are new."""


class ErpPoll:
    """Looks for changes, once a run.

    How far it has come is stored for each task, source and DocType in the transaction that stores the events: a run
    that is killed, cancelled or fails at any moment loses no change, and the next one makes no second event of any.

    Args:
        client: for the site.
        gate: the target's.
        sources: which get the events.
        database: the journal's, with the tables `lineside.journal.polls.POLLS`.
        random: for delays.
        now: the wall clock, for stamps of the future only.

    """

    def __init__(
        self,
        client: FrappeClient,
        gate: Gate,
        sources: TaskSources,
        database: Database,
        random: Random,
        now: Callable[[], float] = time,
    ) -> None:
        self._client = client
        self._gate = gate
        self._sources = sources
        self._database = database
        self._random = random
        self._now = now
        self._looking: defaultdict[str, DeferredLock] = defaultdict(DeferredLock)

    async def run(self, context: Context[ErpPollParams]) -> Found:
        """Take all that is new; while the site is away wait for it.

        Raises:
            NoSource: there is no source to take the events.
            ErpRefused: the site does not list what is asked for; the text says what to do.

        """
        asked = context.params
        place = f"task:{context.task}:{asked.into}:{asked.doctype}"
        changes = NewChanges(
            place,
            asked.into,
            ChangedRows(self._client, asked.doctype, asked.fields, asked.filters),
            Filling(self._sources),
            self._database,
            address=self._gate.name,
            overlap=asked.overlap,
            batch=asked.batch,
            begin=asked.begin,
            decoder=self._sources.way(asked.into).decoder,
            now=self._now,
        )
        changes.on_batch = lambda batch, _: context.progress(changes.received + len(batch))
        # Two at a time would find the same.
        lock = self._looking[place]
        await lock.acquire()
        try:
            await self._look_until_done(changes, context)
        finally:
            lock.release()
        return Found(changes.received)

    async def _look_until_done(self, changes: NewChanges, context: Context[ErpPollParams]) -> None:
        failures = 0
        while True:
            zone = ZoneInfo((await self._gate.passed()).time_zone)
            if self._gate.paused:
                await context.sleep(PAUSE)
                continue
            try:
                await changes.look(zone)
            except Unlisted as unlisted:
                if not unlisted.passing:
                    raise ErpRefused(str(unlisted)) from unlisted
                failures += 1
                context.progress(changes.received, message=f"waits for the site: {unlisted.reason}")
                rest = AWAY.delay(failures, self._random) if unlisted.after is None else unlisted.after
                await context.sleep(max(rest, AWAY.steps[0]))
            else:
                return
