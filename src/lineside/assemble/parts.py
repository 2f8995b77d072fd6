"""The journal as the composition root puts it together: the part that holds its file, and its consumers."""

from __future__ import annotations

from typing import Any

from lineside.assemble.journalsettings import JournalSettings
from lineside.journal.consumer import DurableConsumer
from lineside.journal.deadletters import DeadLetter
from lineside.journal.files import FILES
from lineside.journal.log import SqliteJournal
from lineside.journal.polls import POLLS
from lineside.journal.tables import JOURNAL
from lineside.model.ports import ConsumerSpec
from lineside.operations.auditlog import AUDIT
from lineside.operations.commandlog import COMMANDS
from lineside.operations.pauses import PAUSES
from lineside.operations.sessions import SESSIONS
from lineside.operations.silence import DEVICES
from lineside.operations.tokens import TOKENS
from lineside.store.database import Database
from lineside.tasks.tables import TASKS


class JournalPart:
    """The `Part` that holds the journal's file."""

    name = "journal"

    def __init__(self, reactor: Any, settings: JournalSettings) -> None:
        components = (JOURNAL, DEVICES, TOKENS, PAUSES, POLLS, COMMANDS, TASKS, AUDIT, SESSIONS, FILES)
        self.database = Database(settings.path, components, reactor.callFromThread)
        self.journal = SqliteJournal(self.database, dedupe_window=settings.dedupe_window)
        self._reactor = reactor

    async def start(self) -> None:
        """Open the journal.

        Raises:
            JournalLocked: another process holds it.
            JournalUnusable: it cannot be opened or is damaged. Nothing of it stays open.

        """
        await self.database.open()
        try:
            await self.journal.open()
        except BaseException:
            await self.database.close()
            raise

    def consumer(self, spec: ConsumerSpec) -> DurableConsumer:
        """Return a durable consumer of the journal, not opened yet."""
        return DurableConsumer(spec, self.journal, self.database, self._reactor)

    async def stop(self) -> None:
        """Close the journal after its last commit."""
        await self.database.close()


class Dormant:
    """A consumer that is opened when a dead letter is to be handed out again, and not before."""

    def __init__(self, consumer: DurableConsumer) -> None:
        self.spec = consumer.spec
        self._consumer = consumer
        self._open = False

    async def readmit(self, letter: DeadLetter) -> bool:
        """Let the route deliver a dead letter once the gateway runs."""
        if not self._open:
            await self._consumer.open()
            self._open = True
        return await self._consumer.readmit(letter)

    async def close(self) -> None:
        """Close it if it was opened."""
        if self._open:
            await self._consumer.close()
