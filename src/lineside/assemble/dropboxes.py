"""Drop boxes as the composition root puts them together: one for each user of a source."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from functools import partial
from random import Random
from typing import Any

from lineside.assemble.dropboxsettings import SftpSourceSettings
from lineside.assemble.files import FileSource
from lineside.assemble.parts import JournalPart
from lineside.assemble.settings import Settings
from lineside.edges.files.intake import Places
from lineside.edges.ssh.dropbox.box import DropBox, Limits
from lineside.edges.ssh.dropbox.protocol import DropBoxProtocol
from lineside.edges.ssh.dropbox.threads import Threads
from lineside.edges.ssh.logins import Visitor
from lineside.journal.consumer import DurableConsumer
from lineside.journal.watched import WatchedJournal
from lineside.model.ports import Part
from lineside.operations.results import SourceStatus
from lineside.security.audit import Act

NOWHERE = Places(None, None)
"""Of users that are no more."""


class DropBoxSource:
    """One source with the boxes of its users."""

    def __init__(
        self,
        reactor: Any,
        name: str,
        settings: SftpSourceSettings,
        users: list[str],
        store: JournalPart,
        journal: WatchedJournal,
        consumers: Mapping[str, DurableConsumer],
        random: Random,
        threads: Threads,
        record: Callable[[Act], None],
    ) -> None:
        self.id = name
        self.address = f"sftp {settings.folder}"
        roots = {user: settings.folder / user for user in users}
        places = {user: Places(root / "outbox", root / "archive") for user, root in roots.items()}
        self.files = FileSource(
            reactor,
            name,
            settings,
            store,
            journal,
            consumers,
            lambda user: places.get(user, NOWHERE),
            settings.folder / ".spool",
            random,
        )
        limits = Limits(
            quota=settings.quota,
            largest=settings.largest,
            rate=settings.rate,
            min_free=settings.min_free,
            partial_after=settings.resumable,
            archive_for=settings.keep,
        )
        self.boxes = {
            user: DropBox(
                user,
                root,
                self.files.intake,
                limits,
                reactor,
                random,
                time.time,
                threads=threads,
                record=record,
            )
            for user, root in roots.items()
        }
        self._reactor = reactor

    def serve(self, visitor: Visitor) -> DropBoxProtocol:
        """Return the protocol of a session."""
        return DropBoxProtocol(self.boxes[visitor.user.name], visitor.where, self._reactor)

    @property
    def status(self) -> SourceStatus:
        """What is told of it."""
        problems = [box.problem for box in self.boxes.values() if box.problem is not None]
        return self.files.status(self.address, problems[0] if problems else None)


class DropBoxes:
    """The drop boxes of a gateway."""

    def __init__(
        self,
        reactor: Any,
        settings: Settings,
        store: JournalPart,
        journals: Mapping[str, WatchedJournal],
        consumers: Mapping[str, DurableConsumer],
        random: Random,
        record: Callable[[Act], None],
    ) -> None:
        self._threads = Threads(reactor.callFromThread)
        users = {} if settings.ssh is None else settings.ssh.users
        self.sources = [
            DropBoxSource(
                reactor,
                name,
                table,
                [user for user, each in users.items() if each.source == name],
                store,
                journals[name],
                consumers,
                random,
                self._threads,
                record,
            )
            for name, table in settings.drop_boxes.items()
        ]

    @property
    def stages(self) -> list[list[Part]]:
        """What has to be there before anybody comes in by SSH, in its order."""
        return [
            [self._threads, *(source.files.answers for source in self.sources)],
            [source.files.intake for source in self.sources],
            [box for source in self.sources for box in source.boxes.values()],
        ]

    @property
    def served(self) -> dict[str, Callable[[Visitor], DropBoxProtocol]]:
        """What the SSH server asks for a session's protocol, by source."""
        return {source.id: partial(DropBoxSource.serve, source) for source in self.sources}

    @property
    def status(self) -> list[SourceStatus]:
        """What is told of them."""
        return [source.status for source in self.sources]
