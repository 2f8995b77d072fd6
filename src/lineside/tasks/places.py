"""What is remembered of tasks themselves: how far a schedule is decided, what was left out, and pauses.

Statements, each called in a transaction on the database's threads.
"""

from __future__ import annotations

from sqlite3 import Connection

from msgspec import Struct


class Place(Struct, frozen=True):
    """What is remembered of a task."""

    decided_ns: int | None = None
    """Up to this moment its schedule is decided; None for never."""
    skipped: int = 0
    """Moments and wishes left out so far."""
    paused_ns: int | None = None
    """Since when a person has stopped it."""


def places(connection: Connection) -> dict[str, Place]:
    """Return what is remembered, by task."""
    return {
        task: Place(*rest)
        for task, *rest in connection.execute("SELECT task, decided_ns, skipped, paused_ns FROM task_place")
    }


def decide(connection: Connection, task: str, decided_ns: int, skipped: int) -> None:
    """Remember up to where a schedule is decided, and that ``skipped`` more were left out."""
    connection.execute(
        """INSERT INTO task_place (task, decided_ns, skipped) VALUES (?, ?, ?) ON CONFLICT (task) DO UPDATE
            SET decided_ns = excluded.decided_ns, skipped = skipped + excluded.skipped""",
        (task, decided_ns, skipped),
    )


def skip(connection: Connection, task: str, count: int) -> None:
    """Remember that so many more were left out."""
    connection.execute(
        """INSERT INTO task_place (task, skipped) VALUES (?, ?) ON CONFLICT (task) DO UPDATE
            SET skipped = skipped + excluded.skipped""",
        (task, count),
    )


def pause(connection: Connection, task: str, since_ns: int | None) -> None:
    """Remember since when a task is paused; None for no longer."""
    connection.execute(
        """INSERT INTO task_place (task, paused_ns) VALUES (?, ?) ON CONFLICT (task) DO UPDATE
            SET paused_ns = excluded.paused_ns""",
        (task, since_ns),
    )
