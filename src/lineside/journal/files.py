"""Partners' files: which were taken, and how far their rows are events, under which sequences."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from sqlite3 import Connection
from typing import Any, Literal

from msgspec import Struct

from lineside.journal.deadletters import UNDECODABLE
from lineside.model.batch import Receipts
from lineside.model.event import NO_SEQ, Seq
from lineside.store.migrations import Component

FILES = Component(
    "files",
    (
        (
            # `rows` are events, or dead letters, of which `bad`; `last` is the highest sequence of any.
            """CREATE TABLE file (
                id INTEGER PRIMARY KEY AUTOINCREMENT,
                source TEXT NOT NULL,
                sender TEXT NOT NULL,
                digest TEXT NOT NULL,
                size INTEGER NOT NULL,
                taken_ns INTEGER NOT NULL,
                state TEXT NOT NULL,
                rows INTEGER NOT NULL DEFAULT 0,
                bad INTEGER NOT NULL DEFAULT 0,
                last INTEGER NOT NULL DEFAULT 0,
                reason TEXT,
                reply BLOB,
                UNIQUE (source, sender, digest)
            )""",
            "CREATE INDEX file_open ON file (source, id) WHERE state IN ('arriving', 'waiting')",
            # The same bytes may come again under another name: each name gets its answer.
            """CREATE TABLE file_name (
                file INTEGER NOT NULL,
                name TEXT NOT NULL,
                taken_ns INTEGER NOT NULL,
                answered TEXT NOT NULL DEFAULT 'no',
                PRIMARY KEY (file, name)
            ) WITHOUT ROWID""",
            "CREATE INDEX file_owed ON file_name (file, name) WHERE answered <> 'whole'",
            # Rows that follow one another, from `row` on, with sequences that do.
            """CREATE TABLE file_run (
                file INTEGER NOT NULL,
                row INTEGER NOT NULL,
                count INTEGER NOT NULL,
                first INTEGER NOT NULL,
                PRIMARY KEY (file, row)
            ) WITHOUT ROWID""",
        ),
    ),
)

State = Literal["arriving", "waiting", "read", "refused"]
"""On its way into the spool; in it, its rows not all events yet; all of them; none of them ever."""
Answered = Literal["no", "partly", "whole"]

_COLUMNS = "id, source, sender, digest, size, taken_ns, state, rows, bad, last, reason, reply"


class KeptFile(Struct, frozen=True):
    """A file that was taken, or is about to be."""

    id: int
    source: str
    sender: str
    digest: str
    size: int
    taken_ns: int
    state: State
    rows: int
    """How many of its rows are events, or dead letters, in order."""
    bad: int
    """How many of them could not be decoded."""
    last: Seq
    """The highest sequence of a row."""
    reason: str | None
    """``code: reason`` why it was refused."""
    reply: bytes | None
    """What its sender is answered in the file's own format."""


class Owed(Struct, frozen=True):
    """A file by a name under which it was given, whose answer is not whole."""

    file: KeptFile
    name: str
    taken_ns: int
    answered: Answered


class Fate(Struct, frozen=True):
    """What became of one row, as far as that is known."""

    row: int
    seq: Seq
    status: Literal["delivered", "skipped", "dead-letter", "discarded", "pending"]
    documents: tuple[str, ...] = ()
    error: str | None = None


def begin(
    connection: Connection, source: str, sender: str, digest: str, name: str, size: int, now_ns: int
) -> tuple[KeptFile, bool]:
    """Note a file that is about to be taken, under its name; return it, and whether it was known.

    A known one, once it is in the spool, owes the answer under this name again.
    """
    connection.execute(
        """INSERT INTO file (source, sender, digest, size, taken_ns, state) VALUES (?, ?, ?, ?, ?, 'arriving')
           ON CONFLICT DO NOTHING""",
        (source, sender, digest, size, now_ns),
    )
    found = connection.execute(
        f"SELECT {_COLUMNS} FROM file WHERE source = ? AND sender = ? AND digest = ?", (source, sender, digest)
    ).fetchone()
    file = KeptFile(*found)
    connection.execute(
        """INSERT INTO file_name (file, name, taken_ns) VALUES (?, ?, ?)
           ON CONFLICT DO UPDATE SET taken_ns = excluded.taken_ns, answered = 'no'""",
        (file.id, name, now_ns),
    )
    return file, file.state != "arriving"


def arrived(connection: Connection, file: int) -> None:
    """A file is in the spool, and synced."""
    connection.execute("UPDATE file SET state = 'waiting' WHERE id = ? AND state = 'arriving'", (file,))


def never_came(connection: Connection, file: int) -> None:
    """A file that was about to be taken is where it was."""
    if connection.execute("DELETE FROM file WHERE id = ? AND state = 'arriving'", (file,)).rowcount:
        connection.execute("DELETE FROM file_name WHERE file = ?", (file,))


def unread(connection: Connection, source: str) -> list[KeptFile]:
    """Return the files of a source that are arriving or waiting, the oldest first."""
    rows = connection.execute(
        f"""SELECT {_COLUMNS} FROM file WHERE source = ? AND state IN ('arriving', 'waiting') ORDER BY id""",
        (source,),
    )
    return [KeptFile(*row) for row in rows]


def took(connection: Connection, file: int, receipts: Iterable[Receipts]) -> None:
    """The next rows of a file are stored: part of the transaction that stores them."""
    (row,) = connection.execute("SELECT rows + 1 FROM file WHERE id = ?", (file,)).fetchone()
    runs: list[tuple[int, int, int, int]] = []
    bad, last = 0, NO_SEQ
    for told in receipts:
        bad += len(told.errors)
        for place, count, first in _runs(told):
            runs.append((file, row + place, count, first))
            last = max(last, Seq(first + count - 1))
        row += told.count
    connection.executemany("INSERT INTO file_run (file, row, count, first) VALUES (?, ?, ?, ?)", runs)
    connection.execute(
        "UPDATE file SET rows = ?, bad = bad + ?, last = max(last, ?) WHERE id = ?", (row - 1, bad, last, file)
    )


def _runs(told: Receipts) -> Iterator[tuple[int, int, int]]:
    """Yield the place, the count and the first sequence of events whose sequences follow one another."""
    if not told.repeats:
        yield 0, told.count, told.first
        return
    begun: list[int] | None = None
    for place, receipt in enumerate(told):
        if begun is not None and receipt.seq == begun[2] + begun[1]:
            begun[1] += 1
            continue
        if begun is not None:
            yield begun[0], begun[1], begun[2]
        begun = [place, 1, receipt.seq]
    if begun is not None:
        yield begun[0], begun[1], begun[2]


def finished(connection: Connection, file: int, reply: bytes | None) -> None:
    """All rows of a file are stored."""
    connection.execute("UPDATE file SET state = 'read', reply = ? WHERE id = ?", (reply, file))


def refused(connection: Connection, file: int, reason: str, reply: bytes | None) -> None:
    """No row of a file becomes an event."""
    connection.execute(
        "UPDATE file SET state = 'refused', reason = ?, reply = ? WHERE id = ?", (reason, reply, file)
    )


def owed(connection: Connection, source: str, limit: int, after: int = 0) -> list[Owed]:
    """Return files whose answers are not whole, by ascending ids above ``after``."""
    columns = ", ".join(f"file.{name}" for name in _COLUMNS.split(", "))
    rows = connection.execute(
        f"""SELECT {columns}, file_name.name, file_name.taken_ns, answered FROM file_name JOIN file ON id = file
            WHERE answered <> 'whole' AND file > ? AND source = ? AND state <> 'arriving'
            ORDER BY file, name LIMIT ?""",
        (after, source, limit),
    )
    return [Owed(KeptFile(*row[:-3]), *row[-3:]) for row in rows]


def answered(connection: Connection, owed_: Owed, how: Answered) -> None:
    """An answer is written, unless the file was given again under this name meanwhile."""
    connection.execute(
        "UPDATE file_name SET answered = ? WHERE file = ? AND name = ? AND taken_ns = ?",
        (how, owed_.file.id, owed_.name, owed_.taken_ns),
    )


def fates(connection: Connection, file: int, floors: dict[str, Seq], after: int, limit: int) -> list[Fate]:
    """Return what became of up to about ``limit`` rows above ``after``, in order; fewer only at the end.

    Args:
        connection: the reader's.
        file: its id.
        floors: by the id of each consumer that takes the source's events, below what nothing is unsettled there.
        after: a row.
        limit: of rows.

    """
    rows: list[tuple[int, Seq]] = []
    found = connection.execute(
        "SELECT row, count, first FROM file_run WHERE file = ? AND row + count > ? + 1 ORDER BY row",
        (file, after),
    )
    for row, count, first in found:
        for place in range(max(0, after + 1 - row), count):
            rows.append((row + place, Seq(first + place)))
            if len(rows) == limit:
                break
        if len(rows) == limit:
            break
    if not rows:
        return []
    known = _Outcomes(connection, floors, {seq for _, seq in rows})
    return [known.fate(row, seq) for row, seq in rows]


class _Outcomes:
    """What is stored of the outcomes of some sequences."""

    def __init__(self, connection: Connection, floors: dict[str, Seq], wanted: Collection[Seq]) -> None:
        self._floors = floors
        self._names: dict[Seq, list[str]] = {}
        self._settled: dict[Seq, set[str]] = {}
        self._dead: dict[Seq, list[str]] = {}
        self._gone: dict[Seq, list[str]] = {}
        self._retrying: set[Seq] = set()
        # Sequences of a file stand together, but for repeats of rows that came long ago.
        for low, high in _stretches(wanted):
            for consumer in (*floors, UNDECODABLE):
                self._look(connection, consumer, low, high)

    def fate(self, row: int, seq: Seq) -> Fate:
        """Return one row's."""
        names = tuple(self._names.get(seq, ()))
        dead = self._dead.get(seq)
        settled = self._settled.get(seq, set())
        if UNDECODABLE not in settled and (
            seq in self._retrying
            or any(seq > floor and name not in settled for name, floor in self._floors.items())
        ):
            return Fate(row, seq, "pending", names, None if dead is None else "; ".join(dead))
        if dead is not None:
            return Fate(row, seq, "dead-letter", names, "; ".join(dead))
        if seq in self._gone:
            return Fate(row, seq, "discarded", names, "; ".join(self._gone[seq]))
        return Fate(row, seq, "delivered" if names else "skipped", names)

    def _look(self, connection: Connection, consumer: str, low: Seq, high: Seq) -> None:
        bounds: tuple[Any, ...] = (consumer, low, high)
        for seq, name in connection.execute(
            "SELECT seq, name FROM delivered WHERE consumer = ? AND seq BETWEEN ? AND ?", bounds
        ):
            self._names.setdefault(seq, []).append(name)
            self._settled.setdefault(seq, set()).add(consumer)
        for seq, code, reason, retrying in connection.execute(
            """SELECT seq, code, reason, retrying FROM dead_letter
               WHERE consumer = ? AND seq BETWEEN ? AND ?""",
            bounds,
        ):
            self._dead.setdefault(seq, []).append(f"{code}: {reason}")
            self._settled.setdefault(seq, set()).add(consumer)
            if retrying:
                self._retrying.add(seq)
        for seq, code, reason in connection.execute(
            "SELECT seq, code, reason FROM discarded WHERE consumer = ? AND seq BETWEEN ? AND ?", bounds
        ):
            self._gone.setdefault(seq, []).append(f"{code}: {reason}")
            self._settled.setdefault(seq, set()).add(consumer)


_APART = 10_000


def _stretches(seqs: Collection[Seq]) -> Iterator[tuple[Seq, Seq]]:
    """Yield the lowest and the highest of sequences that are not far from one another."""
    low = high = NO_SEQ
    for seq in sorted(seqs):
        if low and seq - high > _APART:
            yield low, high
            low = seq
        low = low or seq
        high = seq
    if low:
        yield low, high


class FileCounts(Struct, frozen=True):
    """How much waits."""

    waiting: int
    waiting_bytes: int


def counts(connection: Connection) -> FileCounts:
    """Return how many files wait for their rows to be read, and how large they are together."""
    found = connection.execute(
        "SELECT COUNT(*), COALESCE(SUM(size), 0) FROM file WHERE state IN ('arriving', 'waiting')"
    ).fetchone()
    return FileCounts(*found)


class Listed(Struct, frozen=True):
    """A file with the names under which it came, the last one first, and whether they are answered."""

    file: KeptFile
    names: tuple[tuple[str, Answered], ...]


def page(connection: Connection, source: str | None, before: int | None, limit: int) -> list[Listed]:
    """Return the newest files below the id ``before``, newest first."""
    rows = connection.execute(
        f"""SELECT {_COLUMNS} FROM file WHERE (? IS NULL OR source = ?) AND (? IS NULL OR id < ?)
            ORDER BY id DESC LIMIT ?""",
        (source, source, before, before, limit),
    ).fetchall()
    return [_listed(connection, KeptFile(*row)) for row in rows]


def get(connection: Connection, file: int) -> Listed | None:
    """Return one file."""
    row = connection.execute(f"SELECT {_COLUMNS} FROM file WHERE id = ?", (file,)).fetchone()
    return None if row is None else _listed(connection, KeptFile(*row))


def _listed(connection: Connection, file: KeptFile) -> Listed:
    names = connection.execute(
        "SELECT name, answered FROM file_name WHERE file = ? ORDER BY taken_ns DESC", (file.id,)
    )
    return Listed(file, tuple(names))


def forget(connection: Connection, source: str, before_ns: int, limit: int) -> int:
    """Forget files of a source that were taken before a moment and are answered; return how many."""
    old = connection.execute(
        """SELECT id FROM file WHERE source = ? AND taken_ns < ? AND state IN ('read', 'refused') AND NOT EXISTS
           (SELECT 1 FROM file_name WHERE file = id AND (answered <> 'whole' OR file_name.taken_ns >= ?))
           LIMIT ?""",
        (source, before_ns, before_ns, limit),
    ).fetchall()
    for table, column in (("file_run", "file"), ("file_name", "file"), ("file", "id")):
        connection.executemany(f"DELETE FROM {table} WHERE {column} = ?", old)
    return len(old)
