"""A user of the API with as few rights as asked for."""

from __future__ import annotations

from collections.abc import Iterable

from lineside.standin.authentication import ADMINISTRATOR
from lineside.standin.records import Records


def seed_user(records: Records, name: str, roles: Iterable[str]) -> None:
    """See to it that a user is there and has these roles and no others. Administrator has no need of any."""
    if name == ADMINISTRATOR:
        return
    if not records.exists("User", name):
        records.insert("User", {"email": name, "first_name": name.partition("@")[0]}, ADMINISTRATOR)
    for role in roles:
        if not records.exists("Role", role):
            records.insert("Role", {"role_name": role}, ADMINISTRATOR)
    records.update("User", name, {"roles": [{"role": role} for role in roles]}, ADMINISTRATOR)
