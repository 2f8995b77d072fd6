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
            "CREATE INDEX task_run_queued ON task_run (task, due_ns, id) WHERE state = 'queued'",
            "CREATE INDEX task_run_running ON task_run (task) WHERE state = 'running'",
            "CREATE INDEX task_run_task ON task_run (task, id)",
            "CREATE INDEX task_run_state ON task_run (state, id)",
            "CREATE INDEX task_run_ended ON task_run (task, ended_ns) WHERE ended_ns IS NOT NULL",
            "CREATE INDEX task_run_key ON task_run (task, key, id) WHERE key IS NOT NULL",
            """CREATE INDEX task_run_unique ON task_run (task, digest, unique_until_ns)
                WHERE unique_until_ns IS NOT NULL""",
            """CREATE TABLE task_step (run INTEGER NOT NULL, name TEXT NOT NULL, result BLOB NOT NULL,
                at_ns INTEGER NOT NULL, PRIMARY KEY (run, name)) WITHOUT ROWID""",
            """CREATE TABLE task_line (run INTEGER NOT NULL, number INTEGER NOT NULL, at_ns INTEGER NOT NULL,
                text TEXT NOT NULL, PRIMARY KEY (run, number)) WITHOUT ROWID""",
            """CREATE TABLE task_place (task TEXT PRIMARY KEY, decided_ns INTEGER,
                skipped INTEGER NOT NULL DEFAULT 0, paused_ns INTEGER) WITHOUT ROWID""",
        ),
    ),
)
"""``due_ns`` and ``unique_until_ns`` are of a clock that never jumps while the gateway runs; ``asked_ns``,
``started_ns`` and ``ended_ns`` are what the wall clock said. ``task_place``: up to where a schedule is decided."""
