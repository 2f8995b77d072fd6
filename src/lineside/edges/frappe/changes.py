"""Documents that are there already: changed where they are found, made where an upsert finds none.

What is written are absolute values, so that an attempt whose answer was lost is simply made again.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import Struct
from twisted.logger import Logger

from lineside.edges.frappe.admission import Admission
from lineside.edges.frappe.client import FrappeClient, url_path
from lineside.edges.frappe.comparison import Comparison
from lineside.edges.frappe.inserts import SUBMITTED, Inserts
from lineside.edges.frappe.lookup import Found, Lookup
from lineside.edges.frappe.meta import Metas
from lineside.edges.frappe.outcomes import DUPLICATES, Answered, Conflict, classify, undone
from lineside.edges.frappe.preflight import chosen_name
from lineside.edges.frappe.reply import to_json
from lineside.model.outcome import Delivered, Outcome, Refused, Retry
from lineside.model.ports import Delivery

log = Logger()

TRIES = 4
"""So often a document is read again when someone changed it between reading and writing."""


class Moved(Struct, frozen=True):
    """The document is no longer what was read: it is to be found anew."""

    otherwise: Outcome
    """What is to be said when that keeps happening."""


class Changes:
    """Updates and upserts documents.

    A document that was found by its fields is written under the condition that nobody changed it since; one
    that is known by its name is written as it is, under the row's lock.
    """

    def __init__(
        self,
        client: FrappeClient,
        metas: Metas,
        admission: Admission,
        lookup: Lookup,
        inserts: Inserts,
        comparison: Comparison,
    ) -> None:
        self._client = client
        self._metas = metas
        self._admission = admission
        self._lookup = lookup
        self._inserts = inserts
        self._comparison = comparison

    async def update(self, delivery: Delivery) -> Outcome:
        """Change the one document that matches; none or several are refused."""
        return await self._carry_out(delivery)

    async def upsert(self, delivery: Delivery) -> Outcome:
        """Change the one document that matches, or insert one under the delivery's id; several are refused."""
        return await self._carry_out(delivery)

    async def _carry_out(self, delivery: Delivery) -> Outcome:
        unfit = (
            self._inserts.unwritable(delivery)
            or _unmatchable(delivery.match)
            or await self._admission.change(delivery)
        )
        if unfit is not None:
            return unfit
        name = _name(delivery.match)
        tries = TRIES
        while True:
            done = await (self._matched(delivery) if name is None else self._named(delivery, name))
            if not isinstance(done, Moved):
                return done
            tries -= 1
            if not tries:
                return done.otherwise

    async def _named(self, delivery: Delivery, name: str) -> Outcome | Moved:
        written = await self._write(delivery, Found(name))
        if not isinstance(written, Moved) or isinstance(written.otherwise, Retry):
            return written
        found = await self._lookup.matching(delivery.doctype, delivery.match)
        match found:
            case []:
                return await self._none_matches(delivery)
            case list():
                # It is there: what does not exist is something else, which it links to.
                return written.otherwise
            case _:
                return found

    async def _matched(self, delivery: Delivery) -> Outcome | Moved:
        found = await self._lookup.matching(delivery.doctype, delivery.match)
        match found:
            case []:
                return await self._none_matches(delivery)
            case [one]:
                return await self._write(delivery, one)
            case list():
                return Refused("SeveralMatches", f"more than one {delivery.doctype} has {_fields(delivery.match)}")
            case _:
                return found

    async def _write(self, delivery: Delivery, found: Found) -> Outcome | Moved:
        fields = dict(delivery.document)
        if found.modified:
            fields["modified"] = found.modified
        if delivery.submit:
            fields["docstatus"] = SUBMITTED
        path = url_path("api", "resource", delivery.doctype, found.name)
        verdict = classify(await self._client.ask("PUT", path, body=to_json(fields)))
        match verdict:
            case Answered(value=dict(answered)) if answered:
                altered = self._comparison.altered(delivery, answered, new=False)
                return Delivered(found.name, altered=altered)
            case Answered():
                return Delivered(found.name)
            case Conflict(refused=Refused(code="TimestampMismatchError", reason=reason)):
                return Moved(Retry(reason))
            case Refused(code="DoesNotExistError"):
                return Moved(verdict)
            case _:
                return undone(verdict)

    async def _none_matches(self, delivery: Delivery) -> Outcome | Moved:
        if delivery.action == "update":
            return Refused("NoMatch", f"no {delivery.doctype} has {_fields(delivery.match)}")
        made = msgspec.structs.replace(delivery, document={**self._found_again(delivery), **delivery.document})
        outcome = await self._inserts.carry_out(made)
        match outcome:
            case Refused(code=code) if code in DUPLICATES:
                # Someone made it since we looked, or another document is in the way: the next look tells.
                return Moved(outcome)
            case Delivered(name=name, found=False):
                self._check_name(delivery, name)
        return outcome

    def _found_again(self, delivery: Delivery) -> dict[str, Any]:
        """Return the fields by which the new document will be found the next time."""
        fields = {field: value for field, value in delivery.match.items() if field != "name"}
        if "name" in delivery.match:
            described = self._metas.known(delivery.doctype)
            kind, _, field = ("" if described is None else described.autoname).partition(":")
            if described is None or chosen_name(described):
                fields["name"] = delivery.match["name"]
            elif kind == "field" and field:
                fields[field] = delivery.match["name"]
        return fields

    def _check_name(self, delivery: Delivery, name: str) -> None:
        wanted = _name({"name": delivery.match.get("name")})
        if wanted is not None and wanted.strip().casefold() != name.strip().casefold():
            log.error(
                "delivery.name_differs",
                delivery=delivery.id,
                doctype=delivery.doctype,
                document=name,
                remedy="match another field: this DocType names documents itself, and each event makes one more",
            )


def _unmatchable(match: Mapping[str, Any]) -> Refused | None:
    """Refuse what would match any document, or be taken for an operator."""
    wrong = [field for field, value in match.items() if value == "" or not isinstance(value, str | int | float)]
    if wrong or not match:
        return Refused("match", f"nothing to match by: {', '.join(wrong) or 'match'} is empty or no single value")
    return None


def _name(match: Mapping[str, Any]) -> str | None:
    """Return the document's name where it is all that is matched."""
    name = match.get("name")
    return str(name) if name is not None and len(match) == 1 else None


def _fields(match: Mapping[str, Any]) -> str:
    return f"this {' and '.join(match)}"
