"""What single DocTypes do beside what all do, as their controllers in Frappe, ERPNext and HRMS."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from lineside.standin import filestore, tables
from lineside.standin.errors import thrown
from lineside.standin.passwords import set_password
from lineside.standin.stock import add_up, add_up_entry, move, move_back
from lineside.standin.values import time_text

if TYPE_CHECKING:
    from lineside.standin.records import Records

Document = dict[str, Any]
Rule = Callable[["Records", Document], None]
Reading = Callable[["Records", Mapping[str, Any]], Mapping[str, Any]]


def _nothing(_records: Records, _document: Document) -> None:
    """Most DocTypes have no rule of their own."""


def _as_given(_records: Records, given: Mapping[str, Any]) -> Mapping[str, Any]:
    """Most DocTypes take what is given."""
    return given


class Rules(Struct, frozen=True):
    """When a DocType's own code runs; each may change the document or raise `FrappeError`."""

    received: Reading = _as_given
    """Makes the fields of a new document of what was given, of which fields that do not exist are dropped then."""
    before_insert: Rule = _nothing
    """Before the document has its name."""
    validate: Rule = _nothing
    """At every insert and update, before the general checks."""
    stored: Rule = _nothing
    """In the same transaction, after an insert or update."""
    submitted: Rule = _nothing
    """In the same transaction, after it was submitted."""
    cancelled: Rule = _nothing
    """In the same transaction, after it was cancelled."""
    deleted: Rule = _nothing
    """In the same transaction, after a deletion."""


def _name_employee(_records: Records, document: Document) -> None:
    document["employee"] = document["name"]
    parts = (document.get(part) for part in ("first_name", "middle_name", "last_name"))
    document["employee_name"] = " ".join(str(part) for part in parts if part)


def _complete_user(records: Records, document: Document) -> None:
    parts = (document.get(part) for part in ("first_name", "last_name"))
    document["full_name"] = " ".join(str(part) for part in parts if part)
    if document["new_password"]:
        set_password(records.connection, document["name"], document["new_password"])
        document["new_password"] = None


SAME_LOG = (
    'SELECT "name" FROM "tabEmployee Checkin" WHERE trim("employee") COLLATE NOCASE = ? AND "time" = ? '
    'AND coalesce("log_type", \'\') COLLATE NOCASE = ? AND "name" != ? LIMIT 1'
)


def _refuse_second_log(records: Records, document: Document) -> None:
    """Hold a check-in to HRMS's rule: one log of a type for an employee at a time."""
    at = time_text("Datetime", str(document.get("time") or ""))
    if at is None:
        return  # the column refuses it
    found = records.connection.execute(
        SAME_LOG, (document.get("employee"), at, document.get("log_type") or "", document["name"])
    ).fetchone()
    if found:
        raise thrown(
            "ValidationError",
            "This employee already has a log with the same timestamp."
            f'<br><a href="/app/employee-checkin/{found[0]}">{found[0]}</a>',
        )


def _fill_fieldname(records: Records, document: Document) -> None:
    if not document.get("fieldname"):
        label = str(document.get("label") or "").strip()
        if not label:
            raise thrown("ValidationError", "Label is mandatory")
        document["fieldname"] = label.replace(" ", "_")
    document["fieldname"] = name = str(document["fieldname"]).lower()
    if not name.replace("_", "").isalnum():
        raise thrown("ValidationError", f"Fieldname {name} cannot have special characters")
    of = str(document.get("dt") or "")
    # No link check has been made yet: a DocType that is missing is told by it, after this.
    if records.exists("DocType", of) and name in {
        *records.doctype(of).by_name,
        *(field.fieldname for field in records.doctype(of).fields),
    }:
        raise thrown("ValidationError", f"A field with the name {name} already exists in {of}")


def _rebuild(records: Records, document: Document) -> None:
    records.definitions_changed()
    tables.synchronise(records.connection, records.table(document["dt"]))


def _keep_content(records: Records, given: Mapping[str, Any]) -> Mapping[str, Any]:
    return filestore.received(records.connection, given, records.settings)


def _watch(records: Records, _document: Document) -> None:
    records.definitions_changed()


ORDER = Rules(validate=add_up)
MOVEMENT = Rules(validate=add_up, submitted=move, cancelled=move_back)

RULES = {
    "User": Rules(validate=_complete_user),
    "Webhook": Rules(stored=_watch, deleted=_watch),
    "Sales Order": ORDER,
    "Delivery Note": MOVEMENT,
    "Purchase Receipt": MOVEMENT,
    "Stock Entry": Rules(validate=add_up_entry, submitted=move, cancelled=move_back),
    "File": Rules(received=_keep_content),
    "Employee": Rules(validate=_name_employee),
    "Employee Checkin": Rules(validate=_refuse_second_log),
    "Custom Field": Rules(before_insert=_fill_fieldname, stored=_rebuild, deleted=_rebuild),
}

NO_RULES = Rules()


def rules_of(doctype: str) -> Rules:
    """Return a DocType's rules."""
    return RULES.get(doctype, NO_RULES)
