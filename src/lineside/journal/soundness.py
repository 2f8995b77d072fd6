"""Whether a journal's file is whole: its pages, its events, the places of routes in it, and devices' keys.

It reads on a connection of its own and changes nothing, beside a gateway too. All of it blocks: it is for the
command line, not for the reactor's thread.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from sqlite3 import Connection
from urllib.parse import quote

import msgspec
from msgspec import Struct

from lineside.journal import keyruns
from lineside.journal.keydigests import SIZE
from lineside.journal.segments import unpack, unpack_one
from lineside.journal.tables import JOURNAL
from lineside.model.errors import LinesideError

MOST = 20
"""Problems that are told; of more, only that there are more."""

Progress = Callable[[str, int, int | None], None]
"""Told what is done, how far it is, and out of how much; None where that is not known."""


class Soundness(Struct, frozen=True):
    """What a journal holds, and what is wrong with it."""

    path: str
    events: int
    last: int
    """The last event's sequence."""
    routes: int
    """Places of routes."""
    dead_letters: int
    problems: list[str]

    @property
    def sound(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems


def open_to_read(path: Path) -> Connection:
    """Return a connection that changes nothing that is stored.

    Raises:
        LinesideError: there is no such file, or it cannot be opened.

    """
    if not path.is_file():
        raise LinesideError(f"there is no journal {path}")
    # One that may not write at all leaves files beside a journal in WAL mode, instead of clearing them away.
    mode = "rw" if os.access(path, os.W_OK) and os.access(path.parent, os.W_OK) else "ro"
    try:
        connection = sqlite3.connect(
            f"file:{quote(str(path.absolute()))}?mode={mode}", uri=True, isolation_level=None
        )
        connection.execute("PRAGMA query_only=ON")
    except sqlite3.Error as failed:
        raise LinesideError(f"cannot open {path}: {failed}") from failed
    return connection


def examine(path: Path, *, quick: bool = False, progress: Progress = lambda what, done, total: None) -> Soundness:
    """Read a whole journal, in one snapshot; ``quick`` leaves out whether indexes agree with their tables.

    Raises:
        LinesideError: there is no such file, or it cannot be opened.

    """
    with closing(open_to_read(path)) as connection:
        reading = _Reading(connection, progress)
        reading.read(quick=quick)
    problems = reading.problems
    if len(problems) > MOST:
        problems = [*problems[:MOST], f"and {len(problems) - MOST} more"]
    return Soundness(str(path), reading.events, reading.last, reading.routes, reading.dead_letters, problems)


class _Reading:
    """One pass over a file: collects problems instead of stopping at the first."""

    def __init__(self, connection: Connection, progress: Progress) -> None:
        self.problems: list[str] = []
        self.events = self.last = self.routes = self.dead_letters = 0
        self._known = False
        self._connection = connection
        self._progress = progress

    def read(self, *, quick: bool) -> None:
        self._attempt("pages", lambda: self._read_pages(quick))
        if self._attempt("tables", self._know_tables) and self._known:
            # Places are held against the events: without those nothing can be said of them.
            if self._attempt("events", self._read_segments):
                self._attempt("routes", self._read_routes)
                self._attempt("keys", self._read_keys)
            self._attempt("dead letters", self._read_dead_letters)

    def _attempt(self, what: str, read: Callable[[], None]) -> bool:
        # What stops one look must not hide what the others find.
        try:
            if not self._connection.in_transaction:
                self._connection.execute("BEGIN")
            read()
        except sqlite3.Error as failed:
            self.problems.append(f"{what}: {failed}")
            return False
        return True

    def _read_pages(self, quick: bool) -> None:
        steps = 0

        def tell() -> None:
            nonlocal steps
            steps += 1
            self._progress("pages", steps, None)

        self._connection.set_progress_handler(tell, 1_000_000)
        check = "quick_check" if quick else "integrity_check"
        for (line,) in self._connection.execute(f"PRAGMA {check}({MOST})"):
            if line != "ok":
                self.problems.append(f"pages: {line}")
        self._connection.set_progress_handler(None, 0)

    def _know_tables(self) -> None:
        (journal,) = self._connection.execute(
            "SELECT COUNT(*) FROM sqlite_schema WHERE name IN ('component', 'journal')"
        ).fetchone()
        if journal != 2:
            self.problems.append("it is a database, but no journal")
            return
        row = self._connection.execute("SELECT version FROM component WHERE name = ?", (JOURNAL.name,)).fetchone()
        version, known = 0 if row is None else row[0], len(JOURNAL.versions)
        if version != known:
            remedy = (
                "install a newer Lineside"
                if version > known
                else "start the gateway once, which brings them up to date"
            )
            self.problems.append(f"its tables have version {version}, this release's {known}: {remedy}")
            return
        self._known = True

    def _read_segments(self) -> None:
        (total,) = self._connection.execute("SELECT COUNT(*) FROM segment NOT INDEXED").fetchone()
        sources = {identifier for (identifier,) in self._connection.execute("SELECT id FROM source")}
        rows = self._connection.execute("SELECT first, last, source, format, events FROM segment ORDER BY first")
        for number, (first, last, source, form, blob) in enumerate(rows, 1):
            place = f"events {first} to {last}"
            if first <= self.last or last < first:
                self.problems.append(f"{place}: their sequences overlap with others")
            if source not in sources:
                self.problems.append(f"{place}: their source is not known")
            try:
                count = sum(1 for _ in unpack(form, blob))
            except (msgspec.DecodeError, ValueError, IndexError) as wrong:
                self.problems.append(f"{place}: cannot be decoded: {wrong}")
            else:
                if count != last - first + 1:
                    self.problems.append(f"{place}: {count} are there")
                self.events += count
            self.last = max(self.last, last)
            self._progress("events", number, total)

    def _read_routes(self) -> None:
        for route, cursor in self._connection.execute("SELECT id, cursor FROM consumer ORDER BY id").fetchall():
            self.routes += 1
            if cursor > self.last:
                self.problems.append(
                    f"route {route}: stands at {cursor}, behind the last event: it would skip others"
                )
            for seq in self._lost(route):
                self.problems.append(f"route {route}: owes event {seq}, which is not there")
            ahead = self._connection.execute(
                "SELECT COUNT(*) FROM backlog WHERE consumer = ? AND after > ?", (route, cursor)
            ).fetchone()[0]
            if ahead:
                self.problems.append(f"route {route}: {ahead} of its backlogs begin where it has not been yet")

    def _read_keys(self) -> None:
        runs = list(keyruns.newest(self._connection))
        filters = keyruns.filters(self._connection)
        known = next(filters, None)
        for number, run in enumerate(runs, 1):
            fingerprints = None
            if known is not None and known[0] == run:
                fingerprints = known[1]
                known = next(filters, None)
            if problem := keyruns.problem(self._connection, run, fingerprints, self.last):
                self.problems.append(f"run {run} of devices' keys: {problem}")
            self._progress("runs of keys", number, len(runs))
        for first, size in self._connection.execute("SELECT first, LENGTH(digests) FROM key_recent"):
            if size % SIZE or first + size // SIZE - 1 > self.last:
                self.problems.append(f"devices' keys from {first} on: they are of events that are not there")

    def _lost(self, route: str) -> Iterator[int]:
        rows = self._connection.execute(
            """SELECT seq FROM gap WHERE consumer = :route AND NOT EXISTS (
                SELECT 1 FROM dead_letter WHERE consumer = :route AND seq = gap.seq AND retrying = 1
            ) ORDER BY seq""",
            {"route": route},
        )
        for (seq,) in rows.fetchall():
            row = self._connection.execute(
                "SELECT last FROM segment WHERE first <= ? ORDER BY first DESC LIMIT 1", (seq,)
            ).fetchone()
            if row is None or row[0] < seq:
                yield seq

    def _read_dead_letters(self) -> None:
        for identifier, event in self._connection.execute("SELECT id, event FROM dead_letter ORDER BY id"):
            self.dead_letters += 1
            try:
                unpack_one(event)
            except msgspec.DecodeError as wrong:
                self.problems.append(f"dead letter {identifier}: cannot be decoded: {wrong}")
