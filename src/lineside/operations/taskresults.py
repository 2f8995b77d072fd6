"""What the operations on tasks answer. Pure values. Moments are ISO 8601 in UTC, durations are in seconds."""

from __future__ import annotations

from typing import Any, Literal

from msgspec import Struct

RunState = Literal["queued", "running", "succeeded", "failed", "cancelled", "interrupted"]


class RunSummary(Struct, frozen=True):
    """One run in a list."""

    run: int
    task: str
    state: RunState
    cause: Literal["clock", "event", "person", "program"]
    """What gave rise to it: its schedule, an event, somebody, or a program."""
    caller: str
    """Who asked, in words."""
    key: str | None
    """The item that it concerns."""
    attempt: int
    """How many times it was begun."""
    asked: str
    due: str
    """When it may begin, or its next attempt."""
    started: str | None
    """When its newest attempt began."""
    ended: str | None
    seconds: float | None
    """How long the newest attempt took, or has been taking."""
    done: float | None
    """How far it is, as its function tells."""
    total: float | None
    message: str | None
    error: str | None


class RunList(Struct, frozen=True):
    """Runs, the newest first."""

    runs: list[RunSummary]
    next_before: int | None
    """Older ones lie below; None where there are none."""


class LogLine(Struct, frozen=True):
    """A line of a run's log."""

    at: str
    text: str


class StepSummary(Struct, frozen=True):
    """A finished step, which is never repeated."""

    name: str
    at: str
    result: str
    """JSON, its beginning where it is long."""


class RunStory(Struct, frozen=True):
    """One run with everything that is known of it."""

    summary: RunSummary
    params: dict[str, Any]
    result: str | None
    """JSON."""
    traceback: str | None
    log: list[LogLine]
    steps: list[StepSummary]


class EndedRuns(Struct, frozen=True):
    """How one task's newest runs that ended went; every list is as long as ``runs``, the oldest first."""

    task: str
    runs: list[int]
    states: list[RunState]
    ended: list[str]
    seconds: list[float | None]
    """How long the last attempt took; None of a run that never began."""


class TaskHistory(Struct, frozen=True):
    """How the newest runs of tasks went."""

    tasks: list[EndedRuns]


class AskedRun(Struct, frozen=True):
    """What became of the wish for a run."""

    run: int
    """Of a wish that was ``skipped`` the run that is in its way."""
    outcome: Literal["queued", "repeated", "skipped"]
    """``repeated``: it was asked for before, and is not done twice. ``skipped``: that run has not ended."""


class Punctuality(Struct, frozen=True):
    """How well an interval is kept since the start."""

    ticks: int
    skipped: int
    """Ticks that came too late to be separate ones."""
    last: float
    """By how much the last one was late."""
    worst: float


class TaskSummary(Struct, frozen=True):
    """One task."""

    name: str
    runs: str
    """What it runs, as configured."""
    when: str
    """When, in words."""
    description: str
    next: list[str]
    """The moments at which it is due next, as far as they were asked for."""
    paused: str | None
    """Since when a person has stopped it."""
    waits: str | None
    """What it waits for, though runs are due; None where nothing holds it up."""
    queued: int
    running: int
    succeeded: int | None
    """Like the next three: runs that ended so; None where they were not asked for."""
    failed: int | None
    cancelled: int | None
    interrupted: int | None
    skipped: int
    """Moments and wishes that were left out."""
    last: RunSummary | None
    """Its newest run."""
    punctuality: Punctuality | None
    """Of a task with an interval."""


class TaskList(Struct, frozen=True):
    """Every task that is configured."""

    tasks: list[TaskSummary]
    now: str
