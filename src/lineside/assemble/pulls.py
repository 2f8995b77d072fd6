"""A partner's folder from which files are fetched, with all that it rests on."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from random import Random
from typing import Any

from twisted.logger import Logger

from lineside.assemble.files import FileSource
from lineside.assemble.hosts import host_endpoint, visit_of
from lineside.assemble.parts import JournalPart
from lineside.assemble.pullsettings import SftpPullSettings
from lineside.edges.files.aside import Aside
from lineside.edges.files.intake import Places
from lineside.edges.ssh.client.pull import Pulled, SftpPull
from lineside.journal.consumer import DurableConsumer
from lineside.journal.watched import WatchedJournal
from lineside.operations.results import SourceStatus

log = Logger()


class PullSource:
    """One partner's folder."""

    def __init__(
        self,
        reactor: Any,
        name: str,
        settings: SftpPullSettings,
        store: JournalPart,
        journal: WatchedJournal,
        consumers: Mapping[str, DurableConsumer],
        random: Random,
    ) -> None:
        own = settings.path
        places = Places(own / "outbox", own / "archive")
        self.id = name
        self.address = f"sftp://{settings.user}@{settings.address.host}:{settings.address.port}/{settings.folder}"
        self._legacy = settings.legacy
        self.files = FileSource(
            reactor, name, settings, store, journal, consumers, lambda _: places, own / ".spool", random
        )
        self.part = SftpPull(
            name,
            host_endpoint(reactor, settings),
            partial(visit_of, settings),
            pulled_of(settings),
            settings.sender or name,
            (settings.spool or own) / ".fetching",
            self.files.intake,
            reactor,
            every=settings.every,
            connecting=settings.address.timeout,
            aside=Aside(f"sftp-{name}", reactor.callFromThread),
        )

    @property
    def status(self) -> SourceStatus:
        """What is told of it."""
        return self.files.status(self.address, self.part.problem)

    def announce(self) -> None:
        """Say in the log where it looks, and that it agrees to weak algorithms if it does."""
        if self._legacy:
            log.warn(
                "pull.legacy",
                source=self.id,
                address=self.address,
                remedy="let the host be updated, and remove legacy = true; until then keep its network apart",
            )
        log.info("source.pulling", source=self.id, address=self.address)


def pulled_of(settings: SftpPullSettings) -> Pulled:
    """Return what is fetched."""
    done = settings.done or f"{settings.folder.rstrip('/')}/done"
    return Pulled(
        settings.folder.encode(),
        settings.pattern,
        settings.then,
        done.encode(),
        settings.max_file,
        settings.settled,
    )
