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
PARKED = 200
"""Runs that are parked at a time; writes of others come in between."""

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
    found = {
        row[0]: _run(row)
        for row in connection.execute(
            f"SELECT {COLUMNS} FROM task_run WHERE id IN (SELECT value FROM json_each(?))", (_listed(identifiers),)
        )
    }
    return [found[identifier] for identifier in identifiers if identifier in found]


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
        """SELECT (SELECT count(*) FROM task_run WHERE task = ?1 AND state = 'queued' AND parked = 0)
            + (SELECT count(*) FROM task_run WHERE task = ?1 AND parked = 1)""",
        (task,),
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


def tasks(connection: Connection) -> list[str]:
    """Return the names of all tasks that have runs, configured or not."""
    # From one name to the next by the index: DISTINCT would go through all of it.
    found = connection.execute(
        """WITH RECURSIVE named (task) AS (SELECT min(task) FROM task_run UNION ALL
            SELECT (SELECT min(task) FROM task_run WHERE task > named.task) FROM named WHERE task IS NOT NULL)
            SELECT task FROM named WHERE task IS NOT NULL"""
    )
    return [task for (task,) in found]


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


def _listed(identifiers: Collection[int]) -> str:
    """Return numbers as ``json_each`` takes them."""
    return _encode(list(identifiers)).decode()


def _run(row: tuple[Any, ...]) -> Run:
    values = list(row)
    for place in _RAW:
        if values[place] is not None:
            values[place] = Raw(values[place])
    return Run(*values)
