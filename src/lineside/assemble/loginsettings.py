"""``[http.login]``: people who log in to the dashboard with their account in the ERP."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from lineside.assemble.table import Table
from lineside.assemble.values import Duration, Shape, in_tuple
from lineside.model.wording import did_you_mean
from lineside.security.identity import Role

ErpRoles = Annotated[tuple[str, ...], BeforeValidator(in_tuple), Shape("array of the ERP's roles")]


class LogInRoles(Table):
    """``[http.login.roles]``: who may what, by the roles that they have in the ERP."""

    viewer: ErpRoles = Field(default=(), description="Roles of the ERP that may look.")
    operator: ErpRoles = Field(default=(), description="Roles that may also operate.")
    admin: ErpRoles = Field(default=(), description="Roles that may do everything.")

    def by_role(self) -> dict[str, Role]:
        """Return our role for each of the ERP's."""
        ours: tuple[tuple[tuple[str, ...], Role], ...] = (
            (self.viewer, "viewer"),
            (self.operator, "operator"),
            (self.admin, "admin"),
        )
        return {theirs: role for roles, role in ours for theirs in roles}


class LogInSettings(Table):
    """``[http.login]``."""

    target: str | None = Field(
        default=None,
        description=(
            "Which target of the type `frappe` checks the passwords. Default: the only one, where there is one."
        ),
    )
    roles: LogInRoles = Field(
        description=(
            "Who may what: a table `[http.login.roles]` with the ERP's roles for `viewer`, `operator` and `admin`. "
            "Who has several of them may what the highest may; who has none is not let in."
        )
    )
    idle: Annotated[Duration, Field(gt=0)] = Field(
        default=3_600.0, description="After how long a session ends that is not used; an open dashboard uses it."
    )
    lifetime: Annotated[Duration, Field(gt=0, le=366 * 86_400)] = Field(
        default=43_200.0, description="After how long each session ends."
    )
    behind_tls: bool = Field(
        default=False,
        description=(
            "Whether a proxy before the gateway speaks TLS with the browsers, so that they may keep the cookie for "
            "TLS alone. Without it, and without `tls` in `[http]`, passwords are taken from the gateway's own "
            "machine only."
        ),
    )
    insecure: bool = Field(
        default=False,
        description=(
            "Whether passwords are taken from other machines without TLS, where everyone on the way can read them. "
            "Each start warns of it."
        ),
    )


def check_login(raw: Mapping[str, Any]) -> Iterator[str]:
    """Yield what is wrong between ``[http.login]`` and the rest; the tables are as in the file."""
    http, targets = raw.get("http"), raw.get("targets")
    login = http.get("login") if isinstance(http, dict) else None
    if not isinstance(login, dict):
        return
    sites = [
        name
        for name, table in (targets.items() if isinstance(targets, dict) else ())
        if isinstance(table, dict) and table.get("type") == "frappe"
    ]
    named = login.get("target")
    if named is None and len(sites) != 1:
        yield "http.login.target: is missing; there is not just one target of type frappe"
    elif isinstance(named, str) and named not in sites:
        yield f"http.login.target: there is no site {named!r}{did_you_mean(named, sites)}"
    roles = login.get("roles")
    if isinstance(roles, dict) and not any(roles.get(role) for role in ("viewer", "operator", "admin")):
        yield "http.login.roles: lets nobody in; name roles of the ERP for viewer, operator or admin"
