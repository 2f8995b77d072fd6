"""How far polls have come, stored beside the journal in the transactions that store their events."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from sqlite3 import Connection

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
"""``poll``: where each poll goes on, in its own words. ``poll_seen``: what it would find again, and took."""


def load(connection: Connection, source: str) -> tuple[bool, str | None, dict[str, str]]:
    """Return whether a source was polled before, where it goes on, and by identity the places of what it took."""
    found = connection.execute("SELECT last FROM poll WHERE source = ?", (source,)).fetchone()
    seen = connection.execute("SELECT identity, place FROM poll_seen WHERE source = ?", (source,))
    return found is not None, None if found is None else found[0], dict(seen.fetchall())


def store(
    connection: Connection, source: str, last: str | None, seen: Mapping[str, str], passed: Iterable[str]
) -> None:
    """Store where a source goes on, places of what it took, by identity, and what it will never find again."""
    connection.execute("INSERT OR REPLACE INTO poll (source, last) VALUES (?, ?)", (source, last))
    connection.executemany(
        "DELETE FROM poll_seen WHERE source = ? AND identity = ?", ((source, each) for each in passed)
    )
    take(connection, source, seen)


def take(connection: Connection, source: str, seen: Mapping[str, str]) -> None:
    """Store places of what a source need not take any more, by identity."""
    connection.executemany(
        "INSERT OR REPLACE INTO poll_seen (source, identity, place) VALUES (?, ?, ?)",
        ((source, identity, place) for identity, place in seen.items()),
    )


def forget(connection: Connection, source: str) -> None:
    """Forget that a source was ever polled."""
    connection.execute("DELETE FROM poll WHERE source = ?", (source,))
    connection.execute("DELETE FROM poll_seen WHERE source = ?", (source,))
