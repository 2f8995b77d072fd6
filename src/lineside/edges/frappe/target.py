"""Frappe as a target: each delivery is carried out as its action promises, whatever the network does."""

from __future__ import annotations

from zoneinfo import ZoneInfo

from msgspec.structs import replace
from twisted.internet.defer import CancelledError, Deferred, FirstError, gatherResults
from twisted.logger import Logger

from lineside.edges.frappe.admission import Admission
from lineside.edges.frappe.attachments import Attachments
from lineside.edges.frappe.batches import Batches
from lineside.edges.frappe.calls import Calls
from lineside.edges.frappe.changes import Changes
from lineside.edges.frappe.client import FrappeClient, url_path
from lineside.edges.frappe.comparison import Comparison
from lineside.edges.frappe.idfield import IdField
from lineside.edges.frappe.inserts import Inserts
from lineside.edges.frappe.levels import Levels
from lineside.edges.frappe.lookup import Lookup
from lineside.edges.frappe.meta import Metas
from lineside.edges.frappe.outcomes import CHECK_KEY, CHECK_PERMISSION, Ambiguous, Answered, unanswered
from lineside.edges.frappe.preflight import unsure_line
from lineside.edges.frappe.reads import read
from lineside.model.outcome import Blocked, Outcome, Retry, TargetDown
from lineside.model.ports import Delivery, Ready

log = Logger()


class FrappeTarget:
    """The `lineside.model.ports.Target` that carries deliveries out at a Frappe site.

    Exactly-once rests on the unique ``id_field``: every new document carries its delivery id there, what may have
    been stored is looked up before it is sent again, and the index refuses whatever slips through. Updates write
    absolute values, which may be written twice. Files are documents with ids of their own. Calls are made at
    least once.

    Args:
        client: to the site; its ``pool_size`` bounds how many deliveries are under way.
        id_field: name of the unique field.
        time_zone: IANA name, for a site that does not tell its own (v14); UTC without.

    """

    def __init__(self, client: FrappeClient, id_field: str = "lineside_id", time_zone: str | None = None) -> None:
        self._client = client
        metas = Metas(client)
        field = IdField(client, id_field, metas)
        levels = Levels(client, metas)
        comparison = Comparison(client.clock, metas, levels)
        admission = Admission(metas, field, levels)
        lookup = Lookup(client, field)
        self._admission = admission
        self._inserts = Inserts(client, field, admission, lookup, comparison)
        self._batches = Batches(client, field, admission, lookup, self._inserts, comparison)
        self._changes = Changes(client, metas, admission, lookup, self._inserts, comparison)
        self._attachments = Attachments(client, field, metas, lookup, self._inserts)
        self._calls = Calls(client)
        self._time_zone = time_zone
        self._warned = False

    async def probe(self) -> Ready | TargetDown | Blocked:
        """Ask who we are, which only a valid key answers, and in which time zone the site lives. Never raises."""
        try:
            return await self._probe()
        except CancelledError:
            raise
        except Exception:  # noqa: BLE001 - the port promises an answer; the failure is logged
            log.failure("frappe.unexpected")
            return TargetDown("an internal error, see the log")

    async def deliver(self, batch: list[Delivery]) -> list[Outcome]:
        """Carry out deliveries, several at a time; outcomes in the same order. Never raises but for cancellation.

        Inserts into one DocType that are not to be submitted and have no files go together. What finds the site
        down or its door closed stops the rest, which is not tried.
        """
        outcomes: dict[str, Outcome] = {}
        closed: dict[str | None, Outcome] = {}
        waiting = iter(_parcels(batch))

        async def lane() -> None:
            for parcel in waiting:
                where = parcel[0].doctype or parcel[0].method
                shut = closed.get(None) or closed.get(where)
                if shut is not None:
                    outcomes.update((delivery.id, shut) for delivery in parcel)
                    continue
                done = await self._carry_out(parcel)
                outcomes.update(done)
                for outcome in done.values():
                    if isinstance(outcome, TargetDown):
                        closed[None] = replace(outcome, sent=False)
                    elif isinstance(outcome, Blocked):
                        closed[where] = outcome

        lanes = [Deferred.fromCoroutine(lane()) for _ in range(min(self._client.pool_size, len(batch)))]
        try:
            await gatherResults(lanes, consumeErrors=True)
        except FirstError as error:
            error.subFailure.raiseException()
        return [outcomes[delivery.id] for delivery in batch]

    def remarks(self, delivery: Delivery) -> list[str]:
        """Return what may go wrong with a new document that was let in, a line each. Nothing is asked."""
        return [unsure_line(delivery.doctype, field) for field in self._admission.unsure(delivery)]

    async def _probe(self) -> Ready | TargetDown | Blocked:
        path = url_path("api", "method", "frappe.auth.get_logged_user")
        verdict = await read(self._client, "GET", path, "message")
        match verdict:
            case Answered(value="Guest"):
                return Blocked("the site takes us for a guest", CHECK_KEY)
            case Answered(value=str()):
                pass
            case Blocked(reason=reason, remedy=remedy) if remedy == CHECK_PERMISSION:
                # Every user may ask this; only a guest, whose key was not even read, may not.
                return Blocked(reason, CHECK_KEY)
            case _:
                return unanswered(verdict, CHECK_KEY)
        return await self._ask_time_zone()

    async def _ask_time_zone(self) -> Ready | TargetDown | Blocked:
        path = url_path("api", "method", "frappe.client.get_time_zone")
        verdict = await read(self._client, "GET", path, "message")
        match verdict:
            case TargetDown():
                return verdict
            case Ambiguous(reason=reason):
                # No answer is not the answer of a site that has no such call: another zone would shift every time.
                return TargetDown(reason)
            case Blocked(remedy=remedy) if remedy == CHECK_KEY:
                return verdict
            case Answered(value={"time_zone": str(zone)}) if _known(zone):
                return Ready(zone)
        if self._time_zone is None and not self._warned:
            self._warned = True
            log.warn("frappe.time_zone_unknown", remedy="set time_zone in the target; UTC is used meanwhile")
        return Ready(self._time_zone or "UTC")

    async def _carry_out(self, parcel: list[Delivery]) -> dict[str, Outcome]:
        first = parcel[0]
        try:
            if len(parcel) > 1:
                return await self._batches.carry_out(first.doctype, parcel)
            if first.files:
                return {first.id: await self._attachments.carry_out(first, self._one)}
            return {first.id: await self._one(first)}
        except CancelledError:
            raise
        except Exception:  # noqa: BLE001 - the port promises an outcome; the failure is logged
            log.failure("delivery.unexpected", delivery=first.id, doctype=first.doctype)
            return {delivery.id: Retry("an internal error, see the log", ambiguous=True) for delivery in parcel}

    async def _one(self, delivery: Delivery) -> Outcome:
        match delivery.action:
            case "insert":
                return await self._inserts.carry_out(delivery)
            case "update":
                return await self._changes.update(delivery)
            case "upsert":
                return await self._changes.upsert(delivery)
            case "call":
                return await self._calls.carry_out(delivery)
            case action:
                return Blocked(f"action {action!r} is unknown to this target", "use insert, update, upsert or call")


def _parcels(batch: list[Delivery]) -> list[list[Delivery]]:
    """Return the deliveries as they go out: those of a parcel together, each only once."""
    parcels: dict[str, list[Delivery]] = {}
    for delivery in {each.id: each for each in batch}.values():
        alone = delivery.action != "insert" or delivery.submit or delivery.files
        parcels.setdefault(delivery.id if alone else f"into {delivery.doctype}", []).append(delivery)
    return list(parcels.values())


def _known(zone: str) -> bool:
    try:
        ZoneInfo(zone)
    except (KeyError, ValueError, OSError):
        return False
    return True
