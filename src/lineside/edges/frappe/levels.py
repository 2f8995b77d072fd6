"""Permission levels: which fields of a document the API user may write.

Frappe puts back, without a word, what a user sends for a field of a level from 1 on where none of his roles has
the permission to write at that level: a new document gets the field's default, a changed one keeps its value
(``Document.validate_higher_perm_levels``, read in the source of v14 and v15). Rows of a new document are left
as they are. Levels are not cumulative, those of a child table's fields are permissions of its parent, and the
user Administrator may write everything.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from msgspec import Struct
from twisted.internet.defer import DeferredLock

from lineside.edges.frappe.client import FrappeClient, url_path
from lineside.edges.frappe.doctypes import LAYOUT, TABLES, DocType
from lineside.edges.frappe.meta import REFRESH_SECONDS, STALE_SECONDS, Metas
from lineside.edges.frappe.outcomes import Ambiguous, Answered
from lineside.edges.frappe.preflight import tables
from lineside.edges.frappe.reads import read
from lineside.model.outcome import Blocked, TargetDown
from lineside.model.wording import child_path

ADMINISTRATOR = "Administrator"
LOGGED_USER = "frappe.auth.get_logged_user"
GET_ROLES = "frappe.core.doctype.user.user.get_roles"


class User(Struct, frozen=True):
    """Whose key it is."""

    name: str
    roles: frozenset[str]
    """With those that Frappe gives by itself, such as All."""

    def may_write(self, doctype: DocType, level: int) -> bool | None:
        """Tell whether the user may write fields of a level; None where the site does not say who may."""
        if self.name == ADMINISTRATOR or level == 0:
            return True
        return None if doctype.writers is None else bool(self.roles & doctype.writers.get(level, frozenset()))


class Raised(Struct, frozen=True):
    """A field above level 0 that a document sends."""

    path: str
    """Without the numbers of rows."""
    level: int


def raised(
    document: Mapping[str, Any], doctype: DocType, children: Mapping[str, DocType], *, new: bool
) -> list[Raised]:
    """Return the fields of a document that need more than permission at level 0, each once.

    Args:
        document: as it would be sent.
        doctype: as its site describes it.
        children: the DocTypes of its child tables, by name.
        new: it is to be inserted. What it leaves empty has its default anyway, and its rows are not looked at.

    """
    return list(dict.fromkeys(_raised(document, doctype, children, "", new=new)))


def role_wanted(doctype: DocType, level: int) -> str:
    """Return what lets a user write a level: the remedy in an alarm."""
    roles = sorted(() if doctype.writers is None else doctype.writers.get(level, ()))
    have = f" (as {', '.join(roles)} may)" if roles else ""
    return (
        f"give one of the API user's roles the permission to write at level {level} of {doctype.name}{have}, "
        "or take the field out of the route"
    )


class Levels:
    """What the API user may write at one site.

    It relies on ``permissions`` in what the site says of a DocType, and on `GET_ROLES`, which every user may call
    and which gives the roles that Frappe itself goes by. Where a site answers neither, nothing is barred
    beforehand.
    """

    def __init__(self, client: FrappeClient, metas: Metas) -> None:
        self._client = client
        self._metas = metas
        self._asked: tuple[float, User | None] | None = None
        self._asking = DeferredLock()

    async def bar(self, name: str, document: Mapping[str, Any], *, new: bool) -> Blocked | TargetDown | None:
        """Return why a document must not be sent: the site would put other values in place of some of its own.

        What was asked for earlier lets a document through; it is asked for anew before one is held back.
        """
        barred = await self._barred(name, document, REFRESH_SECONDS, new=new)
        if isinstance(barred, list) and barred:
            barred = await self._barred(name, document, STALE_SECONDS, new=new)
        if isinstance(barred, TargetDown):
            return barred
        if not barred:
            return None
        described = self._metas.known(name)
        assert described is not None
        fields = " and ".join(f"{name}.{field.path} is permission level {field.level}" for field in barred)
        return Blocked(
            f"{fields}, where the API user may not write: Frappe would put another value there in silence",
            "; ".join(role_wanted(described, level) for level in sorted({field.level for field in barred})),
        )

    def may_write(self, doctype: DocType, level: int) -> bool | None:
        """Tell what is remembered of a level; None where nothing is."""
        user = None if self._asked is None else self._asked[1]
        return None if user is None else user.may_write(doctype, level)

    async def _barred(
        self, name: str, document: Mapping[str, Any], within: float, *, new: bool
    ) -> list[Raised] | TargetDown:
        described = await self._metas.of(name, within=within)
        if isinstance(described, TargetDown):
            return described
        if not isinstance(described, DocType) or described.writers is None:
            return []
        children = {}
        for child in () if new else sorted(tables(document, described)):
            told = await self._metas.of(child, within=within)
            if isinstance(told, DocType):
                children[child] = told
        found = raised(document, described, children, new=new)
        if not found:
            return []
        user = await self._user(within)
        if user is None or isinstance(user, TargetDown):
            return user or []
        return [field for field in found if user.may_write(described, field.level) is False]

    async def _user(self, within: float) -> User | TargetDown | None:
        await self._asking.acquire()
        try:
            now = self._client.clock.seconds()
            if self._asked is None or now - self._asked[0] >= within:
                user = await self._ask()
                if isinstance(user, TargetDown):
                    return user
                self._asked = (self._client.clock.seconds(), user)
            return self._asked[1]
        finally:
            self._asking.release()

    async def _ask(self) -> User | TargetDown | None:
        name = await self._told(url_path("api", "method", LOGGED_USER))
        if not isinstance(name, str):
            return name if isinstance(name, TargetDown) else None
        if name == ADMINISTRATOR:
            return User(name, frozenset())
        roles = await self._told(url_path("api", "method", GET_ROLES, uid=name))
        if isinstance(roles, list) and roles and all(isinstance(role, str) for role in roles):
            return User(name, frozenset(roles))
        return roles if isinstance(roles, TargetDown) else None

    async def _told(self, path: str) -> object:
        """Return what a method says; None where the site does not tell us, TargetDown where it does not answer."""
        verdict = await read(self._client, "GET", path, "message")
        match verdict:
            case Answered(value=value):
                return value
            case TargetDown():
                return verdict
            case Ambiguous(code=None, reason=reason):
                return TargetDown(reason)
        return None


def _raised(
    document: Mapping[str, Any], doctype: DocType, children: Mapping[str, DocType], path: str, *, new: bool
) -> Iterator[Raised]:
    for name, value in document.items():
        field = doctype.fields.get(name)
        if field is None or field.kind in LAYOUT or (new and value in (None, "")):
            continue
        where = child_path(path, name)
        if field.level:
            yield Raised(where, field.level)
        if field.kind in TABLES and not new:
            yield from _rows(value, children.get(field.options), where)


def _rows(rows: object, child: DocType | None, path: str) -> Iterator[Raised]:
    for row in rows if isinstance(rows, list) and child is not None else ():
        if isinstance(row, dict):
            assert child is not None
            yield from _raised(row, child, {}, path, new=False)
