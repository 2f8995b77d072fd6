"""Pauses: what a person has stopped for a while, kept over restarts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from sqlite3 import Connection
from typing import Literal

from twisted.logger import Logger

from lineside.model.errors import NotFound
from lineside.model.wording import did_you_mean
from lineside.operations.registry import Operations
from lineside.operations.requests import Pause, Resume
from lineside.operations.results import Paused
from lineside.operations.texts import moment
from lineside.store.database import Database
from lineside.store.migrations import Component

log = Logger()

Kind = Literal["source", "route", "target"]

PAUSES = Component(
    "pauses",
    (
        (
            """CREATE TABLE pause (kind TEXT NOT NULL, id TEXT NOT NULL, since_ns INTEGER NOT NULL,
                PRIMARY KEY (kind, id)) WITHOUT ROWID""",
        ),
    ),
)
"""What is paused. A row of a part that the configuration has no more does nothing, until it has it again."""


class Pauses:
    """The `Part` that knows what is paused, and tells those whom it concerns.

    A paused source takes no events: its devices are told to send again later. A paused route, and each route to a
    paused target, delivers nothing more; what is under way is finished, and everything else waits in the journal.

    Args:
        database: the journal's.
        parts: by kind, what can be paused: by its id, what is called with whether it is.
        now_ns: the wall clock.

    """

    name = "pauses"

    def __init__(
        self,
        database: Database,
        parts: Mapping[Kind, Mapping[str, Callable[[bool], None]]],
        now_ns: Callable[[], int],
    ) -> None:
        self._database = database
        self._parts = parts
        self._now_ns = now_ns

    async def start(self) -> None:
        """Pause what was paused when the gateway was stopped; the journal must be open."""
        for kind, identifier in await self._database.read(_all):
            pause = self._parts.get(kind, {}).get(identifier)
            if pause is not None:
                pause(True)
                log.warn("part.paused", kind=kind, id=identifier, remedy=f"lineside resume {kind} {identifier}")

    async def stop(self) -> None:
        """Leave everything as it is."""

    def register(self, operations: Operations) -> None:
        """Offer the operations."""
        operations.answer(Pause, self.pause)
        operations.answer(Resume, self.resume)

    async def pause(self, request: Pause) -> Paused:
        """Pause a source, route or target; one that is paused already stays so.

        Raises:
            NotFound: there is none.

        """
        apply = self._find(request.kind, request.id)
        since = self._now_ns()

        def work(connection: Connection) -> int:
            connection.execute(
                "INSERT OR IGNORE INTO pause (kind, id, since_ns) VALUES (?, ?, ?)",
                (request.kind, request.id, since),
            )
            (began,) = connection.execute(
                "SELECT since_ns FROM pause WHERE kind = ? AND id = ?", (request.kind, request.id)
            ).fetchone()
            return int(began)

        began = await self._database.write(work)
        apply(True)
        log.warn(
            "part.paused", kind=request.kind, id=request.id, remedy=f"lineside resume {request.kind} {request.id}"
        )
        return Paused(request.kind, request.id, moment(began))

    async def resume(self, request: Resume) -> Paused:
        """Let a source, route or target work again; one that does already goes on.

        Raises:
            NotFound: there is none.

        """
        apply = self._find(request.kind, request.id)
        await self._database.write(
            lambda connection: connection.execute(
                "DELETE FROM pause WHERE kind = ? AND id = ?", (request.kind, request.id)
            )
        )
        apply(False)
        log.info("part.resumed", kind=request.kind, id=request.id)
        return Paused(request.kind, request.id, None)

    def _find(self, kind: Kind, identifier: str) -> Callable[[bool], None]:
        known = self._parts[kind]
        if identifier not in known:
            raise NotFound(f'there is no {kind} "{identifier}"{did_you_mean(identifier, known)}')
        return known[identifier]


def _all(connection: Connection) -> list[tuple[Kind, str]]:
    return connection.execute("SELECT kind, id FROM pause").fetchall()
