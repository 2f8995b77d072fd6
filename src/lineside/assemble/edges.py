"""The edges: each is imported when the configuration first names it, and not before.

An edge brings libraries of its own, Frappe's a whole HTTP client, and importing is most of a start. This is the one
place that knows which edge stands for what in the configuration; whoever composes asks here.
"""

# ruff: noqa: PLC0415 (see above)

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from random import Random
from typing import TYPE_CHECKING, Any, Protocol

from lineside.assemble.frappetargetsettings import FrappeTargetSettings
from lineside.assemble.importing import importing
from lineside.assemble.settings import Settings, StreamSettings
from lineside.assemble.sshcommandsettings import SshCommandSettings
from lineside.delivery.budget import Budget
from lineside.edges.lines.intake import Intake
from lineside.model.ports import Part, PasswordOracle, Target

if TYPE_CHECKING:
    from twisted.web.iweb import IAgent

    from lineside.assemble.bringers import Bringers
    from lineside.assemble.databases import Databases
    from lineside.assemble.dropboxes import DropBoxes
    from lineside.assemble.erpviews import ErpViews
    from lineside.assemble.frappesources import FrappeSources
    from lineside.assemble.httpsettings import HttpSettings
    from lineside.assemble.live import LiveServices
    from lineside.assemble.naming import State
    from lineside.assemble.parts import JournalPart
    from lineside.assemble.posts import Posts
    from lineside.assemble.ssh import Boxes, SshServices
    from lineside.assemble.tasks import Tasks
    from lineside.assemble.web import HttpServices
    from lineside.delivery.courier import Courier
    from lineside.delivery.gate import Gate
    from lineside.edges.dns.view import DnsView
    from lineside.edges.frappe.client import FrappeClient
    from lineside.journal.consumer import DurableConsumer
    from lineside.journal.log import SqliteJournal
    from lineside.journal.retention import Retention
    from lineside.journal.watched import WatchedJournal
    from lineside.operations.erp import ErpReader
    from lineside.operations.logins import LogIns
    from lineside.operations.registry import Operations
    from lineside.operations.results import SshCounts
    from lineside.operations.sessions import SessionOperations
    from lineside.operations.tasks import TaskOperations
    from lineside.operations.tokens import TokenOperations
    from lineside.operations.web import Endpoint
    from lineside.security.audit import Act
    from lineside.security.identity import Identity
    from lineside.security.renewal import Certificates
    from lineside.security.tls import ServerSide
    from lineside.security.turnstile import Turnstile
    from lineside.store.database import Database
    from lineside.tasks.runner import Runner
    from lineside.tasks.sources import TaskSources


class Source(Part, Protocol):
    """What all sources of lines have in common, whoever connects to whom."""

    id: str

    @property
    def intake(self) -> Intake:
        """What it bears, and has taken."""
        ...

    @property
    def address(self) -> str:
        """Where it listens or dials."""
        ...

    @property
    def problem(self) -> str | None:
        """What hinders it, in a line."""
        ...


class TargetPart(Part, Protocol):
    """What carries documents to one system."""

    @property
    def target(self) -> Target:
        """What takes them."""
        ...

    @property
    def budget(self) -> Budget:
        """What the system allows."""
        ...


def target_part(reactor: Any, name: str, settings: Settings) -> TargetPart:
    """Return the part that holds a target's connections."""
    table = settings.targets[name]
    if isinstance(table, FrappeTargetSettings):
        with importing():
            from lineside.assemble.frappesites import FrappePart

        return FrappePart(reactor, name, table)
    with importing():
        from lineside.assemble.databases import SqlTargetPart

    return SqlTargetPart(reactor, name, settings)


def databases(
    reactor: Any, settings: Settings, store: JournalPart, journals: Mapping[str, WatchedJournal], random: Random
) -> Databases | None:
    """Return what is done with databases beside delivering to them; None where the configuration names none."""
    if not settings.databases:
        return None
    with importing():
        from lineside.assemble.databases import Databases

    return Databases(reactor, settings, store, journals, random)


def frappe_sources(
    reactor: Any,
    settings: Settings,
    store: JournalPart,
    journals: Mapping[str, WatchedJournal],
    targets: Mapping[str, TargetPart],
    gates: Mapping[str, Gate],
    random: Random,
) -> FrappeSources | None:
    """Return the Frappe sites that are sources; None where the configuration names none."""
    if not settings.hooks:
        return None
    with importing():
        from lineside.assemble.frappesources import FrappeSources

    return FrappeSources(reactor, settings, store, journals, targets, gates, random)


def drop_boxes(
    reactor: Any,
    settings: Settings,
    store: JournalPart,
    journals: Mapping[str, WatchedJournal],
    consumers: Mapping[str, DurableConsumer],
    random: Random,
    *,
    record: Callable[[Act], None],
) -> DropBoxes | None:
    """Return the drop boxes; None where no source has any."""
    if not settings.drop_boxes:
        return None
    with importing():
        from lineside.assemble.dropboxes import DropBoxes

    return DropBoxes(reactor, settings, store, journals, consumers, random, record)


def bringers(
    reactor: Any,
    settings: Settings,
    store: JournalPart,
    journals: Mapping[str, WatchedJournal],
    consumers: Mapping[str, DurableConsumer],
    random: Random,
) -> Bringers | None:
    """Return the sources that bring files by themselves; None where the configuration names none."""
    if not settings.folders and not settings.pulls:
        return None
    with importing():
        from lineside.assemble.bringers import Bringer, Bringers

    sources: list[Bringer] = []
    if settings.folders:
        from lineside.assemble.folders import FolderSource

        for name, table in settings.folders.items():
            sources.append(FolderSource(reactor, name, table, store, journals[name], consumers, random))
    if settings.pulls:
        with importing():
            from lineside.assemble.pulls import PullSource

        for name, pulled in settings.pulls.items():
            sources.append(PullSource(reactor, name, pulled, store, journals[name], consumers, random))
    return Bringers(sources)


def erp_views(
    reactor: Any, settings: Settings, targets: Mapping[str, TargetPart], operations: Operations
) -> ErpViews | None:
    """Return what is shown of the ERP, and what may be called there; None where the configuration has neither."""
    if not settings.erp and not settings.calls:
        return None
    with importing():
        from lineside.assemble.erpviews import ErpViews

    return ErpViews(reactor, settings, targets, operations)


def frappe_client(
    reactor: Any, settings: FrappeTargetSettings, around: Callable[[IAgent], IAgent] = lambda agent: agent
) -> FrappeClient:
    """Return a client for what asks a site beside the gateway; it sends through ``around``'s agent."""
    with importing():
        from lineside.assemble.frappesites import frappe_client as made

    return made(reactor, settings, around)


def certificates(reactor: Any, settings: Settings) -> Certificates | None:
    """Return what watches over the certificates that listeners show; None where the configuration has none."""
    if not settings.tls:
        return None
    with importing():
        from lineside.assemble.certificates import certificates as made

    return made(reactor, settings)


def dns_view(reactor: Any, settings: Settings, source: State, target: State) -> DnsView | None:
    """Return what serves the plant's names; None where the configuration has no zone."""
    if settings.dns is None or settings.dns.zone is None:
        return None
    with importing():
        from lineside.assemble.naming import dns_view as made

    return made(reactor, settings.dns, source, target)


def http_services(
    reactor: Any,
    settings: HttpSettings,
    operations: Operations,
    tokens: TokenOperations,
    gates: Mapping[str, Gate],
    *,
    hindered: Callable[[], list[str]],
    failed_login: Callable[[str], None],
    turnstile: Turnstile,
    described: Iterable[Endpoint] = (),
    certificates: Certificates | None = None,
    log_ins: LogIns | None = None,
    ssh: Callable[[], SshCounts | None] = lambda: None,
) -> HttpServices:
    """Return the parts that serve HTTP requests; see `lineside.assemble.web.HttpServices`."""
    with importing():
        from lineside.assemble.web import HttpServices as Made

    secured: dict[str, Any] = {}
    if certificates is not None:
        from lineside.assemble.certificates import secured_http

        secured = {"side": secured_http(certificates, settings), "certificates": certificates.left}
    return Made(
        reactor,
        settings,
        operations,
        tokens,
        gates,
        hindered=hindered,
        failed_login=failed_login,
        turnstile=turnstile,
        described=described,
        log_ins=log_ins,
        ssh=ssh,
        **secured,
    )


def passwords(target: TargetPart) -> PasswordOracle:
    """Return who knows the passwords of a Frappe site's users."""
    from lineside.assemble.frappesites import FrappePart
    from lineside.edges.frappe.passwords import FrappePasswords

    assert isinstance(target, FrappePart)
    return FrappePasswords(target.client)


def live_services(
    reactor: Any,
    settings: Settings,
    store: JournalPart,
    operations: Operations,
    tokens: TokenOperations,
    couriers: list[Courier],
    journals: Iterable[WatchedJournal],
    targets: Mapping[str, TargetPart],
    offered: Mapping[str, Callable[[Any, Identity], Awaitable[Any]]],
    reader: ErpReader | None,
    runner: Runner | None,
    *,
    failed_login: Callable[[str], None],
    sessions: SessionOperations | None = None,
    turnstile: Turnstile,
) -> LiveServices | None:
    """Return the live channels; None where the configuration has none."""
    if settings.live is None:
        return None
    with importing():
        from lineside.assemble.live import LiveServices

    return LiveServices(
        reactor,
        settings,
        store,
        operations,
        tokens,
        couriers,
        journals,
        targets,
        offered,
        reader,
        runner,
        failed_login=failed_login,
        sessions=sessions,
        turnstile=turnstile,
    )


def ssh_services(
    reactor: Any,
    settings: Settings,
    operations: Operations,
    *,
    record: Callable[[Act], None],
    failed_login: Callable[[str], None],
    boxes: Boxes | None = None,
) -> SshServices | None:
    """Return what serves SSH; None where the configuration has no such table."""
    if settings.ssh is None:
        return None
    with importing():
        from lineside.assemble.ssh import SshServices

    return SshServices(reactor, settings, operations, record=record, failed_login=failed_login, boxes=boxes)


def posts(
    reactor: Any, settings: Settings, store: JournalPart, journals: Mapping[str, WatchedJournal]
) -> Posts | None:
    """Return the sources to which programs post events; None where nothing is served over HTTP."""
    if settings.http is None:
        return None
    with importing():
        from lineside.assemble.posts import Posts

    return Posts(reactor, settings, store, journals)


def tasks(
    reactor: Any,
    settings: Settings,
    store: JournalPart,
    random: Random,
    sources: TaskSources,
    targets: Mapping[str, TargetPart],
    gates: Mapping[str, Gate],
    retention: Callable[[], Retention],
) -> Tasks | None:
    """Return what runs tasks; None where the configuration has none.

    Raises:
        ConfigurationError: what a task runs is not there, or does not take its parameters.

    """
    if not settings.tasks:
        return None
    with importing():
        from lineside.assemble.tasks import Tasks

    return Tasks(reactor, settings, store, random, sources, targets, gates, retention)


def offline_tasks(reactor: Any, settings: Settings, store: JournalPart) -> TaskOperations:
    """Return the operations on tasks where no gateway runs: the user's code is imported when one is carried out."""
    with importing():
        from lineside.assemble.tasks import offline

    return offline(reactor, settings, store)


def source_part(
    reactor: Any,
    settings: StreamSettings,
    intake: Intake,
    random: Random,
    certificates: Certificates | None,
    journal: WatchedJournal | SqliteJournal,
    database: Database | None,
) -> Source:
    """Return the part that listens or dials, as the settings say."""
    if isinstance(settings, SshCommandSettings):
        with importing():
            from lineside.assemble.sshcommands import ssh_command_source

        return ssh_command_source(reactor, settings, intake, random, journal, database)
    if settings.dial is not None:
        from lineside.assemble.dialling import dialled_source

        return dialled_source(reactor, settings, intake, random)
    if settings.datagrams:
        from lineside.assemble.datagramports import datagram_source

        return datagram_source(reactor, settings, intake)
    from lineside.assemble.listening import lines_source

    side: ServerSide | None = None
    if certificates is not None:
        from lineside.assemble.certificates import secured

        side = secured(certificates, intake.id, settings)
    return lines_source(reactor, settings, intake, side)
