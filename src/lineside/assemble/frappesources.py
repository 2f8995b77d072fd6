"""Frappe sites as sources: webhooks that are taken, and polls that find what no webhook brought."""

from __future__ import annotations

from collections.abc import Mapping
from random import Random
from typing import Any

from lineside.assemble.edges import TargetPart
from lineside.assemble.frappesettings import FrappeSourceSettings
from lineside.assemble.frappesites import FrappePart
from lineside.assemble.parts import JournalPart
from lineside.assemble.settings import Settings
from lineside.delivery.gate import Gate
from lineside.edges.frappe.changedrows import ChangedRows
from lineside.edges.frappe.hooks import HookIntake
from lineside.edges.frappe.newchanges import NewChanges
from lineside.edges.frappe.poll import FrappePoll
from lineside.edges.frappe.webhook import WebhookFormat
from lineside.journal import polls
from lineside.journal.watched import WatchedJournal
from lineside.model.ports import Part
from lineside.operations.results import SourceStatus
from lineside.operations.web import Endpoint
from lineside.store.database import Database
from lineside.wire.jsonl import JsonLines


class FrappeSource:
    """One source with what it rests on."""

    def __init__(
        self,
        reactor: Any,
        name: str,
        settings: Settings,
        journal: WatchedJournal,
        database: Database,
        poll: FrappePoll | None,
    ) -> None:
        table = settings.sources[name]
        assert isinstance(table, FrappeSourceSettings)
        self.id = name
        self.poll = poll
        self.hooks = None
        if table.takes_hooks:
            self.hooks = HookIntake(
                name,
                WebhookFormat(table.doctype, table.device),
                journal,
                reactor,
                secret=None if table.secret is None else table.secret.reveal(),
                fields=() if table.poll is None else table.poll.fields,
                poll=None if poll is None else poll.changes,
            )
            self.hooks.on_batch = journal.came
        if poll is not None:
            poll.changes.on_batch = journal.came
        ways = [
            *([] if self.hooks is None else [f"POST {self.hooks.path}"]),
            *([] if poll is None else [f"{table.doctype} at {settings.sites[settings.polled_by(table)].url}"]),
        ]
        self.address = ", ".join(ways)
        self.part: Part = poll or Unpolled(name, database)

    @property
    def status(self) -> SourceStatus:
        """What is told of it."""
        hooks, poll = self.hooks, self.poll
        return SourceStatus(
            self.id,
            self.address,
            0,
            (0 if hooks is None else hooks.received) + (0 if poll is None else poll.changes.received),
            0 if hooks is None else hooks.undecodable,
            problem=None if poll is None else poll.problem,
        )


class Unpolled:
    """The `Part` of a source that has no poll: were it to get one again, that would begin anew."""

    def __init__(self, source: str, database: Database) -> None:
        self.name = f"source {source}"
        self._source = source
        self._database = database

    async def start(self) -> None:
        """Forget how far a poll had come: nobody took note of what webhooks brought since."""
        await self._database.write(lambda connection: polls.forget(connection, self._source))

    async def stop(self) -> None:
        """Nothing runs."""


class FrappeSources:
    """The Frappe sites that are sources.

    Args:
        reactor: its timers must follow a monotonic clock.
        settings: of the whole gateway.
        store: the journal.
        journals: by source, where its events go.
        targets: by name; those that are polled are asked through their own client.
        gates: by target.
        random: for delays.

    """

    def __init__(
        self,
        reactor: Any,
        settings: Settings,
        store: JournalPart,
        journals: Mapping[str, WatchedJournal],
        targets: Mapping[str, TargetPart],
        gates: Mapping[str, Gate],
        random: Random,
    ) -> None:
        def poll(name: str, table: FrappeSourceSettings) -> FrappePoll | None:
            if table.poll is None:
                return None
            target = settings.polled_by(table)
            part = targets[target]
            assert isinstance(part, FrappePart)
            changes = NewChanges(
                name,
                name,
                ChangedRows(part.client, table.doctype, table.poll.fields, table.poll.filters),
                journals[name],
                store.database,
                address=target,
                overlap=table.poll.overlap,
                batch=table.poll.batch,
                begin=table.poll.begin,
                decoder=JsonLines(None, table.device),
            )
            return FrappePoll(name, changes, gates[target], reactor, random, every=table.poll.every)

        self.sources = [
            FrappeSource(reactor, name, settings, journals[name], store.database, poll(name, table))
            for name, table in settings.hooks.items()
        ]
        self.endpoints: list[Endpoint] = [
            source.hooks.endpoint for source in self.sources if source.hooks is not None
        ]
        """Where webhooks are posted."""
        self.parts: list[Part] = [source.part for source in self.sources]

    @property
    def status(self) -> list[SourceStatus]:
        """What is told of them."""
        return [source.status for source in self.sources]
