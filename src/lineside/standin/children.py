"""The rows of child tables: made from what was given, read, and stored all together."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from sqlite3 import Connection
from typing import Any

from lineside.standin.doctypes import DocType, Field
from lineside.standin.errors import foreign
from lineside.standin.tables import Table
from lineside.standin.values import cast, column_value, default_value, shown_value

Row = dict[str, Any]
"""A child document; its fields in the order of its DocType, then ``doctype``."""


def made_rows(
    field: Field,
    kind: DocType,
    given: object,
    parent: Mapping[str, Any],
    stored: Mapping[str, Row],
    now: datetime,
    draw_name: Callable[[], str],
) -> list[Row]:
    """Return a table's rows from what a sender gave for it: these replace all that were there.

    A row that gives the name of a stored one keeps it, with its creation; the fields that it does not give are
    empty then, as in Frappe. `adopt` makes the rows the parent's.

    Args:
        field: the parent's table field.
        kind: the child DocType.
        given: a list of objects; nothing for no rows.
        parent: whose rows they become.
        stored: the rows in the table by name.
        now: the site's time, for defaults.
        draw_name: returns a new row's name.

    Raises:
        FrappeError: it is something else.

    """
    if given is None or given == "":
        return []
    if not isinstance(given, list) or not all(isinstance(each, dict) for each in given):
        raise foreign("", "TypeError", f"rows of {field.fieldname} must be a list of objects")
    rows: list[Row] = []
    for each in given:
        old = stored.get(str(each.get("name")))
        row: Row = {
            "name": draw_name() if old is None else old["name"],
            "owner": parent["modified_by"] if old is None else old["owner"],
            "creation": parent["modified"] if old is None else old["creation"],
            "modified": parent["modified"],
            "modified_by": parent["modified_by"],
            "docstatus": parent["docstatus"],
            "idx": len(rows) + 1,
        }
        for column in kind.own_columns:
            value = each.get(column.fieldname)
            fill = value is None and old is None
            row[column.fieldname] = default_value(column, now) if fill else cast(column, value)
        row |= {"parent": parent["name"], "parentfield": field.fieldname, "parenttype": parent["doctype"]}
        row["doctype"] = kind.name
        rows.append(row)
    return rows


def adopt(parent: Mapping[str, Any], rows: list[Row]) -> list[Row]:
    """Return rows with the name, the state and the last change of their parent."""
    shared = {name: parent[name] for name in ("modified", "modified_by", "docstatus")}
    return [{**row, **shared, "parent": parent["name"], "idx": place} for place, row in enumerate(rows, 1)]


def read_rows(connection: Connection, table: Table, parenttype: str, parent: str, field: Field) -> list[Row]:
    """Return the stored rows of one table of one document, in order."""
    found = connection.execute(table.rows, (parent, parenttype, field.fieldname))
    return [
        {
            **{
                column.fieldname: shown_value(column, value)
                for column, value in zip(table.doctype.columns, row, strict=True)
            },
            "doctype": table.doctype.name,
        }
        for row in found
    ]


def replace_rows(connection: Connection, table: Table, parent: Mapping[str, Any], field: Field) -> None:
    """Store a document's rows of one table in the place of those that lie there.

    Raises:
        FrappeError: a column does not take a value.

    """
    drop_rows(connection, table, str(parent["doctype"]), str(parent["name"]), field)
    kind = table.doctype
    connection.executemany(
        table.insert,
        [
            [column_value(column, row[column.fieldname], kind.name) for column in kind.columns]
            for row in parent[field.fieldname]
        ],
    )


def drop_rows(connection: Connection, table: Table, parenttype: str, parent: str, field: Field) -> None:
    """Delete all rows of one table of one document."""
    connection.execute(table.drop_rows, (parent, parenttype, field.fieldname))
