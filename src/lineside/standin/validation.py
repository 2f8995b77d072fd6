"""What every document is held to before it is stored, and what is done to its text. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lineside.standin.doctypes import DocType
from lineside.standin.drafting import Document
from lineside.standin.errors import bad_value, empty_table, mandatory, thrown
from lineside.standin.html import UNTOUCHED, sanitised
from lineside.standin.values import check, time_text


def validate(kind: DocType, children: Mapping[str, DocType], document: Document) -> None:
    """Hold a document and its rows to the rules of their fields, and make HTML in its text harmless.

    Raises:
        FrappeError: a value is missing, too long, negative, or none of the options.

    """
    _hold_mandatory(kind, document, None)
    for field in kind.tables:
        rows = document[field.fieldname]
        if field.reqd and not rows:
            raise empty_table(kind.name, document["name"], field.fieldname, field.title)
        for row in rows:
            _hold_mandatory(children[field.fieldname], row, row["idx"])
    _check(kind, document, f"{kind.name} {document['name']}")
    for field in kind.tables:
        child = children[field.fieldname]
        for row in document[field.fieldname]:
            _check(child, row, f"{child.name} Row {row['idx']}")


def hold_stamp(before: Document, given: Mapping[str, Any], *, whole: bool) -> None:
    """Hold a change to the ``modified`` that it gives; ``whole`` wants one.

    Raises:
        FrappeError: TimestampMismatchError, or OperationalError for what is no time.

    """
    told = given.get("modified")
    if told is None and not whole:
        return
    if told is not None and time_text("Datetime", str(told)) is None:
        raise bad_value("datetime", told, before["doctype"], "modified")
    if time_text("Datetime", str(told)) != time_text("Datetime", before["modified"]):
        raise thrown(
            "TimestampMismatchError",
            "Error: Document has been modified after you have opened it "
            f"({before['modified']}, {told}). Please refresh to get the latest document.",
        )


def _hold_mandatory(kind: DocType, document: Document, row: int | None) -> None:
    missing = [
        (field.fieldname, field.title)
        for field in kind.mandatory
        if field.has_column and document.get(field.fieldname) in {None, ""} and not field.is_number
    ]
    if missing:
        raise mandatory(kind.name, document["name"], missing, row)


def _check(kind: DocType, document: Document, where: str) -> None:
    for field in kind.own_columns:
        value = document[field.fieldname]
        check(field, value, where)
        if isinstance(value, str) and not field.ignore_xss_filter and field.fieldtype not in UNTOUCHED:
            document[field.fieldname] = sanitised(value)
