"""Finding documents: by the delivery id they carry, or by the fields that a route matches."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from msgspec import Struct

from lineside.edges.frappe.client import FrappeClient, url_path
from lineside.edges.frappe.idfield import PREPARE, IdField
from lineside.edges.frappe.outcomes import Ambiguous, Answered, Conflict, Verdict, unanswered
from lineside.edges.frappe.reads import read
from lineside.edges.frappe.reply import to_json
from lineside.model.outcome import Blocked, Refused, Retry, TargetDown

LOOKUP_SECONDS = 10.0
"""A look-up reads one row by an index; a site that takes longer is taken to be down."""

GET_LIST = url_path("api", "method", "frappe.client.get_list")
CANCELLED = 2
"""The ``docstatus`` of a document that counts no more and can never be changed."""


class Found(Struct, frozen=True):
    """A document that the site holds."""

    name: str
    docstatus: int = 0
    """0 a draft, 1 submitted, 2 cancelled."""
    modified: str = ""
    """Its last change, as the site writes it; empty where it was not asked for."""


class Lookup:
    """Asks one site which documents it holds.

    Args:
        client: its user may read the DocTypes.
        id_field: where documents carry their delivery id.

    """

    def __init__(self, client: FrappeClient, id_field: IdField) -> None:
        self._client = client
        self._id_field = id_field

    async def by_id(self, doctype: str, delivery: str) -> Found | TargetDown | Blocked | None:
        """Return the document of a delivery, None if the site does not hold it, else why that is unknown."""
        name = self._id_field.name
        path = url_path(
            "api",
            "resource",
            doctype,
            filters=to_json([[name, "=", delivery]]).decode(),
            fields=to_json(["name", name, "docstatus"]).decode(),
            limit_page_length="1",
        )
        verdict = await read(self._client, "GET", path, within=LOOKUP_SECONDS)
        match verdict:
            case Answered(value=[]):
                return None
            # The row must carry the id: something between may have lost the filter.
            case Answered(value=[{"name": _, **row}]) if row.get(name) == delivery:
                return _found(verdict.value[0])
        return self._unanswered(verdict, doctype)

    async def by_ids(self, doctype: str, deliveries: Iterable[str]) -> dict[str, Found] | TargetDown | Blocked:
        """Return the documents of many deliveries by their ids; those that the site does not hold are left out.

        One POST without a limit: as many ids make a GET longer than a request line may be, and a list
        has 20 rows by default (contract, section 3).
        """
        name = self._id_field.name
        wanted = list(deliveries)
        body = {
            "doctype": doctype,
            "filters": [[name, "in", wanted]],
            "fields": ["name", name, "docstatus"],
            "limit_page_length": 0,
        }
        verdict = await read(self._client, "POST", GET_LIST, "message", body=to_json(body), within=LOOKUP_SECONDS)
        match verdict:
            case Answered(value=list(rows)) if all(
                isinstance(row, dict) and row.get(name) in wanted and "name" in row for row in rows
            ):
                return {row[name]: _found(row) for row in rows}
        return self._unanswered(verdict, doctype)

    async def matching(
        self, doctype: str, match: Mapping[str, Any]
    ) -> list[Found] | TargetDown | Blocked | Refused | Retry:
        """Return the documents that have these values and are not cancelled: all of them if one, else two."""
        body = {
            "doctype": doctype,
            "filters": [*([field, "=", value] for field, value in match.items()), ["docstatus", "<", CANCELLED]],
            "fields": ["name", "docstatus", "modified"],
            "limit_page_length": 2,
        }
        verdict = await read(self._client, "POST", GET_LIST, "message", body=to_json(body), within=LOOKUP_SECONDS)
        match verdict:
            case Answered(value=list(rows)) if all(isinstance(row, dict) and "name" in row for row in rows):
                return [_found(row) for row in rows]
            case Ambiguous(code=str(), reason=reason):
                # Frappe itself failed over this question; it may answer the next one.
                return Retry(reason)
        return unanswered(verdict, f"let the API user read {doctype}, and check the route's match")

    def _unanswered(self, verdict: Verdict, doctype: str) -> TargetDown | Blocked:
        if isinstance(verdict, Refused | Conflict):
            self._id_field.forget(doctype)
        return unanswered(verdict, f"{PREPARE}, and let the API user read {doctype}")


def _found(row: Mapping[str, Any]) -> Found:
    docstatus = row.get("docstatus")
    return Found(
        name=str(row["name"]),
        docstatus=docstatus if isinstance(docstatus, int) else 0,
        modified=str(row.get("modified") or ""),
    )
