"""One attempt of one run, from its beginning to its end."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

from msgspec import Struct
from twisted.internet.defer import CancelledError, Deferred, maybeDeferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.python.failure import Failure
from twisted.python.reflect import safe_str

from lineside.tasks.context import LINES, LONGEST_LINE, Context, encoded
from lineside.tasks.runs import Note, Run
from lineside.tasks.task import Task

Why = Literal["cancelled", "displaced", "timeout", "stopping"]
"""Why an attempt is to end: a person wants it, a newer run takes its place, its time is over, the gateway stops."""

LONGEST_TRACEBACK = 20_000
"""Characters of a traceback, its end."""


class Outcome(Struct, frozen=True):
    """How an attempt ended."""

    result: bytes | None = None
    """JSON; None where it failed."""
    error: BaseException | None = None
    traceback: str | None = None
    ended_by: Why | None = None
    """Set where it ended because it was to end."""


class Execution:
    """An attempt under way.

    Args:
        task: whose.
        run: as it was claimed.
        steps: results of finished steps.
        lines: how many its log has from earlier attempts.
        clock: measures the time-out.
        now_ns: the wall clock.
        keep_step: stores a step's result.
        moved: called when there is something new to tell.

    """

    def __init__(
        self,
        task: Task,
        run: Run,
        steps: dict[str, bytes],
        lines: int,
        clock: IReactorTime,
        now_ns: Callable[[], int],
        keep_step: Callable[[int, str, bytes], Deferred[None]],
        moved: Callable[[Execution], None],
    ) -> None:
        self.task = task
        self.run = run
        self._steps = steps
        self._earlier = lines
        self._clock = clock
        self._now_ns = now_ns
        self._store_step = keep_step
        self._moved = moved
        self._work: Deferred[Any] | None = None
        self._timer: IDelayedCall | None = None
        self.context: Context[Any] | None = None
        """What the function got; it is told there as well that it is to end."""
        self.ends_by: Why | None = None
        """Why it is to end, once it is."""
        self.done: float | None = None
        self.total: float | None = None
        self.message: str | None = None
        self._lines: list[tuple[int, int, str]] = []
        self._said = 0

    def begin(self, start: Callable[[], Deferred[Any]], ended: Callable[[Execution, Outcome], None]) -> None:
        """Start the function; ``ended`` is called once, perhaps before this returns."""
        if self.task.timeout is not None:
            self._timer = self._clock.callLater(self.task.timeout, self.end, "timeout")
        self._work = work = maybeDeferred(start)

        def finish(result: Any) -> None:
            if self._timer is not None and self._timer.active():
                self._timer.cancel()
            ended(self, self._outcome(result))

        work.addBoth(finish)
        if self.ends_by is not None:
            # It wanted its own end before it first waited.
            work.cancel()

    def end(self, why: Why) -> None:
        """Let it end as soon as it can. The first reason counts; one that went on nevertheless is told again."""
        if self.ends_by is None:
            self.ends_by = why
            if self.task.thread:
                # People must see that it was heard, and why nothing happens.
                self.message = f"{WORDS[why]}; a blocking function cannot be stopped, it ends by itself"
                self._moved(self)
        if self.context is not None:
            self.context.cancelled = True
        if self._work is not None:
            self._work.cancel()

    def progressed(self, done: float, total: float | None, message: str | None) -> None:
        """Note how far it is; see `lineside.tasks.context.Recording`."""
        self.done, self.total = float(done), None if total is None else float(total)
        if self.ends_by is None or not self.task.thread:
            self.message = None if message is None else storable(message)[:LONGEST_LINE]
        self._moved(self)

    def logged(self, text: str) -> None:
        """Add a line to its log; past `LINES` the last says that there were more."""
        if self._said >= LINES:
            return
        self._said += 1
        if self._said == LINES:
            text = f"more lines than {LINES}; the others are left out"
        # Numbers go on from the last attempt's, so that none writes over another's.
        self._lines.append((self._earlier + self._said, self._now_ns(), storable(text)[:LONGEST_LINE]))
        self._moved(self)

    def finished_step(self, name: str) -> bytes | None:
        """Return a stored step's result."""
        return self._steps.get(name)

    async def keep_step(self, name: str, result: bytes) -> None:
        """Store a step's result."""
        await self._store_step(self.run.id, name, result)
        self._steps[name] = result

    def note(self) -> Note:
        """Return what is to be stored, and take the lines off."""
        lines, self._lines = tuple(self._lines), []
        return Note(self.run.id, self.done, self.total, self.message, lines)

    def take_back(self, note: Note) -> None:
        """Take lines that could not be stored, for the next time."""
        self._lines[:0] = note.lines

    def _outcome(self, result: Any) -> Outcome:
        if isinstance(result, Failure):
            error = result.value
            if self.ends_by == "timeout" and isinstance(error, CancelledError):
                error = TimeoutError(f"not done within {self.task.timeout:g} s")
                return Outcome(error=error, ended_by="timeout")
            if isinstance(error, CancelledError) and self.ends_by is not None:
                return Outcome(error=error, ended_by=self.ends_by)
            # One that fails while it is being stopped has still failed.
            return Outcome(error=error, traceback=_text(result), ended_by=self.ends_by)
        try:
            return Outcome(encoded(result, "the task"))
        except TypeError as wrong:
            return Outcome(error=wrong)


WORDS: dict[Why, str] = {
    "cancelled": "cancelled",
    "displaced": "a newer run takes its place",
    "timeout": "its time is over",
    "stopping": "the gateway stops",
}


def _text(failure: Failure) -> str:
    return storable(failure.getTraceback())[-LONGEST_TRACEBACK:]


def storable(text: object) -> str:
    """Return a text as the database can keep it, whatever a task's function or an error made of it."""
    return safe_str(text).encode("utf-8", "backslashreplace").decode()
