"""Frappe as a target: each delivery becomes one document, whatever the network does."""

from __future__ import annotations

from zoneinfo import ZoneInfo

from twisted.internet.defer import CancelledError, Deferred, FirstError, gatherResults
from twisted.logger import Logger

from lineside.edges.frappe.client import FrappeClient, url_path
from lineside.edges.frappe.idfield import PREPARE, IdField
from lineside.edges.frappe.outcomes import (
    CHECK_KEY,
    CHECK_PERMISSION,
    Ambiguous,
    Answered,
    Conflict,
    Created,
    classify,
    classify_insert,
    unanswered,
)
from lineside.edges.frappe.reply import to_json
from lineside.model.outcome import Blocked, Delivered, Outcome, Refused, Retry, TargetDown
from lineside.model.ports import Delivery, Ready

log = Logger()

LOOKUP_SECONDS = 10.0
"""A look-up reads one row by an index; a site that takes longer is taken to be down."""


class FrappeTarget:
    """The `lineside.model.ports.Target` that inserts documents into a Frappe site.

    Exactly-once rests on the unique ``id_field``: every document carries its delivery id there, what may have
    been stored is looked up before it is sent again, and the index refuses whatever slips through.

    Args:
        client: to the site; its ``pool_size`` bounds how many deliveries are under way.
        id_field: name of the unique field.
        time_zone: IANA name, for a site that does not tell its own (v14); UTC without.

    """

    def __init__(self, client: FrappeClient, id_field: str = "lineside_id", time_zone: str | None = None) -> None:
        self._client = client
        self._id_field = IdField(client, id_field)
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

        What finds the site down or its door closed stops the rest of the batch, which is not tried.
        """
        outcomes: dict[int, Outcome] = {}
        closed: dict[str | None, Outcome] = {}
        waiting = iter(enumerate(batch))

        async def lane() -> None:
            for index, delivery in waiting:
                outcome = closed.get(None) or closed.get(delivery.doctype) or await self._carry_out(delivery)
                if isinstance(outcome, TargetDown):
                    closed[None] = outcome
                elif isinstance(outcome, Blocked):
                    closed[delivery.doctype] = outcome
                outcomes[index] = outcome

        lanes = [Deferred.fromCoroutine(lane()) for _ in range(min(self._client.pool_size, len(batch)))]
        try:
            await gatherResults(lanes, consumeErrors=True)
        except FirstError as error:
            error.subFailure.raiseException()
        return [outcomes[index] for index in range(len(batch))]

    async def _probe(self) -> Ready | TargetDown | Blocked:
        path = url_path("api", "method", "frappe.auth.get_logged_user")
        verdict = classify(await self._client.ask("GET", path), "message")
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
        path = url_path("api", "method", "frappe.client.get_time_zone")
        verdict = classify(await self._client.ask("GET", path), "message")
        match verdict:
            case TargetDown():
                return verdict
            case Answered(value={"time_zone": str(zone)}) if _known(zone):
                return Ready(zone)
        if self._time_zone is None and not self._warned:
            self._warned = True
            log.warn("frappe.time_zone_unknown", remedy="set time_zone in the target; UTC is used meanwhile")
        return Ready(self._time_zone or "UTC")

    async def _carry_out(self, delivery: Delivery) -> Outcome:
        try:
            if delivery.action != "insert":
                return Blocked(f"action {delivery.action!r} is unknown to this target", 'use action = "insert"')
            return await self._insert(delivery)
        except CancelledError:
            raise
        except Exception:  # noqa: BLE001 - the port promises an outcome; the failure is logged
            log.failure("delivery.unexpected", delivery=delivery.id, doctype=delivery.doctype)
            return Retry("an internal error, see the log", ambiguous=True)

    async def _insert(self, delivery: Delivery) -> Outcome:
        try:
            body = to_json({**delivery.document, self._id_field.name: delivery.id})
        except (TypeError, ValueError) as error:
            return Refused("NotJSON", f"the document cannot be written as JSON: {error}")
        unsafe = await self._id_field.check(delivery.doctype)
        if unsafe is not None:
            return unsafe
        if delivery.redelivered:
            found = await self._look_up(delivery)
            if found is not None:
                return found
        return await self._send(delivery, body)

    async def _send(self, delivery: Delivery, body: bytes) -> Outcome:
        path = url_path("api", "resource", delivery.doctype)
        verdict = classify_insert(await self._client.ask("POST", path, body=body))
        match verdict:
            case Created():
                return self._created(delivery, verdict)
            case Conflict():
                return await self._look_up(delivery) or self._conflict(delivery, verdict)
            case Ambiguous(reason=reason):
                # Absent now is not absent for good: the site may still be at work on it.
                return await self._look_up(delivery) or Retry(reason, ambiguous=True)
            case Answered():
                return Retry("the answer holds no document", ambiguous=True)
            case Refused() | TargetDown() | Blocked():
                return verdict

    async def _look_up(self, delivery: Delivery) -> Delivered | TargetDown | Blocked | None:
        """Return the delivery's document if the site holds it, None if it does not, else why that is unknown."""
        name = self._id_field.name
        path = url_path(
            "api",
            "resource",
            delivery.doctype,
            filters=to_json([[name, "=", delivery.id]]).decode(),
            fields=to_json(["name", name]).decode(),
            limit_page_length="1",
        )
        verdict = classify(await self._client.ask("GET", path, within=LOOKUP_SECONDS))
        match verdict:
            case Answered(value=[]):
                return None
            # The row must carry the id: something between may have lost the filter.
            case Answered(value=[{"name": found, **row}]) if row.get(name) == delivery.id:
                return Delivered(str(found), found=True)
            case Refused() | Conflict():
                self._id_field.forget(delivery.doctype)
        return unanswered(verdict, f"{PREPARE}, and let the API user read {delivery.doctype}")

    def _created(self, delivery: Delivery, created: Created) -> Delivered:
        name = self._id_field.name
        if created.document.get(name) != delivery.id:
            self._id_field.condemn(delivery.doctype)
            log.error(
                "delivery.id_dropped",
                delivery=delivery.id,
                doctype=delivery.doctype,
                document=created.name,
                remedy=f"let the API user write {name} in {delivery.doctype}, then restart the gateway",
            )
        return Delivered(created.name)

    def _conflict(self, delivery: Delivery, conflict: Conflict) -> Outcome:
        """Return what a 409 or 417 means where the look-up found nothing."""
        refused = conflict.refused
        if conflict.passing:
            return Retry(refused.reason)
        ours = delivery.id in (refused.reply or "") or (
            f"{self._id_field.label(delivery.doctype)} must be unique" in refused.reason
        )
        if refused.code in {"UniqueValidationError", "DuplicateEntryError"} and ours:
            return Blocked(
                f"the site holds a {delivery.doctype} with this delivery's id but does not show it",
                f"let the API user read every {delivery.doctype} it has made",
            )
        return refused


def _known(zone: str) -> bool:
    try:
        ZoneInfo(zone)
    except (KeyError, ValueError, OSError):
        return False
    return True
