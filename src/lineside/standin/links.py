"""Links between documents: followed when one is stored, minded when one is deleted or cancelled."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lineside.standin.doctypes import DocType
from lineside.standin.errors import still_linked, thrown
from lineside.standin.filters import column, quoted
from lineside.standin.naming import checked

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


def rename(records: Records, doctype: str, old: str, new: str, user: str) -> str:
    """Give a document another name, and every link to it too.

    Raises:
        FrappeError: there is none, the new name is taken or not allowed.

    """
    document = records.get(doctype, old)
    old, new = document["name"], checked(new.strip())
    if not new:
        raise thrown("ValidationError", "New name must not be empty")
    if records.exists(doctype, new):
        raise thrown("ValidationError", f"Another {doctype} with name {new} exists, select another name")
    connection = records.connection
    kind = records.doctype(doctype)
    connection.execute(f"UPDATE {quoted('tab' + doctype)} SET name = ? WHERE name = ?", (new, old))
    source, _, fieldname = kind.autoname.partition(":")
    if source == "field" and fieldname:
        connection.execute(
            f"UPDATE {quoted('tab' + doctype)} SET {quoted(fieldname)} = ? WHERE name = ?", (new, new)
        )
    for table in kind.tables:
        connection.execute(
            f"UPDATE {quoted('tab' + (table.options or ''))} SET parent = ? WHERE parent = ? AND parenttype = ?",
            (new, old, doctype),
        )
    for other in records.doctypes():
        for field in other.links:
            if field.options == doctype:
                connection.execute(
                    f"UPDATE {quoted('tab' + other.name)} SET {quoted(field.fieldname)} = ? "
                    f"WHERE {column(field)} = ?",
                    (new, old),
                )
    records.update(doctype, new, {}, user)
    return new


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
