"""The tasks of Lineside, as `durable_tasks` measures them: ``python lineside_side.py PLAN``.

A `Runner` over the journal's database, on the gateway's reactor, in one process. PLAN is the JSON of what
``durable_tasks.measure`` wants; the result is printed as JSON.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from random import Random
from typing import Any

from lineside.assemble.importing import importing

# As the gateway's own command has it: what is imported is never searched for garbage.
with importing():
    import msgspec
    from sheet import Sheet, executed, processor_seconds, quantiles
    from twisted.internet.defer import Deferred, DeferredList
    from twisted.internet.endpoints import TCP4ServerEndpoint
    from twisted.internet.task import deferLater

    from lineside.assemble.lifecycle import run_reactor
    from lineside.edges.lines.intake import Intake, Limits
    from lineside.edges.lines.source import LinesSource
    from lineside.journal.log import SqliteJournal
    from lineside.journal.tables import JOURNAL
    from lineside.store.database import Database
    from lineside.tasks.calendar import SECOND
    from lineside.tasks.context import Context
    from lineside.tasks.lane import clocks
    from lineside.tasks.runner import Runner
    from lineside.tasks.runs import Run
    from lineside.tasks.sources import TaskSources
    from lineside.tasks.tables import TASKS
    from lineside.tasks.task import Task
    from lineside.wire.jsonl import JsonLines

CALLERS = 100
"""Who ask at a time, where they ask in bulk."""


class Plan(msgspec.Struct, frozen=True):
    """What to do."""

    part: str
    runs: int
    directory: str
    sheet: str
    concurrency: int = 100
    pace: float = 0.02
    """Seconds between two runs whose latency is measured."""
    ahead: float = 1.0
    """Seconds for which a run of ``later`` waits until it is due."""
    lasts: float = 0.0
    """Seconds that a run waits."""
    quiet: float = 3.0
    """Seconds that the listener is watched before any run."""
    kind: str = ""
    redis: int = 0
    port: int = 0


class Side:
    """A `Runner` at work, and a count of the runs whose success is stored."""

    def __init__(self, reactor: Any, plan: Plan) -> None:
        self.reactor = reactor
        self.plan = plan
        self.sheet = sheet = Sheet(plan.sheet)

        async def noop(context: Context[dict[str, Any]]) -> None:
            sheet.sign(context.params["number"])

        async def wait(context: Context[dict[str, Any]]) -> None:
            sheet.sign(context.params["number"])
            await context.sleep(plan.lasts)

        task = Task("noop", wait if plan.lasts else noop, concurrency=plan.concurrency)
        self.database = Database(Path(plan.directory) / "journal.db", (JOURNAL, TASKS), reactor.callFromThread)
        self.journal = SqliteJournal(self.database)
        self.runner = Runner(
            {task.name: task},
            self.database,
            reactor,
            clocks(reactor, time.time_ns),
            Random(1),
            TaskSources({}),
        )
        self.runner.on_change.append(self._count)
        self._succeeded = 0
        self._awaited: tuple[int, Deferred[int]] | None = None

    async def start(self) -> None:
        """Open the database, and let runs go."""
        await self.database.open()
        await self.journal.open()
        await self.runner.start()

    async def stop(self) -> None:
        """End all of it."""
        await self.runner.stop()
        await self.database.close()

    def _count(self, changed: list[Run]) -> None:
        self._succeeded += sum(run.state == "succeeded" for run in changed)
        if self._awaited is not None and self._succeeded >= self._awaited[0]:
            awaited, self._awaited = self._awaited[1], None
            # Not in the middle of the runner's turn, for its end follows.
            self.reactor.callLater(0.0, awaited.callback, time.monotonic_ns())

    async def done(self, runs: int) -> int:
        """Return when the last one's success was stored."""
        if self._succeeded >= runs:
            return time.monotonic_ns()
        awaited: Deferred[int] = Deferred()
        self._awaited = (runs, awaited)
        return await awaited

    async def ask(self, first: int, last: int, delay: Callable[[], float] = lambda: 0.0) -> None:
        """Ask for runs, one after the other."""
        for number in range(first, last):
            await self.runner.ask("noop", {"number": number}, delay=delay())

    async def ask_many(self, runs: int, delay: Callable[[], float] = lambda: 0.0) -> None:
        """Ask for runs, as `CALLERS` do that ask at the same time."""
        shares = [(each * runs // CALLERS, (each + 1) * runs // CALLERS) for each in range(CALLERS)]
        waiting = [Deferred.fromCoroutine(self.ask(*share, delay)) for share in shares]
        await DeferredList(waiting, fireOnOneErrback=True)


async def enqueue(side: Side, bulk: bool) -> dict[str, Any]:
    """Ask for all, while nobody does them."""
    runs = side.plan.runs
    await side.runner.pause("noop", True)
    used, began = processor_seconds(), time.monotonic()
    await (side.ask_many(runs) if bulk else side.ask(0, runs))
    seconds = time.monotonic() - began
    return {"per_second": runs / seconds, "cpu_us": 1e6 * (processor_seconds() - used) / runs}


async def execute(side: Side) -> dict[str, Any]:
    """Let those that wait be done."""
    runs = side.plan.runs
    await side.runner.pause("noop", True)
    await side.ask_many(runs)
    used = processor_seconds()
    await side.runner.pause("noop", False)
    ended = await side.done(runs)
    return executed(min(side.sheet.begun(runs)), ended, runs, processor_seconds() - used)


async def through(side: Side) -> dict[str, Any]:
    """Ask for all while they are done."""
    runs = side.plan.runs
    began = time.monotonic_ns()
    await side.ask_many(runs)
    asked = time.monotonic_ns()
    ended = await side.done(runs)
    side.sheet.begun(runs)
    return {"per_second": runs / ((ended - began) / 1e9), "producer": (asked - began) / (ended - began)}


async def latency(side: Side, ahead: float) -> dict[str, Any]:
    """Ask at a steady pace, and tell how late runs began."""
    plan = side.plan
    due: list[int] = []
    start = time.monotonic()
    for number in range(plan.runs):
        rest = start + number * plan.pace - time.monotonic()
        if rest > 0:
            await deferLater(side.reactor, rest)
        due.append(time.monotonic_ns() + round(ahead * SECOND))
        await side.runner.ask("noop", {"number": number}, delay=ahead)
    await side.done(plan.runs)
    begun = side.sheet.begun(plan.runs)
    return quantiles([(moment - wanted) / 1e9 for moment, wanted in zip(begun, due, strict=True)])


class Lag:
    """How late the reactor serves a timer, as it would be for one that is due at any moment.

    A timer each 2 ms on a fixed grid. Where the reactor was away over several, each of them counts, with its own
    lateness: else a long pause would be one value among many.
    """

    EVERY = 0.002

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor
        self._due = 0.0
        self._used = 0.0
        self.late: list[float] = []
        self.held: list[float] = []
        """Processor time of the reactor's thread from one look to the next: other work does not change it."""
        self._call: Any = None

    def begin(self) -> None:
        """Look from now on."""
        self.late, self.held = [], []
        self._used = time.thread_time()
        self._due = self._reactor.seconds() + self.EVERY
        self._call = self._reactor.callLater(self.EVERY, self._look)

    def end(self) -> dict[str, Any]:
        """Look no more, and return what was found."""
        self._call.cancel()
        return {**quantiles(self.late), "held": quantiles(self.held)}

    def _look(self) -> None:
        used, now = time.thread_time(), self._reactor.seconds()
        self.held.append(used - self._used)
        self._used = used
        while self._due <= now:
            self.late.append(now - self._due)
            self._due += self.EVERY
        self._call = self._reactor.callLater(self._due - now, self._look)


async def beside(side: Side) -> dict[str, Any]:
    """Watch the reactor, and let a listener be used, before runs and while all of them are due."""
    plan, reactor = side.plan, side.reactor
    endpoint = TCP4ServerEndpoint(reactor, plan.port, interface="127.0.0.1")
    source = LinesSource(endpoint, "tcp:0", Intake("gate", JsonLines(), side.journal, reactor, Limits()))
    await source.start()
    lag = Lag(reactor)
    await deferLater(reactor, 1.0)
    quiet = time.monotonic_ns()
    lag.begin()
    await deferLater(reactor, plan.quiet)
    asking = time.monotonic_ns()
    quiet_lag = lag.end()
    lag.begin()
    # All of them fall due at one moment, when the last one is stored.
    due = reactor.seconds() + max(4.0, plan.runs / 1000)
    await side.ask_many(plan.runs, lambda: due - reactor.seconds())
    asked = time.monotonic_ns()
    asking_lag = lag.end()
    rest = due - reactor.seconds()
    if rest <= 0:
        raise SystemExit("asking took longer than was allowed for it")
    await deferLater(reactor, max(0.0, rest - 0.01))
    lag.begin()
    used = processor_seconds()
    ended = await side.done(plan.runs)
    used = processor_seconds() - used
    busy_lag = lag.end()
    begun = side.sheet.begun(plan.runs)
    await deferLater(reactor, 0.1)
    await source.stop()
    return {
        **executed(min(begun), ended, plan.runs, used),
        "lag": {"quiet": quiet_lag, "asking": asking_lag, "running": busy_lag},
        "spans": {"quiet": [quiet, asking], "asking": [asking, asked], "running": [min(begun), ended]},
    }


PARTS: dict[str, Callable[[Side], Coroutine[Deferred[Any], Any, dict[str, Any]]]] = {
    "single": lambda side: enqueue(side, bulk=False),
    "bulk": lambda side: enqueue(side, bulk=True),
    "execute": execute,
    "through": through,
    "now": lambda side: latency(side, 0.0),
    "later": lambda side: latency(side, side.plan.ahead),
    "beside": beside,
}


async def main(reactor: Any, plan: Plan) -> None:
    """Do the part, and print what it found."""
    side = Side(reactor, plan)
    await side.start()
    result = await PARTS[plan.part](side)
    await side.stop()
    print(json.dumps(result))


if __name__ == "__main__":
    run_reactor(main, msgspec.json.decode(sys.argv[1], type=Plan))
