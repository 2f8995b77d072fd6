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
    non_negative: bool = False


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
    )


def field(row: Mapping[str, Any]) -> Field:
    """Read one DocField or Custom Field."""
    name = _text(row.get("fieldname"))
    length = _text(row.get("length"))
    return Field(
        name=name,
        kind=_text(row.get("fieldtype")),
        label=_text(row.get("label")) or name,
        options=_text(row.get("options")),
        length=int(length) if length.isdecimal() else 0,
        unique=_flag(row.get("unique")),
        mandatory=_flag(row.get("reqd")),
        filled=bool(_text(row.get("default")) or _text(row.get("fetch_from"))),
        non_negative=_flag(row.get("non_negative")),
    )


def _text(value: object) -> str:
    return str(value) if isinstance(value, str | int | float) else ""


def _flag(value: object) -> bool:
    return value in (1, "1")
