"""A task at work: takes its runs from the database when they are due, and stores what became of them."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from random import Random
from sqlite3 import Connection
from typing import Any, Protocol

import msgspec
from msgspec import Raw, Struct
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger

from lineside.background import Background
from lineside.delivery.backoff import Backoff
from lineside.model.errors import LinesideError
from lineside.store.database import Database
from lineside.tasks import runs
from lineside.tasks.calendar import SECOND
from lineside.tasks.execution import WORDS, Execution, Outcome, Why
from lineside.tasks.runs import Claimed, Ending, Note, Run
from lineside.tasks.task import GiveUp, Task
from lineside.wakeup import Wakeup

log = Logger()

TROUBLE = Backoff((0.5, 1.0, 2.0, 5.0, 10.0), 0.2)
"""Seconds between two attempts to store what became of runs, where the disk refuses."""
NOTES_EVERY = 1.0
"""Seconds between two looks at how far runs are, for the database."""
LONGEST_REST = 86_400.0
"""Seconds between two looks for what is due, at most: a reactor's timer takes no number however large."""
LONGEST_WORDS = 1_000
"""Characters of what is said of an error."""


class Door(Protocol):
    """The ERP's gate, as far as tasks wait at it."""

    @property
    def ready(self) -> bool:
        """Whether the ERP answers."""
        ...

    async def passed(self) -> object:
        """Return once it answers."""
        ...


class Clocks(Struct, frozen=True):
    """The two clocks of tasks, both as nanoseconds since 1970."""

    steady_ns: Callable[[], int]
    """Goes on evenly for as long as the process lives, whatever becomes of the other."""
    wall_ns: Callable[[], int]
    """What a person would call the time."""


def clocks(reactor: IReactorTime, wall_ns: Callable[[], int]) -> Clocks:
    """Return the clocks of a process that begins now."""
    began_wall, began = wall_ns(), reactor.seconds()
    return Clocks(lambda: began_wall + round((reactor.seconds() - began) * SECOND), wall_ns)


class Lane:
    """The runs of one task.

    At most ``concurrency`` are under way at a time, of one item one. A run is stored as running before its function
    is called, and what became of it is kept until it is stored, however long the disk refuses.

    Args:
        task: which.
        database: the journal's.
        reactor: measures delays.
        clocks: say when runs are due.
        start: begins a function for an attempt; what it returns is cancelled where the run is.
        changed: told of each change once it is stored.
        moved: told of each run that got further, at most once a second or so.
        random: for delays between attempts.
        door: what runs wait at that need the ERP.

    """

    def __init__(
        self,
        task: Task,
        database: Database,
        reactor: IReactorTime,
        clocks: Clocks,
        start: Callable[[Execution], Deferred[Any]],
        changed: Callable[[list[Run]], None],
        moved: Callable[[list[Execution]], None],
        random: Random,
        door: Door | None = None,
    ) -> None:
        self.task = task
        self._database = database
        self._reactor = reactor
        self._clocks = clocks
        self._start = start
        self._changed = changed
        self._moved = moved
        self._random = random
        self._door = door if task.erp else None
        self.running: dict[int, Execution] = {}
        """By their numbers."""
        self._ended: list[tuple[Run, Ending, Note]] = []
        self._further: dict[int, Execution] = {}
        self._wakeup = Wakeup()
        self._timer: IDelayedCall | None = None
        self._notes: IDelayedCall | None = None
        self._work = Background(f"task {task.name}")
        self._paused = False
        self._closing = False
        self._waits_for_erp = False
        self._waiting: Deferred[None] | None = None
        self._idle: Deferred[None] | None = None

    @property
    def waits_for_erp(self) -> bool:
        """Whether runs are due and wait until the ERP answers."""
        return self._waits_for_erp

    @property
    def paused(self) -> bool:
        """Whether nothing new is begun."""
        return self._paused

    @paused.setter
    def paused(self, paused: bool) -> None:
        self._paused = paused
        self.wake()

    def begin(self) -> None:
        """Go to work."""
        self._work.run("lane", self._go_on())
        self.wake()

    def wake(self) -> None:
        """Look for runs that are due."""
        self._wakeup.set()

    def end(self, run: int, why: Why) -> bool:
        """Let a run that is under way end; False if it is not."""
        execution = self.running.get(run)
        if execution is None:
            return False
        execution.end(why)
        return True

    async def stop(self, patience: float) -> None:
        """Begin nothing more, end what is under way, and store what became of it.

        What has not ended within ``patience`` seconds is left: it counts as interrupted at the next start.
        """
        self._closing = True
        for execution in list(self.running.values()):
            execution.end("stopping")
        self.wake()
        if self.running or self._ended:
            self._idle = Deferred()
            timer = self._reactor.callLater(patience, self._idle.callback, None)
            await self._idle
            if timer.active():
                timer.cancel()
        for execution in self.running.values():
            log.warn("task.left", task=self.task.name, run=execution.run.id, remedy="see `lineside tasks show`")
        for timed in (self._timer, self._notes):
            if timed is not None and timed.active():
                timed.cancel()
        self._work.cancel()
        await self._work.finish()

    async def _go_on(self) -> None:
        failures = 0
        while True:
            await self._wakeup.wait()
            while True:
                try:
                    again = await self._turn()
                except CancelledError:
                    raise
                except Exception as trouble:  # noqa: BLE001 (of the disk, whatever it is: nothing may be lost)
                    failures += 1
                    delay = TROUBLE.delay(failures, self._random)
                    log.error(
                        "task.not_stored",
                        task=self.task.name,
                        reason=str(trouble),
                        again_in=round(delay, 1),
                        remedy="make room on the journal's disk, or mend it",
                    )
                    await deferLater(self._reactor, delay)
                    continue
                failures = 0
                if not again:
                    break

    async def _turn(self) -> bool:
        """Store what ended and take what is due, in one transaction; whether there may be more to do at once."""
        ended, self._ended = self._ended, []
        held = self._paused or self._closing
        away = self._door is not None and not self._door.ready
        free = 0 if held or away else self.task.concurrency - len(self.running)
        busy = [each.run.key for each in self.running.values() if each.run.key is not None]
        now, wall = self._clocks.steady_ns(), self._clocks.wall_ns()

        def work(connection: Connection) -> Claimed:
            runs.note(connection, [note for _, _, note in ended])
            runs.end(connection, [ending for _, ending, _ in ended])
            return runs.claim(connection, self.task.name, free, busy, now, wall)

        try:
            claimed = await self._database.write(work)
        except BaseException:
            self._ended = ended + self._ended
            raise
        if claimed.runs or ended:
            self._changed([*(run for run, _, _ in ended), *(run for run, _ in claimed.runs)])
        for run, steps in claimed.runs:
            self._begin(run, steps)
        self._look_again(claimed.next_due, now)
        self._waits_for_erp = away and not held and claimed.next_due is not None and claimed.next_due <= now
        if self._waits_for_erp:
            self._wait_for_erp()
        if self._idle is not None and not (self.running or self._ended or self._idle.called):
            self._idle.callback(None)
        return bool(self._ended)

    def _begin(self, run: Run, steps: dict[str, bytes]) -> None:
        execution = Execution(
            self.task, run, steps, self._reactor, self._clocks.wall_ns, self._keep_step, self._got_further
        )
        self.running[run.id] = execution
        if self._closing:
            execution.ends_by = "stopping"
            self._finish(execution, Outcome(error=CancelledError(), ended_by="stopping"))
        else:
            execution.begin(partial(self._start, execution), self._finish)

    def _finish(self, execution: Execution, outcome: Outcome) -> None:
        del self.running[execution.run.id]
        self._further.pop(execution.run.id, None)
        ending, note = self._ending(execution, outcome), execution.note()
        self._ended.append((_ended(execution.run, ending, note), ending, note))
        self.wake()

    def _ending(self, execution: Execution, outcome: Outcome) -> Ending:
        run, error, why = execution.run, outcome.error, outcome.ended_by
        now = self._clocks.wall_ns()
        if error is None:
            return Ending(run.id, "succeeded", now, result=outcome.result)
        if why == "stopping" and isinstance(error, CancelledError):
            if self.task.interrupted == "again":
                return Ending(run.id, "queued", now, self._clocks.steady_ns(), uncounted=True)
            return Ending(run.id, "interrupted", now, error="the gateway was stopped while it ran")
        if isinstance(error, CancelledError):
            return Ending(run.id, "cancelled", now, error=WORDS[why or "cancelled"])
        text = words(error)
        if why in {None, "timeout"} and self.task.retry.again(run.attempt, error):
            delay = self.task.retry.backoff.delay(run.attempt, self._random)
            due = self._clocks.steady_ns() + round(delay * SECOND)
            log.warn(
                "task.tried_again",
                task=run.task,
                run=run.id,
                reason=text,
                again_in=round(delay, 1),
                remedy="none yet: it is tried again",
            )
            return Ending(run.id, "queued", now, due, error=text, traceback=outcome.traceback)
        log.error("task.failed", task=run.task, run=run.id, reason=text, remedy=f"lineside tasks show {run.id}")
        return Ending(run.id, "failed", now, error=text, traceback=outcome.traceback)

    def _keep_step(self, run: int, name: str, result: bytes) -> Deferred[None]:
        wall = self._clocks.wall_ns()
        return self._database.write(lambda connection: runs.keep_step(connection, run, name, result, wall))

    def _got_further(self, execution: Execution) -> None:
        self._further[execution.run.id] = execution
        if self._notes is None:
            self._notes = self._reactor.callLater(NOTES_EVERY, self._note)

    def _note(self) -> None:
        self._notes = None
        further, self._further = list(self._further.values()), {}
        if not further:
            return
        notes = [execution.note() for execution in further]
        self._moved(further)
        self._work.run("notes", self._store_notes(notes))

    async def _store_notes(self, notes: list[Note]) -> None:
        try:
            await self._database.write(lambda connection: runs.note(connection, notes))
        except CancelledError:
            raise
        except Exception as trouble:  # noqa: BLE001 (of the disk; the run itself goes on, and its end is kept)
            log.warn("task.notes_lost", task=self.task.name, reason=str(trouble), remedy="make room on the disk")

    def _look_again(self, due: int | None, now: int) -> None:
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        # What is due already waits for another run to end, for the ERP, or for a person.
        self._timer = None
        if due is not None and due > now:
            self._timer = self._reactor.callLater(min((due - now) / SECOND, LONGEST_REST), self.wake)

    def _wait_for_erp(self) -> None:
        if self._waiting is None:
            assert self._door is not None
            log.warn("task.waits_for_erp", task=self.task.name, remedy="none: it goes on once the ERP answers")
            self._waiting = self._work.run("erp", self._let_in(self._door))

    async def _let_in(self, door: Door) -> None:
        try:
            await door.passed()
        finally:
            self._waiting = None
        self.wake()


def _ended(run: Run, ending: Ending, note: Note) -> Run:
    """Return a run as it is stored after an attempt."""
    again = ending.state == "queued"
    return msgspec.structs.replace(
        run,
        state=ending.state,
        attempt=run.attempt - ending.uncounted,
        due_ns=ending.due_ns if again else run.due_ns,
        ended_ns=None if again else ending.ended_ns,
        done=note.done,
        total=note.total,
        message=note.message,
        result=None if ending.result is None else Raw(ending.result),
        error=ending.error,
        traceback=ending.traceback,
    )


def words(error: BaseException) -> str:
    """Return an error as one line for a person."""
    text = " ".join(str(error).split())
    name = type(error).__name__
    return (
        text[:LONGEST_WORDS]
        if isinstance(error, LinesideError | GiveUp) and text
        else f"{name}: {text}"[:LONGEST_WORDS]
    )
