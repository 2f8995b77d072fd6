"""One new document for each delivery, submitted where that is asked."""

from __future__ import annotations

from twisted.logger import Logger

from lineside.edges.frappe.admission import Admission
from lineside.edges.frappe.client import FrappeClient, url_path
from lineside.edges.frappe.comparison import Comparison
from lineside.edges.frappe.idfield import IdField
from lineside.edges.frappe.lookup import CANCELLED, Found, Lookup
from lineside.edges.frappe.outcomes import (
    DUPLICATES,
    Ambiguous,
    Answered,
    Conflict,
    Created,
    classify,
    classify_insert,
    undone,
)
from lineside.edges.frappe.reply import to_json
from lineside.model.outcome import Blocked, Delivered, Outcome, Refused, Retry, TargetDown
from lineside.model.ports import Delivery

log = Logger()

SUBMITTED = 1


class Inserts:
    """Inserts documents one by one.

    What may have been stored is looked up before it is sent again, and the unique index refuses what slips through.
    """

    def __init__(
        self,
        client: FrappeClient,
        id_field: IdField,
        admission: Admission,
        lookup: Lookup,
        comparison: Comparison,
    ) -> None:
        self._client = client
        self._id_field = id_field
        self._admission = admission
        self._lookup = lookup
        self._comparison = comparison

    async def carry_out(self, delivery: Delivery) -> Outcome:
        """Insert a document whatever happened to it before."""
        unfit = self.unwritable(delivery) or await self._admission.insert(delivery)
        if unfit is not None:
            return unfit
        if delivery.redelivered:
            found = await self._look_up(delivery)
            if found is not None:
                return found
        return await self.send(delivery)

    def unwritable(self, delivery: Delivery) -> Refused | None:
        """Return why a document cannot be written at all; None where it can."""
        try:
            to_json([delivery.document, delivery.match])
        except (TypeError, ValueError) as error:
            return Refused("NotJSON", f"the document cannot be written as JSON: {error}")
        return None

    async def send(self, delivery: Delivery) -> Outcome:
        """Send a document that was let in and, where it was sent before, looked up."""
        document = {**delivery.document, self._id_field.name: delivery.id}
        if delivery.submit:
            # Inserted and submitted in one transaction: no draft is left when the submission fails.
            document["docstatus"] = SUBMITTED
        path = url_path("api", "resource", delivery.doctype)
        self._comparison.sent(delivery)
        verdict = classify_insert(await self._client.ask("POST", path, body=to_json(document)))
        match verdict:
            case Created():
                return await self._created(delivery, verdict)
            case Conflict():
                return await self._look_up(delivery) or self._conflict(delivery, verdict)
            case Ambiguous(reason=reason):
                # Absent now is not absent for good: the site may still be at work on it.
                return await self._look_up(delivery) or Retry(reason, ambiguous=True)
            case Answered():
                return Retry("the answer holds no document", ambiguous=True)
            case Refused() | TargetDown() | Blocked():
                return verdict

    async def found(self, delivery: Delivery, found: Found) -> Outcome:
        """Return what is to be said of a document that an earlier attempt had stored, and submit a draft."""
        self._id_field.prove(delivery.doctype)
        if found.docstatus == CANCELLED:
            log.warn(
                "delivery.cancelled",
                delivery=delivery.id,
                doctype=delivery.doctype,
                document=found.name,
                remedy="someone cancelled it in the ERP; it counts as delivered",
            )
        elif delivery.submit and found.docstatus != SUBMITTED:
            return await self._submit(delivery, found.name)
        return Delivered(found.name, found=True)

    async def _look_up(self, delivery: Delivery) -> Outcome | None:
        found = await self._lookup.by_id(delivery.doctype, delivery.id)
        return await self.found(delivery, found) if isinstance(found, Found) else found

    async def _submit(self, delivery: Delivery, name: str) -> Outcome:
        path = url_path("api", "resource", delivery.doctype, name)
        verdict = classify(await self._client.ask("PUT", path, body=to_json({"docstatus": SUBMITTED})))
        return Delivered(name, found=True) if isinstance(verdict, Answered) else undone(verdict)

    async def _created(self, delivery: Delivery, created: Created) -> Outcome:
        name = self._id_field.name
        if created.document.get(name) == delivery.id:
            self._id_field.prove(delivery.doctype)
        else:
            self._id_field.condemn(delivery.doctype)
            log.error(
                "delivery.id_dropped",
                delivery=delivery.id,
                doctype=delivery.doctype,
                document=created.name,
                remedy=f"let the API user write {name} in {delivery.doctype}, then restart the gateway",
            )
        if delivery.submit and created.document.get("docstatus") == 0:
            return await self._submit(delivery, created.name)
        return Delivered(created.name, altered=self._comparison.altered(delivery, created.document, new=True))

    def _conflict(self, delivery: Delivery, conflict: Conflict) -> Outcome:
        """Return what a 409 or 417 means where the look-up found nothing."""
        refused = conflict.refused
        if conflict.passing:
            return Retry(refused.reason)
        ours = delivery.id in (refused.reply or "") or (
            f"{self._id_field.label(delivery.doctype)} must be unique" in refused.reason
        )
        if refused.code in DUPLICATES and ours:
            return Blocked(
                f"the site holds a {delivery.doctype} with this delivery's id but does not show it",
                f"let the API user read every {delivery.doctype} it has made",
            )
        return refused
