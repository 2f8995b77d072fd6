"""The unique field that holds the delivery id: exactly-once rests on it, so it is verified, not assumed.

Frappe drops a field it does not know in silence (contract, section 10). A document inserted without its id
could be inserted twice.
"""

from __future__ import annotations

from msgspec import Struct
from twisted.internet.defer import DeferredLock

from lineside.edges.frappe import doctypes
from lineside.edges.frappe.client import FrappeClient, url_path
from lineside.edges.frappe.doctypes import DocType, Field
from lineside.edges.frappe.meta import REFRESH_SECONDS, Metas, NoDoctype, Untold, read_meta
from lineside.edges.frappe.outcomes import Answered, unanswered
from lineside.edges.frappe.reads import read
from lineside.edges.frappe.reply import to_json
from lineside.model.outcome import Blocked, TargetDown

PREPARE = "run lineside erp prepare"
CHECK_DOCTYPE = "check the route's doctype"


class Missing(Struct, frozen=True):
    """The DocType has no such field."""


async def read_field(
    client: FrappeClient, doctype: str, name: str
) -> Field | Missing | NoDoctype | TargetDown | Blocked:
    """Ask the site how a DocType defines a field.

    From the DocType's meta (v15 and later), else from the list of Custom Fields (v14), which only
    a user who may read Custom Field gets.
    """
    match await read_meta(client, doctype):
        case DocType(fields=fields):
            return fields.get(name) or Missing()
        case Untold():
            return await _custom_field(client, doctype, name)
        case failed:
            return failed


class IdField:
    """Verifies, per DocType, that the id field exists and is unique; what was found good holds for an hour.

    Args:
        client: asks for Custom Fields where the site does not describe its DocTypes.
        name: the field's.
        metas: what the site says of its DocTypes.

    """

    def __init__(self, client: FrappeClient, name: str, metas: Metas | None = None) -> None:
        self.name = name
        self._client = client
        self._metas = metas or Metas(client)
        self._custom: dict[str, tuple[float, Field]] = {}
        self._proven: set[str] = set()
        self._condemned: dict[str, Blocked] = {}
        self._reading = DeferredLock()

    async def check(self, doctype: str) -> TargetDown | Blocked | None:
        """Return None where inserting is safe. Concurrent calls ask the site once."""
        if doctype in self._condemned:
            return self._condemned[doctype]
        match await self._field(doctype):
            case Field(unique=True):
                return None
            case Field():
                problem = Blocked(f"{doctype} has a field {self.name}, but it is not unique", PREPARE)
            case Missing():
                problem = Blocked(f"{doctype} has no field {self.name}", PREPARE)
            case NoDoctype(reason=reason):
                problem = Blocked(reason, CHECK_DOCTYPE)
            case TargetDown() | Blocked() as failed:
                return failed
        self.forget(doctype)
        return problem

    def label(self, doctype: str) -> str:
        """Return the name under which Frappe's messages speak of the field."""
        described = self._metas.known(doctype)
        if described is not None and self.name in described.fields:
            return described.fields[self.name].label
        return self._custom[doctype][1].label if doctype in self._custom else self.name

    def proven(self, doctype: str) -> bool:
        """Tell whether a document of the DocType was seen to keep its id."""
        return doctype in self._proven

    def prove(self, doctype: str) -> None:
        """Note that the site kept an id."""
        self._proven.add(doctype)

    def forget(self, doctype: str) -> None:
        """Verify anew before the next insert."""
        self._metas.forget(doctype)
        self._custom.pop(doctype, None)
        self._proven.discard(doctype)

    def condemn(self, doctype: str) -> None:
        """Let no more documents in until a restart: the site dropped an id although the field exists."""
        self._condemned[doctype] = Blocked(
            f"{doctype} was inserted without its {self.name}: a repeat would make a second document",
            f"let the API user write {self.name} in {doctype}, then restart the gateway",
        )

    async def _field(self, doctype: str) -> Field | Missing | NoDoctype | TargetDown | Blocked:
        match await self._metas.of(doctype):
            case DocType(fields=fields):
                return fields.get(self.name) or Missing()
            case Untold():
                return await self._custom_field(doctype)
            case failed:
                return failed

    async def _custom_field(self, doctype: str) -> Field | Missing | TargetDown | Blocked:
        await self._reading.acquire()
        try:
            read, field = self._custom.get(doctype, (float("-inf"), Field("")))
            if self._client.clock.seconds() - read < REFRESH_SECONDS:
                return field
            found = await _custom_field(self._client, doctype, self.name)
            if isinstance(found, Field):
                self._custom[doctype] = (self._client.clock.seconds(), found)
            return found
        finally:
            self._reading.release()


async def _custom_field(client: FrappeClient, doctype: str, name: str) -> Field | Missing | TargetDown | Blocked:
    path = url_path(
        "api",
        "resource",
        "Custom Field",
        filters=to_json([["dt", "=", doctype], ["fieldname", "=", name]]).decode(),
        fields=to_json(["fieldname", "label", "unique"]).decode(),
    )
    verdict = await read(client, "GET", path)
    match verdict:
        case Answered(value=list(rows)):
            fields = (doctypes.field(row) for row in rows if isinstance(row, dict))
            return next((field for field in fields if field.name == name), Missing())
        case _:
            return unanswered(verdict, "let the API user read Custom Field: the id field could not be verified")
