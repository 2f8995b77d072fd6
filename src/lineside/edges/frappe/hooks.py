"""Takes Frappe's webhooks: each change is an event, committed before Frappe is told so."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from math import ceil
from sqlite3 import Connection
from typing import Any, Protocol

import msgspec
from msgspec import Struct
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.defer import TimeoutError as OutOfTime
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from lineside.background import Background
from lineside.edges.frappe.versions import Version
from lineside.edges.frappe.webhook import SIGNATURE, WebhookFormat, rightly_signed
from lineside.model.batch import Batch
from lineside.model.errors import LinesideError
from lineside.model.event import Event, Receipt
from lineside.operations.web import JSON, PROBLEM, Answer, Call, Endpoint, Problem, Reply

log = Logger()

WITHIN = 4.0
"""Seconds for the commit: Frappe waits 5, and takes a late answer for none (contract, section 5)."""
LATER = 5
"""Seconds after which what is not taken at present may be sent again."""
SAY_AGAIN = 60.0
"""Seconds between two alarms about signatures."""
CHALLENGE = {"WWW-Authenticate": "X-Frappe-Webhook-Signature"}

encode = msgspec.json.Encoder().encode


class Ledger(Protocol):
    """Where the events go: the journal, with something of ours in the same transaction."""

    async def append(
        self, source: str, events: list[Event], *, also: Callable[[Connection], None] | None
    ) -> list[Receipt]:
        """Store events, and ``also``; both or neither, synced when it returns."""
        ...


class Noted(Protocol):
    """Who would find the same changes by itself, and shall not."""

    def note(self, version: Version) -> Callable[[Connection], None]:
        """Return what notes, in the transaction of its event, that a change is known."""
        ...

    def noted(self, version: Version) -> None:
        """Take it that the transaction was committed."""
        ...


class Taken(Struct, frozen=True, omit_defaults=True):
    """What Frappe is told, and keeps in its Webhook Request Log."""

    sequence: int
    repeated: bool = False
    error: str | None = None
    """Why it became a dead letter."""


class HookIntake:
    """Webhooks of one source.

    Args:
        id: the source's name.
        format: what is in them.
        ledger: the journal.
        clock: must follow a monotonic clock.
        secret: the webhooks'; None to take them from everyone.
        fields: what a webhook should have, as the poll has it.
        poll: finds the same changes, where there is one.

    """

    def __init__(
        self,
        id: str,  # noqa: A002 (what the configuration calls it)
        format: WebhookFormat,  # noqa: A002
        ledger: Ledger,
        clock: IReactorTime,
        *,
        secret: str | None,
        fields: Sequence[str] = (),
        poll: Noted | None = None,
    ) -> None:
        self.path = f"/hooks/{id}"
        self.received = 0
        self.undecodable = 0
        self.on_batch: Callable[[Batch, list[tuple[str, int]]], None] | None = None
        """Called with each event before it is stored."""
        self.on_refused: Callable[[str], float] = lambda peer: 0.0
        """Told the address of what was not rightly signed; returns how many seconds it ought to have waited."""
        self._id = id
        self._format = format
        self._ledger = ledger
        self._clock = clock
        self._secret = secret
        self._fields = frozenset(fields)
        self._poll = poll
        self._storing = Background(f"hooks of {id}")
        self._refused = 0
        self._refusal_told = float("-inf")
        self._lacks_told = False

    @property
    def endpoint(self) -> Endpoint:
        """Where Frappe posts them."""
        # Frappe sends no Content-Type unless one is configured.
        return Endpoint(
            "POST",
            self.path,
            f"hook_{self._id}",
            f"Takes Frappe's webhooks for the source {self._id}",
            None,
            self.take,
            takes={"*/*": {"type": "object"}},
            replies={
                200: Reply("It is committed; a repeat gets the sequence of the first.", {JSON: Taken}),
                401: Reply("It is not signed with the secret.", {PROBLEM: {"type": "object"}}),
                429: Reply("Nor were too many from this address before.", {PROBLEM: {"type": "object"}}),
            },
            tag="hooks",
        )

    async def take(self, call: Call) -> Answer:
        """Store a webhook and answer 200.

        Raises:
            Problem: 401, its signature is wrong; 429, and too many from that address were; 503, it cannot be stored
                at present.

        """
        if self._secret is not None:
            self._check(self._secret, call)
        event, version = self._format.read(call.body)
        if version is not None:
            self._look_at_fields(event)
        if self.on_batch is not None:
            self.on_batch(Batch.of([event]), [(call.peer, 1)])
        receipt = await self._stored(event, version)
        return Answer(200, encode(Taken(receipt.seq, receipt.repeated, receipt.error)))

    async def _stored(self, event: Event, version: Version | None) -> Receipt:
        told: Deferred[Receipt] = Deferred()
        # It goes on if nobody waits any more: what is sent again has the same key.
        self._storing.run("store", self._store(event, version, told))
        told.addTimeout(WITHIN, self._clock)
        try:
            return await told
        except CancelledError:
            raise
        except OutOfTime as late:
            raise _unavailable("the journal's disk is slow") from late
        except (OSError, sqlite3.Error, LinesideError) as failed:
            raise _unavailable(str(failed)) from failed

    async def _store(self, event: Event, version: Version | None, told: Deferred[Receipt]) -> None:
        also = None if version is None or self._poll is None else self._poll.note(version)
        try:
            [receipt] = await self._ledger.append(self._id, [event], also=also)
        except Exception:  # noqa: BLE001 (who waits is told)
            if not told.called:
                told.errback(Failure())
            return
        self.received += 1
        self.undecodable += receipt.error is not None
        if version is not None and self._poll is not None:
            self._poll.noted(version)
        if not told.called:
            told.callback(receipt)

    def _check(self, secret: str, call: Call) -> None:
        given = call.header(SIGNATURE)
        if rightly_signed(secret, call.body, given):
            return
        self._refused += 1
        now = self._clock.seconds()
        if now - self._refusal_told >= SAY_AGAIN:
            log.error(
                "hook.refused",
                source=self._id,
                peer=call.peer,
                refused=self._refused,
                signed=given is not None,
                remedy=f"give the Webhook in Frappe the secret of sources.{self._id}"
                if given is not None
                else "tick Enable Security in the Webhook in Frappe, or see who else posts here",
            )
            self._refusal_told, self._refused = now, 0
        wait = self.on_refused(call.peer)
        if wait:
            again = {"Retry-After": str(max(1, ceil(wait)))}
            raise Problem(429, "too many webhooks from this address were not rightly signed", headers=again)
        detail = "the signature is not of this body and secret" if given else "the webhook is not signed"
        raise Problem(401, detail, headers=CHALLENGE)

    def _look_at_fields(self, event: Event) -> None:
        if self._lacks_told or not self._fields:
            return
        payload: dict[str, Any] = msgspec.json.decode(event.body)
        lacking = sorted(self._fields - payload.keys())
        if lacking:
            self._lacks_told = True
            log.warn(
                "hook.lacks_fields",
                source=self._id,
                fields=", ".join(lacking),
                remedy="add them to the Webhook in Frappe, or take them out of the poll's fields",
            )


def _unavailable(reason: str) -> Problem:
    return Problem(503, reason, headers={"Retry-After": str(LATER)})
