"""Files of interchanges: each message is an event, and the interchange as a whole gets its receipt. Pure."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

import msgspec
from msgspec import Struct

from lineside.model.batch import Batch
from lineside.model.event import Event
from lineside.model.fields import key_text, lookup
from lineside.wire.edifact.contrl import receipt
from lineside.wire.edifact.interchange import Fault, Interchange, Message
from lineside.wire.edifact.orders import Wrong, read
from lineside.wire.edifact.segments import Broken
from lineside.wire.rows.forms import FileReader, Survey, Surveyed
from lineside.wire.rows.reading import About, NoRows, tell_origin

MOST_REJECTED = 10_000
"""Messages that a receipt names; with more the interchange is refused."""


class EdifactForm(Struct, frozen=True):
    """The format of interchanges with orders."""

    most: int
    """Bytes of a message."""
    now: Callable[[], datetime]
    """For receipts."""
    reply: bool = True
    """Whether there are receipts."""
    dedupe: str | None = None
    device: str | None = None

    def survey(self) -> Survey | None:
        """Return what holds an interchange to its counts and references, and writes the receipt."""
        return _Survey(self)

    def reader(self, about: About, sender: str) -> FileReader[Message]:
        """Return what reads one interchange."""
        return _Reader(self, about, sender)


class _Survey:
    def __init__(self, form: EdifactForm) -> None:
        self._form = form
        self._interchange = Interchange(form.most)
        self._rejected: list[tuple[Message, Fault]] = []
        self._broken: Broken | None = None

    def feed(self, data: bytes) -> None:
        if self._broken is None:
            try:
                self._check(self._interchange.feed(data))
            except Broken as broken:
                self._broken = broken

    def end(self) -> Surveyed:
        if self._broken is None:
            try:
                self._interchange.end()
            except Broken as broken:
                self._broken = broken
        header, reply = self._interchange.header, None
        if header is not None and self._form.reply:
            reply = receipt(header, self._form.now(), self._rejected, self._broken)
        return Surveyed(None if self._broken is None else f"edifact: {self._broken}", reply=reply)

    def _check(self, messages: list[Message]) -> None:
        for message in messages:
            try:
                read(message)
            except Wrong as wrong:
                # Only what a receipt says of it is kept.
                self._rejected.append((msgspec.structs.replace(message, segments=[]), wrong.fault))
        if len(self._rejected) > MOST_REJECTED:
            raise Broken("18", "UNB", f"more than {MOST_REJECTED} messages are wrong")


class _Reader:
    def __init__(self, form: EdifactForm, about: About, sender: str) -> None:
        self._form = form
        self._about = about
        self._sender = sender
        self._interchange = Interchange(form.most)

    def feed(self, data: bytes) -> list[Message]:
        try:
            return self._interchange.feed(data)
        except Broken as broken:
            raise NoRows(f"edifact: {broken}") from broken

    def end(self) -> list[Message]:
        try:
            self._interchange.end()
        except Broken as broken:
            raise NoRows(f"edifact: {broken}") from broken
        return []

    def batch(self, rows: list[Message], first: int) -> Batch:
        return tell_origin(Batch.of([self._event(message) for message in rows]), self._about, first)

    def _event(self, message: Message) -> Event:
        try:
            order = read(message)
        except Wrong as wrong:
            return Event(b"", raw=message.raw, device=self._sender, error=f"edifact: {wrong}")
        body = msgspec.json.encode(order)
        if self._form.dedupe is None and self._form.device is None:
            return Event(body, device=self._sender)
        plain = msgspec.json.decode(body)
        key = None if self._form.dedupe is None else key_text(lookup(plain, self._form.dedupe))
        device = None if self._form.device is None else key_text(lookup(plain, self._form.device))
        return Event(body, key=key, device=device or self._sender)
