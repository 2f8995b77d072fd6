"""What `lineside.toml` can say, as types. `lineside.assemble.config` reads the file into them.

The descriptions are the reference's: ``python -m lineside.assemble.reference`` copies them there.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from msgspec import Struct
from pydantic import BeforeValidator, Field, PrivateAttr, ValidationInfo, field_validator

from lineside.assemble.bounds import Retention, Size
from lineside.assemble.clientendpoints import Dial, parse_client
from lineside.assemble.commandsettings import Commands, CommandSettings
from lineside.assemble.dnssettings import DnsSettings
from lineside.assemble.dropboxsettings import SftpSourceSettings
from lineside.assemble.endpoints import parse_listener
from lineside.assemble.erpsettings import ErpCallSettings, ErpSettings
from lineside.assemble.filesettings import FolderSourceSettings
from lineside.assemble.formats import Format, JsonFormat, unknown_field
from lineside.assemble.framings import Framing, StxEtxFraming
from lineside.assemble.frappesettings import FrappeSourceSettings
from lineside.assemble.httpsettings import HttpSettings, HttpSourceSettings
from lineside.assemble.limitsettings import LimitSettings
from lineside.assemble.livesettings import ChannelSettings, LiveSettings
from lineside.assemble.plant import PlantSettings, WorkingHours
from lineside.assemble.pullsettings import SftpPullSettings
from lineside.assemble.sqlsettings import (
    DatabaseSettings,
    QuerySettings,
    SqlSourceSettings,
    SqlTargetSettings,
    TableName,
)
from lineside.assemble.sshsettings import SshSettings
from lineside.assemble.table import Table
from lineside.assemble.tasksettings import TaskSettings
from lineside.assemble.tasksourcesettings import TaskSourceSettings
from lineside.assemble.tlssettings import Shown, TlsSettings
from lineside.assemble.values import (
    Authorities,
    ByteText,
    ClientEndpoint,
    DeliverPolicy,
    Duration,
    Durations,
    Expectations,
    FieldPath,
    Listener,
    Names,
    Payload,
    RelativePath,
    SecretText,
    Shape,
    SiteUrl,
    TimeZone,
    in_tuple,
)
from lineside.journal.capacity import Keeping
from lineside.model.hours import Hours

FILE = "File"
"""The DocType of attachments."""
BATCH = 20
"""Four fifths of what batches can gain on a measured site, in requests that stay short (contract, section 10)."""


class JournalSettings(Table):
    """``[journal]``: where events are kept."""

    path: RelativePath = Field(
        default=Path("journal.db"), description="The journal's file. It is made when it is missing."
    )
    control: RelativePath | None = Field(
        default=None,
        description=(
            "The Unix socket on which a running gateway answers the command line; at most 107 bytes. "
            "Default: beside the journal, its path with `.sock` added."
        ),
    )
    dedupe_window: Duration = Field(
        default=7 * 86_400.0,
        gt=0,
        description="How long a sender's key is remembered: a repeat within it gets its first sequence again.",
    )
    retain: Retention = Field(
        default=30 * 86_400.0,
        gt=0,
        description=(
            "How long an event is kept that every route has delivered; what is owed, and dead letters, stay in any "
            'case. `"forever"` removes nothing for its age.'
        ),
    )
    max_size: Annotated[Size, Field(ge=16_000_000)] | None = Field(
        default=None,
        description=(
            "How large the journal may become, 16MB at least. Before that, delivered events are removed however "
            "young; when it is full of others, lines are answered `ERR unavailable`. Default: as large as the disk."
        ),
    )
    min_free: Size | None = Field(
        default=None,
        description=(
            "How much of the journal's disk is to stay free: with less, lines are answered `ERR unavailable`. "
            "Default: 500MB, or a twentieth of the disk where that is less."
        ),
    )

    @property
    def keeping(self) -> Keeping:
        """The journal's bounds."""
        return Keeping(self.retain, self.max_size, self.min_free)

    @property
    def control_path(self) -> Path:
        """The control socket's path."""
        return self.control or self.path.with_name(f"{self.path.name}.sock")


class AskingTable(Table):
    """What may name a service, and so has to know whom to ask where it is."""

    _name_servers: tuple[str, ...] = PrivateAttr(default=())

    @property
    def name_servers(self) -> tuple[str, ...]:
        """The servers of ``[dns]``; none for the machine's own."""
        return self._name_servers

    def ask(self, servers: tuple[str, ...]) -> None:
        """Learn whom to ask, once the whole file is read."""
        self._name_servers = servers


class FrappeTargetSettings(AskingTable):
    """``[targets.NAME]`` with ``type = "frappe"``: a Frappe or ERPNext site that takes documents."""

    type: Literal["frappe"] = Field(description="The kind of target.")
    url: SiteUrl = Field(
        description=(
            "The site's address, without credentials; or that of a service, `srv+https://_erp._tcp.plant.example`, "
            "whose SRV records name the servers of one site."
        )
    )
    host: Annotated[str, Field(pattern="^[A-Za-z0-9][A-Za-z0-9.-]*$"), Shape("host name")] | None = Field(
        default=None,
        description=(
            "With `srv+`: the site's name, which requests bear and which its certificate must have, whichever "
            "server answers. Default: the service's domain, such as `plant.example`."
        ),
    )
    api_key: SecretText = Field(description="The API key of the user who is to own the documents.")
    api_secret: SecretText = Field(description="That user's API secret.")
    ca: Authorities | None = Field(
        default=None,
        description=(
            "The certificate of your own CA, where it signed the site's; it alone is trusted then. It is read "
            "at the start, and must hold one that is valid. Default: the CAs that the operating system trusts."
        ),
    )
    site: Annotated[str, Field(min_length=1)] | None = Field(
        default=None,
        description="The site's name, sent as `X-Frappe-Site-Name`. Default: the address's host tells the site.",
    )
    id_field: Annotated[str, Field(pattern="^[a-z][a-z0-9_]{0,63}$"), Shape("field name")] = Field(
        default="lineside_id",
        description=(
            "The unique custom field that makes delivery exactly-once. `lineside erp prepare` adds it to a DocType."
        ),
    )
    concurrency: int = Field(default=4, ge=1, le=64, description="Deliveries under way at a time, over all routes.")
    timeout: Duration = Field(
        default=30.0, gt=0, description="How long one request may take before its outcome is taken as unknown."
    )
    time_zone: TimeZone | None = Field(
        default=None,
        description=(
            "The zone in which the site keeps its times, for a site that does not tell it (v14). "
            "Default: what the site says; UTC where it says nothing."
        ),
    )

    @field_validator("host")
    @classmethod
    def _of_a_service(cls, host: str | None, info: ValidationInfo) -> str | None:
        url = info.data.get("url")
        if host is not None and url is not None and not url.startswith("srv+"):
            raise ValueError("only the name of a service does not say it; remove it, or set url to srv+https://...")
        return host

    @property
    def service(self) -> str | None:
        """The name of the service that tells the servers; None where ``url`` names the one."""
        return urlsplit(self.url).hostname if self.url.startswith("srv+") else None

    @property
    def address(self) -> str:
        """The site's address, as its requests and its certificate have it."""
        service = self.service
        if service is None:
            return self.url
        url = urlsplit(self.url)
        host = self.host or service.split(".", 2)[2].rstrip(".")
        return f"{url.scheme.removeprefix('srv+')}://{host}{url.path}"


class PollSettings(Table):
    """``poll`` of a source that dials: what its device is asked, and how often."""

    send: ByteText = Field(
        description=(
            'What is sent, its line end included: `"S\\r\\n"`. A character up to U+00FF stands for the byte of its '
            'number, so that `"\\u0002"` is STX.'
        )
    )
    every: Duration = Field(
        gt=0,
        description=(
            "How often. A poll is never sent while the answer to the one before is outstanding, or while nothing "
            "is read from the device because the disk is behind: polls that come due meanwhile are left out."
        ),
    )
    timeout: Duration = Field(
        default=5.0,
        gt=0,
        description="After how long without an answer the device is asked again. Any line is an answer.",
    )


def _dials(known: dict[str, Any]) -> bool:
    return known.get("connect") is not None


def _answers(known: dict[str, Any]) -> bool:
    # A value that is wrong is missing here.
    listens = not _dials(known) and not str(known.get("listen") or "").startswith("udp:")
    return listens and isinstance(known.get("format"), JsonFormat)


def _patience(known: dict[str, Any]) -> float:
    return 0.0 if _dials(known) and known.get("poll") is None else 300.0


_LF: Any = "lf"
_JSON: Any = "json"
"""As the file has them: what is made of them is the default."""


class LinesSourceSettings(AskingTable):
    """``[sources.NAME]`` with ``type = "lines"``: devices that connect, or are dialled, and send lines."""

    type: Literal["lines"] = Field(description="The kind of source.")
    listen: Listener | None = Field(
        default=None,
        description=(
            "Where devices connect, or with `udp:` where datagrams arrive. A source has this or `connect`. "
            "Default: none, for a source that dials."
        ),
    )
    connect: ClientEndpoint | None = Field(
        default=None,
        description="Where the gateway connects: a device's address or serial port. It dials again for ever. "
        "Default: none, for a source that listens.",
    )
    tls: Shown | None = Field(
        default=None,
        description=(
            "With `listen`: the certificates that devices are shown, by the names of their tables `[tls.NAME]`; "
            "the first one to who asks for no name that another has. Default: none, devices speak without TLS."
        ),
    )
    ca: Authorities | None = Field(
        default=None,
        description=(
            'With `connect = "tls:..."`: the certificate of your own CA, where it signed the device\'s; it alone '
            "is trusted then. Default: the CAs that the operating system trusts. With `tls`: devices must show a "
            "certificate that this CA signed. Default: they are asked for none."
        ),
    )
    crl: RelativePath | None = Field(
        default=None,
        description=(
            "The PEM file of the CA's list of revoked certificates: a device whose certificate stands on it is "
            "turned away. It is read anew when it changes. Default: none, what the CA signed is good until it "
            "expires."
        ),
    )
    own_device_only: bool = Field(
        default=False,
        description=(
            "Whether a device speaks only for itself: a line whose `device` names another than its certificate "
            "does becomes a dead letter, `forged`."
        ),
    )
    poll: PollSettings | None = Field(
        default=None,
        description=(
            "What a dialled device is asked, and how often: a table, such as "
            '`{ send = "S\\r\\n", every = "1s" }`. See below. Default: it speaks by itself.'
        ),
    )
    framing: Framing = Field(
        default=_LF,
        description=(
            "What parts one line, or frame, from the next: `lf`, `crlf`, `cr`, `stx-etx`, `length`, or a table. "
            "See below."
        ),
    )
    format: Format = Field(
        default=_JSON,
        description=(
            "What a frame holds: `json` (one JSON object), `keyvalue`, `raw`, the name of a `[formats.NAME]`, or a "
            "table like that. See below."
        ),
    )
    ack: bool = Field(
        default_factory=_answers,
        description=(
            "Whether each line is answered, `OK <sequence>` or `ERR <code> <reason>`, once it is on disk. Default: "
            "`true` where devices connect and speak JSON; `false` with `connect` or another format, since such "
            "devices rarely read answers, and always with `udp:`."
        ),
    )
    dedupe: FieldPath | None = Field(
        default=None,
        description=(
            "The field with the sender's own key. A line whose key is known is a repeat: it is answered with its "
            "first sequence, and not stored again. Default: every line is new."
        ),
    )
    device: FieldPath | None = Field(
        default=None,
        description=(
            "The field that names the device. Default: the name in the certificate that it showed, or else the "
            "address it connects from."
        ),
    )
    max_line: int = Field(
        default=65_536,
        ge=16,
        le=16_777_216,
        description="Bytes of a line without its end. A longer one is kept in part, as a dead letter.",
    )
    max_connections: int = Field(
        default=1_024, ge=1, le=65_536, description="Connections at a time; further ones are told `ERR busy`."
    )
    idle_timeout: Duration = Field(
        default_factory=_patience,
        description=(
            'Silence after which a connection is closed, and dialled again with `connect`; `"0"` for never. '
            'Default: `"5m"`; `"0"` for a device that is dialled and not polled.'
        ),
    )
    max_in_flight: int = Field(
        default=4_096,
        ge=1,
        le=1_048_576,
        description="Lines of one connection that may wait for the disk before nothing more is read from it.",
    )
    commands: Commands = Field(
        default=None,
        description=(
            "Whether its devices can be sent commands over their connections: `true`, or a table such as "
            '`{ expires = "30s" }`. See below. Default: `false`.'
        ),
    )
    silence: Annotated[Duration, Field(gt=0)] | None = Field(
        default=None,
        description=(
            "After how long without a line there is an alarm, `source.silent`. Default: never; not every source "
            "has something to say."
        ),
    )
    silence_of: Literal["source", "device"] = Field(
        default="source",
        description="Whether the source is watched as a whole, or each of its devices as well, by its name.",
    )
    hours: WorkingHours | None = Field(
        default=None,
        description=(
            "When silence counts, in the time zone of `[plant]`. A shift whose end is not after its beginning ends "
            "on the next day; one without days is every day's. Default: always."
        ),
    )

    @field_validator("dedupe", "device")
    @classmethod
    def _known_field(cls, path: str | None, info: ValidationInfo) -> str | None:
        settings = info.data.get("format")
        if path is not None and settings is not None and (problem := unknown_field(path, settings)):
            raise ValueError(problem)
        return path

    @field_validator("commands")
    @classmethod
    def _replies_need_no_answer(
        cls, commands: CommandSettings | None, info: ValidationInfo
    ) -> CommandSettings | None:
        framing = info.data.get("framing")
        if commands is not None and isinstance(framing, StxEtxFraming) and framing.answers == "ack-nak":
            raise ValueError(
                "a reply to a command has no answer, and such a device waits for an ACK of each message"
            )
        return commands

    @property
    def dial(self) -> Dial | None:
        """Where it dials; None where devices come by themselves."""
        return None if self.connect is None else parse_client(self.connect)

    @property
    def certified(self) -> bool:
        """Whether its devices are known by certificates that they show."""
        return self.tls is not None and self.ca is not None

    @property
    def datagrams(self) -> bool:
        """Whether it takes datagrams."""
        return self.listen is not None and parse_listener(self.listen).datagrams


class AttachmentSettings(Table):
    """``[[routes.NAME.attachments]]``: a file that an event carries, and that goes with its document."""

    name: Annotated[str, Field(min_length=1), Shape("template")] = Field(
        description="The file's name, such as `photo-{{ scan_id }}.jpg`."
    )
    content: Annotated[str, Field(min_length=1), Shape("template")] = Field(
        description="What is in the file, such as `{{ photo }}`."
    )
    encoding: Literal["base64", "text"] = Field(
        default="base64",
        description=(
            "What `content` gives: the file's bytes as Base64, a data URL too; or `text`, which is stored as UTF-8."
        ),
    )
    is_private: bool = Field(
        default=True, description="Whether only those who may read the document can read the file."
    )
    fieldname: Annotated[str, Field(pattern="^[a-z][a-z0-9_]{0,63}$"), Shape("field name")] | None = Field(
        default=None,
        description=(
            "The document's field of the type Attach or Attach Image that gets the file's address. Default: none; "
            "the file is only listed beside the document."
        ),
    )
    optional: bool = Field(
        default=False,
        description=(
            "Whether an event whose content is missing, null or empty is delivered without the file. Otherwise it "
            "becomes a dead letter, and nothing is sent."
        ),
    )


class RouteSettings(Table):
    """``[routes.NAME]``: which events become which documents."""

    id: Annotated[str, Field(pattern="^[a-z0-9][a-z0-9_-]*$"), Shape("name")] | None = Field(
        default=None,
        description=(
            "The route's permanent name: its progress and its delivery ids hang on it. Set it to the old name when "
            "you rename a route. Default: the route's name."
        ),
    )
    sources: Names | None = Field(default=None, description="Whose events it takes. Default: those of all sources.")
    target: str | None = Field(
        default=None, description="Where its documents go. Default: the only target, where there is one."
    )
    when: Annotated[str, Shape("condition")] | None = Field(
        default=None,
        description=(
            "Takes only events for which this is true. A field that an event lacks makes it false. "
            "Default: takes all."
        ),
    )
    action: Literal["insert", "update", "upsert", "call"] = Field(
        default="insert",
        description=(
            "What is done at the target: `insert` makes a document, `update` changes the one that `match` finds, "
            "`upsert` does either, `call` calls a method."
        ),
    )
    doctype: Annotated[str, Field(min_length=1, max_length=140)] | None = Field(
        default=None,
        description=(
            "The DocType of the documents, such as `Employee Checkin`. Default: none, for a call and for a target "
            "of the type `sql`; all others need it."
        ),
    )
    table: TableName | None = Field(
        default=None,
        description=(
            "The table that gets the rows, of a target of the type `sql`, which needs it instead of `doctype`. Its "
            "columns are those of `document`. Default: none, for a Frappe site."
        ),
    )
    match: Annotated[dict[str, Any], Field(min_length=1), Shape("table of templates")] | None = Field(
        default=None,
        description=(
            "How `update` and `upsert`, which need it, find their document: all of these fields have these values, "
            "and it is not cancelled. `{ name = ... }` is quickest. Default: none, for the other actions."
        ),
    )
    submit: bool = Field(
        default=False,
        description="Whether an inserted or upserted document is submitted, in the transaction that stores it.",
    )
    method: Annotated[str, Field(pattern=r"^[A-Za-z_]\w*(\.[A-Za-z_]\w*)+$"), Shape("dotted path")] | None = Field(
        default=None,
        description="What `call` calls; `document` holds its arguments. Default: none, for the other actions.",
    )
    order_by: FieldPath | None = Field(
        default=None,
        description=(
            "The field by which events are ordered: those with one value are delivered one after the other. "
            "Default: each is free to go."
        ),
    )
    concurrency: Annotated[int, Field(ge=1, le=64)] | None = Field(
        default=None, description="Deliveries of this route under way at a time. Default: the target's."
    )
    batch: Annotated[int, Field(ge=1, le=200)] | None = Field(
        default=None,
        description=(
            "Inserts that go to the target in one request, at most, when so many are waiting. Default: 20; 1 where "
            "documents are submitted or have attachments, and for the other actions."
        ),
    )
    max_deliver: int = Field(
        default=8,
        ge=1,
        le=1_000,
        description=(
            "Failures of its own after which an event becomes a dead letter. A target that is down, busy or turns "
            "the gateway away never counts."
        ),
    )
    backoff: Durations = Field(
        default=(1.0, 2.0, 5.0, 15.0, 60.0),
        description="How long to wait after the first, second, ... failure; the last one repeats.",
    )
    deliver_policy: DeliverPolicy = Field(
        default="all",
        description=(
            "Where a route begins that was never there before: with all events kept, with new ones, or with those "
            "after a sequence."
        ),
    )
    document: Annotated[dict[str, Any], Field(min_length=1), Shape("table of templates")] = Field(
        description="The document's fields, or a call's arguments. A child table is an array of tables."
    )
    attachments: Annotated[tuple[AttachmentSettings, ...], BeforeValidator(in_tuple), Shape("array of tables")] = (
        Field(default=(), description="Files that go with the document; not for a call. See below.")
    )

    @property
    def carries_id(self) -> bool:
        """Whether its documents are made with their delivery id, so that the DocType needs the id field."""
        return self.action in {"insert", "upsert"}

    @property
    def at_once(self) -> int:
        """How many deliveries go to the target in one request, at most."""
        together = self.action == "insert" and not self.submit and not self.attachments
        return self.batch or (BATCH if together else 1)


class ExampleSettings(Table):
    """``[[tests]]``: sample input and the documents it must become; ``lineside test`` runs them."""

    name: Annotated[str, Field(min_length=1)] | None = Field(
        default=None, description="What the test shows. Default: its place in the file."
    )
    source: str = Field(description="The source that gets the input.")
    input: Payload = Field(
        description=(
            "One line as a device sends it, without what frames it; or a table of fields that stands for it."
        )
    )
    expect: Expectations = Field(
        description='For each route by its name: the document, or `"skipped"` where its `when` is false.'
    )


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
)

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
