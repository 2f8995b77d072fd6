"""What a start makes of the runs that a process which is gone has left.

Statements, each called in a transaction on the database's threads.
"""

from __future__ import annotations

from collections.abc import Collection
from sqlite3 import Connection

import msgspec

from lineside.tasks.calendar import SECOND
from lineside.tasks.runs import Ending, end
from lineside.tasks.task import Task

MOST_INTERRUPTIONS = 5
"""A run in whose middle the gateway died so often may be what it dies of: it waits for a person."""

_encode = msgspec.json.Encoder().encode


def recover(connection: Connection, task: Task, now_ns: int, wall_ns: int) -> tuple[int, int]:
    """Treat runs that a process which is gone had begun; return how many run again, and how many wait for a person.

    What is due later than it can be was stored while the wall clock was elsewhere, and so was what keeps others
    away for longer than it may.
    """
    connection.execute(
        "UPDATE task_run SET due_ns = ?1 + rest_ns WHERE task = ?2 AND state = 'queued' AND due_ns > ?1 + rest_ns",
        (now_ns, task.name),
    )
    if task.unique_for is not None:
        connection.execute(
            """UPDATE task_run SET unique_until_ns = ?1 WHERE task = ?2 AND state <> 'queued'
                AND unique_until_ns > ?1""",
            (now_ns + round(task.unique_for * SECOND), task.name),
        )
    connection.execute(
        "UPDATE task_run SET interruptions = interruptions + 1 WHERE task = ? AND state = 'running'", (task.name,)
    )
    running = connection.execute(
        "SELECT id, interruptions FROM task_run WHERE task = ? AND state = 'running'", (task.name,)
    ).fetchall()
    endings = []
    for identifier, interruptions in running:
        if task.interrupted == "again" and interruptions < MOST_INTERRUPTIONS:
            endings.append(Ending(identifier, "queued", wall_ns, now_ns, uncounted=True))
        else:
            why = "the gateway ended while it ran" + (f", {interruptions} times" if interruptions > 1 else "")
            endings.append(Ending(identifier, "interrupted", wall_ns, error=why))
    end(connection, endings)
    again = sum(each.state == "queued" for each in endings)
    return again, len(endings) - again


def abandon(connection: Connection, known: Collection[str], wall_ns: int) -> int:
    """Set running runs of tasks that are configured no more to interrupted; return how many."""
    unknown = connection.execute(
        "SELECT id FROM task_run WHERE state = 'running' AND task NOT IN (SELECT value FROM json_each(?))",
        (_encode(list(known)).decode(),),
    ).fetchall()
    why = "the gateway ended while it ran, and its task is configured no more"
    end(connection, [Ending(each, "interrupted", wall_ns, error=why) for (each,) in unknown])
    return len(unknown)


def went_ahead(connection: Connection, ahead_ns: int) -> None:
    """Remember how far the wall clock is ahead of the clock that never jumps."""
    connection.execute("INSERT OR REPLACE INTO task_clock (only, ahead_ns) VALUES (1, ?)", (ahead_ns,))


def catch_up_with_clock(connection: Connection, now_ns: int) -> None:
    """Bring moments of a process that is gone to the wall clock, from which this one's clock begins anew."""
    found = connection.execute("SELECT ahead_ns FROM task_clock WHERE ahead_ns <> 0").fetchone()
    if found is not None:
        (ahead,) = found
        connection.execute("UPDATE task_run SET due_ns = due_ns + ? WHERE state = 'queued'", (ahead,))
        connection.execute(
            "UPDATE task_run SET unique_until_ns = unique_until_ns + ?1 WHERE unique_until_ns > ?2 - ?1",
            (ahead, now_ns),
        )
        went_ahead(connection, 0)
