"""A DocType as a site describes it: the fields of its documents. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec import Struct

TABLES = frozenset({"Table", "Table MultiSelect"})
LAYOUT = frozenset({"Button", "Column Break", "Fold", "HTML", "Heading", "Image", "Section Break", "Tab Break"})
"""Fields of a form that hold no value."""


class Field(Struct, frozen=True):
    """One field; the names are those of Frappe's DocField. Empty where the site says nothing."""

    name: str
    kind: str = ""
    """Its ``fieldtype``."""
    label: str = ""
    """As Frappe's messages call it."""
    options: str = ""
    """Of a Select its values, one a line; of a Table the DocType of its rows."""
    length: int = 0
    """0 for the usual length of its kind."""
    unique: bool = False
    mandatory: bool = False
    filled: bool = False
    """It has a default, or is fetched through a link."""
    fetched: bool = False
    """Its value comes through a link, whatever is sent."""
    by_hand: bool = True
    """People fill it in; one that is read-only or hidden is for code."""
    non_negative: bool = False
    precision: int | None = None
    """Digits after the point; None for those of its kind."""
    level: int = 0
    """Its permission level: from 1 on Frappe puts back what a user without write permission there sends."""


class DocType(Struct, frozen=True):
    """One kind of document."""

    name: str
    fields: dict[str, Field]
    """By name, custom ones too; not the standard ones that every document has."""
    autoname: str = ""
    submittable: bool = False
    child: bool = False
    """Its documents are rows of others."""
    custom: bool = False
    """It was made on the site, and has no code of an app."""
    writers: dict[int, frozenset[str]] | None = None
    """By permission level: the roles that may write there. None where the site does not say."""


def doctype(described: Mapping[str, Any], name: str) -> DocType:
    """Read what ``/api/v2/doctype/{name}/meta`` says; what is not as Frappe writes it counts as not said."""
    rows = described.get("fields")
    fields = [field(row) for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []
    return DocType(
        name=name,
        fields={each.name: each for each in fields if each.name},
        autoname=_text(described.get("autoname")),
        submittable=_flag(described.get("is_submittable")),
        child=_flag(described.get("istable")),
        custom=_flag(described.get("custom")),
        writers=_writers(described.get("permissions")),
    )


def field(row: Mapping[str, Any]) -> Field:
    """Read one DocField or Custom Field."""
    name = _text(row.get("fieldname"))
    length = _text(row.get("length"))
    precision = _text(row.get("precision"))
    fetched = bool(_text(row.get("fetch_from")))
    return Field(
        name=name,
        kind=_text(row.get("fieldtype")),
        label=_text(row.get("label")) or name,
        options=_text(row.get("options")),
        length=int(length) if length.isdecimal() else 0,
        unique=_flag(row.get("unique")),
        mandatory=_flag(row.get("reqd")),
        filled=fetched or bool(_text(row.get("default"))),
        fetched=fetched and not _flag(row.get("fetch_if_empty")),
        by_hand=not (_flag(row.get("read_only")) or _flag(row.get("hidden"))),
        non_negative=_flag(row.get("non_negative")),
        precision=int(precision) if precision.isdecimal() else None,
        level=_level(row),
    )


def _writers(rows: object) -> dict[int, frozenset[str]] | None:
    if not isinstance(rows, list):
        return None
    writers: dict[int, frozenset[str]] = {}
    for row in rows:
        if isinstance(row, dict) and _flag(row.get("write")) and _text(row.get("role")):
            level = _level(row)
            writers[level] = writers.get(level, frozenset()) | {_text(row["role"])}
    return writers


def _level(row: Mapping[str, Any]) -> int:
    level = _text(row.get("permlevel"))
    return int(level) if level.isdecimal() else 0


def _text(value: object) -> str:
    return str(value) if isinstance(value, str | int | float) else ""


def _flag(value: object) -> bool:
    return value in (1, "1")
