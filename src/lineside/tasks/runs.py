"""The runs in the journal's database: statements, each called in a transaction on the database's threads."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from hashlib import blake2b
from sqlite3 import Connection
from typing import Any, Literal

import msgspec
from msgspec import Raw, Struct

from lineside.tasks.calendar import SECOND
from lineside.tasks.task import Task

State = Literal["queued", "running", "succeeded", "failed", "cancelled", "interrupted"]
Cause = Literal["clock", "event", "person", "program"]
"""Who asked for a run: the schedule, an event, the command line, or another program."""

OPEN: tuple[State, ...] = ("queued", "running")

MOST_INTERRUPTIONS = 5
"""A run in whose middle the gateway died so often may be what it dies of: it waits for a person."""
LOOKED_AT = 5_000
"""Queued runs that are looked at for those whose item is free."""

LOOKED_BACK_AT = 1_000
"""Failures that are looked at for those of late."""

_encode = msgspec.json.Encoder(order="deterministic").encode


class Run(Struct, frozen=True):
    """One run as it is stored. Moments are nanoseconds since 1970."""

    id: int
    task: str
    state: State
    cause: Cause
    key: str | None
    params: Raw
    caller: str
    attempt: int
    """How many times it was begun."""
    due_ns: int
    asked_ns: int
    started_ns: int | None = None
    ended_ns: int | None = None
    done: float | None = None
    total: float | None = None
    message: str | None = None
    result: Raw | None = None
    error: str | None = None
    traceback: str | None = None


COLUMNS = ", ".join(Run.__struct_fields__)


class Ask(Struct, frozen=True):
    """Somebody wants a run."""

    task: Task
    params: Mapping[str, Any]
    cause: Cause
    caller: str = ""
    """Who, for people."""
    occasion: str | None = None
    """What gives rise to it: for one occasion there is one run, whoever asks how often."""
    delay: float = 0.0
    """Seconds until it is due."""


class Asked(Struct, frozen=True):
    """What became of the wish."""

    run: int | None
    """The run's number; None where there is none."""
    outcome: Literal["queued", "repeated", "skipped"]
    """``repeated``: ``run`` was asked for before. ``skipped``: ``run`` has not ended."""
    displaced: tuple[int, ...] = ()
    """Runs that have to give way."""


class Ending(Struct, frozen=True):
    """What became of an attempt."""

    run: int
    state: State
    """``queued`` for another attempt."""
    ended_ns: int
    due_ns: int = 0
    """Of the next attempt."""
    result: bytes | None = None
    error: str | None = None
    traceback: str | None = None
    uncounted: bool = False
    """The attempt was nobody's fault and is not counted."""


class Note(Struct, frozen=True):
    """How far a run is; the lines are new ones of its log."""

    run: int
    done: float | None
    total: float | None
    message: str | None
    lines: tuple[tuple[int, int, str], ...] = ()
    """Number, moment, text."""


class Claimed(Struct, frozen=True):
    """Runs that may begin, and when the next one is due."""

    runs: list[tuple[Run, dict[str, bytes]]]
    """With the results of the steps that each has finished."""
    next_due: int | None
    """None where nothing waits; a moment in the past where runs wait for others to end."""


def ask(connection: Connection, wish: Ask, now_ns: int, wall_ns: int) -> Asked:
    """Store a run as queued, unless one of the task's promises is against it."""
    task = wish.task
    params = dict(wish.params)
    key = task.key_of(params)
    body = _encode(params)
    if wish.occasion is not None:
        found = connection.execute(
            "SELECT id FROM task_run WHERE task = ? AND occasion = ?", (task.name, wish.occasion)
        ).fetchone()
        if found is not None:
            return Asked(found[0], "repeated")
    digest = until = None
    if task.unique_for is not None:
        digest = blake2b(body if key is None else key.encode(), digest_size=16).digest()
        until = now_ns + round((task.unique_for + wish.delay) * SECOND)
        found = connection.execute(
            """SELECT id FROM task_run WHERE task = ? AND digest = ? AND unique_until_ns > ?
                ORDER BY id DESC LIMIT 1""",
            (task.name, digest, now_ns),
        ).fetchone()
        if found is not None:
            return Asked(found[0], "repeated")
    displaced: tuple[int, ...] = ()
    if task.overlap != "queue":
        others = _open(connection, task.name, key)
        if task.overlap == "skip":
            if len(others) >= (1 if key is not None else task.concurrency):
                return Asked(others[-1], "skipped")
        else:
            room = 1 if key is not None else task.concurrency
            displaced = tuple(others[: max(0, len(others) - room + 1)])
    cursor = connection.execute(
        """INSERT INTO task_run (task, state, cause, occasion, key, digest, params, caller, due_ns, unique_until_ns,
            asked_ns) VALUES (?, 'queued', ?, ?, ?, ?, ?, ?, ?, ?, ?)""",
        (
            task.name,
            wish.cause,
            wish.occasion,
            key,
            digest,
            body,
            wish.caller,
            now_ns + round(wish.delay * SECOND),
            until,
            wall_ns,
        ),
    )
    return Asked(cursor.lastrowid, "queued", displaced)


def _open(connection: Connection, task: str, key: str | None) -> list[int]:
    """Return the runs that have not ended, the oldest first: of a task, or of one of its items."""
    where = "" if key is None else "AND key = ?"
    bound = (task,) if key is None else (task, key)
    found = connection.execute(
        f"""SELECT id FROM task_run WHERE task = ? AND state = 'queued' {where}
            UNION ALL SELECT id FROM task_run WHERE task = ? AND state = 'running' {where} ORDER BY id""",
        bound * 2,
    )
    return [identifier for (identifier,) in found]


def claim(
    connection: Connection, task: str, limit: int, busy: Collection[str], now_ns: int, wall_ns: int
) -> Claimed:
    """Set up to ``limit`` runs that are due to running, the longest due first: of an item one at a time.

    ``busy`` are the items of which one runs already.
    """
    taken: list[int] = []
    items = set[str]()
    next_due = None
    for identifier, key, due in connection.execute(
        """SELECT id, key, due_ns FROM task_run WHERE task = ? AND state = 'queued'
            AND (key IS NULL OR key NOT IN (SELECT value FROM json_each(?))) ORDER BY due_ns, id LIMIT ?""",
        (task, _encode(list(busy)).decode(), LOOKED_AT),
    ):
        if due > now_ns:
            next_due = due
            break
        if len(taken) >= limit:
            next_due = due
            break
        if key is not None:
            if key in items:
                continue
            items.add(key)
        taken.append(identifier)
    connection.executemany(
        """UPDATE task_run SET state = 'running', attempt = attempt + 1, started_ns = ?, done = NULL, total = NULL,
            message = NULL, error = NULL, traceback = NULL WHERE id = ?""",
        [(wall_ns, identifier) for identifier in taken],
    )
    return Claimed([(run, steps_of(connection, run.id)) for run in get_all(connection, taken)], next_due)


def end(connection: Connection, endings: Iterable[Ending]) -> None:
    """Store what became of attempts."""
    connection.executemany(
        """UPDATE task_run SET state = ?1, ended_ns = CASE ?1 WHEN 'queued' THEN NULL ELSE ?2 END,
            due_ns = CASE ?1 WHEN 'queued' THEN ?3 ELSE due_ns END, attempt = attempt - ?8, result = ?4, error = ?5,
            traceback = ?6 WHERE id = ?7""",
        [
            (
                each.state,
                each.ended_ns,
                each.due_ns,
                each.result,
                each.error,
                each.traceback,
                each.run,
                int(each.uncounted),
            )
            for each in endings
        ],
    )


def note(connection: Connection, notes: Iterable[Note]) -> None:
    """Store how far runs are, and new lines of their logs."""
    for each in notes:
        connection.execute(
            "UPDATE task_run SET done = ?, total = ?, message = ? WHERE id = ?",
            (each.done, each.total, each.message, each.run),
        )
        connection.executemany(
            "INSERT OR REPLACE INTO task_line (run, number, at_ns, text) VALUES (?, ?, ?, ?)",
            [(each.run, *line) for line in each.lines],
        )


def cancel_queued(connection: Connection, identifier: int, wall_ns: int, why: str) -> bool:
    """Set a run that is queued to cancelled; False if it is not queued."""
    return (
        connection.execute(
            "UPDATE task_run SET state = 'cancelled', ended_ns = ?, error = ? WHERE id = ? AND state = 'queued'",
            (wall_ns, why, identifier),
        ).rowcount
        == 1
    )


def requeue(connection: Connection, identifier: int, now_ns: int) -> bool:
    """Queue a run once more that has ended without success, steps kept; False where it has not."""
    return (
        connection.execute(
            """UPDATE task_run SET state = 'queued', attempt = 0, interruptions = 0, due_ns = ?, ended_ns = NULL,
                error = NULL, traceback = NULL WHERE id = ? AND state IN ('failed', 'cancelled', 'interrupted')""",
            (now_ns, identifier),
        ).rowcount
        == 1
    )


def recover(connection: Connection, task: Task, now_ns: int, wall_ns: int) -> tuple[int, int]:
    """Treat runs that a process which is gone had begun; return how many run again, and how many wait for a person.

    What waits for another attempt longer than a policy can want was stored while the clock was elsewhere: it is
    due at once.
    """
    longest = round(max(task.retry.backoff.steps) * (1 + task.retry.backoff.jitter) * SECOND)
    connection.execute(
        "UPDATE task_run SET due_ns = ? WHERE task = ? AND state = 'queued' AND attempt > 0 AND due_ns > ?",
        (now_ns, task.name, now_ns + longest),
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


def steps_of(connection: Connection, run: int) -> dict[str, bytes]:
    """Return the results of a run's finished steps, by their names."""
    return dict(connection.execute("SELECT name, result FROM task_step WHERE run = ?", (run,)).fetchall())


def finished_steps(connection: Connection, run: int) -> list[tuple[str, int, bytes]]:
    """Return a run's finished steps, the oldest first: names, moments, results."""
    return connection.execute(
        "SELECT name, at_ns, result FROM task_step WHERE run = ? ORDER BY at_ns, name", (run,)
    ).fetchall()


def keep_step(connection: Connection, run: int, name: str, result: bytes, wall_ns: int) -> None:
    """Store a step's result."""
    connection.execute(
        "INSERT OR REPLACE INTO task_step (run, name, result, at_ns) VALUES (?, ?, ?, ?)",
        (run, name, result, wall_ns),
    )


def get(connection: Connection, identifier: int) -> Run | None:
    """Return one run; None if there is none."""
    found = get_all(connection, [identifier])
    return found[0] if found else None


def get_all(connection: Connection, identifiers: Collection[int]) -> list[Run]:
    """Return runs in the order of ``identifiers``; who is not there is left out."""
    found = {}
    for identifier in identifiers:
        row = connection.execute(f"SELECT {COLUMNS} FROM task_run WHERE id = ?", (identifier,)).fetchone()
        if row is not None:
            found[identifier] = _run(row)
    return list(found.values())


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
    return [_run(row) for row in found]


def lines_of(connection: Connection, run: int) -> list[tuple[int, str]]:
    """Return a run's log: moments and texts, in order."""
    return connection.execute("SELECT at_ns, text FROM task_line WHERE run = ? ORDER BY number", (run,)).fetchall()


def queued(connection: Connection, task: str) -> int:
    """Return how many runs of a task are queued."""
    (count,) = connection.execute(
        "SELECT count(*) FROM task_run WHERE task = ? AND state = 'queued'", (task,)
    ).fetchone()
    return int(count)


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
    return [_run(row) for row in found]


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


def prune(connection: Connection, task: str, before_ns: int, now_ns: int, most: int) -> int:
    """Remove up to ``most`` runs that ended before ``before_ns`` and that no promise needs any more."""
    gone = connection.execute(
        """SELECT id FROM task_run WHERE task = ? AND ended_ns < ? AND coalesce(unique_until_ns, 0) <= ?
            ORDER BY ended_ns LIMIT ?""",
        (task, before_ns, now_ns, most),
    ).fetchall()
    for table, column in (("task_step", "run"), ("task_line", "run"), ("task_run", "id")):
        connection.executemany(f"DELETE FROM {table} WHERE {column} = ?", gone)
    return len(gone)


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


def _run(row: tuple[Any, ...]) -> Run:
    values = dict(zip(Run.__struct_fields__, row, strict=True))
    values["params"] = Raw(values["params"])
    if values["result"] is not None:
        values["result"] = Raw(values["result"])
    return Run(**values)
