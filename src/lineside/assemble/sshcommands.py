"""From the settings of a command on a host to the part that reads it."""

from __future__ import annotations

from functools import partial
from random import Random
from typing import Any

from twisted.logger import Logger

from lineside.assemble.hosts import host_endpoint, visiting
from lineside.assemble.sshcommandsettings import SshCommandSettings
from lineside.assemble.translation import framing_of
from lineside.edges.lines.dialled import DialledSource
from lineside.edges.lines.framed import connections
from lineside.edges.lines.intake import Intake
from lineside.edges.lines.polling import Poll
from lineside.edges.ssh.client.command import CommandEndpoint
from lineside.edges.ssh.client.follow import Followed, FollowedFile, Ledger
from lineside.store.database import Database
from lineside.wire.framing import Delimited

log = Logger()


def ssh_command_source(
    reactor: Any,
    settings: SshCommandSettings,
    intake: Intake,
    random: Random,
    ledger: Ledger,
    database: Database | None,
) -> DialledSource | FollowedSource:
    """Return the part that runs a command on a host, again and again, or follows a file there."""
    if settings.legacy:
        log.warn(
            "command.legacy",
            source=intake.id,
            address=settings.place,
            remedy="let the host be updated, and remove legacy = true; until then keep its network apart",
        )
    if settings.follow is not None:
        assert database is not None
        return _followed_source(reactor, settings, settings.follow, intake, random, ledger, database)
    poll = settings.poll
    endpoint = command_endpoint(reactor, intake.id, settings)
    return DialledSource(
        endpoint,
        settings.place,
        intake,
        random,
        timeout=endpoint.patience,
        poll=None if poll is None else Poll(poll.send, poll.every, poll.timeout),
        connection=connections(framing_of(settings)),
    )


def command_endpoint(reactor: Any, name: str, settings: SshCommandSettings) -> CommandEndpoint:
    """Return what goes to a source's host, and runs its command."""
    assert settings.command is not None
    return CommandEndpoint(
        name,
        host_endpoint(reactor, settings),
        visiting(reactor, settings),
        settings.command.encode(),
        reactor,
        connecting=settings.address.timeout,
    )


class FollowedSource:
    """A followed file as a source of lines among others."""

    def __init__(self, intake: Intake, file: FollowedFile) -> None:
        self.id = file.id
        self.name = file.name
        self.address = file.address
        self.intake = intake
        self.start = file.start
        self.stop = file.stop
        self._file = file

    @property
    def problem(self) -> str | None:
        """What hinders it, in a line."""
        return self._file.problem


def _followed_source(
    reactor: Any,
    settings: SshCommandSettings,
    path: str,
    intake: Intake,
    random: Random,
    ledger: Ledger,
    database: Database,
) -> FollowedSource:
    limits = intake.limits
    followed = Followed(
        path,
        settings.rotated or f"{path}.1",
        settings.address.host,
        framing_of(settings) or partial(Delimited, b"\n", limits.max_line, limits.max_kept),
        settings.every,
        settings.begin,
    )
    file = FollowedFile(
        intake.id,
        host_endpoint(reactor, settings),
        visiting(reactor, settings),
        followed,
        intake,
        ledger,
        database,
        reactor,
        random,
        address=settings.place,
        connecting=settings.address.timeout,
    )
    return FollowedSource(intake, file)
