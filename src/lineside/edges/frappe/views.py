"""The ERP as devices and pages may see it who must not hold its keys: a few fields of a few DocTypes, read through.

Equal questions at a time are one request to the ERP; its answers are good for a while, and for longer where the ERP
is away.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from msgspec import Struct
from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import Logger

from lineside.background import Background
from lineside.edges.frappe.client import FrappeClient, url_path
from lineside.edges.frappe.kept import KeptAnswers
from lineside.edges.frappe.outcomes import Answered, Verdict
from lineside.edges.frappe.reads import read
from lineside.model.errors import LinesideError, NotFound
from lineside.model.outcome import Blocked, Refused
from lineside.security.identity import Identity, NotPermitted, Role

log = Logger()

MOST = 4096
ROOM = 16 * 1024 * 1024
"""Answers of one view that are kept, and bytes of them."""
SAY_AGAIN = 60.0
"""Seconds between two lines of the log about a view that the ERP does not answer."""
READERS: frozenset[Role] = frozenset({"viewer", "operator", "admin"})


class View(Struct, frozen=True):
    """What may be seen of one DocType."""

    name: str
    doctype: str
    fields: tuple[str, ...]
    """Nothing else ever leaves the ERP."""
    filters: tuple[tuple[str, str, Any], ...] = ()
    """Field, operator and value: what is seen is true of them all."""
    filter_by: frozenset[str] = frozenset()
    """Fields by whose value one may ask."""
    order_by: str | None = None
    limit: int = 100
    """Rows of an answer at most."""
    ttl: float = 10.0
    """Seconds for which an answer is good."""
    stale_if_error: float = 3600.0
    """And for how long while the ERP gives none."""
    devices: bool = False
    """Devices may see it as well."""


class Seen(Struct, frozen=True):
    """What a view shows."""

    rows: list[dict[str, Any]]
    age: float
    """Seconds since the ERP said so."""
    stale: bool
    """The ERP gives no answer at present: this is older than it should be."""


class ErpAway(LinesideError):
    """The ERP gives no answer, and none is kept."""


class _Flight:
    """One request to the ERP, and who waits for it."""

    def __init__(self) -> None:
        self.waiting: list[Deferred[Verdict]] = []
        self.running: Deferred[None] | None = None


class ErpView:
    """Answers questions about one DocType.

    Args:
        view: what may be seen.
        client: of the site.

    """

    def __init__(self, view: View, client: FrappeClient) -> None:
        self.view = view
        self._client = client
        self._kept: KeptAnswers[list[dict[str, Any]]] = KeptAnswers(most=MOST, room=ROOM)
        self._flights: dict[str, _Flight] = {}
        self._asking = Background(f"view {view.name}")
        self._told = float("-inf")

    async def stop(self) -> None:
        """Ask nothing any more."""
        self._asking.cancel()
        await self._asking.finish()

    def check(self, identity: Identity) -> None:
        """Raise unless somebody may see it.

        Raises:
            NotPermitted: they may not.

        """
        if identity.role in READERS or (identity.role == "device" and self.view.devices):
            return
        raise NotPermitted(f"{identity.name} may not see the view {self.view.name}")

    async def find(self, filters: Mapping[str, str], *, start: int = 0, limit: int | None = None) -> Seen:
        """Return the rows whose fields have these values.

        Raises:
            LinesideError: a field that one may not ask by.
            ErpAway: the ERP gives no answer, and none is kept.

        """
        view = self.view
        for field in filters:
            if field not in view.filter_by:
                allowed = ", ".join(sorted(view.filter_by)) or "none"
                raise LinesideError(f"one may not ask by {field!r}; there are: {allowed}")
        conditions = [[field, "=", value] for field, value in sorted(filters.items())]
        return await self._look(conditions, start, min(limit or view.limit, view.limit))

    async def get(self, name: str) -> Seen:
        """Return the row of one document.

        Raises:
            NotFound: there is none, or none that may be seen.
            ErpAway: the ERP gives no answer, and none is kept.

        """
        # By a list of one: a single document would come with all its fields, and past the view's filters.
        seen = await self._look([["name", "=", name]], 0, 1)
        if not seen.rows:
            raise NotFound(f"there is no {self.view.doctype} {name!r} to be seen")
        return seen

    async def _look(self, conditions: Sequence[Sequence[Any]], start: int, limit: int) -> Seen:
        view = self.view
        query = {
            "fields": _json(view.fields),
            "filters": _json([*map(list, view.filters), *conditions]),
            "limit_start": str(start),
            "limit_page_length": str(limit),
        }
        if view.order_by is not None:
            query["order_by"] = view.order_by
        path = url_path("api", "resource", view.doctype, **query)
        now = self._client.clock.seconds()
        kept = self._kept.get(path)
        if kept is not None and now - kept.asked < view.ttl:
            return Seen(kept.value, now - kept.asked, stale=False)
        verdict = await self._shared(path)
        now = self._client.clock.seconds()
        if isinstance(verdict, Answered) and isinstance(verdict.value, list):
            fresh = self._kept.get(path)
            rows = self._allowed(verdict.value)
            return Seen(rows, 0.0 if fresh is None else now - fresh.asked, stale=False)
        self._tell(verdict, now)
        if kept is not None and now - kept.asked < view.ttl + view.stale_if_error:
            return Seen(kept.value, now - kept.asked, stale=True)
        raise ErpAway("the ERP gives no answer at present")

    def _allowed(self, rows: list[Any]) -> list[dict[str, Any]]:
        return [
            {field: row[field] for field in self.view.fields if field in row}
            for row in rows
            if isinstance(row, dict)
        ]

    async def _shared(self, path: str) -> Verdict:
        """Ask the ERP, or wait for who asks already; it is asked no more once nobody waits."""
        flight = self._flights.get(path)
        if flight is None:
            flight = self._flights[path] = _Flight()
        waits: Deferred[Verdict] = Deferred(lambda gone: gone.errback(CancelledError()))
        flight.waiting.append(waits)
        if flight.running is None:
            flight.running = self._asking.run("ask", self._ask(path, flight))
        try:
            return await waits
        except CancelledError:
            if waits in flight.waiting:
                flight.waiting.remove(waits)
            if not flight.waiting and self._flights.get(path) is flight:
                del self._flights[path]
                flight.running.cancel()
            raise

    async def _ask(self, path: str, flight: _Flight) -> None:
        asked = self._client.clock.seconds()
        try:
            verdict = await read(self._client, "GET", path)
            if isinstance(verdict, Answered) and isinstance(verdict.value, list):
                rows = self._allowed(verdict.value)
                self._kept.put(path, rows, asked=asked, size=len(path) + len(_json(rows)))
        finally:
            if self._flights.get(path) is flight:
                del self._flights[path]
        waiting, flight.waiting = flight.waiting, []
        for each in waiting:
            each.callback(verdict)

    def _tell(self, verdict: Verdict, now: float) -> None:
        if now - self._told < SAY_AGAIN:
            return
        self._told = now
        match verdict:
            case Blocked(reason=reason, remedy=remedy):
                log.error("view.blocked", view=self.view.name, reason=reason, remedy=remedy)
            case Refused(code=code):
                remedy = "see whether the DocType has the view's fields, and whether the API user may read them"
                log.error("view.refused", view=self.view.name, code=code, remedy=remedy)
            case _:
                log.info("view.unanswered", view=self.view.name)


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()
