"""The same runs by RQ: ``python rq_side.py PLAN`` asks and counts, ``... PLAN work`` is its worker.

The plan's ``kind`` is of the worker: ``simple`` runs jobs in its own process, ``forking`` in a process for each. A
job that is taken lies in a registry until it has ended; of a worker that died, the next one's upkeep calls it
failed.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

from redis import Redis
from rq import Queue, SimpleWorker, Worker  # type: ignore[import-not-found]
from rq.registry import FinishedJobRegistry  # type: ignore[import-not-found]
from sheet import ALLOWED, Sheet, executed, processor_seconds, quantiles, wait_for

SHEET = Sheet(os.environ["SHEET"])
AT_ONCE = 100
"""Jobs of one pipeline."""


def noop(number: int) -> None:
    """Sign, and do nothing."""
    SHEET.sign(number)


class Side:
    """A queue, and a worker of it in another process."""

    def __init__(self, plan: dict[str, Any]) -> None:
        self.plan = plan
        self.runs: int = plan["runs"]
        self.redis = Redis(port=plan["port"])
        self.queue = Queue("noop", connection=self.redis)

    @contextlib.contextmanager
    def worker(self) -> Iterator[subprocess.Popen[bytes]]:
        """Run a worker."""
        command = [sys.executable, __file__, json.dumps(self.plan), "work"]
        process = subprocess.Popen(command, stdout=sys.stderr)
        try:
            yield process
        finally:
            process.terminate()
            process.wait(20)

    @contextlib.contextmanager
    def warm_worker(self) -> Iterator[subprocess.Popen[bytes]]:
        """Run a worker that waits for jobs."""
        with self.worker() as process:
            deadline = time.monotonic() + ALLOWED
            while not Worker.count(connection=self.redis):
                if time.monotonic() > deadline:
                    raise SystemExit("the worker did not start")
                time.sleep(0.01)
            time.sleep(1.0)
            yield process

    def ask(self, number: int) -> None:
        """Enqueue one job."""
        self.queue.enqueue(noop, number)

    def ask_many(self) -> None:
        """Enqueue all of them, in pipelines."""
        for first in range(0, self.runs, AT_ONCE):
            numbers = range(first, min(first + AT_ONCE, self.runs))
            self.queue.enqueue_many([Queue.prepare_data(noop, (number,)) for number in numbers])

    def done(self) -> int:
        """Return when all have begun, and their success is stored."""
        wait_for(SHEET, self.runs)
        finished = FinishedJobRegistry(queue=self.queue)
        deadline = time.monotonic() + ALLOWED
        while self.redis.zcard(finished.key) < self.runs:
            if time.monotonic() > deadline:
                raise SystemExit("not all jobs ended")
            time.sleep(0.002)
        return time.monotonic_ns()


def work(plan: dict[str, Any]) -> None:
    """Be the worker."""
    redis = Redis(port=plan["port"])
    kind = SimpleWorker if plan["kind"] == "simple" else Worker
    worker = kind([Queue("noop", connection=redis)], connection=redis)
    worker.work(logging_level="WARNING", with_scheduler=plan["part"] == "later")


def enqueue(side: Side, bulk: bool) -> dict[str, Any]:
    """Ask for all, while nobody does them."""
    used, began = processor_seconds([side.plan["redis"]]), time.monotonic()
    if bulk:
        side.ask_many()
    else:
        for number in range(side.runs):
            side.ask(number)
    seconds = time.monotonic() - began
    used = processor_seconds([side.plan["redis"]]) - used
    return {"per_second": side.runs / seconds, "cpu_us": 1e6 * used / side.runs}


def execute(side: Side) -> dict[str, Any]:
    """Let those that wait be done."""
    side.ask_many()
    redis = side.plan["redis"]
    with side.worker() as worker:
        wait_for(SHEET, 1)
        # Without what it takes to start, and without this process, which only looks.
        before = processor_seconds([redis, worker.pid]) - processor_seconds()
        ended = side.done()
        used = processor_seconds([redis, worker.pid]) - processor_seconds() - before
    return executed(min(SHEET.begun(side.runs)), ended, side.runs, used)


def through(side: Side) -> dict[str, Any]:
    """Ask for all while they are done."""
    with side.warm_worker():
        began = time.monotonic_ns()
        side.ask_many()
        asked = time.monotonic_ns()
        ended = side.done()
    SHEET.begun(side.runs)
    return {"per_second": side.runs / ((ended - began) / 1e9), "producer": (asked - began) / (ended - began)}


def latency(side: Side, ahead: float) -> dict[str, Any]:
    """Ask at a steady pace, and tell how late runs began."""
    due = []
    with side.warm_worker():
        start = time.monotonic()
        for number in range(side.runs):
            time.sleep(max(0.0, start + number * side.plan["pace"] - time.monotonic()))
            due.append(time.monotonic_ns() + round(ahead * 1e9))
            if ahead:
                side.queue.enqueue_in(timedelta(seconds=ahead), noop, number)
            else:
                side.ask(number)
        side.done()
    begun = SHEET.begun(side.runs)
    return quantiles([(moment - wanted) / 1e9 for moment, wanted in zip(begun, due, strict=True)])


PARTS: dict[str, Callable[[Side], dict[str, Any]]] = {
    "single": lambda side: enqueue(side, bulk=False),
    "bulk": lambda side: enqueue(side, bulk=True),
    "execute": execute,
    "through": through,
    "now": lambda side: latency(side, 0.0),
    "later": lambda side: latency(side, side.plan["ahead"]),
}

if __name__ == "__main__":
    # Jobs are stored by the function's name: its module must not be called __main__.
    sys.modules["rq_side"] = sys.modules["__main__"]
    noop.__module__ = "rq_side"
    wanted = json.loads(sys.argv[1])
    if sys.argv[2:] == ["work"]:
        work(wanted)
    else:
        print(json.dumps(PARTS[wanted["part"]](Side(wanted))), flush=True)
