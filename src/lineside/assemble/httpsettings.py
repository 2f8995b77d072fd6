"""``[http]``: the HTTP services."""

from __future__ import annotations

from typing import Annotated

from pydantic import BeforeValidator, Field, field_validator

from lineside.assemble.bounds import Size
from lineside.assemble.endpoints import parse_listener
from lineside.assemble.table import Table
from lineside.assemble.values import Listener, in_tuple


class HttpSettings(Table):
    """``[http]``: the API, the dashboard, and what sources of type http take."""

    listen: Listener = Field(
        default="tcp:8080:interface=127.0.0.1",
        description="Where it listens: a Twisted endpoint string, as of a source.",
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
    max_connections: int = Field(default=1024, ge=1, description="Connections at a time; further ones are closed.")

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
