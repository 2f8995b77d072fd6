"""DocTypes: what documents of one kind are made of. Pure; the definitions are JSON files."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any

import msgspec
from msgspec import Struct

INTEGER_TYPES = frozenset({"Check", "Int", "Long Int"})
REAL_TYPES = frozenset({"Currency", "Duration", "Float", "Percent", "Rating"})
NUMBER_TYPES = INTEGER_TYPES | REAL_TYPES
TIME_TYPES = frozenset({"Date", "Datetime", "Time"})
TABLE_TYPES = frozenset({"Table", "Table MultiSelect"})
LAYOUT_TYPES = frozenset(
    {"Button", "Column Break", "Fold", "HTML", "Heading", "Image", "Section Break", "Tab Break"}
)
"""Fields of a form that hold no value."""


class Field(Struct, frozen=True, omit_defaults=False):
    """One field; the names are those of Frappe's DocField, flags are 0 or 1."""

    fieldname: str
    fieldtype: str = "Data"
    label: str | None = None
    options: str | None = None
    reqd: int = 0
    unique: int = 0
    default: str | None = None
    length: int = 0
    non_negative: int = 0
    read_only: int = 0
    hidden: int = 0
    no_copy: int = 0
    allow_on_submit: int = 0
    ignore_xss_filter: int = 0
    in_list_view: int = 0
    fetch_from: str | None = None
    description: str | None = None
    insert_after: str | None = None
    is_custom_field: int = 0
    permlevel: int = 0
    precision: str | None = None
    fetch_if_empty: int = 0

    @property
    def title(self) -> str:
        """The label, or what Frappe makes of the name where there is none."""
        return self.label or self.fieldname.replace("_", " ").title()

    @property
    def has_column(self) -> bool:
        """Whether its value lies in the DocType's own table."""
        return self.fieldtype not in LAYOUT_TYPES and self.fieldtype not in TABLE_TYPES

    @property
    def is_number(self) -> bool:
        """Whether it is 0 instead of empty."""
        return self.fieldtype in NUMBER_TYPES


class Permission(Struct, frozen=True):
    """What one role may do at one level; the names are those of Frappe's DocPerm, flags are 0 or 1."""

    role: str
    permlevel: int = 0
    read: int = 0
    write: int = 0
    create: int = 0
    delete: int = 0
    submit: int = 0
    cancel: int = 0
    amend: int = 0


STANDARD_FIELDS = (
    Field("name", label="ID"),
    Field("owner", label="Created By"),
    Field("creation", "Datetime", label="Created On"),
    Field("modified", "Datetime", label="Last Updated On"),
    Field("modified_by", label="Last Updated By"),
    Field("docstatus", "Int", label="Document Status"),
    Field("idx", "Int", label="Index"),
)
"""Every document has these, in this order, before its own."""

PARENT_FIELDS = (
    Field("parent", label="Parent"),
    Field("parentfield", label="Parent Field"),
    Field("parenttype", label="Parent Type"),
)
"""Every row of a child table has these after its own."""


class DocType(Struct, frozen=True, dict=True):
    """One kind of document; the names are those of Frappe's DocType."""

    name: str
    module: str = "Core"
    autoname: str = "hash"
    is_submittable: int = 0
    istable: int = 0
    issingle: int = 0
    title_field: str | None = None
    fields: tuple[Field, ...] = ()
    permissions: tuple[Permission, ...] = ()
    """Only levels from 1 on are held to; see `lineside.standin.levels`."""
    indexes: tuple[tuple[str, ...], ...] = ()
    """Columns that the stand-in indexes together; Frappe keeps these in the DocType's code."""

    @cached_property
    def columns(self) -> tuple[Field, ...]:
        """Every field with a column: the standard ones, its own, then those of a child row."""
        return (*STANDARD_FIELDS, *self.own_columns, *(PARENT_FIELDS if self.istable else ()))

    @cached_property
    def own_columns(self) -> tuple[Field, ...]:
        """The fields with a column that are not on every document."""
        return tuple(field for field in self.fields if field.has_column)

    @cached_property
    def tables(self) -> tuple[Field, ...]:
        """The fields that hold rows of a child DocType, which ``options`` names."""
        return tuple(field for field in self.fields if field.fieldtype in TABLE_TYPES and field.options)

    @cached_property
    def by_name(self) -> dict[str, Field]:
        """Every field with a column, by its name."""
        return {field.fieldname: field for field in self.columns}

    @cached_property
    def links(self) -> tuple[Field, ...]:
        """The fields that name a document of another DocType."""
        return tuple(field for field in self.fields if field.fieldtype == "Link")

    @cached_property
    def fetched(self) -> dict[str, dict[str, str]]:
        """By a link's name: the fields that are fetched through it, and the names they have there."""
        found: dict[str, dict[str, str]] = {}
        for field in self.own_columns:
            link, dot, source = (field.fetch_from or "").partition(".")
            if dot:
                found.setdefault(link, {})[field.fieldname] = source
        return found

    @cached_property
    def mandatory(self) -> tuple[Field, ...]:
        """The fields that must not be empty."""
        return tuple(field for field in self.fields if field.reqd)

    @cached_property
    def raised(self) -> tuple[Field, ...]:
        """The fields that need a permission of their own: those above level 0."""
        return tuple(field for field in self.own_columns if field.permlevel)

    @cached_property
    def unique(self) -> tuple[Field, ...]:
        """The fields of which no two documents share a value."""
        return tuple(field for field in self.own_columns if field.unique)

    def with_custom(self, custom: Iterable[Field]) -> DocType:
        """Return the DocType with further fields, each after the one it asks for, else at the end."""
        fields = list(self.fields)
        for field in custom:
            places = [place for place, other in enumerate(fields) if other.fieldname == field.insert_after]
            fields.insert(places[0] + 1 if places else len(fields), field)
        return msgspec.structs.replace(self, fields=tuple(fields))

    def described(self) -> dict[str, Any]:
        """Return the DocType as a document, its fields as child documents."""
        described = msgspec.to_builtins(self)
        del described["indexes"]
        for table in ("fields", "permissions"):
            described[table] = [
                {**child, "idx": place, "parent": self.name, "parentfield": table, "parenttype": "DocType"}
                for place, child in enumerate(described[table], 1)
            ]
        return {**described, "doctype": "DocType"}


class Library(Struct, frozen=True):
    """The DocTypes that a stand-in begins with, and the documents it is delivered with."""

    doctypes: dict[str, DocType]
    documents: tuple[dict[str, Any], ...]
    """Each with its ``doctype`` and ``name``; inserted where missing."""


class Definition(Struct, frozen=True, forbid_unknown_fields=True):
    """A DocType, and documents of it that every site has."""

    doctype: DocType
    documents: tuple[dict[str, Any], ...] = ()


def read_library(*sources: Traversable) -> Library:
    """Read every ``.json`` file of the package's definitions, then of further folders and files.

    A file holds one definition or a list of them. One is a `Definition`, or a DocType as Frappe exports it
    (``{"doctype": "DocType", "name": ..., "fields": [...]}``), of which the stand-in takes what it knows. A
    DocType that is defined again replaces the one before.

    Raises:
        msgspec.DecodeError: a file is not JSON, or holds something else; its name is said.

    """
    definitions = [
        definition
        for source in (files("lineside.standin") / "definitions", *sources)
        for file in _json_files(source)
        for definition in _definitions(file)
    ]
    return Library(
        {each.doctype.name: each.doctype for each in definitions},
        tuple({"doctype": each.doctype.name, **document} for each in definitions for document in each.documents),
    )


def _json_files(source: Traversable) -> list[Traversable]:
    if source.is_file():
        return [source]
    found = (file for file in source.iterdir() if file.name.endswith(".json"))
    return sorted(found, key=lambda file: file.name)


def _definitions(file: Traversable) -> list[Definition]:
    try:
        given = msgspec.json.decode(file.read_bytes())
        return [_definition(each) for each in (given if isinstance(given, list) else [given])]
    except msgspec.DecodeError as wrong:
        raise msgspec.DecodeError(f"{file.name}: {wrong}") from wrong


def _definition(given: object) -> Definition:
    if isinstance(given, dict) and given.get("doctype") == "DocType":
        # What an export leaves out or holds as null has its default.
        given = {"doctype": {name: value for name, value in given.items() if value is not None}}
    return msgspec.convert(given, Definition, strict=False)
