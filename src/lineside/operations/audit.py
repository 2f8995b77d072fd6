"""Who did what from where: on record before it is carried out, and how it ended before anybody is told."""

from __future__ import annotations

import sqlite3
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from sqlite3 import Connection
from typing import Any, TypeVar

import msgspec
from twisted.internet.defer import CancelledError
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from lineside.background import Background
from lineside.model.errors import LinesideError
from lineside.operations import auditlog
from lineside.operations.auditlog import Break
from lineside.operations.failures import FailedLogins
from lineside.operations.registry import Operations
from lineside.operations.requests import ListAudit, Request, VerifyAudit
from lineside.operations.results import AuditEntry, AuditPage, AuditVerdict
from lineside.operations.texts import moment
from lineside.security.audit import Act, Entry, State
from lineside.security.identity import Identity
from lineside.store.database import Database

log = Logger()

R = TypeVar("R")

WINDOW = 60.0
"""Seconds for which failed log-ins are counted before they are put on record."""
GATEWAY = "the gateway"
"""Who does what nobody asked for."""


class Unrecorded(LinesideError):
    """The record cannot be written; the text says whether what was asked for was done."""


class Audit:
    """The record of a journal, and the `Part` that writes it.

    Args:
        database: the journal's.
        clock: monotonic.
        now_ns: the wall clock.
        began: what is said of a start; None where no gateway starts.

    """

    name = "audit"

    def __init__(
        self,
        database: Database,
        clock: IReactorTime,
        now_ns: Callable[[], int],
        *,
        began: Mapping[str, Any] | None = None,
    ) -> None:
        self._database = database
        self._clock = clock
        self._now_ns = now_ns
        self._began = began
        self._failed = FailedLogins()
        self._later: IDelayedCall | None = None
        self._writing = Background(self.name)

    async def start(self) -> None:
        """Put the start on record; the journal must be open. A full disk hinders no start."""
        if self._began is None:
            return
        try:
            entry = await self._write(Act(GATEWAY, "", "", "gateway.started", "noted", self._began))
        except (sqlite3.Error, OSError) as refused:
            self._say_unwritten("gateway.started", refused)
        else:
            # Noted elsewhere, it tells later whether the record was cut off or made anew.
            log.info("audit.began", number=entry.number, hash=entry.hash.hex())

    async def stop(self) -> None:
        """Put on record what is still counted."""
        if self._later is not None:
            self._later.cancel()
            self._tell_failed()
        await self._writing.finish()

    async def recorded(
        self, request: Request[R], identity: Identity, where: str, carry_out: Callable[[], Awaitable[R]]
    ) -> R:
        """Carry something out that is on record, on the disk, before it begins and before its result is told.

        Raises:
            Unrecorded: the record cannot be written.

        """
        about = {name: value for name in request.told if (value := getattr(request, name)) is not None}
        act = Act(identity.name, identity.role, where, str(request.__struct_config__.tag), "asked", about)
        try:
            asked = await self._write(act)
        except (sqlite3.Error, OSError) as refused:
            raise Unrecorded(f"it cannot be put on record, and was not done: {refused}") from refused
        try:
            result = await carry_out()
        except CancelledError:
            # Whoever asked is gone and cannot wait for this.
            self._writing.run("left", self._write_if_possible(_end(act, asked, "left")))
            raise
        except Exception as failed:
            # The kind, not the text: that may tell what a device or the ERP said.
            await self._write_if_possible(_end(act, asked, "failed", kind=type(failed).__name__))
            raise
        try:
            await self._write(_end(act, asked, "done"))
        except (sqlite3.Error, OSError, LinesideError) as refused:
            raise Unrecorded(
                f"it was done, as entry {asked.number} of the record says it was to be; "
                f"that it was cannot be put on record: {refused}"
            ) from refused
        return result

    def failed_login(self, where: str) -> None:
        """Count a log-in that failed; every `WINDOW` they are put on record."""
        self._failed.add(where)
        if self._later is None:
            self._later = self._clock.callLater(WINDOW, self._tell_failed)

    def note(self, act: Act) -> None:
        """Put on record what happened, as soon as can be; whoever did it does not wait for that."""
        self._writing.run("note", self.noted(act))

    async def noted(self, act: Act) -> None:
        """Put on record what happened, and return when it is on the disk; if it cannot be there is an alarm."""
        await self._write_if_possible(act)

    def register(self, operations: Operations) -> None:
        """Offer the operations."""
        operations.answer(ListAudit, self.list_entries)
        operations.answer(VerifyAudit, self.verify)

    async def list_entries(self, request: ListAudit) -> AuditPage:
        """Return entries, the newest first."""
        found, more = await self._database.read(
            lambda connection: auditlog.page(
                connection, before=request.before, limit=request.limit, who=request.who, what=request.what
            )
        )
        return AuditPage([_told(entry) for entry in found], more)

    async def verify(self, request: VerifyAudit) -> AuditVerdict:
        """Follow the chain from its first entry to its last; between two stretches others have their turn."""

        def first(connection: Connection) -> tuple[auditlog.Place, auditlog.Place | Break | None]:
            place = auditlog.begin(connection)
            return place, auditlog.strays(connection, place) or auditlog.examine(connection, place)

        began, found = await self._database.read(first)
        place = began
        while isinstance(found, auditlog.Place):
            place = found
            found = await self._database.read(partial(auditlog.examine, place=place))
        if found is None and request.hash is not None:
            noted = partial(auditlog.has, number=request.number, digest=bytes.fromhex(request.hash))
            if not await self._database.read(noted):
                found = Break(request.number, "is not the entry whose hash was noted", place)
        if isinstance(found, Break):
            place = found.held
        last = place.expected - 1
        return AuditVerdict(
            entries=last - began.expected + 1,
            first=began.expected,
            last=last,
            hash=place.hash.hex(),
            broken=None if found is None else found.number,
            why=None if found is None else found.why,
        )

    def _tell_failed(self) -> None:
        self._later = None
        for where, facts in self._failed.take():
            act = Act("nobody known", "nobody", where, "login.failed", "noted", facts)
            self._writing.run("failed log-ins", self._write_if_possible(act))

    async def _write_if_possible(self, act: Act) -> None:
        try:
            await self._write(act)
        except (sqlite3.Error, OSError, LinesideError) as refused:
            self._say_unwritten(act.what, refused)

    async def _write(self, act: Act) -> Entry:
        now = self._now_ns()
        return await self._database.write(lambda connection: auditlog.append(connection, act, now))

    def _say_unwritten(self, what: str, refused: Exception) -> None:
        log.error(
            "audit.unwritten",
            what=what,
            reason=str(refused),
            remedy="free space on the journal's disk or check it: nothing that changes something is carried out",
        )


def _end(act: Act, asked: Entry, state: State, **facts: Any) -> Act:
    return msgspec.structs.replace(act, state=state, facts={"of": asked.number, **facts})


def _told(entry: Entry) -> AuditEntry:
    act = entry.act
    facts = msgspec.json.decode(entry.facts, type=dict[str, Any])
    return AuditEntry(
        entry.number,
        moment(entry.at_ns),
        act.who,
        act.role,
        act.where,
        act.what,
        act.state,
        facts,
        entry.hash.hex(),
    )
