"""``[http]``: the HTTP services."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, field_validator

from lineside.assemble.bounds import Size
from lineside.assemble.endpoints import parse_listener
from lineside.assemble.loginsettings import LogInSettings
from lineside.assemble.plant import WorkingHours
from lineside.assemble.table import Table
from lineside.assemble.tlssettings import Shown
from lineside.assemble.values import Duration, FieldPath, Listener, in_tuple
from lineside.model.wording import key_path


class HttpSettings(Table):
    """``[http]``: the API, the dashboard, and what sources of type http take."""

    listen: Listener = Field(
        default="tcp:8080:interface=127.0.0.1",
        description="Where it listens: a Twisted endpoint string, as of a source.",
    )
    public: bool = Field(
        default=False,
        description=(
            "Whether it may listen where other machines reach it although there is no token yet; without one the "
            "gateway does not start then."
        ),
    )
    tls: Shown | None = Field(
        default=None,
        description=(
            "The certificates that it shows, by the names of their tables `[tls.NAME]`; the first one to who asks "
            "for no name that another has. Default: none, it speaks without TLS."
        ),
    )
    login: LogInSettings | None = Field(
        default=None,
        description=(
            "People log in to the dashboard with their account in the ERP: a table `[http.login]`, see below. "
            "Default: nobody does; who is not at this machine needs a token."
        ),
    )
    hosts: Annotated[tuple[str, ...], BeforeValidator(in_tuple)] = Field(
        default=(),
        description=(
            "Names of this machine, beside localhost, by which its own browser may look without a token as long as "
            "there is none."
        ),
    )
    max_body: Size = Field(
        default=1_000_000,
        gt=0,
        description="How large the body of a request may be; events that come in bulk are not bound by it.",
    )
    max_connections: int = Field(
        default=1024,
        ge=1,
        description="Connections at a time; with more, the one that asked nothing for longest is closed.",
    )

    @field_validator("listen")
    @classmethod
    def _no_datagrams(cls, listen: str) -> str:
        if parse_listener(listen).datagrams:
            raise ValueError("HTTP needs connections; use tcp")
        return listen

    @field_validator("hosts")
    @classmethod
    def _lower(cls, hosts: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(host.lower() for host in hosts)


class HttpSourceSettings(Table):
    """``[sources.NAME]`` with ``type = "http"``: programs that post events to ``/api/v1/events/NAME``."""

    type: Literal["http"] = Field(description="The kind of source.")
    dedupe: FieldPath | None = Field(
        default=None,
        description=(
            "The field with the sender's own key. An event whose key is known is a repeat: its first sequence is "
            "answered, and it is not stored again. Default: every event is new, but for requests that are repeated "
            "with their `Idempotency-Key`."
        ),
    )
    device: FieldPath | None = Field(
        default=None,
        description="The field that names the device. Default: the token's name, or else the sender's address.",
    )
    anonymous: bool = Field(
        default=False, description="Whether programs on the gateway's own machine may send without a token."
    )
    max_event: int = Field(
        default=65_536,
        ge=16,
        le=16_777_216,
        description="Bytes of one event. A larger one is kept in part, as a dead letter.",
    )
    max_events: int = Field(default=100_000, ge=1, le=1_000_000, description="Events in one request.")
    max_body: Size = Field(
        default=100_000_000, gt=0, description="How large the body of a request may be, unpacked where it is gzip."
    )
    max_requests: int = Field(
        default=256,
        ge=1,
        le=65_536,
        description="Requests at a time; further ones are answered 429, but for a sender that has none.",
    )
    silence: Annotated[Duration, Field(gt=0)] | None = Field(
        default=None,
        description="After how long without an event there is an alarm, `source.silent`. Default: never.",
    )
    silence_of: Literal["source", "device"] = Field(
        default="source",
        description="Whether the source is watched as a whole, or each of its devices as well, by its name.",
    )
    hours: WorkingHours | None = Field(
        default=None, description="When silence counts, in the time zone of `[plant]`. Default: always."
    )


def check_posts(raw: Mapping[str, Any], sources: Mapping[str, Any]) -> Iterator[str]:
    """Yield what is wrong with sources that take events over HTTP; the tables are as in the file."""
    for name, source in sources.items():
        if not isinstance(source, dict) or source.get("type") != "http":
            continue
        if "http" not in raw:
            yield f"{key_path('sources', name)}: nobody can send to it without a table [http]"
        if name.isdecimal():
            yield f"{key_path('sources', name)}: in the API a number is an event's; give it a name with a letter"
