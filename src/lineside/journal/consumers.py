"""Every consumer that the journal remembers, whether a route of today uses it or not."""

from __future__ import annotations

from sqlite3 import Connection

from msgspec import Struct

from lineside.model.event import Seq


class Remembered(Struct, frozen=True):
    """A consumer as it is stored."""

    id: str
    cursor: Seq
    floor: Seq
    """Nothing at or below is owed: what lies above may not be removed by retention."""
    gaps: int
    backlogs: int
    dead_letters: int


def remembered(connection: Connection) -> list[Remembered]:
    """Return all of them by name."""
    rows = connection.execute(
        """SELECT id, cursor,
            MIN(cursor, COALESCE((SELECT MIN(seq) - 1 FROM gap WHERE consumer = id), cursor),
                COALESCE((SELECT MIN(after) FROM backlog WHERE consumer = id), cursor)),
            (SELECT COUNT(*) FROM gap WHERE consumer = id),
            (SELECT COUNT(*) FROM backlog WHERE consumer = id),
            (SELECT COUNT(*) FROM dead_letter WHERE consumer = consumer.id)
            FROM consumer ORDER BY id"""
    )
    return [Remembered(*row) for row in rows]


def forget(connection: Connection, consumer: str) -> None:
    """Remove a consumer's place. Its dead letters stay, and so does the record of what it delivered."""
    connection.execute("DELETE FROM gap WHERE consumer = ?", (consumer,))
    connection.execute("DELETE FROM backlog WHERE consumer = ?", (consumer,))
    connection.execute("UPDATE dead_letter SET retrying = 0 WHERE consumer = ?", (consumer,))
    connection.execute("DELETE FROM consumer WHERE id = ?", (consumer,))


def rewind(connection: Connection, consumer: str, to: Seq) -> None:
    """Let a consumer that no process has open begin again after ``to``; what it owes up to there it still owes.

    Its dead letters above are removed: what is still refused comes back as one. Those whose events retention has
    removed stay for a person: they are the only copy, and nothing hands them out again.
    """
    connection.execute("DELETE FROM gap WHERE consumer = ? AND seq > ?", (consumer, to))
    connection.execute("DELETE FROM backlog WHERE consumer = ? AND after >= ?", (consumer, to))
    connection.execute(
        """DELETE FROM dead_letter WHERE consumer = ? AND seq > ?
           AND EXISTS (SELECT 1 FROM segment WHERE first <= dead_letter.seq)""",
        (consumer, to),
    )
    # Nothing is owed of those any more.
    connection.execute("UPDATE dead_letter SET retrying = 0 WHERE consumer = ? AND seq > ?", (consumer, to))
    connection.execute("DELETE FROM discarded WHERE consumer = ? AND seq > ?", (consumer, to))
    connection.execute("UPDATE consumer SET cursor = ? WHERE id = ?", (to, consumer))
