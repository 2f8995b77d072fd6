"""What became of one attempt to deliver a record."""

from __future__ import annotations

from msgspec import Struct


class Altered(Struct, frozen=True):
    """A field of a delivered document that does not hold what was sent."""

    field: str
    """Its path, without the numbers of rows: ``items.rate``."""
    remedy: str


class Delivered(Struct, frozen=True, tag=True):
    """The target holds the document."""

    name: str
    found: bool = False
    """An earlier attempt had already made it; this one only found it."""
    altered: tuple[Altered, ...] = ()
    """Sending it again would make no better document, perhaps a second one: a person is told instead."""


class Skipped(Struct, frozen=True, tag=True):
    """The route's ``when`` was false: nothing is owed."""


class Refused(Struct, frozen=True, tag=True):
    """The target will never take this record as it is: it becomes a dead letter."""

    code: str
    reason: str
    reply: str | None = None
    """The target's own words, as received."""


class Retry(Struct, frozen=True, tag=True):
    """This record failed, perhaps not the next time."""

    reason: str
    after: float | None = None
    """Seconds; None until the route's backoff has filled it in."""
    ambiguous: bool = False
    """The target may hold the document although it did not say so."""
    counts: bool = True
    """Towards ``max_deliver``. If not, the record and its key only rest, so that others go before it."""


class TargetDown(Struct, frozen=True, tag=True):
    """Nothing gets through at present, whatever the record. Never counts."""

    reason: str
    after: float | None = None
    """Seconds after which the target asked to be tried again."""
    sent: bool = True
    """False where the record cannot be to blame: it was kept back, or there was no target to send it to."""
    certain: bool = True
    """False where no answer says so, but one is missing: it may have been lost alone."""
    lasting: bool = False
    """It will not pass by itself; ``reason`` ends with what a person can do."""


class Blocked(Struct, frozen=True, tag=True):
    """The target turned the gateway away (401, 403): a person must act. Parks the route; never counts."""

    reason: str
    remedy: str


Outcome = Delivered | Skipped | Refused | Retry | TargetDown | Blocked
