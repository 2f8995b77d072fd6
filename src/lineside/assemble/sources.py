"""One source of lines with all that it rests on."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING, Any

from lineside.assemble.edges import source_part
from lineside.assemble.linessettings import LinesSourceSettings
from lineside.assemble.settings import StreamSettings
from lineside.assemble.sshcommandsettings import SshCommandSettings
from lineside.assemble.translation import decoder_of, limits_of
from lineside.edges.lines.commands import ConnectedLines
from lineside.edges.lines.intake import Intake
from lineside.edges.lines.patience import PatientJournal
from lineside.operations.devicelines import CommandRules
from lineside.operations.results import SourceStatus

if TYPE_CHECKING:
    from lineside.journal.log import SqliteJournal
    from lineside.journal.watched import WatchedJournal
    from lineside.security.renewal import Certificates
    from lineside.store.database import Database


class WayIn:
    """One source with what it rests on.

    Args:
        reactor: its timers must follow a monotonic clock.
        name: the source's.
        settings: as they were checked.
        journal: where the events go.
        random: for the delays between two attempts to dial.
        certificates: those that are shown, where the source has TLS.
        database: the journal's, for who stores there how far it came.

    """

    def __init__(
        self,
        reactor: Any,
        name: str,
        settings: StreamSettings,
        journal: WatchedJournal | SqliteJournal,
        random: Random,
        certificates: Certificates | None = None,
        database: Database | None = None,
    ) -> None:
        again = settings.ack or (isinstance(settings, SshCommandSettings) and settings.follow is not None)
        self.patience = None if again else PatientJournal(name, journal, reactor)
        """Keeps what the disk refuses, where nobody can be told; None where it is sent, or found, again."""
        way = settings if isinstance(settings, LinesSourceSettings) else None
        self.dials = way is None or way.dial is not None
        self.takes_connections = way is not None and not self.dials and not way.datagrams
        intake = Intake(name, decoder_of(settings), self.patience or journal, reactor, limits_of(settings))
        self.commands: ConnectedLines | None = None
        """Its devices, where they can be sent commands."""
        if settings.commands is not None:
            rules = CommandRules(settings.commands.expires, settings.commands.queue)
            named = settings.device is not None
            self.commands = ConnectedLines(name, rules, named=named, may_say=intake.may_say)
        intake.commands = self.commands
        intake.own_device_only = way is not None and way.own_device_only
        self.source = source_part(reactor, settings, intake, random, certificates, journal, database)

    @property
    def status(self) -> SourceStatus:
        """What is told of it."""
        source, intake = self.source, self.source.intake
        waits = None if self.patience is None else self.patience.problem
        return SourceStatus(
            source.id,
            source.address,
            len(intake.sessions) if self.dials or self.takes_connections else 0,
            intake.received,
            intake.undecodable,
            problem="; ".join(filter(None, (source.problem, waits))) or None,
        )
