"""``[sources.NAME]`` with ``type = "lines"``: devices that send lines."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, ValidationInfo, field_validator

from lineside.assemble.askingtable import AskingTable
from lineside.assemble.clientendpoints import Dial, parse_client
from lineside.assemble.commandsettings import Commands, CommandSettings
from lineside.assemble.endpoints import parse_listener
from lineside.assemble.formats import Format, JsonFormat, unknown_field
from lineside.assemble.framings import Framing, StxEtxFraming
from lineside.assemble.limitsettings import UNBOUND, AllowedRate
from lineside.assemble.networks import Networks
from lineside.assemble.plant import WorkingHours
from lineside.assemble.table import Table
from lineside.assemble.tlssettings import Shown
from lineside.assemble.values import (
    Authorities,
    ByteText,
    ClientEndpoint,
    Duration,
    FieldPath,
    Listener,
    RelativePath,
)


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


class StreamKeys(Table):
    """The keys of a source whose frames come one after the other, whatever brings them."""

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
    rate: AllowedRate = Field(
        default=UNBOUND,
        description=(
            "Lines of one connection; so many may also come at once. What comes faster is read later: the device "
            "has to wait, and nothing is lost. Of datagrams, it is the rate of one address, and what exceeds it "
            "is lost; `lines.datagrams_over_rate` says so."
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


class DeviceKeys(AskingTable):
    """The keys of ``type = "lines"`` for the way to the devices."""

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


class LinesSourceSettings(StreamKeys, DeviceKeys):
    """``[sources.NAME]`` with ``type = "lines"``: devices that connect, or are dialled, and send lines."""

    ack: bool = Field(
        default_factory=_answers,
        description=(
            "Whether each line is answered, `OK <sequence>` or `ERR <code> <reason>`, once it is on disk. Default: "
            "`true` where devices connect and speak JSON; `false` with `connect` or another format, since such "
            "devices rarely read answers, and always with `udp:`."
        ),
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
    public: bool = Field(
        default=False,
        description=(
            "Whether it is meant that whoever reaches a listener that other machines can reach may send lines. "
            "Such a source needs this, or `allow`, or `tls` and `ca`."
        ),
    )
    allow: Annotated[Networks, Field(min_length=1)] | None = Field(
        default=None,
        description=(
            'With `listen`: the networks from which devices may come, such as `["10.20.0.0/16"]`; connections and '
            "datagrams from elsewhere are refused. Default: from everywhere."
        ),
    )

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
