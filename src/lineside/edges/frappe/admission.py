"""Which deliveries may be sent at all: the DocType is there and prepared, and the document fits it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from twisted.logger import Logger

from lineside.edges.frappe.doctypes import LAYOUT, TABLES, DocType
from lineside.edges.frappe.idfield import CHECK_DOCTYPE, IdField
from lineside.edges.frappe.levels import Levels
from lineside.edges.frappe.meta import REFRESH_SECONDS, STALE_SECONDS, Metas, NoDoctype, Untold
from lineside.edges.frappe.preflight import FREE, OWN, problems, tables, unsure
from lineside.model.outcome import Blocked, Refused, TargetDown
from lineside.model.ports import Delivery

log = Logger()

SHOWN = 20
"""So many wrong fields are named."""

Turned = Refused | Blocked | TargetDown
"""Why a delivery is not sent."""


class Admission:
    """Looks at deliveries before they are sent.

    Args:
        metas: what the site says of its DocTypes. Where it says nothing, documents are not looked at.
        id_field: that every new document must keep.
        levels: what the API user may write.

    """

    def __init__(self, metas: Metas, id_field: IdField, levels: Levels) -> None:
        self._metas = metas
        self._id_field = id_field
        self._levels = levels
        self._warned = False

    async def insert(self, delivery: Delivery) -> Turned | None:
        """Return None where a new document may be sent."""
        unsafe = await self._id_field.check(delivery.doctype)
        if unsafe is not None:
            return unsafe
        described = self._metas.known(delivery.doctype)
        if delivery.submit and described is not None and not described.submittable:
            self._metas.forget(delivery.doctype)
            return Blocked(f"documents of {delivery.doctype} cannot be submitted", "take submit out of the route")
        return await self._fits(delivery, new=True)

    async def change(self, delivery: Delivery) -> Turned | None:
        """Return None where the fields of a document that is there may be sent."""
        described = await self._metas.of(delivery.doctype)
        match described:
            case NoDoctype(reason=reason):
                return Blocked(reason, CHECK_DOCTYPE)
            case TargetDown() | Blocked():
                return described
            case DocType():
                for field in delivery.match:
                    if not _can_be_matched(field, described):
                        self._metas.forget(delivery.doctype)
                        return Blocked(f"{delivery.doctype} has no field {field}", "check the route's match")
        return await self._fits(delivery, new=False)

    def unsure(self, delivery: Delivery) -> list[str]:
        """Return the mandatory fields that a new document which was let in leaves to the site's code."""
        told = self._metas.known(delivery.doctype)
        if told is None:
            return []
        document = {**delivery.match, **delivery.document}
        known = {name: self._metas.known(name) for name in tables(document, told)}
        return unsure(document, told, {name: child for name, child in known.items() if child is not None})

    async def _fits(self, delivery: Delivery, *, new: bool) -> Turned | None:
        found = await self._problems(delivery, REFRESH_SECONDS, new=new)
        if isinstance(found, list) and found:
            found = await self._problems(delivery, STALE_SECONDS, new=new)
        if not isinstance(found, list):
            return found
        if not found:
            return await self._levels.bar(delivery.doctype, delivery.document, new=new)
        more = f"; and {len(found) - SHOWN} more" if len(found) > SHOWN else ""
        return Refused("preflight", "; ".join(found[:SHOWN]) + more)

    async def _problems(self, delivery: Delivery, within: float, *, new: bool) -> list[str] | TargetDown | Blocked:
        told = await self._metas.of(delivery.doctype, within=within)
        match told:
            case DocType():
                children = await self._children(delivery.document, told, within)
                if not isinstance(children, dict):
                    return children
                return problems(delivery.document, told, children, new=new)
            case TargetDown() | Blocked():
                return told
            case Untold() if not self._warned:
                self._warned = True
                log.warn("frappe.preflight_off", remedy="mind what Frappe drops in silence, or use v15 or later")
        return []

    async def _children(
        self, document: Mapping[str, Any], described: DocType, within: float
    ) -> dict[str, DocType] | TargetDown | Blocked:
        children = {}
        for name in sorted(tables(document, described)):
            child = await self._metas.of(name, within=within)
            if isinstance(child, TargetDown | Blocked):
                return child
            if isinstance(child, DocType):
                children[name] = child
        return children


def _can_be_matched(name: str, described: DocType) -> bool:
    field = described.fields.get(name)
    if field is None:
        return name in FREE | OWN | {"name"}
    return field.kind not in TABLES | LAYOUT
