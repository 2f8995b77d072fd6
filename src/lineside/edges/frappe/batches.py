"""Many new documents in one request: ``frappe.client.insert_many``, which stores all of them or none."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from twisted.internet.task import deferLater

from lineside.edges.frappe.admission import Admission
from lineside.edges.frappe.client import FrappeClient, url_path
from lineside.edges.frappe.comparison import Comparison
from lineside.edges.frappe.idfield import IdField
from lineside.edges.frappe.inserts import Inserts
from lineside.edges.frappe.lookup import Lookup
from lineside.edges.frappe.outcomes import (
    DUPLICATES,
    ROLLED_BACK,
    Ambiguous,
    Answered,
    Conflict,
    Verdict,
    classify,
    undone,
)
from lineside.edges.frappe.reply import to_json
from lineside.model.outcome import Blocked, Delivered, Outcome, Refused, TargetDown
from lineside.model.ports import Delivery

MAX_DOCUMENTS = 200
"""What ``insert_many`` takes at a time."""
MAX_BYTES = 4 * 1024 * 1024
"""Far below what Frappe and nginx take (25 and 50 MiB), and soon sent."""
DEADLOCKS = (0.1, 0.4)
"""Seconds before a batch that lost a deadlock is sent again."""

INSERT_MANY = url_path("api", "method", "frappe.client.insert_many")

Outcomes = dict[str, Outcome]
"""By delivery id."""


class Batches:
    """Inserts documents of one DocType together; what cannot go together goes alone.

    A document that Frappe refuses would take its neighbours with it, and the answer does not say which one it was:
    the batch is halved until it is found. What may have been sent before goes alone, so that one that breaks
    the site breaks no others twice. So does now and then one whose answer is to be compared, for the answer to
    a batch holds nothing but names.
    """

    def __init__(
        self,
        client: FrappeClient,
        id_field: IdField,
        admission: Admission,
        lookup: Lookup,
        inserts: Inserts,
        comparison: Comparison,
    ) -> None:
        self._client = client
        self._id_field = id_field
        self._admission = admission
        self._lookup = lookup
        self._inserts = inserts
        self._comparison = comparison

    async def carry_out(self, doctype: str, deliveries: Sequence[Delivery]) -> Outcomes:
        """Insert documents of one DocType that are not to be submitted; an outcome for each id."""
        outcomes: Outcomes = {}
        let_in: dict[str, Delivery] = {}
        for delivery in deliveries:
            unfit = self._inserts.unwritable(delivery) or await self._admission.insert(delivery)
            if isinstance(unfit, TargetDown | Blocked):
                return dict.fromkeys((each.id for each in deliveries), unfit) | outcomes
            if unfit is not None:
                outcomes[delivery.id] = unfit
            else:
                let_in[delivery.id] = delivery
        before = [delivery for delivery in let_in.values() if delivery.redelivered]
        if before:
            outcomes |= await self._look_up(doctype, before)
        alone = [delivery for delivery in before if delivery.id not in outcomes]
        # Keys in one order, so that batches that meet in the index do not lock each other out.
        together = sorted((each for each in let_in.values() if not each.redelivered), key=lambda each: each.id)
        outcomes |= await self._one_by_one(alone)
        while together and not self._id_field.proven(doctype):
            # Only the answer to a single insert shows whether the site keeps the id.
            first = together.pop(0)
            unsafe = _closed(outcomes) or await self._id_field.check(doctype)
            outcomes[first.id] = unsafe or await self._inserts.send(first)
        for delivery in [each for each in together if self._comparison.due(each)]:
            # Sending one makes the others of its kind due no longer.
            if self._comparison.due(delivery):
                together.remove(delivery)
                outcomes[delivery.id] = _closed(outcomes) or await self._inserts.send(delivery)
        for chunk in _chunks(together, self._id_field.name):
            closed = _closed(outcomes)
            if closed is not None:
                outcomes |= dict.fromkeys(chunk, closed)
            else:
                outcomes |= await self._together(doctype, chunk)
        return outcomes

    async def _one_by_one(self, deliveries: Sequence[Delivery]) -> Outcomes:
        outcomes: Outcomes = {}
        for delivery in deliveries:
            outcomes[delivery.id] = _closed(outcomes) or await self._inserts.send(delivery)
        return outcomes

    async def _together(self, doctype: str, batch: dict[str, tuple[Delivery, bytes]]) -> Outcomes:
        if len(batch) <= 1:
            return await self._one_by_one([delivery for delivery, _ in batch.values()])
        verdict = await self._send(batch)
        for pause in DEADLOCKS:
            if not isinstance(verdict, Ambiguous) or verdict.code != "QueryDeadlockError":
                break
            await deferLater(self._client.clock, pause)
            verdict = await self._send(batch)
        match verdict:
            case Answered(value=list(names)) if len(names) == len(batch) and all(names):
                return {each: Delivered(str(name)) for each, name in zip(batch, names, strict=True)}
            case TargetDown() | Blocked() | Conflict(passing=True):
                return dict.fromkeys(batch, undone(verdict))
            case Refused() | Conflict():
                return await self._without_the_bad_one(doctype, batch, verdict)
            case Ambiguous() if _blames_a_document(verdict):
                return await self._without_the_bad_one(doctype, batch, verdict)
            case Answered() | Ambiguous():
                # Absent now is not absent for good: the site may still be at work on them.
                found = await self._look_up(doctype, [delivery for delivery, _ in batch.values()])
                return dict.fromkeys(batch, undone(verdict)) | found

    async def _send(self, batch: dict[str, tuple[Delivery, bytes]]) -> Verdict:
        body = b'{"docs":[' + b",".join(written for _, written in batch.values()) + b"]}"
        return classify(await self._client.ask("POST", INSERT_MANY, body=body), "message")

    async def _without_the_bad_one(
        self, doctype: str, batch: dict[str, tuple[Delivery, bytes]], verdict: Verdict
    ) -> Outcomes:
        outcomes: Outcomes = {}
        if isinstance(verdict, Ambiguous) or (isinstance(verdict, Conflict) and verdict.refused.code in DUPLICATES):
            outcomes = await self._look_up(doctype, [delivery for delivery, _ in batch.values()])
        rest = {each: item for each, item in batch.items() if each not in outcomes}
        if outcomes:
            return outcomes | await self._together(doctype, rest)
        keys = list(rest)
        middle = len(keys) // 2
        for half in (keys[:middle], keys[middle:]):
            closed = _closed(outcomes)
            if closed is not None:
                outcomes |= dict.fromkeys(half, closed)
            else:
                outcomes |= await self._together(doctype, {each: rest[each] for each in half})
        return outcomes

    async def _look_up(self, doctype: str, deliveries: Sequence[Delivery]) -> Outcomes:
        """Return an outcome for each delivery that the site holds; for all where that cannot be known."""
        found = await self._lookup.by_ids(doctype, [delivery.id for delivery in deliveries])
        if not isinstance(found, dict):
            return dict.fromkeys((delivery.id for delivery in deliveries), found)
        return {
            delivery.id: await self._inserts.found(delivery, found[delivery.id])
            for delivery in deliveries
            if delivery.id in found
        }


def _chunks(deliveries: Sequence[Delivery], id_field: str) -> Iterator[dict[str, tuple[Delivery, bytes]]]:
    chunk: dict[str, tuple[Delivery, bytes]] = {}
    size = 0
    for delivery in deliveries:
        written = to_json({**delivery.document, "doctype": delivery.doctype, id_field: delivery.id})
        if chunk and (len(chunk) == MAX_DOCUMENTS or size + len(written) > MAX_BYTES):
            yield chunk
            chunk, size = {}, 0
        chunk[delivery.id] = (delivery, written)
        size += len(written)
    if chunk:
        yield chunk


def _closed(outcomes: Outcomes) -> TargetDown | Blocked | None:
    """Return what stops all others."""
    return next((each for each in outcomes.values() if isinstance(each, TargetDown | Blocked)), None)


def _blames_a_document(verdict: Ambiguous) -> bool:
    """Tell whether Frappe itself failed, over something in the batch; anything else may be anywhere."""
    return verdict.code is not None and verdict.code not in ROLLED_BACK
