"""From draft to submitted to cancelled, as Frappe allows it. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from lineside.standin.doctypes import DocType, Field
from lineside.standin.errors import raised, thrown
from lineside.standin.values import same

DRAFT, SUBMITTED, CANCELLED = 0, 1, 2

Action = Literal["save", "submit", "update_after_submit", "cancel"]

STATES = {DRAFT: "0 (Draft)", SUBMITTED: "1 (Submitted)", CANCELLED: "2 (Cancelled)"}

ACTIONS: dict[tuple[int, int], Action] = {
    (DRAFT, DRAFT): "save",
    (DRAFT, SUBMITTED): "submit",
    (SUBMITTED, SUBMITTED): "update_after_submit",
    (SUBMITTED, CANCELLED): "cancel",
}


def action(kind: DocType, before: int, after: int) -> Action:
    """Return what a save does that finds one docstatus and asks for another.

    Raises:
        FrappeError: DocstatusTransitionError for a step that does not exist, ValidationError for a cancelled
            document or no docstatus at all, PermissionError where the DocType is not submittable.

    """
    if before == CANCELLED:
        raise thrown("ValidationError", "Cannot edit cancelled document")
    if after not in STATES:
        raise raised("ValidationError", f"('Invalid docstatus', {after})")
    found = ACTIONS.get((before, after))
    if found is None:
        raise raised(
            "DocstatusTransitionError", f"Cannot change docstatus from {STATES[before]} to {STATES[after]}"
        )
    if after != DRAFT and not kind.is_submittable:
        raise thrown("PermissionError", f"Document Type {kind.name} is not submittable")
    return found


def hold_submitted(kind: DocType, children: Mapping[str, DocType], before: Mapping[str, Any], after: Any) -> None:
    """Hold a submitted document to the changes that its fields allow.

    Args:
        kind: of the document.
        children: the DocTypes of its tables, by field.
        before: as stored, with its rows.
        after: as it should become.

    Raises:
        FrappeError: UpdateAfterSubmitError.

    """
    _hold_row(kind, before, after, "")
    for table in kind.tables:
        old, new = before[table.fieldname], after[table.fieldname]
        if not table.allow_on_submit and [row["name"] for row in old] != [row["name"] for row in new]:
            raise _refused(f" Not allowed to change rows of <strong>{table.title}</strong> after submission")
        stored = {row["name"]: row for row in old}
        for row in new:
            if row["name"] in stored:
                where = f"Row #{row['idx']}:"
                _hold_row(children[table.fieldname], stored[row["name"]], row, where)


def _hold_row(kind: DocType, before: Mapping[str, Any], after: Mapping[str, Any], where: str) -> None:
    for field in kind.own_columns:
        old, new = before[field.fieldname], after[field.fieldname]
        if not field.allow_on_submit and not same(field, old, new):
            raise _refused(
                f"{where} Not allowed to change <strong>{field.title}</strong> after submission from "
                f"<strong>{_told(field, old)}</strong> to <strong>{_told(field, new)}</strong>"
            )


def _told(field: Field, value: object) -> object:
    return (0 if field.is_number else "") if value is None else value


def _refused(text: str) -> Exception:
    return thrown("UpdateAfterSubmitError", text, "Cannot Update After Submit")
