"""Links between documents: followed when one is stored, minded when one is deleted or cancelled."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lineside.standin.doctypes import DocType
from lineside.standin.errors import still_linked, thrown
from lineside.standin.filters import column, quoted

if TYPE_CHECKING:
    from lineside.standin.records import Records

LOOSE = frozenset({"ToDo", "File", "Custom Field", "Webhook Request Log"})
"""Their links keep nothing from being deleted or cancelled."""


def follow_links(records: Records, kind: DocType, document: dict[str, Any]) -> None:
    """Take linked documents' names as they are spelt there, and the fields fetched from them; rows too.

    Raises:
        FrappeError: LinkValidationError, with all that were not found.

    """
    missing = _followed(records, kind, document, "")
    for table in kind.tables:
        child = records.doctype(table.options or "")
        if child.links:
            for row in document[table.fieldname]:
                missing += _followed(records, child, row, f"Row #{row['idx']}: ")
    if missing:
        raise thrown("LinkValidationError", f"Could not find {', '.join(missing)}")


def hold_links(records: Records, document: dict[str, Any], *, cancelling: bool = False) -> None:
    """Keep a document that others link to from being deleted, or cancelled where the others are submitted.

    Raises:
        FrappeError: LinkExistsError.

    """
    doctype, name = document["doctype"], document["name"]
    for kind in records.doctypes():
        if kind.name in LOOSE:
            continue
        for field in kind.links:
            if field.options != doctype:
                continue
            holder = '"parent"' if kind.istable else '"name"'
            found = records.connection.execute(
                f"SELECT {holder} FROM {quoted('tab' + kind.name)} WHERE {column(field)} = ? "
                f"AND {holder} != ? {'AND docstatus = 1' if cancelling else ''} LIMIT 1",
                (name, name),
            ).fetchone()
            if found:
                raise still_linked(doctype, name, kind.name, found[0])


def _followed(records: Records, kind: DocType, document: dict[str, Any], where: str) -> list[str]:
    missing = []
    for link in kind.links:
        value = document.get(link.fieldname)
        if not value or not link.options:
            continue
        fetched = kind.fetched.get(link.fieldname, {})
        row = records.connection.execute(
            records.table(link.options).look_up(fetched.values()), (str(value).strip(" "),)
        ).fetchone()
        if row is None:
            missing.append(f"{where}{link.title}: {value}")
        else:
            document |= zip((link.fieldname, *fetched), row, strict=True)
    return missing
