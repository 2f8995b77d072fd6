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

PARKED = 200
"""Runs that are parked at a time; writes of others come in between."""

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
_RAW = tuple(Run.__struct_fields__.index(name) for name in ("params", "result"))


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
    rest_ns: int = 0
    """How long that is from now."""
    result: bytes | None = None
    error: str | None = None
    traceback: str | None = None
    uncounted: bool = False
    """The attempt was nobody's fault and is not counted."""
    attempt: int | None = None
    """Its number: what is stored twice then changes nothing. None for whichever is under way."""


class Note(Struct, frozen=True):
    """How far a run is; the lines are new ones of its log."""

    run: int
    done: float | None
    total: float | None
    message: str | None
    lines: tuple[tuple[int, int, str], ...] = ()
    """Number, moment, text."""

    @property
    def told(self) -> bool:
        """Whether there is anything to store: most runs end without a word."""
        return self.done is not None or self.message is not None or bool(self.lines)


class Taken(Struct, frozen=True):
    """A run that may begin, and what earlier attempts have left."""

    run: Run
    steps: dict[str, bytes]
    """Results of finished steps, by their names."""
    lines: int
    """The number of its log's last line; 0 for none."""


class Claimed(Struct, frozen=True):
    """Runs that may begin, and when the next one is due."""

    runs: list[Taken]
    next_due: int | None
    """None where nothing waits; a moment in the past where runs wait for others to end."""
    more: bool = False
    """More are due that were not looked at."""


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
    rest = round(wish.delay * SECOND)
    digest = until = None
    if task.unique_for is not None:
        digest = blake2b(body if key is None else key.encode(), digest_size=16).digest()
        until = now_ns + rest + round(task.unique_for * SECOND)
        found = connection.execute(
            """SELECT id FROM task_run WHERE task = ? AND digest = ? AND unique_until_ns > ?
                ORDER BY unique_until_ns DESC LIMIT 1""",
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
        """INSERT INTO task_run (task, state, cause, occasion, key, digest, params, caller, due_ns, rest_ns,
            unique_until_ns, asked_ns) VALUES (?, 'queued', ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)""",
        (
            task.name,
            wish.cause,
            wish.occasion,
            key,
            digest,
            body,
            wish.caller,
            now_ns + rest,
            rest,
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
        f"SELECT id FROM task_run WHERE task = ? AND state IN ('queued', 'running') {where} ORDER BY id", bound
    )
    return [identifier for (identifier,) in found]


def claim(
    connection: Connection, task: str, limit: int, busy: Collection[str], now_ns: int, wall_ns: int
) -> Claimed:
    """Set up to ``limit`` runs that are due to running, the longest due first: of an item one at a time.

    ``busy`` are the items of which one runs already.
    """
    taken: list[int] = []
    parked: list[tuple[int]] = []
    items = set(busy)
    next_due = None
    for identifier, key, due in connection.execute(
        """SELECT id, key, due_ns FROM task_run WHERE task = ? AND state = 'queued' AND parked = 0
            ORDER BY due_ns, id LIMIT ?""",
        (task, limit + PARKED),
    ):
        if due > now_ns or len(taken) >= limit:
            next_due = due
            break
        if key in items:
            parked.append((identifier,))
            continue
        if key is not None:
            items.add(key)
        taken.append(identifier)
    more = len(taken) + len(parked) == limit + PARKED
    connection.executemany("UPDATE task_run SET parked = 1 WHERE id = ?", parked)
    if not taken:
        return Claimed([], next_due, more)
    # One statement for all: at each the writer's thread may have to wait for the reactor's.
    connection.execute(
        """UPDATE task_run SET state = 'running', attempt = attempt + 1, started_ns = ?, done = NULL, total = NULL,
            message = NULL, error = NULL, traceback = NULL WHERE id IN (SELECT value FROM json_each(?))""",
        (wall_ns, _listed(taken)),
    )
    steps, lines = steps_of(connection, taken), _last_lines(connection, taken)
    found = [Taken(run, steps.get(run.id, {}), lines.get(run.id, 0)) for run in get_all(connection, taken)]
    return Claimed(found, next_due, more)


def _bring_back(connection: Connection, ended: Collection[int]) -> None:
    """Let the next run of each one's item be looked at again."""
    keyed = connection.execute(
        "SELECT id FROM task_run WHERE id IN (SELECT value FROM json_each(?)) AND key IS NOT NULL",
        (_listed(ended),),
    ).fetchall()
    connection.executemany(
        """UPDATE task_run SET parked = 0 WHERE id = (SELECT other.id FROM task_run AS run JOIN task_run AS other
            ON other.task = run.task AND other.key = run.key AND other.parked = 1
            WHERE run.id = ? ORDER BY other.due_ns, other.id LIMIT 1)""",
        keyed,
    )


def release(connection: Connection, task: str, held: Collection[tuple[int, int]]) -> int:
    """Queue runs again that are stored as running and that nobody has begun; return how many.

    A commit whose answer never came may have been one. ``held`` has the numbers, and the attempts, of runs that
    are under way or whose ending is not stored yet.
    """
    found = connection.execute(
        "SELECT id, attempt FROM task_run WHERE task = ? AND state = 'running'", (task,)
    ).fetchall()
    lost = [(identifier,) for identifier, attempt in found if (identifier, attempt) not in held]
    connection.executemany(
        "UPDATE task_run SET state = 'queued', attempt = attempt - 1, started_ns = NULL WHERE id = ?", lost
    )
    return len(lost)


def end(connection: Connection, endings: Iterable[Ending]) -> None:
    """Store what became of attempts."""
    endings = list(endings)
    connection.executemany(
        """UPDATE task_run SET state = ?1, ended_ns = CASE ?1 WHEN 'queued' THEN NULL ELSE ?2 END,
            due_ns = CASE ?1 WHEN 'queued' THEN ?3 ELSE due_ns END, rest_ns = ?9, attempt = attempt - ?8,
            result = ?4, error = ?5, traceback = ?6
            WHERE id = ?7 AND state = 'running' AND (?10 IS NULL OR attempt = ?10)""",
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
                each.rest_ns,
                each.attempt,
            )
            for each in endings
        ],
    )
    _bring_back(connection, [each.run for each in endings])


def note(connection: Connection, notes: Iterable[Note]) -> None:
    """Store how far runs are, and new lines of their logs."""
    notes = [each for each in notes if each.told]
    connection.executemany(
        "UPDATE task_run SET done = ?, total = ?, message = ? WHERE id = ?",
        [(each.done, each.total, each.message, each.run) for each in notes],
    )
    connection.executemany(
        "INSERT OR REPLACE INTO task_line (run, number, at_ns, text) VALUES (?, ?, ?, ?)",
        [(each.run, *line) for each in notes for line in each.lines],
    )


def cancel_queued(connection: Connection, identifier: int, wall_ns: int, why: str) -> bool:
    """Set a run that is queued to cancelled; False if it is not queued."""
    cancelled = connection.execute(
        """UPDATE task_run SET state = 'cancelled', parked = 0, ended_ns = ?, error = ?
            WHERE id = ? AND state = 'queued'""",
        (wall_ns, why, identifier),
    )
    if cancelled.rowcount:
        _bring_back(connection, [identifier])
    return cancelled.rowcount == 1


def requeue(connection: Connection, identifier: int, now_ns: int) -> bool:
    """Queue a run once more that has ended without success, steps kept; False where it has not."""
    return (
        connection.execute(
            """UPDATE task_run SET state = 'queued', attempt = 0, interruptions = 0, due_ns = ?, rest_ns = 0,
                ended_ns = NULL, error = NULL, traceback = NULL
                WHERE id = ? AND state IN ('failed', 'cancelled', 'interrupted')""",
            (now_ns, identifier),
        ).rowcount
        == 1
    )


def steps_of(connection: Connection, identifiers: Collection[int]) -> dict[int, dict[str, bytes]]:
    """Return the results of finished steps by their names, by run; who has none is left out."""
    found: dict[int, dict[str, bytes]] = {}
    for run, name, result in connection.execute(
        "SELECT run, name, result FROM task_step WHERE run IN (SELECT value FROM json_each(?))",
        (_listed(identifiers),),
    ):
        found.setdefault(run, {})[name] = result
    return found


def _last_lines(connection: Connection, identifiers: Collection[int]) -> dict[int, int]:
    return dict(
        connection.execute(
            """SELECT run, max(number) FROM task_line WHERE run IN (SELECT value FROM json_each(?))
                GROUP BY run""",
            (_listed(identifiers),),
        ).fetchall()
    )


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
    found = {
        row[0]: run_of(row)
        for row in connection.execute(
            f"SELECT {COLUMNS} FROM task_run WHERE id IN (SELECT value FROM json_each(?))", (_listed(identifiers),)
        )
    }
    return [found[identifier] for identifier in identifiers if identifier in found]


def queued(connection: Connection, task: str) -> int:
    """Return how many runs of a task are queued."""
    (count,) = connection.execute(
        """SELECT (SELECT count(*) FROM task_run WHERE task = ?1 AND state = 'queued' AND parked = 0)
            + (SELECT count(*) FROM task_run WHERE task = ?1 AND parked = 1)""",
        (task,),
    ).fetchone()
    return int(count)


def tasks(connection: Connection) -> list[str]:
    """Return the names of all tasks that have runs, configured or not."""
    # From one name to the next by the index: DISTINCT would go through all of it.
    found = connection.execute(
        """WITH RECURSIVE named (task) AS (SELECT min(task) FROM task_run UNION ALL
            SELECT (SELECT min(task) FROM task_run WHERE task > named.task) FROM named WHERE task IS NOT NULL)
            SELECT task FROM named WHERE task IS NOT NULL"""
    )
    return [task for (task,) in found]


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


def _listed(identifiers: Collection[int]) -> str:
    """Return numbers as ``json_each`` takes them."""
    return _encode(list(identifiers)).decode()


def run_of(row: tuple[Any, ...]) -> Run:
    """Return a row of `COLUMNS` as a run."""
    values = list(row)
    for place in _RAW:
        if values[place] is not None:
            values[place] = Raw(values[place])
    return Run(*values)
