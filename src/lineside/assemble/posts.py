"""The sources of a configuration to which programs post events."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import Struct

from lineside.assemble.httpsettings import HttpSourceSettings
from lineside.assemble.parts import JournalPart
from lineside.assemble.settings import Settings
from lineside.edges.http.commits import Commits
from lineside.edges.http.ingest import Ingest, IngestLimits, unknown_source
from lineside.journal.watched import WatchedJournal
from lineside.model.errors import LinesideError
from lineside.model.wording import did_you_mean
from lineside.operations.results import SourceStatus
from lineside.operations.web import JSON, Call, Endpoint
from lineside.security.identity import Identity
from lineside.wire.jsonl import JsonLines


class AppendEvents(Struct, forbid_unknown_fields=True):
    """The data of the live call ``events.append``."""

    source: str
    events: list[Any]
    """Objects; what is none is kept as a dead letter."""
    key: str | None = None
    """As the header ``Idempotency-Key``: the same for each repeat of the same call."""


class Posts:
    """All that take events over HTTP.

    Args:
        reactor: its timers must follow a monotonic clock.
        settings: of the whole gateway.
        store: the journal.
        journals: by source, where its events go.

    """

    def __init__(
        self, reactor: Any, settings: Settings, store: JournalPart, journals: Mapping[str, WatchedJournal]
    ) -> None:
        self._sources = settings.sources
        self._posts = settings.posts
        self._ingests = [
            _ingest(reactor, name, source, store, journals[name]) for name, source in self._posts.items()
        ]
        self.endpoints: list[Endpoint] = [
            *(ingest.endpoint() for ingest in self._ingests),
            unknown_source(self._why_not),
        ]

    @property
    def status(self) -> list[SourceStatus]:
        """What is told of them."""
        return [
            SourceStatus(
                ingest.id,
                f"POST {ingest.path}",
                ingest.under_way,
                ingest.commits.received,
                ingest.commits.undecodable,
                problem=ingest.commits.problem,
            )
            for ingest in self._ingests
        ]

    async def append(self, data: Any, identity: Identity) -> Any:
        """Take events as a live call brings them; see `AppendEvents`.

        Returns:
            What ``POST /api/v1/events/SOURCE`` answers.

        Raises:
            LinesideError: as there.

        """
        asked = msgspec.convert(data, AppendEvents)
        ingest = next((each for each in self._ingests if each.id == asked.source), None)
        if ingest is None:
            raise LinesideError(self._why_not(asked.source))
        headers = {"content-type": JSON} | ({} if asked.key is None else {"idempotency-key": asked.key})
        answer = await ingest.answer(Call(identity, {}, {}, headers, msgspec.json.encode(asked.events)))
        assert isinstance(answer.body, bytes)
        return msgspec.json.decode(answer.body)

    def _why_not(self, name: str) -> str:
        if name in self._sources:
            return f"the source {name} is of another type, and takes nothing over HTTP"
        return f'there is no source "{name}"{did_you_mean(name, self._posts)}'


def _ingest(
    reactor: Any, name: str, settings: HttpSourceSettings, store: JournalPart, journal: WatchedJournal
) -> Ingest:
    commits = Commits(name, journal, store.journal)
    commits.on_batch = journal.came
    limits = IngestLimits(settings.max_event, settings.max_events, settings.max_body, settings.max_requests)
    decoder = JsonLines(settings.dedupe, settings.device)
    return Ingest(name, decoder, commits, reactor, limits, anonymous=settings.anonymous)
