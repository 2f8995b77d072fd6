"""The unique field that holds the delivery id: exactly-once rests on it, so it is verified, not assumed.

Frappe drops a field it does not know in silence (contract, section 10). A document inserted without its id
could be inserted twice.
"""

from __future__ import annotations

from msgspec import Struct
from twisted.internet.defer import DeferredLock

from lineside.edges.frappe.client import FrappeClient, url_path
from lineside.edges.frappe.outcomes import Ambiguous, Answered, Conflict, classify, unanswered
from lineside.edges.frappe.reply import to_json
from lineside.model.outcome import Blocked, Refused, TargetDown

REFRESH_SECONDS = 3600.0
"""A field found good is looked at again after so long: someone may remove it meanwhile."""

PREPARE = "run lineside erp prepare"


class Field(Struct, frozen=True):
    """The field as the site defines it."""

    unique: bool
    label: str


class Missing(Struct, frozen=True):
    """The DocType has no such field."""


class NoDoctype(Struct, frozen=True):
    """The site has no such DocType, in its own words."""

    reason: str


async def read_field(
    client: FrappeClient, doctype: str, name: str
) -> Field | Missing | NoDoctype | TargetDown | Blocked:
    """Ask the site how a DocType defines a field.

    From the DocType's meta (v15 and later), else from the list of Custom Fields (v14), which only
    a user who may read Custom Field gets.
    """
    verdict = classify(await client.ask("GET", url_path("api", "v2", "doctype", doctype, "meta")))
    match verdict:
        case Answered(value={"fields": list(fields)}):
            return _field(fields, name)
        case Refused(code="DoesNotExistError", reason=reason) if doctype in reason:
            return NoDoctype(reason)
        case Ambiguous(code="ImportError"):
            # Frappe looks for a DocType it does not know among its own modules (contract, section 10).
            return NoDoctype(f"the site has no DocType {doctype}")
        case Refused() | Conflict():
            return await _custom_field(client, doctype, name)
        case _:
            return unanswered(verdict, PREPARE)


class IdField:
    """Verifies once an hour, per DocType, that the id field exists and is unique."""

    def __init__(self, client: FrappeClient, name: str) -> None:
        self.name = name
        self._client = client
        self._good: dict[str, tuple[float, str]] = {}
        self._condemned: dict[str, Blocked] = {}
        self._reading = DeferredLock()

    async def check(self, doctype: str) -> TargetDown | Blocked | None:
        """Return None where inserting is safe. Concurrent calls ask the site once."""
        await self._reading.acquire()
        try:
            if doctype in self._condemned:
                return self._condemned[doctype]
            verified, _ = self._good.get(doctype, (float("-inf"), ""))
            if self._client.clock.seconds() - verified < REFRESH_SECONDS:
                return None
            return await self._verify(doctype)
        finally:
            self._reading.release()

    def label(self, doctype: str) -> str:
        """Return the name under which Frappe's messages speak of the field."""
        return self._good.get(doctype, (0.0, self.name))[1]

    def forget(self, doctype: str) -> None:
        """Verify anew before the next insert."""
        self._good.pop(doctype, None)

    def condemn(self, doctype: str) -> None:
        """Let no more documents in until a restart: the site dropped an id although the field exists."""
        self._condemned[doctype] = Blocked(
            f"{doctype} was inserted without its {self.name}: a repeat would make a second document",
            f"let the API user write {self.name} in {doctype}, then restart the gateway",
        )

    async def _verify(self, doctype: str) -> TargetDown | Blocked | None:
        self.forget(doctype)
        match await read_field(self._client, doctype, self.name):
            case Field(unique=True, label=label):
                self._good[doctype] = (self._client.clock.seconds(), label)
                return None
            case Field():
                return Blocked(f"{doctype} has a field {self.name}, but it is not unique", PREPARE)
            case Missing():
                return Blocked(f"{doctype} has no field {self.name}", PREPARE)
            case NoDoctype(reason=reason):
                return Blocked(reason, "check the route's doctype")
            case TargetDown() | Blocked() as failed:
                return failed


async def _custom_field(client: FrappeClient, doctype: str, name: str) -> Field | Missing | TargetDown | Blocked:
    path = url_path(
        "api",
        "resource",
        "Custom Field",
        filters=to_json([["dt", "=", doctype], ["fieldname", "=", name]]).decode(),
        fields=to_json(["fieldname", "label", "unique"]).decode(),
    )
    verdict = classify(await client.ask("GET", path))
    match verdict:
        case Answered(value=list(rows)):
            return _field(rows, name)
        case _:
            return unanswered(verdict, "let the API user read Custom Field: the id field could not be verified")


def _field(rows: list[object], name: str) -> Field | Missing:
    for row in rows:
        if isinstance(row, dict) and row.get("fieldname") == name:
            return Field(row.get("unique") in (1, "1"), str(row.get("label") or name))
    return Missing()
