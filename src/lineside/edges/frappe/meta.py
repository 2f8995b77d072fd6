"""What a site says of its DocTypes: asked once, remembered for an hour."""

from __future__ import annotations

from msgspec import Struct
from twisted.internet.defer import DeferredLock

from lineside.edges.frappe.client import FrappeClient, url_path
from lineside.edges.frappe.doctypes import DocType, doctype
from lineside.edges.frappe.outcomes import Ambiguous, Answered, Conflict, unanswered
from lineside.edges.frappe.reads import read
from lineside.model.outcome import Blocked, Refused, TargetDown

REFRESH_SECONDS = 3600.0
"""A description is asked for again after so long: someone may change the DocType meanwhile."""
STALE_SECONDS = 10.0
"""Before something is kept from being sent the site is asked again, unless it was asked just now."""

CHECK_SITE = "let the API user log in; every user may read what a DocType is made of"


class Untold(Struct, frozen=True):
    """The site does not say what its DocTypes are made of, as v14 does not."""


class NoDoctype(Struct, frozen=True):
    """The site has no such DocType, in its own words."""

    reason: str


Told = DocType | Untold | NoDoctype
Meta = Told | TargetDown | Blocked


async def read_meta(client: FrappeClient, name: str) -> Meta:
    """Ask the site how a DocType is made, with its custom fields (v15 and later)."""
    verdict = await read(client, "GET", url_path("api", "v2", "doctype", name, "meta"))
    match verdict:
        case Answered(value={"fields": list()} as described):
            return doctype(described, name)
        case Refused(code="DoesNotExistError", reason=reason) if name in reason:
            return NoDoctype(reason)
        case Ambiguous(code="ImportError"):
            # Frappe looks for a DocType it does not know among its own modules (contract, section 10).
            return NoDoctype(f"the site has no DocType {name}")
        case Refused() | Conflict():
            return Untold()
        case _:
            return unanswered(verdict, CHECK_SITE)


class Metas:
    """The DocTypes of one site. What it does not have, or could not be asked, is not remembered."""

    def __init__(self, client: FrappeClient) -> None:
        self._client = client
        self._known: dict[str, tuple[float, DocType | Untold]] = {}
        self._reading = DeferredLock()

    async def of(self, name: str, *, within: float = REFRESH_SECONDS) -> Meta:
        """Return what the site said of a DocType no longer ago than ``within`` seconds.

        Concurrent calls ask the site once.
        """
        known = self._fresh(name, within)
        if known is not None:
            return known
        await self._reading.acquire()
        try:
            known = self._fresh(name, within)
            return known if known is not None else await self._read(name)
        finally:
            self._reading.release()

    def known(self, name: str) -> DocType | None:
        """Return what is remembered of a DocType."""
        told = self._known.get(name, (0.0, None))[1]
        return told if isinstance(told, DocType) else None

    def forget(self, name: str) -> None:
        """Ask the site anew the next time."""
        self._known.pop(name, None)

    def _fresh(self, name: str, within: float) -> DocType | Untold | None:
        read, told = self._known.get(name, (float("-inf"), Untold()))
        return told if self._client.clock.seconds() - read < within else None

    async def _read(self, name: str) -> Meta:
        self.forget(name)
        told = await read_meta(self._client, name)
        if isinstance(told, DocType | Untold):
            self._known[name] = (self._client.clock.seconds(), told)
        return told
