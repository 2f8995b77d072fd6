"""Permission levels: what a user sends for fields that none of his roles may write is put back. Pure.

As Frappe does it: in silence, a new document's fields to their defaults, a changed one's to what they were, and
those of the rows of a changed document too; the rows of a new one keep what was sent. The user Administrator may
write everything. No other permissions are held to.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime

from lineside.standin.authentication import ADMINISTRATOR
from lineside.standin.doctypes import DocType
from lineside.standin.drafting import Document
from lineside.standin.values import default_value

Roles = Callable[[], frozenset[str]]
"""Returns the user's roles; called only where it matters."""


def reset_new(kind: DocType, document: Document, user: str, roles: Roles, now: datetime) -> None:
    """Give a new document's fields that its maker may not write their defaults."""
    if user == ADMINISTRATOR or not kind.raised:
        return
    levels = writable(kind, roles())
    for field in kind.raised:
        if field.permlevel not in levels:
            document[field.fieldname] = default_value(field, now)


def reset_changed(
    kind: DocType,
    children: Mapping[str, DocType],
    before: Document,
    document: Document,
    user: str,
    roles: Roles,
    now: datetime,
) -> None:
    """Give a changed document and its rows back what its changer may not write; a new row has defaults."""
    if user == ADMINISTRATOR or not (kind.raised or any(child.raised for child in children.values())):
        return
    levels = writable(kind, roles())
    for field in kind.raised:
        if field.permlevel not in levels:
            document[field.fieldname] = before[field.fieldname]
    for table, child in children.items():
        stored = {row["name"]: row for row in before[table]}
        for row in document[table]:
            old = stored.get(row["name"])
            for field in child.raised:
                if field.permlevel not in levels:
                    row[field.fieldname] = default_value(field, now) if old is None else old[field.fieldname]


def writable(kind: DocType, roles: frozenset[str]) -> frozenset[int]:
    """Return the levels of a DocType that someone with these roles may write."""
    return frozenset(rule.permlevel for rule in kind.permissions if rule.write and rule.role in roles)
