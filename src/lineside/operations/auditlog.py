"""The record of who did what, in the journal's database: entries are added at its end, and read."""

from __future__ import annotations

from collections.abc import Iterator
from sqlite3 import Connection

import msgspec
from msgspec import Struct

from lineside.security.audit import BEGINNING, Act, Entry, enter
from lineside.store.migrations import Component

AUDIT = Component(
    "audit",
    (
        (
            """CREATE TABLE audit (
                number INTEGER PRIMARY KEY,
                at_ns INTEGER NOT NULL,
                who TEXT NOT NULL,
                role TEXT NOT NULL,
                place TEXT NOT NULL,
                what TEXT NOT NULL,
                state TEXT NOT NULL,
                facts TEXT NOT NULL,
                before BLOB NOT NULL,
                hash BLOB NOT NULL
            )""",
        ),
    ),
)
"""One row an entry, see `lineside.security.audit`."""

KEPT = 200_000
"""Entries that are kept."""
AT_ONCE = 2_000
"""Old ones that are removed at a time, and with one entry that vouches for the first one left."""
PRUNED = "audit.pruned"
"""That entry: ``through`` is the last number that was removed, ``hash`` that entry's."""
MOST = 1_000
"""In one answer."""
STRETCH = 5_000
"""Entries that are verified at a time."""
_COLUMNS = "number, at_ns, who, role, place, what, state, facts, before, hash"


class Place(Struct, frozen=True):
    """How far a chain was looked through."""

    expected: int
    """The next entry's number."""
    hash: bytes
    """That it must carry."""


class Break(Struct, frozen=True):
    """Where the chain does not hold."""

    number: int
    """Of the first entry that is not what was written, or does not follow the one before."""
    why: str
    held: Place
    """Up to where it does."""


def append(connection: Connection, act: Act, now_ns: int, *, kept: int = KEPT) -> Entry:
    """Put an act on record, behind all others, and remove old entries where there are too many."""
    entry = _add(connection, act, now_ns)
    (first,) = connection.execute("SELECT min(number) FROM audit").fetchone()
    if entry.number - first + 1 >= kept + min(AT_ONCE, kept):
        _prune(connection, entry.number - kept, now_ns)
    return entry


def _add(connection: Connection, act: Act, now_ns: int) -> Entry:
    last = connection.execute("SELECT number, hash FROM audit ORDER BY number DESC LIMIT 1").fetchone()
    number, before = (1, BEGINNING) if last is None else (last[0] + 1, last[1])
    entry = enter(act, number, now_ns, before)
    told = entry.act
    connection.execute(
        f"INSERT INTO audit ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            *(number, now_ns, told.who, told.role, told.where, told.what, told.state),
            *(entry.facts, entry.before, entry.hash),
        ),
    )
    return entry


def _prune(connection: Connection, through: int, now_ns: int) -> None:
    (found,) = connection.execute("SELECT hash FROM audit WHERE number = ?", (through,)).fetchone()
    facts = {"through": through, "hash": found.hex()}
    _add(connection, Act("the gateway", "", "", PRUNED, "noted", facts), now_ns)
    connection.execute("DELETE FROM audit WHERE number <= ?", (through,))


def page(
    connection: Connection, *, before: int | None, limit: int, who: str | None = None, what: str | None = None
) -> tuple[list[Entry], int | None]:
    """Return entries, the newest first, and where older ones go on."""
    wanted = {"who": who, "what": what}
    terms = [f"{column} = :{column}" for column, value in wanted.items() if value is not None]
    if before is not None:
        terms.append("number < :before")
    where = f" WHERE {' AND '.join(terms)}" if terms else ""
    limit = max(1, min(limit, MOST))
    rows = connection.execute(
        f"SELECT {_COLUMNS} FROM audit{where} ORDER BY number DESC LIMIT :limit",
        {**wanted, "before": before, "limit": limit + 1},
    )
    found = [_entry(*row) for row in rows]
    return found[:limit], found[limit - 1].number if len(found) > limit else None


def begin(connection: Connection) -> Place:
    """Return where the chain begins: with the first entry of all, or where the last removal says."""
    row = connection.execute(
        "SELECT facts FROM audit WHERE what = ? ORDER BY number DESC LIMIT 1", (PRUNED,)
    ).fetchone()
    if row is None:
        return Place(1, BEGINNING)
    try:
        facts = msgspec.json.decode(row[0], type=dict[str, int | str])
        return Place(int(facts["through"]) + 1, bytes.fromhex(str(facts["hash"])))
    except (msgspec.MsgspecError, KeyError, ValueError):
        # The entry itself is told to be broken when its turn comes.
        return Place(1, BEGINNING)


def examine(connection: Connection, place: Place, limit: int = STRETCH) -> Place | Break | None:
    """Look through a stretch of the chain; return how far, where it is broken, or None at its end."""
    rows = connection.execute(
        f"SELECT {_COLUMNS} FROM audit WHERE number >= ? ORDER BY number LIMIT ?", (place.expected, limit)
    )
    looked = False
    for entry in _entries(rows.fetchall()):
        looked = True
        if entry.number != place.expected:
            return Break(place.expected, f"is missing: {entry.number} is the next", place)
        if entry.before != place.hash:
            return Break(entry.number, "does not follow from the entry before it", place)
        if not entry.whole:
            return Break(entry.number, "was altered: its hash is another", place)
        place = Place(entry.number + 1, entry.hash)
    return place if looked else None


def strays(connection: Connection, place: Place) -> Break | None:
    """Return the first entry before the chain's beginning, which nobody vouches for."""
    (first,) = connection.execute("SELECT min(number) FROM audit").fetchone()
    if first is None or first >= place.expected:
        return None
    return Break(first, "stands before the beginning of the chain", place)


def has(connection: Connection, number: int, digest: bytes) -> bool:
    """Tell whether the entry of this number has this hash."""
    found = connection.execute("SELECT hash FROM audit WHERE number = ?", (number,)).fetchone()
    return found is not None and bytes(found[0]) == digest


def _entries(rows: list[tuple[int, int, str, str, str, str, str, str, bytes, bytes]]) -> Iterator[Entry]:
    for row in rows:
        yield _entry(*row)


def _entry(
    number: int,
    at_ns: int,
    who: str,
    role: str,
    place: str,
    what: str,
    state: str,
    facts: str,
    before: bytes,
    own: bytes,
) -> Entry:
    return Entry(number, at_ns, Act(who, role, place, what, state), facts, before, own)  # type: ignore[arg-type]
