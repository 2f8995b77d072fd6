"""Which DocTypes a site has at the moment, with their custom fields."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping
from sqlite3 import Connection

import msgspec

from lineside.standin.doctypes import DocType, Field
from lineside.standin.errors import unknown_doctype
from lineside.standin.filters import quoted
from lineside.standin.tables import Table

CUSTOM = tuple(field.name for field in msgspec.structs.fields(Field) if field.name != "is_custom_field")
"""What a Custom Field says of the field it adds; columns of its own table."""


class Catalogue:
    """The library's DocTypes with the custom fields of one database; remembers them while nothing changes.

    Used on one thread. The state that it remembers them by is part of each transaction, so that a change
    that is undone is forgotten too.
    """

    def __init__(self, library: Mapping[str, DocType]) -> None:
        self._library = library
        self._state = ""
        self._known: dict[str, Table] = {}
        self._watched: frozenset[str] | None = None

    def refresh(self, connection: Connection) -> None:
        """Forget what is no longer so in the connection's transaction; comes before any `table`."""
        (state,) = connection.execute("SELECT state FROM definitions").fetchone()
        if state != self._state:
            self._known.clear()
            self._watched = None
            self._state = state

    @property
    def names(self) -> Iterable[str]:
        """The names of all DocTypes."""
        return self._library

    def is_watched(self, connection: Connection, doctype: str) -> bool:
        """Whether a webhook is set on a DocType, in the connection's transaction."""
        if self._watched is None:
            rows = connection.execute('SELECT DISTINCT webhook_doctype FROM "tabWebhook" WHERE enabled = 1')
            self._watched = frozenset(name for (name,) in rows)
        return doctype in self._watched

    def table(self, connection: Connection, name: str) -> Table:
        """Return a DocType's table as the connection's transaction sees it.

        Raises:
            FrappeError: there is none of this name.

        """
        known = self._known.get(name)
        if known is None:
            if name not in self._library:
                raise unknown_doctype(name)
            doctype = self._library[name].with_custom(_custom_fields(connection, name))
            known = self._known[name] = Table(doctype)
        return known


def changed(connection: Connection) -> None:
    """Note in the transaction that definitions are different from now on."""
    connection.execute("UPDATE definitions SET state = ?", (secrets.token_hex(8),))


def _custom_fields(connection: Connection, doctype: str) -> list[Field]:
    columns = ", ".join(quoted(name) for name in CUSTOM)
    rows = connection.execute(
        f'SELECT {columns} FROM "tabCustom Field" WHERE dt = ? ORDER BY idx, rowid', (doctype,)
    )
    return [Field(**dict(zip(CUSTOM, row, strict=True)), is_custom_field=1) for row in rows]
