"""Documents with files: first the document, then each file, then the submission.

A file is a document of the DocType File, which is inserted with its content (``content`` as Base64 and ``decode``,
which Frappe's own File takes). So it carries an id in the same unique field as every document, and is looked up,
refused and repeated as they are. What ``upload_file`` stores carries no id: it could only be recognised by its
content, which Frappe changes (docs/decisions/0011).
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from msgspec import Struct

from lineside.edges.frappe.client import FrappeClient, url_path
from lineside.edges.frappe.doctypes import DocType
from lineside.edges.frappe.idfield import IdField
from lineside.edges.frappe.inserts import SUBMITTED, Inserts
from lineside.edges.frappe.lookup import CANCELLED, GET_LIST, LOOKUP_SECONDS, Found, Lookup
from lineside.edges.frappe.meta import Metas
from lineside.edges.frappe.outcomes import Answered, classify, unanswered, undone
from lineside.edges.frappe.reads import read
from lineside.edges.frappe.reply import to_json
from lineside.model.event import delivery_id
from lineside.model.outcome import Blocked, Delivered, Outcome, Refused, Retry, TargetDown
from lineside.model.ports import Attachment, Delivery

FILE = "File"
ATTACH = frozenset({"Attach", "Attach Image"})
HAS_PERMISSION = url_path("api", "method", "frappe.client.has_permission")

Write = Callable[[Delivery], Awaitable[Outcome]]
Unread = TargetDown | Blocked | Retry


class Standing(Struct, frozen=True):
    """A document that is to get its files."""

    name: str
    docstatus: int = 0
    fields: dict[str, Any] = {}
    """What its Attach fields hold."""


class Attachments:
    """Completes documents whose deliveries have files, whatever happened to them before.

    Args:
        client: its user may make Files, and write the documents.
        id_field: that each File carries too.
        metas: what the site says of its DocTypes.
        lookup: finds Files by their ids.
        inserts: makes them.

    """

    def __init__(
        self, client: FrappeClient, id_field: IdField, metas: Metas, lookup: Lookup, inserts: Inserts
    ) -> None:
        self._client = client
        self._id_field = id_field
        self._metas = metas
        self._lookup = lookup
        self._inserts = inserts

    async def carry_out(self, delivery: Delivery, write: Write) -> Outcome:
        """Let ``write`` write the document as a draft, attach its files, fill the fields that hold them, submit it.

        An outcome that is not `Delivered` may leave the document behind without some of its files; the next attempt
        finds both, by their ids. A file that is refused says so of the document.
        """
        shut = await self._id_field.check(FILE) or await self._unfit(delivery)
        if shut is not None:
            return shut
        written = await write(msgspec.structs.replace(delivery, submit=False, files=()))
        if not isinstance(written, Delivered):
            return written
        document = await self._read(delivery, written.name) if written.found else Standing(written.name)
        if not isinstance(document, Standing):
            return document
        changes = await self._attach_all(delivery, document, before=delivery.redelivered or written.found)
        if not isinstance(changes, dict):
            return changes
        if delivery.submit and document.docstatus != SUBMITTED:
            changes["docstatus"] = SUBMITTED
        if not changes or document.docstatus == CANCELLED:
            return written
        return await self._complete(delivery, written, changes)

    async def _attach_all(
        self, delivery: Delivery, document: Standing, *, before: bool
    ) -> dict[str, Any] | Outcome:
        """Attach all files; return what the document's fields are yet to hold."""
        changes: dict[str, Any] = {}
        for file in delivery.files:
            held = await self._attach(delivery, document, file, before=before)
            if isinstance(held, Refused):
                return _standing(held, f"{delivery.doctype} {document.name} stands without the file {file.name}")
            if not isinstance(held, Delivered):
                return held
            if file.field:
                address = await self._address(held.name)
                if not isinstance(address, str):
                    return address
                if document.fields.get(file.field) != address:
                    changes[file.field] = address
        return changes

    async def _unfit(self, delivery: Delivery) -> Blocked | None:
        """Return what is wrong with the route; a site that tells nothing lets it through."""
        described = await self._metas.of(delivery.doctype)
        if not isinstance(described, DocType):
            return None  # told, where it matters, by the writing of the document
        wrong = [
            f"{delivery.doctype} has no field {file.field} of the type Attach or Attach Image"
            for file in delivery.files
            if file.field
            and (file.field not in described.fields or described.fields[file.field].kind not in ATTACH)
        ]
        problem = Blocked(wrong[0], "check the fieldname of the route's attachments") if wrong else None
        if delivery.submit and not described.submittable:
            problem = Blocked(
                f"documents of {delivery.doctype} cannot be submitted", "take submit out of the route"
            )
        if problem is not None:
            self._metas.forget(delivery.doctype)
        return problem

    async def _attach(self, delivery: Delivery, document: Standing, file: Attachment, *, before: bool) -> Outcome:
        fields = {
            "file_name": file.name,
            "attached_to_doctype": delivery.doctype,
            "attached_to_name": document.name,
            "is_private": int(file.private),
            "content": base64.b64encode(file.content).decode(),
            "decode": 1,
        }
        if file.field:
            fields["attached_to_field"] = file.field
        sent = Delivery(file_id(delivery.id, file), "insert", FILE, fields)
        if before:
            found = await self._lookup.by_id(FILE, sent.id)
            if isinstance(found, Found):
                return Delivered(found.name, found=True)
            if found is not None:
                return found
        return await self._inserts.send(sent)

    async def _read(self, delivery: Delivery, name: str) -> Standing | Unread:
        """Return how far an earlier attempt had come."""
        fields = list(dict.fromkeys(file.field for file in delivery.files if file.field))
        row = await self._row(delivery.doctype, name, ["docstatus", *fields])
        if not isinstance(row, dict):
            return row
        docstatus = row.get("docstatus")
        return Standing(name, docstatus if isinstance(docstatus, int) else 0, row)

    async def _address(self, name: str) -> str | Unread:
        row = await self._row(FILE, name, ["file_url"])
        return str(row.get("file_url") or "") if isinstance(row, dict) else row

    async def _row(self, doctype: str, name: str, fields: list[str]) -> dict[str, Any] | Unread:
        body = {
            "doctype": doctype,
            "filters": [["name", "=", name]],
            "fields": ["name", *fields],
            "limit_page_length": 1,
        }
        verdict = await read(self._client, "POST", GET_LIST, "message", body=to_json(body), within=LOOKUP_SECONDS)
        match verdict:
            case Answered(value=[{"name": _} as row]):
                return dict(row)
            case Answered(value=[]):
                return Retry(f"{doctype} {name} was there, and is no more")
        return unanswered(verdict, f"let the API user read {doctype}")

    async def _complete(self, delivery: Delivery, written: Delivered, changes: dict[str, Any]) -> Outcome:
        path = url_path("api", "resource", delivery.doctype, written.name)
        verdict = classify(await self._client.ask("PUT", path, body=to_json(changes)))
        if isinstance(verdict, Answered):
            return written
        failed = undone(verdict)
        if not isinstance(failed, Refused):
            return failed
        what = "submitted" if "docstatus" in changes else "complete"
        return _standing(failed, f"{delivery.doctype} {written.name} stands with its files, but is not {what}")


def file_id(delivery: str, file: Attachment) -> str:
    """Return the id of a delivery's file: the same at every attempt, whatever the order of the route's files."""
    digest = hashlib.sha256(file.content).hexdigest()
    return delivery_id(delivery, f"{digest} {file.field} {file.name}")


async def may_attach(client: FrappeClient) -> TargetDown | Blocked | None:
    """Ask whether the API user may make Files; a site that does not tell is taken to let it. Nothing is changed."""
    body = {"doctype": FILE, "docname": "", "perm_type": "create"}
    verdict = await read(client, "POST", HAS_PERMISSION, "message", body=to_json(body))
    match verdict:
        case Answered(value={"has_permission": allowed}) if not allowed:
            return Blocked("the API user may not create File", "give it a role with that permission")
        case TargetDown():
            return verdict
    return None


def _standing(refused: Refused, what: str) -> Refused:
    return Refused(refused.code, f"{refused.reason}; {what}", refused.reply)
