"""What `lineside.toml` can say, as types. `lineside.assemble.config` reads the file into them.

The descriptions are the reference's: ``python -m lineside.assemble.reference`` copies them there.
"""

from __future__ import annotations

from pathlib import Path

from msgspec import Struct

from lineside.assemble.dnssettings import DnsSettings
from lineside.assemble.dropboxsettings import SftpSourceSettings
from lineside.assemble.erpsettings import ErpCallSettings, ErpSettings
from lineside.assemble.examplesettings import ExampleSettings
from lineside.assemble.filesettings import FolderSourceSettings
from lineside.assemble.frappesettings import FrappeSourceSettings
from lineside.assemble.frappetargetsettings import FrappeTargetSettings
from lineside.assemble.httpsettings import HttpSettings, HttpSourceSettings
from lineside.assemble.journalsettings import JournalSettings
from lineside.assemble.limitsettings import LimitSettings
from lineside.assemble.linessettings import LinesSourceSettings
from lineside.assemble.livesettings import ChannelSettings, LiveSettings
from lineside.assemble.plant import PlantSettings
from lineside.assemble.pullsettings import SftpPullSettings
from lineside.assemble.routesettings import RouteSettings
from lineside.assemble.sqlsettings import (
    DatabaseSettings,
    QuerySettings,
    SqlSourceSettings,
    SqlTargetSettings,
)
from lineside.assemble.sshcommandsettings import SshCommandSettings
from lineside.assemble.sshsettings import SshSettings
from lineside.assemble.tasksettings import TaskSettings
from lineside.assemble.tasksourcesettings import TaskSourceSettings
from lineside.assemble.tlssettings import TlsSettings
from lineside.model.hours import Hours

FILE = "File"
"""The DocType of attachments."""

TargetSettings = FrappeTargetSettings | SqlTargetSettings
SourceSettings = (
    LinesSourceSettings
    | SqlSourceSettings
    | FrappeSourceSettings
    | HttpSourceSettings
    | TaskSourceSettings
    | FolderSourceSettings
    | SftpSourceSettings
    | SftpPullSettings
    | SshCommandSettings
)
StreamSettings = LinesSourceSettings | SshCommandSettings

TARGETS: dict[str, type[TargetSettings]] = {"frappe": FrappeTargetSettings, "sql": SqlTargetSettings}
"""The kinds of targets, by ``type``."""
SOURCES: dict[str, type[SourceSettings]] = {
    "lines": LinesSourceSettings,
    "sql": SqlSourceSettings,
    "frappe": FrappeSourceSettings,
    "http": HttpSourceSettings,
    "tasks": TaskSourceSettings,
    "folder": FolderSourceSettings,
    "sftp": SftpSourceSettings,
    "sftp-pull": SftpPullSettings,
    "ssh-command": SshCommandSettings,
}
"""The kinds of sources, by ``type``."""


class Settings(Struct, frozen=True):
    """A whole configuration, read and checked."""

    path: Path
    """The file, absolute."""
    journal: JournalSettings
    plant: PlantSettings
    targets: dict[str, TargetSettings]
    sources: dict[str, SourceSettings]
    routes: dict[str, RouteSettings]
    tests: tuple[ExampleSettings, ...]
    warnings: list[str]
    """What works but had better be otherwise, one line each."""
    http: HttpSettings | None = None
    databases: dict[str, DatabaseSettings] = {}
    queries: dict[str, QuerySettings] = {}
    live: LiveSettings | None = None
    channels: dict[str, ChannelSettings] = {}
    erp: dict[str, ErpSettings] = {}
    """By DocType, what is shown of the ERP."""
    calls: dict[str, ErpCallSettings] = {}
    """What may be called there."""
    code: Path = Path("tasks")
    """The folder of the user's own modules."""
    tasks: dict[str, TaskSettings] = {}
    digest: str = ""
    """BLAKE2b of the file, in hex."""
    tls: dict[str, TlsSettings] = {}
    """The certificates that listeners show."""
    limits: LimitSettings = LimitSettings()
    """What one caller may have."""
    dns: DnsSettings | None = None
    ssh: SshSettings | None = None

    @property
    def secured(self) -> int:
        """How many listeners have TLS."""
        http = self.http is not None and self.http.tls is not None
        return http + sum(source.tls is not None for source in self.lines.values())

    @property
    def sites(self) -> dict[str, FrappeTargetSettings]:
        """The targets that are Frappe sites."""
        return {name: each for name, each in self.targets.items() if isinstance(each, FrappeTargetSettings)}

    @property
    def lines(self) -> dict[str, LinesSourceSettings]:
        """The sources of lines."""
        return {name: each for name, each in self.sources.items() if isinstance(each, LinesSourceSettings)}

    @property
    def ssh_commands(self) -> dict[str, SshCommandSettings]:
        """The sources whose lines commands on hosts write."""
        return {name: each for name, each in self.sources.items() if isinstance(each, SshCommandSettings)}

    @property
    def streams(self) -> dict[str, StreamSettings]:
        """The sources of frames, whatever brings them."""
        return {name: each for name, each in self.sources.items() if isinstance(each, StreamSettings)}

    @property
    def hooks(self) -> dict[str, FrappeSourceSettings]:
        """The sources that are Frappe sites, whether by webhooks or polled."""
        return {name: each for name, each in self.sources.items() if isinstance(each, FrappeSourceSettings)}

    def polled_by(self, source: FrappeSourceSettings) -> str:
        """Return the name of the target that a source's poll asks."""
        return (source.poll and source.poll.target) or next(iter(self.sites))

    @property
    def posts(self) -> dict[str, HttpSourceSettings]:
        """The sources to which programs post events."""
        return {name: each for name, each in self.sources.items() if isinstance(each, HttpSourceSettings)}

    @property
    def filled(self) -> dict[str, TaskSourceSettings]:
        """The sources that tasks fill."""
        return {name: each for name, each in self.sources.items() if isinstance(each, TaskSourceSettings)}

    @property
    def folders(self) -> dict[str, FolderSourceSettings]:
        """The sources that are folders."""
        return {name: each for name, each in self.sources.items() if isinstance(each, FolderSourceSettings)}

    @property
    def drop_boxes(self) -> dict[str, SftpSourceSettings]:
        """The sources whose files come by SFTP."""
        return {name: each for name, each in self.sources.items() if isinstance(each, SftpSourceSettings)}

    @property
    def pulls(self) -> dict[str, SftpPullSettings]:
        """The sources whose files are fetched from partners."""
        return {name: each for name, each in self.sources.items() if isinstance(each, SftpPullSettings)}

    def zone_of(self, target: str) -> str | None:
        """Return the zone that the configuration gives a target's times; None where the target is to say it."""
        table = self.targets[target]
        return self.databases[table.database].time_zone if isinstance(table, SqlTargetSettings) else table.time_zone

    def tables_of(self, target: str) -> list[str]:
        """Return the tables that routes fill at a target, each once."""
        routes = [route for route in self.routes.values() if self.target_of(route) == target]
        return list(dict.fromkeys(route.table for route in routes if route.table is not None))

    def target_of(self, route: RouteSettings) -> str:
        """Return the name of a route's target."""
        return route.target or next(iter(self.targets))

    def shown_from(self, view: ErpSettings | ErpCallSettings) -> str:
        """Return the name of the target that is asked for a view, or by a call."""
        return view.target or next(iter(self.sites))

    def sources_of(self, route: RouteSettings) -> tuple[str, ...]:
        """Return the names of a route's sources."""
        return route.sources or tuple(self.sources)

    def hours_of(self, source: SourceSettings) -> Hours | None:
        """Return when a source is to be heard; None for always."""
        if source.hours is None:
            return None
        assert self.plant.time_zone is not None
        return Hours(source.hours, self.plant.time_zone)

    def prepared_doctypes(self, target: str) -> list[str]:
        """Return the DocTypes of a target that need its id field, each once."""
        routes = [route for route in self.routes.values() if self.target_of(route) == target]
        doctypes = [route.doctype for route in routes if route.carries_id and route.doctype is not None]
        if self.attaches(target):
            doctypes.append(FILE)
        return list(dict.fromkeys(doctypes))

    def attaches(self, target: str) -> bool:
        """Tell whether documents of a target have files."""
        return any(route.attachments for route in self.routes.values() if self.target_of(route) == target)
