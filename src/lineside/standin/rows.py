"""The rows of child tables in memory: made of what was given, and adopted by their parent. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from lineside.standin.doctypes import DocType, Field
from lineside.standin.errors import foreign
from lineside.standin.values import cast, default_value

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
