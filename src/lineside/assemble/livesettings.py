"""``[live]`` and ``[channels.NAME]``: what `lineside.toml` can say of live channels."""

from __future__ import annotations

from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import BeforeValidator, Field, field_validator

from lineside.assemble.bounds import Size
from lineside.assemble.table import Table
from lineside.assemble.values import Secret, SecretText, Shape, in_tuple
from lineside.model.wording import did_you_mean
from lineside.security.identity import Role

OWN = ("events", "deliveries", "deadletters", "device", "tasks", "frappe")
"""Namespaces that are the gateway's."""
Roles = Annotated[tuple[Role, ...], BeforeValidator(in_tuple), Shape("array of roles")]


class FrappeRealtimeSettings(Table):
    """``[live.frappe]``: what Frappe publishes for its own pages, in channels `frappe:...`."""

    target: str | None = Field(
        default=None,
        description="The site that says who somebody is and what they may read. Default: the only one there is.",
    )
    redis: Annotated[str, Field(pattern="^(redis|rediss|unix)://")] = Field(
        description=(
            "The Redis in which Frappe publishes: `redis_queue` of its `common_site_config.json`, such as "
            "`redis://127.0.0.1:11000`."
        ),
    )
    site: str | None = Field(
        default=None, description="The site's name. Default: the target's `site`; without one, every site's count."
    )
    role: Role = Field(
        default="nobody",
        description="The role of those whom the site knows, beside reading what it lets them read.",
    )


class LiveSettings(Table):
    """``[live]``: live channels over WebSocket, at `/connection/websocket` of the HTTP services."""

    allowed_origins: Annotated[tuple[str, ...], BeforeValidator(in_tuple), Shape("array of origins")] = Field(
        default=(),
        description=(
            "Sites whose pages may connect, beside the gateway's own: `https://erp.example.com`. What is no page "
            "in a browser tells no origin and is not bound by this."
        ),
    )
    jwt_key: SecretText | None = Field(
        default=None,
        description=(
            "By what the JSON Web Tokens of clients are checked: a secret of at least 32 characters (HS256), or a "
            "public key in PEM (RS256, ES256, EdDSA). Default: only API tokens are taken."
        ),
    )
    jwt_audience: str | None = Field(
        default=None, description="Whom such a token must be for, its `aud`. Default: it is not looked at."
    )
    jwt_issuer: str | None = Field(
        default=None, description="Who must have made it, its `iss`. Default: it is not looked at."
    )
    max_connections: int = Field(
        default=10_000,
        ge=1,
        description="Clients at a time; further ones get status 503, unless one has not said who it is.",
    )
    max_channels: int = Field(default=128, ge=1, description="Channels that one client may be subscribed to.")
    max_message: Size = Field(default=65_536, gt=0, description="How large a message from a client may be.")
    max_queued: Size = Field(
        default=1_048_576,
        gt=0,
        description="How much may wait for a client that reads slowly; with more it is disconnected, and recovers.",
    )
    recovery_limit: int = Field(
        default=300,
        ge=1,
        le=10_000,
        description=(
            "How many messages a client is sent at most when it comes back, in 4 MiB; who missed more is told so."
        ),
    )
    compression: bool = Field(
        default=False,
        description="Whether clients may send compressed messages. What they are sent is never compressed.",
    )

    frappe: FrappeRealtimeSettings | None = Field(
        default=None,
        description="The ERP's own realtime: a table `[live.frappe]`, see below. Default: it is not followed.",
    )

    @field_validator("jwt_key")
    @classmethod
    def _long_enough(cls, key: Secret | None) -> Secret | None:
        if key is not None and key.reveal() and len(key.reveal().encode()) < 32:
            raise ValueError("a secret has at least 32 bytes (RFC 7518, section 3.2)")
        return key

    @field_validator("allowed_origins")
    @classmethod
    def _origins(cls, origins: tuple[str, ...]) -> tuple[str, ...]:
        for origin in origins:
            parts = urlsplit(origin)
            if parts.scheme not in {"http", "https"} or not parts.netloc or parts.path.strip("/") or parts.query:
                raise ValueError(f"{origin!r} is no origin; write it as https://erp.example.com")
        return tuple(origin.lower().rstrip("/") for origin in origins)


class ChannelSettings(Table):
    """``[channels.NAME]``: free channels `NAME:...`, in which clients publish."""

    subscribe: Roles = Field(
        default=("viewer", "operator", "admin"), description="The roles that may read what is published."
    )
    publish: Roles = Field(default=("operator", "admin"), description="The roles that may publish.")
    presence: bool = Field(
        default=False, description="Whether members see who else is there, and are told who comes and goes."
    )


def check_channels(raw: dict[str, Any]) -> list[str]:
    """Return what is wrong with live channels that no single table shows."""
    problems = []
    if "live" in raw and "http" not in raw:
        problems.append("live: is reached by way of the HTTP services; add a table [http]")
    channels = raw.get("channels")
    for name in channels if isinstance(channels, dict) else ():
        if name in OWN:
            problems.append(f"channels.{name}: is the gateway's own; choose another name")
        elif "live" not in raw:
            problems.append(f"channels.{name}: there are no live channels without a table [live]")
    live, targets = raw.get("live"), raw.get("targets")
    frappe = live.get("frappe") if isinstance(live, dict) else None
    if isinstance(frappe, dict) and isinstance(targets, dict):
        sites = [
            name for name, table in targets.items() if isinstance(table, dict) and table.get("type") == "frappe"
        ]
        named = frappe.get("target")
        if named is None and len(sites) != 1:
            problems.append("live.frappe.target: is missing; there is not just one target of type frappe")
        elif isinstance(named, str) and named not in sites:
            problems.append(f"live.frappe.target: there is no site {named!r}{did_you_mean(named, sites)}")
    return problems
