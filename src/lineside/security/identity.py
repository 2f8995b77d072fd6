"""Who asks, and what they may. Every edge asks `permits` and nothing else. Pure."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from lineside.model.errors import LinesideError

Role = Literal["viewer", "operator", "admin", "device", "nobody"]
Permission = Literal["read", "consult", "send", "operate", "administer"]

ROLES: dict[Role, frozenset[Permission]] = {
    "viewer": frozenset({"read", "consult"}),
    "operator": frozenset({"read", "consult", "send", "operate"}),
    "admin": frozenset({"read", "consult", "send", "operate", "administer"}),
    "device": frozenset({"consult", "send"}),
    "nobody": frozenset(),
}
"""What each role may: see, ask what is opened to devices too, bring events in, decide what becomes of them, change
who may and what is kept."""


class Identity(Struct, frozen=True):
    """Somebody who asks: a person, a program or a device."""

    name: str
    """As in the log: the token's name, the address, or how they came in."""
    role: Role
    sources: frozenset[str] | None = None
    """The only sources that they may send to; None for all."""


class NotPermitted(LinesideError):
    """The one who asks may not do this."""


NOBODY = Identity("nobody known", "nobody")
"""Who did not say who they are."""
LOCAL_USER = Identity("local user", "admin")
"""Who can open the journal's own files: the command line and the control socket."""


def permits(identity: Identity, permission: Permission, source: str | None = None) -> bool:
    """Tell whether ``identity`` may do what needs ``permission``; of sending, to ``source``."""
    if permission not in ROLES[identity.role]:
        return False
    return source is None or identity.sources is None or source in identity.sources


def check(identity: Identity, permission: Permission, source: str | None = None) -> None:
    """Raise unless `permits`.

    Raises:
        NotPermitted: with a text for the one who asks.

    """
    if permits(identity, permission, source):
        return
    where = "" if source is None or permission not in ROLES[identity.role] else f' to the source "{source}"'
    raise NotPermitted(f"this needs the permission to {permission}{where}; {identity.name} is {identity.role}")
