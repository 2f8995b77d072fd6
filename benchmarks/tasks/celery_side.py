"""The same runs by Celery with Redis: ``python celery_side.py PLAN`` asks and counts.

Its worker is Celery's own program with this module as the application. Messages are acknowledged late: what a
worker that died had begun is handed out again, an hour later by default. Results are stored, as the gateway stores
them, unless the environment's ``KIND`` is ``bare``. Between the worker's BRPOP and its note of what it has taken, a
message is in the worker's memory alone.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from celery import Celery, group  # type: ignore[import-not-found]
from redis import Redis
from sheet import ALLOWED, Sheet, executed, processor_seconds, quantiles, wait_for

PORT = os.environ["REDIS_PORT"]
SHEET = Sheet(os.environ["SHEET"])
KINDS = {
    "solo": ["--pool=solo"],
    "bare": ["--pool=solo"],
    "prefork": ["--pool=prefork", "--concurrency=2"],
}
"""Of the worker. `solo` runs tasks in its own process, one at a time; `bare` as well, and no result is stored."""
AT_ONCE = 100
"""Tasks of one group."""

app = Celery("celery_side", broker=f"redis://127.0.0.1:{PORT}/0", backend=f"redis://127.0.0.1:{PORT}/1")
app.conf.update(
    task_acks_late=True,
    task_ignore_result=os.environ["KIND"] == "bare",
    worker_prefetch_multiplier=100,
    worker_enable_remote_control=False,
    broker_connection_retry_on_startup=True,
)


@app.task(name="noop")  # type: ignore[untyped-decorator]
def noop(number: int) -> None:
    """Sign, and do nothing."""
    SHEET.sign(number)


class Side:
    """A queue, and a worker of it in another process."""

    def __init__(self, plan: dict[str, Any]) -> None:
        self.plan = plan
        self.runs: int = plan["runs"]
        self.redis = Redis(port=plan["port"])

    @contextlib.contextmanager
    def worker(self) -> Iterator[subprocess.Popen[bytes]]:
        """Run a worker."""
        program = Path(sys.executable).parent / "celery"
        quiet = ["--without-gossip", "--without-mingle", "--without-heartbeat", "--loglevel=ERROR"]
        command = [str(program), "-A", "celery_side", "worker", *KINDS[self.plan["kind"]], *quiet]
        process = subprocess.Popen(command, stdout=sys.stderr, cwd=Path(__file__).parent)
        try:
            yield process
        finally:
            process.terminate()
            process.wait(20)

    @contextlib.contextmanager
    def warm_worker(self) -> Iterator[subprocess.Popen[bytes]]:
        """Run a worker that waits for tasks: it asks with BRPOP."""
        with self.worker() as process:
            deadline = time.monotonic() + ALLOWED
            while not any(client["cmd"] == "brpop" for client in self.redis.client_list()):
                if time.monotonic() > deadline:
                    raise SystemExit("the worker did not start")
                time.sleep(0.01)
            time.sleep(1.0)
            yield process

    def ask_many(self) -> None:
        """Publish all of them, in groups."""
        for first in range(0, self.runs, AT_ONCE):
            numbers = range(first, min(first + AT_ONCE, self.runs))
            group(noop.s(number) for number in numbers).apply_async()

    def done(self) -> int:
        """Return when all have begun and all are acknowledged, which comes after the result."""
        wait_for(SHEET, self.runs)
        deadline = time.monotonic() + ALLOWED
        while self.redis.hlen("unacked") or self.redis.llen("celery"):
            if time.monotonic() > deadline:
                raise SystemExit("not all tasks ended")
            time.sleep(0.002)
        ended = time.monotonic_ns()
        stored = Redis(port=self.plan["port"], db=1).dbsize()
        if self.plan["kind"] != "bare" and stored < self.runs:
            raise SystemExit(f"of {self.runs} results {stored} are stored")
        return ended


def enqueue(side: Side, bulk: bool) -> dict[str, Any]:
    """Ask for all, while nobody does them."""
    used, began = processor_seconds([side.plan["redis"]]), time.monotonic()
    if bulk:
        side.ask_many()
    else:
        for number in range(side.runs):
            noop.apply_async((number,))
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
        before = processor_seconds([redis, *family(worker.pid)]) - processor_seconds()
        ended = side.done()
        used = processor_seconds([redis, *family(worker.pid)]) - processor_seconds() - before
    return executed(min(SHEET.begun(side.runs)), ended, side.runs, used)


def family(process: int) -> list[int]:
    """Return a process with its children."""
    children = Path(f"/proc/{process}/task/{process}/children").read_text().split()
    return [process, *map(int, children)]


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
            noop.apply_async((number,), countdown=ahead or None)
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
    wanted = json.loads(sys.argv[1])
    print(json.dumps(PARTS[wanted["part"]](Side(wanted))), flush=True)
