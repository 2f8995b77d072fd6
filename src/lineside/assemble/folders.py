"""A folder that is a source, with all that it rests on."""

from __future__ import annotations

from collections.abc import Mapping
from random import Random
from typing import Any

from twisted.logger import Logger

from lineside.assemble.files import FileSource
from lineside.assemble.filesettings import FolderSourceSettings
from lineside.assemble.parts import JournalPart
from lineside.edges.files.aside import Aside
from lineside.edges.files.folder import Folder, Watched
from lineside.edges.files.intake import Places
from lineside.journal.consumer import DurableConsumer
from lineside.journal.watched import WatchedJournal
from lineside.operations.results import SourceStatus

log = Logger()


class FolderSource:
    """One folder with what it rests on."""

    def __init__(
        self,
        reactor: Any,
        name: str,
        settings: FolderSourceSettings,
        store: JournalPart,
        journal: WatchedJournal,
        consumers: Mapping[str, DurableConsumer],
        random: Random,
    ) -> None:
        folder = settings.path
        places = Places(settings.outbox or folder / "outbox", settings.archive or folder / "archive")
        self.id = name
        self.address = str(folder)
        self.files = FileSource(
            reactor, name, settings, store, journal, consumers, lambda _: places, folder / ".spool", random
        )
        self.part = Folder(
            name,
            Watched(folder, settings.pattern, settings.done or ""),
            settings.sender or name,
            self.files.intake,
            reactor,
            every=settings.every,
            aside=Aside(f"folder-{name}", reactor.callFromThread),
        )

    @property
    def status(self) -> SourceStatus:
        """What is told of it."""
        return self.files.status(self.address, self.part.problem)

    def announce(self) -> None:
        """Say in the log that it is watched."""
        log.info("source.watching", source=self.id, address=self.address)
