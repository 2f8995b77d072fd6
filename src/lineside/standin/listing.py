"""What a list is asked for: columns, order, grouping and how much of it. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from lineside.standin.doctypes import DocType, Field
from lineside.standin.errors import thrown, unknown_column
from lineside.standin.filters import Clause, column, decoded, parse_filters, quoted, where

PAGE = 20
MOST = 2**31

COLUMN = re.compile(r"(?:`tab(?P<table>[^`]+)`\.)?`?(?P<name>\w+)`?(?:\s+as\s+`?(?P<alias>\w+)`?)?", re.IGNORECASE)
FUNCTION = re.compile(
    r"(?P<function>count|sum|avg|min|max)\(\s*(?P<inside>.+?)\s*\)(?:\s+as\s+`?(?P<alias>\w+)`?)?", re.IGNORECASE
)
ORDER = re.compile(r"(?P<what>.+?)(?:\s+(?P<direction>asc|desc))?", re.IGNORECASE)


class Shown(Struct, frozen=True):
    """One column of the answer."""

    sql: str
    alias: str
    field: Field | None
    """None for what is computed."""


class Query(Struct, frozen=True):
    """A list, ready to be run."""

    shown: tuple[Shown, ...]
    statement: Clause


def read_query(doctype: DocType, asked: Mapping[str, Any]) -> Query:
    """Return the query of a list's arguments, named as those of ``frappe.client.get_list``.

    Without ``limit_page_length`` a list has 20 rows, with 0 all of them.

    Raises:
        FrappeError: an argument is malformed or names a field that does not exist.

    """
    shown = tuple(_shown(doctype, given) for given in _names(asked.get("fields")))
    if not shown:
        shown = (_shown(doctype, "name"),)
    if any(each.alias == "*" for each in shown):
        shown = tuple(Shown(quoted(field.fieldname), field.fieldname, field) for field in doctype.columns)
    clause = _where(doctype, asked)
    grouped = ", ".join(_ordered_by(doctype, each) for each in _parts(asked.get("group_by")))
    order = [_order(doctype, shown, each) for each in _parts(asked.get("order_by"))]
    if not order:
        order = ["1"] if grouped or _computed(shown) else ['"modified" DESC']
    if not grouped and not _computed(shown):
        # Rows of one stamp keep the order in which they were inserted; an index on the stamp still serves.
        order.append(f"rowid {order[-1].rpartition(' ')[2]}")
    limit = _number(asked.get("limit_page_length", PAGE), PAGE)
    start = _number(asked.get("limit_start"), 0)
    sql = (
        f"SELECT {', '.join(each.sql for each in shown)} FROM {quoted('tab' + doctype.name)}{clause.sql}"
        f"{' GROUP BY ' + grouped if grouped else ''} ORDER BY {', '.join(order)} LIMIT ? OFFSET ?"
    )
    return Query(shown, Clause(sql, (*clause.values, limit or -1, start)))


def read_count(doctype: DocType, asked: Mapping[str, Any]) -> Clause:
    """Return the statement that counts what a list's filters let through.

    Raises:
        FrappeError: as `read_query`.

    """
    clause = _where(doctype, asked)
    return Clause(f"SELECT count(*) FROM {quoted('tab' + doctype.name)}{clause.sql}", clause.values)


def _where(doctype: DocType, asked: Mapping[str, Any]) -> Clause:
    return where(
        doctype,
        parse_filters(asked.get("filters"), doctype.name),
        parse_filters(asked.get("or_filters"), doctype.name),
    )


def _names(given: object) -> list[str]:
    if isinstance(given, str):
        given = decoded(given) if given.lstrip().startswith("[") else given.split(",")
    if not given:
        return []
    if not isinstance(given, list) or not all(isinstance(each, str) for each in given):
        raise thrown("DataError", "Fields must be a list of names")
    return [each.strip() for each in given if each.strip()]


def _parts(given: object) -> list[str]:
    return [part.strip() for part in str(given).split(",") if part.strip()] if given else []


def _shown(doctype: DocType, given: str) -> Shown:
    if given in {"*", f"`tab{doctype.name}`.*"}:
        return Shown("*", "*", None)
    computed = FUNCTION.fullmatch(given)
    if computed:
        inside = computed["inside"]
        sql = (
            f"{computed['function'].lower()}({'*' if inside == '*' else quoted(_field(doctype, inside).fieldname)})"
        )
        return Shown(sql, computed["alias"] or f"{computed['function']}({inside})", None)
    plain = COLUMN.fullmatch(given)
    if plain is None:
        raise thrown("DataError", f"Illegal SQL Query: {given}")
    field = _field(doctype, given)
    return Shown(quoted(field.fieldname), plain["alias"] or field.fieldname, field)


def _field(doctype: DocType, given: str, clause: str = "field list") -> Field:
    found = COLUMN.fullmatch(given)
    if found is None:
        raise thrown("DataError", f"Illegal SQL Query: {given}")
    field = doctype.by_name.get(found["name"])
    if field is None or (found["table"] or doctype.name) != doctype.name:
        raise unknown_column(given, clause)
    return field


def _ordered_by(doctype: DocType, given: str) -> str:
    return column(_field(doctype, given, "group statement"))


def _order(doctype: DocType, shown: tuple[Shown, ...], given: str) -> str:
    found = ORDER.fullmatch(given)
    assert found is not None
    direction = (found["direction"] or "asc").upper()
    alias = next((each for each in shown if each.field is None and each.alias == found["what"].strip("`")), None)
    if alias is not None:
        return f"{alias.sql} {direction}"
    return f"{column(_field(doctype, found['what'], 'order clause'))} {direction}"


def _computed(shown: tuple[Shown, ...]) -> bool:
    return any(each.field is None for each in shown)


def _number(given: object, otherwise: int) -> int:
    try:
        return min(max(int(given), 0), MOST)  # type: ignore[call-overload, no-any-return]
    except (TypeError, ValueError):
        return otherwise
