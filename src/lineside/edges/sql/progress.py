"""How far polls have come, stored in the journal's own database, in the transactions that store their events."""

from __future__ import annotations

from collections.abc import Iterable
from sqlite3 import Connection

from lineside.edges.sql.places import Place, place_of
from lineside.store.migrations import Component

POLLS = Component(
    "polls",
    (
        (
            "CREATE TABLE poll (source TEXT PRIMARY KEY, last TEXT) WITHOUT ROWID",
            """CREATE TABLE poll_seen (
                source TEXT NOT NULL,
                identity TEXT NOT NULL,
                place TEXT NOT NULL,
                PRIMARY KEY (source, identity)
            ) WITHOUT ROWID""",
        ),
    ),
)
"""``poll``: the place of the last row that was taken. ``poll_seen``: rows within the overlap that were taken."""


def load(connection: Connection, source: str) -> tuple[bool, Place | None, dict[str, Place]]:
    """Return whether a source was polled before, its last row's place, and the rows of its overlap by identity."""
    found = connection.execute("SELECT last FROM poll WHERE source = ?", (source,)).fetchone()
    seen = connection.execute("SELECT identity, place FROM poll_seen WHERE source = ?", (source,))
    places = {identity: place_of(place) for identity, place in seen}
    last = None if found is None or found[0] is None else place_of(found[0])
    return found is not None, last, places


def store(
    connection: Connection, source: str, last: Place | None, seen: Iterable[Place], passed: Iterable[str]
) -> None:
    """Store how far a source has come, rows that were taken, and those that the overlap has passed."""
    text = None if last is None else last.stored()
    connection.execute("INSERT OR REPLACE INTO poll (source, last) VALUES (?, ?)", (source, text))
    connection.executemany(
        "DELETE FROM poll_seen WHERE source = ? AND identity = ?", ((source, each) for each in passed)
    )
    connection.executemany(
        "INSERT OR REPLACE INTO poll_seen (source, identity, place) VALUES (?, ?, ?)",
        ((source, place.identity, place.stored()) for place in seen),
    )
