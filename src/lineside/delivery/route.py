"""What a route makes of a record: nothing, a document on its way, or a refusal."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
from msgspec import Struct

from lineside.delivery.attachments import AttachmentTemplate
from lineside.delivery.templates import Condition, RenderError, Scope, Template, scope
from lineside.model.event import Record, delivery_id
from lineside.model.fields import key_text, lookup
from lineside.model.outcome import Refused, Skipped
from lineside.model.ports import Delivery, Pending, Ready

_decode = msgspec.json.Decoder(dict[str, Any]).decode
_zone = lru_cache(ZoneInfo)
_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What decoding a stored body may raise, where an earlier release or another source let it in. A record must not
stop those behind it: it is handed out, and refused."""


class Route(Struct, frozen=True):
    """One route, compiled. Has no state."""

    id: str
    """Permanent: it is part of every delivery id."""
    sources: frozenset[str]
    target: str
    action: str
    doctype: str
    document: Template
    when: Condition | None
    order_by: str | None
    """Field path: records with one value here are delivered in order."""
    concurrency: int
    batch: int = 1
    """Deliveries that go to the target together, at most."""
    match: Template | None = None
    """By which fields update and upsert find their document."""
    submit: bool = False
    method: str = ""
    """What a call calls, as a dotted path."""
    attachments: tuple[AttachmentTemplate, ...] = ()
    """The files that go with a document."""

    def accepts(self, record: Record) -> bool:
        """Tell whether the record is this route's business; one whose ``when`` cannot be told is."""
        if self.when is None:
            return True
        try:
            return self.when.holds(self._scope(record, None))
        except (RenderError, *_UNREADABLE):
            return True

    def order_key(self, record: Record) -> str | None:
        """Return what the record is ordered by; None if it is free to go, as one that cannot be read is."""
        if self.order_by is None:
            return None
        try:
            return key_text(lookup(_decode(record.event.body), self.order_by))
        except _UNREADABLE:
            return None

    def render(self, pending: Pending, ready: Ready) -> Delivery | Refused | Skipped:
        """Return the delivery of a record; what does not fit the templates is refused, with the field's name."""
        record = pending.record
        try:
            seen = self._scope(record, ready)
            if self.when is not None and not self.when.holds(seen):
                return Skipped()
            document = self.document.render(seen)
            match = {} if self.match is None else self.match.render(seen)
            files = [each.render(seen) for each in self.attachments]
        except RenderError as wrong:
            return Refused("template", str(wrong))
        except _UNREADABLE as wrong:
            return Refused("payload", f"the event's JSON cannot be read ({type(wrong).__name__})")
        return Delivery(
            id=delivery_id(record.identity, self.id),
            action=self.action,
            doctype=self.doctype,
            document=document,
            redelivered=pending.redelivered,
            match=match,
            submit=self.submit,
            method=self.method,
            files=tuple(file for file in files if file is not None),
        )

    def _scope(self, record: Record, ready: Ready | None) -> Scope:
        payload: Mapping[str, Any] = _decode(record.event.body)
        return scope(record, payload, None if ready is None else _zone(ready.time_zone))
