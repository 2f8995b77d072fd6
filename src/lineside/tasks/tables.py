"""The tables of tasks in the journal's database."""

from __future__ import annotations

from lineside.store.migrations import Component

TASKS = Component(
    "tasks",
    (
        (
            """CREATE TABLE task_run (
                id INTEGER PRIMARY KEY AUTOINCREMENT,
                task TEXT NOT NULL,
                state TEXT NOT NULL,
                cause TEXT NOT NULL,
                occasion TEXT,
                key TEXT,
                digest BLOB,
                params BLOB NOT NULL,
                caller TEXT NOT NULL,
                attempt INTEGER NOT NULL DEFAULT 0,
                interruptions INTEGER NOT NULL DEFAULT 0,
                due_ns INTEGER NOT NULL,
                rest_ns INTEGER NOT NULL DEFAULT 0,
                parked INTEGER NOT NULL DEFAULT 0,
                unique_until_ns INTEGER,
                asked_ns INTEGER NOT NULL,
                started_ns INTEGER,
                ended_ns INTEGER,
                done REAL,
                total REAL,
                message TEXT,
                result BLOB,
                error TEXT,
                traceback TEXT)""",
            "CREATE UNIQUE INDEX task_run_occasion ON task_run (task, occasion) WHERE occasion IS NOT NULL",
            """CREATE INDEX task_run_queued ON task_run (task, due_ns, id, key)
                WHERE state = 'queued' AND parked = 0""",
            "CREATE INDEX task_run_parked ON task_run (task, key, due_ns, id) WHERE parked = 1",
            "CREATE INDEX task_run_open ON task_run (task, key, id) WHERE state IN ('queued', 'running')",
            "CREATE INDEX task_run_running ON task_run (task) WHERE state = 'running'",
            "CREATE INDEX task_run_task ON task_run (task, id)",
            "CREATE INDEX task_run_state ON task_run (state, id)",
            """CREATE INDEX task_run_ended ON task_run (task, ended_ns, unique_until_ns)
                WHERE ended_ns IS NOT NULL""",
            """CREATE INDEX task_run_unique ON task_run (task, digest, unique_until_ns)
                WHERE unique_until_ns IS NOT NULL""",
            """CREATE TABLE task_step (run INTEGER NOT NULL, name TEXT NOT NULL, result BLOB NOT NULL,
                at_ns INTEGER NOT NULL, PRIMARY KEY (run, name)) WITHOUT ROWID""",
            """CREATE TABLE task_line (run INTEGER NOT NULL, number INTEGER NOT NULL, at_ns INTEGER NOT NULL,
                text TEXT NOT NULL, PRIMARY KEY (run, number)) WITHOUT ROWID""",
            """CREATE TABLE task_place (task TEXT PRIMARY KEY, decided_ns INTEGER,
                skipped INTEGER NOT NULL DEFAULT 0, paused_ns INTEGER) WITHOUT ROWID""",
            "CREATE TABLE task_clock (only INTEGER PRIMARY KEY CHECK (only = 1), ahead_ns INTEGER NOT NULL)",
        ),
    ),
)
"""``due_ns`` and ``unique_until_ns`` are of a clock that never jumps while the gateway runs; ``asked_ns``,
``started_ns`` and ``ended_ns`` are what the wall clock said; ``rest_ns`` is how long after it was queued a run was
due. ``parked`` is a queued run whose item was taken when it was due: it comes back when a run of the item ends, so
that nobody looks at it before. ``task_place`` says up to where a schedule is decided, ``task_clock`` how far the
wall clock is ahead."""
