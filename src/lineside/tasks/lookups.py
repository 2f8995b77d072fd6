"""What people look up of runs: statements that change nothing, on the database's reader."""

from __future__ import annotations

from collections.abc import Collection
from sqlite3 import Connection
from typing import Any

from lineside.tasks.runs import COLUMNS, OPEN, Run, State, run_of

LOOKED_BACK_AT = 1_000
"""Failures that are looked at for those of late."""


def page(
    connection: Connection,
    *,
    task: str | None = None,
    states: Collection[State] = (),
    before: int | None = None,
    limit: int = 50,
) -> list[Run]:
    """Return runs, the newest first: of one task, in some states, below the number ``before``."""
    clauses, bound = ["1"], list[Any]()
    if task is not None:
        clauses.append("task = ?")
        bound.append(task)
    if states:
        clauses.append(f"state IN ({', '.join('?' * len(states))})")
        bound.extend(states)
    if before is not None:
        clauses.append("id < ?")
        bound.append(before)
    found = connection.execute(
        f"SELECT {COLUMNS} FROM task_run WHERE {' AND '.join(clauses)} ORDER BY id DESC LIMIT ?", (*bound, limit)
    )
    return [run_of(row) for row in found]


def lines_of(connection: Connection, run: int) -> list[tuple[int, str]]:
    """Return a run's log: moments and texts, in order."""
    return connection.execute("SELECT at_ns, text FROM task_line WHERE run = ? ORDER BY number", (run,)).fetchall()


def finished_steps(connection: Connection, run: int) -> list[tuple[str, int, bytes]]:
    """Return a run's finished steps, the oldest first: names, moments, results."""
    return connection.execute(
        "SELECT name, at_ns, result FROM task_step WHERE run = ? ORDER BY at_ns, name", (run,)
    ).fetchall()


def open_counts(connection: Connection) -> dict[str, dict[State, int]]:
    """Return how many runs have not ended, by task and state."""
    found: dict[str, dict[State, int]] = {}
    for state in OPEN:
        for task, count in connection.execute(
            f"SELECT task, count(*) FROM task_run WHERE state = '{state}' GROUP BY task"
        ):
            found.setdefault(task, {})[state] = count
    return found


def counts(connection: Connection) -> dict[str, dict[State, int]]:
    """Return how many runs there are, by task and state; the more are kept, the longer it takes."""
    found: dict[str, dict[State, int]] = {}
    # Nearly all have succeeded: they are what is left of each task's number, which its index alone tells.
    for task, total in connection.execute("SELECT task, count(*) FROM task_run GROUP BY task"):
        found[task] = {"succeeded": total}
    for task, state, count in connection.execute(
        """SELECT task, state, count(*) FROM task_run INDEXED BY task_run_state
            WHERE state IN ('queued', 'running', 'failed', 'cancelled', 'interrupted') GROUP BY task, state"""
    ):
        found[task][state] = count
        found[task]["succeeded"] -= count
    return found


def newest_ended(connection: Connection, task: str, limit: int) -> list[Run]:
    """Return a task's runs that ended last, the newest first."""
    found = connection.execute(
        f"""SELECT {COLUMNS} FROM task_run WHERE task = ? AND ended_ns IS NOT NULL
            ORDER BY ended_ns DESC, id DESC LIMIT ?""",
        (task, limit),
    )
    return [run_of(row) for row in found]


def glance(connection: Connection, since_ns: int) -> tuple[int, int]:
    """Return how many runs are queued, and how many have failed or were interrupted since a moment.

    Of each of the two kinds the newest `LOOKED_BACK_AT` are looked at: it costs the same however many are kept.
    """
    (waiting,) = connection.execute("SELECT count(*) FROM task_run WHERE state = 'queued'").fetchone()
    (failed,) = connection.execute(
        """SELECT count(*) FROM (
            SELECT * FROM (SELECT ended_ns FROM task_run WHERE state = 'failed' ORDER BY id DESC LIMIT ?1)
            UNION ALL SELECT * FROM
                (SELECT ended_ns FROM task_run WHERE state = 'interrupted' ORDER BY id DESC LIMIT ?1))
            WHERE ended_ns >= ?2""",
        (LOOKED_BACK_AT, since_ns),
    ).fetchone()
    return waiting, failed
