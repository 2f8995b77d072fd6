"""Calling a method of the site: at least once, since nothing tells whether an earlier call arrived."""

from __future__ import annotations

from lineside.edges.frappe.client import FrappeClient, url_path
from lineside.edges.frappe.outcomes import Answered, Conflict, classify_call, undone
from lineside.edges.frappe.reply import to_json
from lineside.model.outcome import Blocked, Delivered, Outcome, Refused
from lineside.model.ports import Delivery

UNKNOWN = "Failed to get method"
"""How Frappe begins a 417 where there is no such method."""


class Calls:
    """Calls whitelisted methods with a document as their arguments."""

    def __init__(self, client: FrappeClient) -> None:
        self._client = client

    async def carry_out(self, delivery: Delivery) -> Outcome:
        """Call once. Arguments that the method does not take are dropped by Frappe."""
        try:
            body = to_json(delivery.document)
        except (TypeError, ValueError) as error:
            return Refused("NotJSON", f"the arguments cannot be written as JSON: {error}")
        path = url_path("api", "method", delivery.method)
        verdict = classify_call(await self._client.ask("POST", path, body=body))
        match verdict:
            case Answered(value=value):
                return Delivered(_name(value) or delivery.method)
            case Conflict(refused=Refused(reason=reason)) if reason.startswith(UNKNOWN):
                return Blocked(reason, "check the route's method")
            case _:
                return undone(verdict)


def _name(value: object) -> str | None:
    """Return the document that a method says it made, if it does."""
    name = value.get("name") if isinstance(value, dict) else value
    return name if isinstance(name, str) and 0 < len(name) <= 140 else None
