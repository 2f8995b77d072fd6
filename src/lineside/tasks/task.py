"""A task as it is configured: what it runs, and what is promised of its runs. Pure values."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal

from msgspec import Struct

from lineside.delivery.backoff import Backoff
from lineside.model.fields import key_text, lookup
from lineside.tasks.calendar import CatchUp, Schedule

Overlap = Literal["skip", "queue", "cancel"]
"""What becomes of a new run while an earlier one has not ended: it is left out, it waits, it takes its place."""
Interrupted = Literal["again", "stop"]
"""What becomes of a run that was under way when the gateway ended: it is run again, or waits for a person."""


class RetryPolicy(Struct, frozen=True):
    """When a run that failed is tried again."""

    attempts: int = 1
    """In all."""
    backoff: Backoff = Backoff((1.0, 5.0, 30.0, 300.0), 0.1)
    on: frozenset[str] = frozenset()
    """Names of exceptions, their ancestors' among them; empty for all."""

    def again(self, attempt: int, error: BaseException) -> bool:
        """Tell whether another attempt follows attempt number ``attempt`` (from 1), which ended with ``error``."""
        if attempt >= self.attempts or isinstance(error, GiveUp):
            return False
        return not self.on or any(kind.__name__ in self.on for kind in type(error).__mro__)


class GiveUp(Exception):
    """Raised by a task's function: this run fails for good, and is not tried again."""


class Told(Struct, frozen=True):
    """What people are told of a task."""

    runs: str = ""
    """What it runs."""
    when: str = "when asked for"
    description: str = ""


class Task(Struct, frozen=True):
    """One task.

    Two runs concern the same item where both have the same `key_of`; of a task without keys, no two do.
    """

    name: str
    function: Callable[..., Any]
    """Gets a context; see `lineside.tasks.calling` for its kinds."""
    accepts: Callable[[Mapping[str, Any]], Any] = dict
    """Makes parameters what the function wants; raises `ValueError` where they are wrong."""
    thread: bool = False
    """It blocks, and so runs on a thread of its own."""
    schedule: Schedule | None = None
    params: Mapping[str, Any] = {}
    """What each run gets, beside or overridden by what it is asked with."""
    key: str | None = None
    """The parameter that says which item a run concerns, as a dotted path: `order`, `event.order`."""
    timeout: float | None = None
    """Seconds of one attempt."""
    retry: RetryPolicy = RetryPolicy()
    overlap: Overlap = "queue"
    concurrency: int = 1
    """Runs at a time; of one item always one."""
    unique_for: float | None = None
    """Seconds after a run was asked for in which none is added for the same item, or with the same parameters."""
    catch_up: CatchUp = "once"
    interrupted: Interrupted = "again"
    erp: bool = False
    """Starts nothing while the ERP is away."""
    target: str | None = None
    """The site that its context asks; None for none."""
    keep: float = 30 * 86_400.0
    """Seconds for which a run that has ended is kept; infinity for ever."""
    told: Told = Told()

    def key_of(self, params: Mapping[str, Any]) -> str | None:
        """Return which item a run with these parameters concerns; None for none."""
        return None if self.key is None else key_text(lookup(params, self.key))
