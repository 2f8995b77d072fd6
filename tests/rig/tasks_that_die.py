"""A process with tasks that kills itself with SIGKILL when it passes a named point for the n-th time.

With the arguments ``DIRECTORY WISHES [POINT PASSAGES]`` it asks for so many runs of each task, each
for an occasion of its own, and ends when none is open any more. Started again it asks for the same. What its
functions do is written to ``effects`` in the directory, a line for each.
"""

from __future__ import annotations

import os
import sqlite3
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from random import Random
from typing import Any

from tests.rig.gateway_that_dies import Death, replace
from twisted.internet.defer import Deferred
from twisted.internet.task import react

from lineside.delivery.backoff import Backoff
from lineside.store.commits import Commits
from lineside.store.database import Database
from lineside.tasks import lookups, recovery, runs
from lineside.tasks.context import Context
from lineside.tasks.lane import clocks
from lineside.tasks.runner import Runner
from lineside.tasks.tables import TASKS
from lineside.tasks.task import RetryPolicy, Task

STATEMENTS = ("ask", "claim", "end", "keep_step", "recover")
POINTS = (
    *(f"{name}.{place}" for name in STATEMENTS for place in ("inside", "before-commit", "after-commit")),
    "function.begun",
    "step.done",
    "step.kept",
    "function.failed",
    "function.returned",
    "thread.step.done",
    "stop",
)
TASKS_PLAYED = ("steps", "once", "blocking")


class TaskDeath(Death):
    """Counts the passages of one of these points."""

    def __init__(self, point: str, passages: int) -> None:
        if point not in POINTS:
            raise ValueError(f"there is no point {point}")
        self.point = point
        self._left = passages


def watch_statements(passed: Callable[[str], None]) -> None:
    """See what is done with runs, and the commits that hold it."""
    kinds = set[str]()
    commit = Commits._commit

    def watched(name: str, statement: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any) -> Any:
            result = statement(*arguments)
            if {"claim": lambda: result.runs, "end": lambda: arguments[1], "recover": lambda: any(result)}.get(
                name, lambda: True
            )():
                kinds.add(name)
                passed(f"{name}.inside")
            return result

        return call

    def watched_commit(commits: Commits) -> Any:
        for kind in kinds:
            passed(f"{kind}.before-commit")
        failure = commit(commits)
        for kind in kinds:
            passed(f"{kind}.after-commit")
        kinds.clear()
        return failure

    for name in STATEMENTS:
        module = recovery if name == "recover" else runs
        setattr(module, name, watched(name, getattr(module, name)))
    replace(Commits, "_commit", watched_commit)


class Life:
    """One process's."""

    def __init__(self, directory: Path, wishes: int, passed: Callable[[str], None]) -> None:
        self._path = directory / "tasks.db"
        self._effects = os.open(directory / "effects", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        self._wishes = wishes
        self._passed = passed
        common: dict[str, Any] = {"key": "item", "retry": RetryPolicy(3, Backoff((0.02,)))}
        self._tasks = {
            "steps": Task("steps", self.in_steps, concurrency=4, **common),
            "once": Task("once", self.once, concurrency=2, unique_for=3600.0, **common),
            "blocking": Task("blocking", self.blocking, thread=True, concurrency=2, **common),
        }

    def effect(self, *words: object) -> None:
        """Write down what was done; it outlives the process."""
        os.write(self._effects, " ".join(map(str, words)).encode() + b"\n")

    async def in_steps(self, context: Context[dict[str, Any]]) -> str:
        """Do two steps; fail between them at some first attempts."""
        self._passed("function.begun")
        await context.step("one", self._step, context.run, "one")
        self._passed("step.kept")
        await context.sleep(0.002)
        if context.attempt == 1 and context.params["item"] % 3 == 0:
            self._passed("function.failed")
            raise OSError("at the first attempt")
        await context.step("two", self._step, context.run, "two")
        self._passed("function.returned")
        return "done"

    def _step(self, run: int, name: str) -> str:
        self.effect("step", run, name)
        self._passed("step.done")
        return name

    async def once(self, context: Context[dict[str, Any]]) -> None:
        """Do nothing that would have to be done twice."""
        await context.sleep(0.002)

    def blocking(self, context: Any) -> str:
        """Do a step on a thread."""

        def step() -> str:
            self.effect("step", context.run, "one")
            self._passed("thread.step.done")
            return "one"

        return str(context.step("one", step))

    async def live(self, reactor: Any) -> None:
        """Ask, and end when everything has ended."""
        database = Database(self._path, (TASKS,), reactor.callFromThread)
        await database.open()
        for run, name in await database.read(
            lambda connection: connection.execute("SELECT run, name FROM task_step").fetchall()
        ):
            self.effect("recorded", run, name)
        runner = Runner(
            self._tasks,
            database,
            reactor,
            clocks(reactor, time.time_ns),
            Random(1),
            None,  # type: ignore[arg-type]
        )
        changed: Deferred[None] = Deferred()

        def tell(_: list[runs.Run]) -> None:
            nonlocal changed
            told, changed = changed, Deferred()
            told.callback(None)

        runner.on_change.append(tell)
        await runner.start()
        for item in range(self._wishes):
            for name in TASKS_PLAYED:
                occasion = None if name == "once" else f"wish {item}"
                asked = await runner.ask(name, {"item": item}, occasion=occasion)
                self.effect("asked", asked.run)
        # Who dies of the same for the fifth time waits for a person: here it is.
        for run in await database.read(
            lambda connection: lookups.page(connection, states=["interrupted"], limit=1000)
        ):
            await runner.retry(run.id)
        while True:
            change = changed
            if not await database.read(lambda connection: lookups.page(connection, states=runs.OPEN, limit=1)):
                break
            await change
        self._passed("stop")
        await runner.stop()
        await database.close()


def main() -> None:
    """Live, and die where it is wanted."""
    directory, wishes, *death = sys.argv[1:]
    point, passages = death or ("", "1")
    passed = TaskDeath(point, int(passages)).passed if point else lambda _: None
    watch_statements(passed)
    life = Life(Path(directory), int(wishes), passed)
    react(lambda reactor: Deferred.fromCoroutine(life.live(reactor)))


def judge(directory: Path, wishes: int) -> list[str]:
    """Return what was promised and not kept; empty when all was."""
    wrong: list[str] = []
    with closing(sqlite3.connect(directory / "tasks.db")) as connection:
        states = dict(connection.execute("SELECT id, state FROM task_run"))
        counts = dict(connection.execute("SELECT task, count(*) FROM task_run GROUP BY task"))
        sound = connection.execute("PRAGMA integrity_check").fetchone()
    wrong += [f"run {run} is {state}" for run, state in states.items() if state != "succeeded"]
    wrong += [f"{counts.get(task)} runs of {task}" for task in TASKS_PLAYED if counts.get(task) != wishes]
    wrong += [] if sound == ("ok",) else [f"the file is damaged: {sound}"]
    recorded = set[str]()
    for line in (directory / "effects").read_text().splitlines():
        what, _, rest = line.partition(" ")
        if what == "asked" and int(rest) not in states:
            wrong.append(f"run {rest} was acknowledged and is lost")
        elif what == "recorded":
            recorded.add(rest)
        elif what == "step" and rest in recorded:
            wrong.append(f"step {rest} was recorded and is repeated")
    return wrong
