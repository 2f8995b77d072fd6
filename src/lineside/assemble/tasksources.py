"""The sources that tasks fill, as the composition root puts them together."""

from __future__ import annotations

from collections.abc import Mapping

from lineside.assemble.settings import Settings
from lineside.assemble.translation import decoder_of
from lineside.journal.watched import WatchedJournal
from lineside.operations.results import SourceStatus
from lineside.tasks.sources import TaskSource, TaskSources


def task_sources(settings: Settings, journals: Mapping[str, WatchedJournal]) -> TaskSources:
    """Return what tasks append to.

    Args:
        settings: of the whole gateway.
        journals: by source, where its events go.

    """
    return TaskSources(
        {name: TaskSource(journals[name], decoder_of(source)) for name, source in settings.filled.items()},
        settings.sources.keys() - settings.filled.keys(),
    )


def status_of(sources: TaskSources) -> list[SourceStatus]:
    """Return what is told of them."""
    return [SourceStatus(name, "tasks", 0, received, 0) for name, received in sources.received.items()]
