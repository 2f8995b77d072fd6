"""The seams between the parts. `assemble` connects them; a part knows only what it names here.

Every coroutine runs on the reactor's thread and may be awaited there only.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, Protocol

import msgspec
from msgspec import Struct

from lineside.model.batch import Batch, Receipts
from lineside.model.errors import LinesideError
from lineside.model.event import Event, Page, Receipt, Record, Seq
from lineside.model.outcome import Blocked, Outcome, TargetDown


class ConsumerSpec(Struct, frozen=True):
    """How one durable consumer reads the journal. The names are those of NATS."""

    id: str
    """Permanent: its progress is stored under this name."""
    sources: frozenset[str]
    accepts: Callable[[Record], bool]
    """Records for which this is false are none of this consumer's business. Must not raise."""
    order_key: Callable[[Record], str | None]
    """Records with one key are handed out one after the other, each when the last is settled."""
    order_by: str | None = None
    """The field that ``order_key`` reads. Stored, so that a change of it is noticed."""
    max_deliver: int = 8
    """After so many failures of its own a record becomes a dead letter."""
    max_ack_pending: int = 1024
    """At most so many records are out or in backoff at a time."""
    deliver_policy: Literal["all", "new"] | int = "all"
    """Where a consumer that is seen for the first time begins; a number for after that sequence."""


class Pending(Struct, frozen=True):
    """A record that is handed out and not settled yet."""

    record: Record
    attempt: int
    """1 for the first; only failures of the record itself count."""
    redelivered: bool = False
    """It was handed out before, perhaps by a process that died: the target may already hold the document."""


class Consumer(Protocol):
    """One route's durable place in the journal: an ack floor, and the gaps above it."""

    async def open(self) -> None:
        """Take up the place where it was left; call first."""
        ...

    @property
    def floor(self) -> Seq:
        """Nothing at or below is unsettled."""
        ...

    @property
    def pending(self) -> int:
        """How many records are out or in backoff."""
        ...

    async def pull(self, limit: int) -> list[Pending]:
        """Hand out up to ``limit`` records in order, of each order key at most one; empty when none may go."""
        ...

    async def settle(self, done: list[tuple[Pending, Outcome]]) -> None:
        """Store what became of records; durable when it returns."""
        ...

    def on_ready(self, wake: Callable[[], None]) -> None:
        """Call ``wake`` whenever `pull` may have something new to hand out."""
        ...

    async def close(self) -> None:
        """Store how far it came; neither `pull` nor `settle` may follow."""
        ...


class Journal(Protocol):
    """The durable log."""

    async def append(self, source: str, events: list[Event]) -> list[Receipt]:
        """Store events; committed and synced to disk when it returns, receipts in the same order.

        Raises:
            OSError or sqlite3.Error: nothing of this call was stored. Of a `CommitInDoubt` nobody knows: the sender
                must not be told that it was not.

        """
        ...

    async def append_batches(self, source: str, batches: list[Batch]) -> list[Receipts]:
        """Store batches as `append` does events: all of them or none."""
        ...

    async def read(self, after: Seq, *, sources: frozenset[str] | None, limit: int) -> Page:
        """Return up to ``limit`` records above ``after``."""
        ...

    def on_commit(self, published: Callable[[list[Record]], None]) -> Callable[[], None]:
        """Call ``published`` with each commit's new records, in order; returns a function that ends it."""
        ...


class Attachment(Struct, frozen=True):
    """A file that goes with a document."""

    name: str
    """As people see it; the target may alter it where it is taken."""
    content: bytes
    """Never empty."""
    private: bool = True
    """Only for those who may read the document."""
    field: str = ""
    """The document's field that is to hold the file's address; empty for none."""


class Delivery(Struct, frozen=True):
    """One record, rendered for its target."""

    id: str
    """32 hex digits, the same at every attempt."""
    action: str
    """``insert``, ``update``, ``upsert`` or ``call``."""
    doctype: str
    """Empty for a call."""
    document: dict[str, Any]
    """The fields to write; of a call its arguments."""
    redelivered: bool = False
    """An earlier attempt may have succeeded unseen: look it up before sending."""
    match: dict[str, Any] = msgspec.field(default_factory=dict)
    """By which fields update and upsert find their document."""
    submit: bool = False
    """The document is to be submitted as well, in the same transaction."""
    method: str = ""
    """What a call calls, as a dotted path."""
    files: tuple[Attachment, ...] = ()
    """What is attached to the document, before it is submitted."""


class Ready(Struct, frozen=True):
    """The target answers, and said what rendering must know of it."""

    time_zone: str
    """IANA name of the zone in which the target keeps its naive times."""


class Target(Protocol):
    """A system that takes documents."""

    async def probe(self) -> Ready | TargetDown | Blocked:
        """Ask whether the target would take a delivery now. Never raises."""
        ...

    async def deliver(self, batch: list[Delivery]) -> list[Outcome]:
        """Carry out deliveries; outcomes in the same order. Never raises but for cancellation."""
        ...


class Credential(Struct, frozen=True):
    """By what the ERP knows one of its users. One of the two is set."""

    session: str | None = None
    """The value of the session's cookie."""
    token: str | None = None
    """An API key and its secret, parted by a colon."""

    def __repr__(self) -> str:
        return "Credential(...)"


class PermissionOracle(Protocol):
    """The ERP, as far as it says who somebody is and what they may read.

    Both raise `LinesideError` where it gives no answer.
    """

    async def whose(self, credential: Credential) -> str | None:
        """Return the user; None if it is nobody's."""
        ...

    async def may_read(self, credential: Credential, channel: str) -> bool:
        """Tell whether that user may read what a live channel of the ERP's tells."""
        ...


class Person(Struct, frozen=True):
    """Somebody whom the ERP knows, and whose password was right."""

    user: str
    full_name: str
    roles: frozenset[str]
    """The ERP's."""


class LockedOut(LinesideError):
    """The ERP takes no password of this account for a while, after too many wrong ones."""


class PasswordOracle(Protocol):
    """The ERP, as far as it says whose password it is.

    Both raise `LinesideError`, with a text for the one who asks, where it does not say; `LockedOut` is one.
    """

    async def person(self, user: str, password: str) -> Person | None:
        """Return who it is; None where the name or the password is wrong. Nothing stays open at the ERP."""
        ...

    async def roles(self, user: str) -> frozenset[str]:
        """Return the roles that a user has now; none for one who is disabled, or no longer there."""
        ...


class TakenFile(Struct, frozen=True):
    """A file that is in the spool, and synced there."""

    digest: str
    """BLAKE2b-256 of its bytes, 64 hex digits."""
    repeated: bool
    """The sender gave the same bytes before: they make no second event, and their answer is written again."""


class FileIntake(Protocol):
    """One source's way in for whole files."""

    async def take(self, path: Path, name: str, sender: str) -> TakenFile:
        """Take a file that its sender has closed.

        When it returns, the file is no longer at ``path``, and the file and its folder in the spool are synced. Its
        rows become events afterwards, and go on after a crash. Where a crash comes before it returns, the file is
        either still at ``path``, and is to be given again, or in the spool.

        Args:
            path: on the spool's file system; nobody writes to it any more.
            name: what its sender calls it, without folders.
            sender: who gave it, as the log and events name them; the same bytes of another sender are another file.

        Raises:
            FileNotTaken: there is no room in the spool, or the source is paused or stops; the file is still at
                ``path``. To be given again later.
            OSError: of the file or the spool; the same holds.

        """
        ...


class Part(Protocol):
    """Something the system starts and stops, in order."""

    name: str

    async def start(self) -> None:
        """Return when it works; raise `LinesideError` when it cannot."""
        ...

    async def stop(self) -> None:
        """Return when it has let go of everything. Never raises."""
        ...
