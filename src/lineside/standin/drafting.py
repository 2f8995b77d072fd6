"""Documents in memory, made of what was given: new ones, changed ones, copies. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from msgspec import Struct

from lineside.standin.doctypes import PARENT_FIELDS, STANDARD_FIELDS, DocType
from lineside.standin.rows import adopt, made_rows
from lineside.standin.values import cast, default_value, stamp_text

Document = dict[str, Any]
"""A document's fields in the order of its DocType, ``doctype``, its rows; None where a field is empty."""

DOCSTATUS = next(field for field in STANDARD_FIELDS if field.fieldname == "docstatus")


class Drafting(Struct, frozen=True):
    """Who makes a document, of what kind, and when.

    Args:
        kind: of the document.
        children: the DocTypes of its tables, by field.
        user: who makes or changes it.
        now: the site's time.
        draw_name: returns a random name.

    """

    kind: DocType
    children: Mapping[str, DocType]
    user: str
    now: datetime
    draw_name: Callable[[], str]

    def new(self, given: Mapping[str, Any]) -> Document:
        """Return a new document; fields that its DocType does not have are dropped, defaults filled in.

        Raises:
            FrappeError: a value has a form that its field does not take.

        """
        stamp = stamp_text(self.now)
        newname = given.get("__newname")
        document: Document = {
            "name": given.get("name") if newname is None else newname,
            "owner": self.user,
            "creation": stamp,
            "modified": stamp,
            "modified_by": self.user,
            "docstatus": _docstatus(given.get("docstatus"), 0),
            "idx": 0,
        }
        for field in self.kind.own_columns:
            value = given.get(field.fieldname)
            document[field.fieldname] = default_value(field, self.now) if value is None else cast(field, value)
        if self.kind.istable:
            document |= {field.fieldname: given.get(field.fieldname) for field in PARENT_FIELDS}
        document["doctype"] = self.kind.name
        for field in self.kind.tables:
            child, told = self.children[field.fieldname], given.get(field.fieldname)
            document[field.fieldname] = made_rows(field, child, told, document, {}, self.now, self.draw_name)
        return document

    def changed(self, before: Document, given: Mapping[str, Any], *, whole: bool) -> Document:
        """Return a document with the fields that are given; ``whole`` empties those that are not.

        Raises:
            FrappeError: a value has a form that its field does not take.

        """
        known = {
            field.fieldname: cast(field, given.get(field.fieldname))
            for field in self.kind.own_columns
            if whole or field.fieldname in given
        }
        document = {**before, **known, "modified": stamp_text(self.now), "modified_by": self.user}
        document["docstatus"] = _docstatus(given.get("docstatus"), 0 if whole else before["docstatus"])
        for field in self.kind.tables:
            rows = before[field.fieldname]
            if whole or field.fieldname in given:
                named = {row["name"]: row for row in rows}
                child, told = self.children[field.fieldname], given.get(field.fieldname)
                rows = made_rows(field, child, told, document, named, self.now, self.draw_name)
            document[field.fieldname] = adopt(document, rows)
        return document


def copied(kind: DocType, children: Mapping[str, DocType], document: Document) -> Document:
    """Return what a copy of a document is given: no name, no state, nothing that is not to be copied."""
    copy: Document = _copied_fields(kind, document)
    for field in kind.tables:
        child = children[field.fieldname]
        copy[field.fieldname] = [_copied_fields(child, row) for row in document[field.fieldname]]
    return {**copy, "docstatus": 0, "__islocal": 1}


def without_nulls(document: Document) -> Document:
    """Return a document as the REST resources show it: empty fields are left out, in its rows too."""
    return {
        name: [without_nulls(row) for row in value] if isinstance(value, list) else value
        for name, value in document.items()
        if value is not None
    }


def _copied_fields(kind: DocType, document: Document) -> Document:
    kept = {field.fieldname: document[field.fieldname] for field in kind.own_columns if not field.no_copy}
    return {"doctype": kind.name, **kept}


def _docstatus(given: object, otherwise: int) -> int:
    return otherwise if given is None else int(cast(DOCSTATUS, given) or 0)
