"""A context for a task's function that runs without a runner."""

from __future__ import annotations

from typing import Any

from twisted.internet.interfaces import IReactorTime

from lineside.tasks.context import Context
from lineside.tasks.sources import TaskSources


class Kept:
    """Keeps in memory what a context is told."""

    def __init__(self) -> None:
        self.progress: list[tuple[float, float | None, str | None]] = []
        self.lines: list[str] = []
        self.steps: dict[str, bytes] = {}

    def progressed(self, done: float, total: float | None, message: str | None) -> None:
        self.progress.append((done, total, message))

    def logged(self, text: str) -> None:
        self.lines.append(text)

    def finished_step(self, name: str) -> bytes | None:
        return self.steps.get(name)

    async def keep_step(self, name: str, result: bytes) -> None:
        self.steps[name] = result


def context_of(
    params: Any, clock: IReactorTime, kept: Kept | None = None, *, run: int = 1, now_ns: int = 0
) -> Context[Any]:
    """Return a context of the task ``night``."""
    return Context(run, "night", 1, params, clock, kept or Kept(), TaskSources({}), None, lambda: now_ns)
