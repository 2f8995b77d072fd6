"""Events in over HTTP: one source's endpoint. It answers when everything is on disk, and not before."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import AsyncIterator, Callable
from typing import Any

import msgspec
from msgspec import Struct
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater

from lineside.edges.http.bodies import too_large
from lineside.edges.http.commits import Commits, Sender
from lineside.edges.http.identification import CHALLENGE
from lineside.model.batch import Batch, Receipts
from lineside.operations.web import JSON, PROBLEM, Answer, Call, Endpoint, Parameter, Problem, Reply
from lineside.security.identity import NOBODY, check, permits
from lineside.wire.answers import reason_line
from lineside.wire.gunzip import Gunzip, NotGzip
from lineside.wire.jsonitems import Item, Items, JsonItems, LineItems, Malformed
from lineside.wire.jsonl import JsonLines, batches_of
from lineside.wire.lines import too_long

EVENTS = "/api/v1/events"
NDJSON = "application/x-ndjson"
TOGETHER = 256 * 1024
"""Bytes of items that are stored together, of a body that has more."""
MANY = 1024
"""So many items likewise."""
MOST_REJECTED = 1000
"""Items of one request that may make no event: a body of nothing else must not fill the journal."""
SOON = {"Retry-After": "1"}
BREATH = 256 * 1024
"""Bytes that are unpacked before others have a turn."""
KEY = re.compile("[!-~]{1,255}")
"""An ``Idempotency-Key``."""

encode = msgspec.json.Encoder().encode


class Rejected(Struct, frozen=True):
    """An item that makes no event; it is kept as a dead letter."""

    index: int
    """Its place in the request, from 0."""
    sequence: int
    code: str
    reason: str


class Taken(Struct, frozen=True):
    """What became of a request's items; all are on disk."""

    sequences: list[int]
    """Of each item, in the request's order."""
    repeated: list[int]
    """The places, from 0, of items that were known; they have the sequences that they got first."""
    rejected: list[Rejected]
    """Items that make no event; they are kept as dead letters."""


class IngestLimits(Struct, frozen=True):
    """What one source bears."""

    max_event: int = 65_536
    """Bytes of one item; of a larger one the beginning is kept, as a dead letter."""
    max_events: int = 100_000
    """Items of one request."""
    max_body: int = 100_000_000
    """Bytes of a body, unpacked."""
    max_requests: int = 256
    """Requests under way at a time; further ones only of senders that have none."""


class Ingest:
    """One source that takes events over HTTP.

    Args:
        id: the source's name in the configuration.
        decoder: makes an event of an item.
        commits: stores them.
        clock: gives others a turn.
        limits: what the source bears.
        anonymous: whether who asks from this machine needs no token.

    """

    def __init__(
        self,
        id: str,  # noqa: A002 (what the configuration calls it)
        decoder: JsonLines,
        commits: Commits,
        clock: IReactorTime,
        limits: IngestLimits,
        *,
        anonymous: bool = False,
    ) -> None:
        self.id = id
        self.path = f"{EVENTS}/{id}"
        self.commits = commits
        self.under_way = 0
        """Requests at present."""
        self._senders: Counter[str] = Counter()
        """Those by sender: who has none is let in although there are too many, or one could shut out the others."""
        self._decoder = decoder
        self._decode = batches_of(decoder)
        self._clock = clock
        self._limits = limits
        self._anonymous = anonymous

    def endpoint(self) -> Endpoint:
        """Return the endpoint that takes its events."""
        limits = self._limits
        refusals = {429: f"More than {limits.max_requests} requests at a time; `Retry-After` says when."}
        if self._anonymous:
            refusals |= {
                401: "Only at the gateway's own machine no token is needed.",
                403: "This is not permitted.",
            }
        problem: dict[str, Any] = {PROBLEM: {"$ref": "#/components/schemas/Problem"}}
        return Endpoint(
            "POST",
            self.path,
            f"send_{self.id}",
            f"Send events to the source {self.id}; the body may be packed with gzip",
            None if self._anonymous else "send",
            self.answer,
            parameters=(
                Parameter(
                    "Idempotency-Key",
                    "header",
                    {"type": "string", "pattern": f"^{KEY.pattern}$"},
                    "A request that is repeated with it stores nothing twice, and gets its first sequences again.",
                ),
            ),
            takes={
                JSON: {
                    "description": (
                        f"An object, or an array of at most {limits.max_events} of them. What is none is kept as a "
                        "dead letter; where there is no object at all, that is an error."
                    ),
                    "anyOf": [
                        {"type": "object"},
                        {"type": "array", "contains": {"type": "object"}, "maxItems": limits.max_events},
                        {"type": "array", "maxItems": 0},
                    ],
                },
                NDJSON: {
                    "description": f"An object a line, at most {limits.max_events}.",
                    "type": "string",
                    "minLength": 1,
                },
            },
            stream=True,
            replies={
                202: Reply("Everything is on disk.", {JSON: Taken}),
                **{status: Reply(text, problem) for status, text in refusals.items()},
            },
            tag="events",
        )

    async def answer(self, call: Call) -> Answer:
        """Take a request's events; return when all are on disk.

        Raises:
            Problem: says what is wrong, and how many items, from the first on, are stored (``stored``).

        """
        sender = self._admit(call)
        if self.under_way >= self._limits.max_requests and self._senders[sender.name]:
            raise Problem(429, f"{self.under_way} requests are under way; send this one again", headers=SOON)
        self.under_way += 1
        self._senders[sender.name] += 1
        try:
            packed = _packed(call)
            if call.stream is None and not packed and call.body.startswith(b"{"):
                # Most requests are a single event, and need nothing else.
                event = self._decoder.decode(call.body, sender.name)
                if event.error is None and len(call.body) <= self._limits.max_event:
                    told = await self.commits.store(Batch.of_one(event), sender, 0, last=True)
                    return _answer(Taken([each.seq for each in told], [*told.repeats], []))
            return await self._take(call, sender, packed=packed)
        finally:
            self.under_way -= 1
            self._senders[sender.name] -= 1
            if not self._senders[sender.name]:
                del self._senders[sender.name]

    def _admit(self, call: Call) -> Sender:
        identity = call.identity
        if permits(identity, "send", self.id):
            name = identity.name
        elif self._anonymous and call.local:
            name = call.peer
        elif self._anonymous and identity is NOBODY:
            raise Problem(401, "this needs a token: Authorization: Bearer …", headers=CHALLENGE)
        else:
            check(identity, "send", self.id)
            raise AssertionError("the same check, and another result")
        key = call.header("idempotency-key")
        if key is not None and not KEY.fullmatch(key):
            raise Problem(400, "an Idempotency-Key has 1 to 255 visible ASCII characters")
        return Sender(name, call.peer, key)

    async def _take(self, call: Call, sender: Sender, *, packed: bool) -> Answer:
        limits = self._limits
        declared = call.header("content-length")
        if not packed and declared is not None and int(declared) > limits.max_body:
            raise too_large(limits.max_body)
        found: Items = (LineItems if _media_type(call) == NDJSON else JsonItems)(limits.max_event)
        taken = Taken([], [], [])
        waiting: list[Item] = []
        size = 0
        pieces = self._bounded(_pieces(call))
        try:
            # Both are bounded: what is packed into nothing has no end otherwise.
            async for piece in self._bounded(self._unpacked(pieces)) if packed else pieces:
                items = found.feed(piece)
                waiting += items
                size += sum(len(item.data) for item in items)
                self._count(taken, waiting)
                if size >= TOGETHER or len(waiting) >= MANY:
                    await self._store(waiting, sender, taken, last=False)
                    waiting, size = [], 0
            waiting += found.end()
        except (Malformed, NotGzip) as wrong:
            raise _stored(Problem(422, str(wrong)), taken) from wrong
        except Problem as problem:
            _stored(problem, taken)
            raise
        self._count(taken, waiting)
        if waiting:
            await self._store(waiting, sender, taken, last=True)
        return _answer(taken)

    def _count(self, taken: Taken, waiting: list[Item]) -> None:
        if len(taken.sequences) + len(waiting) > self._limits.max_events:
            most = self._limits.max_events
            raise _stored(Problem(413, f"there are more than {most} items; send them in several requests"), taken)

    async def _store(self, items: list[Item], sender: Sender, taken: Taken, *, last: bool) -> None:
        batch = self._batch(items, sender.name)
        before = len(taken.sequences)
        if len(taken.rejected) + len(batch.errors) > MOST_REJECTED:
            told = f"more than {MOST_REJECTED} items make no event, beginning with item"
            first = taken.rejected[0].index if taken.rejected else min(batch.errors)
            raise _stored(Problem(422, f"{told} {first}; is this the format that the source takes?"), taken)
        errors = dict(batch.errors)
        _add(taken, await self.commits.store(batch, sender, before, last=last), errors, before)

    def _batch(self, items: list[Item], sender: str) -> Batch:
        most = self._limits.max_event
        if all(item.size <= most for item in items):
            return self._decode([item.data for item in items], sender)
        return Batch.of(
            [
                self._decoder.decode(item.data, sender)
                if item.size <= most
                else too_long(item.data, item.size, most, sender)
                for item in items
            ]
        )

    async def _bounded(self, pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        size = 0
        async for piece in pieces:
            size += len(piece)
            if size > self._limits.max_body:
                raise too_large(self._limits.max_body)
            yield piece

    async def _unpacked(self, pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        gunzip = Gunzip()
        since = 0
        async for packed in pieces:
            for piece in gunzip.feed(packed):
                since += len(piece)
                if since >= BREATH:
                    since = 0
                    await deferLater(self._clock, 0)
                yield piece
        gunzip.end()


def unknown_source(known: Callable[[str], str]) -> Endpoint:
    """Return the endpoint of events to a source that takes none over HTTP.

    Args:
        known: returns what to say of a source's name.

    """

    def answer(call: Call) -> Answer:
        raise Problem(404, known(call.path["source"]))

    return Endpoint("POST", f"{EVENTS}/{{source}}", "send", "Nothing", "send", answer, described=False)


def _add(taken: Taken, receipts: Receipts, errors: dict[int, str], before: int) -> None:
    taken.sequences.extend(receipt.seq for receipt in receipts)
    taken.repeated.extend(before + place for place in receipts.repeats)
    for place, error in sorted(errors.items()):
        code, _, reason = error.partition(": ")
        index = before + place
        taken.rejected.append(Rejected(index, taken.sequences[index], code, reason_line(reason)))


def _answer(taken: Taken) -> Answer:
    if not taken.rejected or len(taken.rejected) < len(taken.sequences):
        return Answer(202, encode(taken))
    first = taken.rejected[0]
    large = all(each.code == "too-long" for each in taken.rejected)
    told = f"{first.reason} ({first.code})" if len(taken.rejected) == 1 else "no item makes an event"
    raise _stored(
        Problem(413 if large else 422, f"{told}; kept as a dead letter", **msgspec.to_builtins(taken)), taken
    )


def _stored(problem: Problem, taken: Taken) -> Problem:
    problem.more["stored"] = len(taken.sequences)
    return problem


def _media_type(call: Call) -> str:
    return (call.header("content-type") or "").partition(";")[0].strip().lower()


def _packed(call: Call) -> bool:
    match (call.header("content-encoding") or "identity").strip().lower():
        case "identity":
            return False
        case "gzip" | "x-gzip":
            return True
    # RFC 9110, section 12.5.3.
    raise Problem(415, "the body's Content-Encoding must be gzip, or none", headers={"Accept-Encoding": "gzip"})


async def _pieces(call: Call) -> AsyncIterator[bytes]:
    if call.stream is None:
        yield call.body
        return
    async for piece in call.stream:
        yield piece
