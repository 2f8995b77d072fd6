"""Preparing a site: the unique field that holds the delivery id, in every DocType that routes write to."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from msgspec import Struct

from lineside.edges.frappe.client import FrappeClient, url_path
from lineside.edges.frappe.doctypes import Field
from lineside.edges.frappe.idfield import Missing, read_field
from lineside.edges.frappe.meta import NoDoctype
from lineside.edges.frappe.outcomes import CHECK_PERMISSION, Ambiguous, Conflict, classify_insert
from lineside.edges.frappe.reply import to_json
from lineside.model.errors import LinesideError
from lineside.model.outcome import Blocked, Refused, TargetDown

LABEL = "Lineside ID"
LENGTH = 140


class Prepared(Struct, frozen=True):
    """A DocType that is safe to insert into."""

    doctype: str
    created: bool
    """The field was made now; it had been there otherwise."""


async def prepare(
    client: FrappeClient,
    doctypes: Iterable[str],
    id_field: str,
    told: Callable[[Prepared], object] = lambda prepared: None,
) -> list[Prepared]:
    """Make the unique Custom Field where it is absent; calling it again changes nothing.

    Every field is read back: a `Prepared` DocType has it, unique, in the site's own words. All DocTypes are
    tried, in order, unless the site itself cannot be used.

    Args:
        client: its user may read and make Custom Fields.
        doctypes: repeated ones are prepared once.
        id_field: the field's name.
        told: is called with each DocType as it is prepared, also where a later one fails.

    Raises:
        LinesideError: one line for each DocType that is not prepared.

    """
    prepared: list[Prepared] = []
    problems: list[str] = []
    for doctype in dict.fromkeys(doctypes):
        try:
            prepared.append(await _prepare(client, doctype, id_field))
        except _Unprepared as problem:
            problems.append(str(problem))
        else:
            told(prepared[-1])
    if problems:
        raise LinesideError("\n".join(problems))
    return prepared


class _Unprepared(Exception):
    """One DocType cannot be prepared, for a reason of its own."""


async def _prepare(client: FrappeClient, doctype: str, id_field: str) -> Prepared:
    if await _present(client, doctype, id_field):
        return Prepared(doctype, created=False)
    refusal = await _create(client, doctype, id_field)
    if await _present(client, doctype, id_field):
        return Prepared(doctype, created=True)
    raise _Unprepared(f"{doctype}: {id_field} could not be made: {refusal}")


async def _present(client: FrappeClient, doctype: str, id_field: str) -> bool:
    match await read_field(client, doctype, id_field):
        case Field(unique=True):
            return True
        case Field():
            raise _Unprepared(
                f"{doctype}: the field {id_field} exists but is not unique; make it unique in Customize Form, "
                "or give the target another id_field"
            )
        case Missing():
            return False
        case NoDoctype(reason=reason):
            raise _Unprepared(f"{doctype}: {reason}")
        case TargetDown(reason=reason):
            raise LinesideError(f"the site does not answer: {reason}")
        case Blocked(reason=reason, remedy=remedy):
            raise LinesideError(f"{reason}: {remedy}")


async def _create(client: FrappeClient, doctype: str, id_field: str) -> str:
    """Ask for the field; return why it may not have been made."""
    field = {
        "dt": doctype,
        "fieldname": id_field,
        "label": LABEL,
        "fieldtype": "Data",
        "length": LENGTH,
        "unique": 1,
        "no_copy": 1,
        "read_only": 1,
        "print_hide": 1,
        "description": "The gateway's delivery id: it keeps an event from becoming two documents.",
    }
    path = url_path("api", "resource", "Custom Field")
    match classify_insert(await client.ask("POST", path, body=to_json(field))):
        case Blocked(reason=reason, remedy=remedy):
            if remedy == CHECK_PERMISSION:
                remedy = "give the API user the role System Manager, which making a Custom Field needs"
            raise LinesideError(f"{reason}: {remedy}")
        case TargetDown(reason=reason):
            raise LinesideError(f"the site does not answer: {reason}")
        case Refused(reason=reason) | Conflict(refused=Refused(reason=reason)) | Ambiguous(reason=reason):
            return reason
        case _:
            return "the site does not show it"
