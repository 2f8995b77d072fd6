"""The same runs by APScheduler 3 with its SQLAlchemy job store on SQLite: ``python apscheduler_side.py PLAN``.

One process: a `BackgroundScheduler` with its pool of ten threads, as it is by default. SQLite is as durable as the
journal (a write-ahead log, ``synchronous=FULL``), each call of the job store is a transaction of its own. A job
leaves the store when it is given to the pool: what a crash finds there is lost. By default it also leaves out
whatever it comes to more than a second late; here it does not.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from apscheduler.jobstores.sqlalchemy import SQLAlchemyJobStore  # type: ignore[import-not-found]
from apscheduler.schedulers.background import BackgroundScheduler  # type: ignore[import-not-found]
from sheet import Sheet, executed, processor_seconds, quantiles, wait_for
from sqlalchemy import create_engine, event  # type: ignore[import-not-found]

PLAN: dict[str, Any] = json.loads(sys.argv[1])
SHEET = Sheet(PLAN["sheet"])


def noop(number: int) -> None:
    """Sign, and do nothing."""
    SHEET.sign(number)


def durable(connection: Any, _: object) -> None:
    """Let commits be synced as the journal's are."""
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")


class Side:
    """A scheduler with its store."""

    def __init__(self, paused: bool) -> None:
        engine = create_engine(f"sqlite:///{PLAN['directory']}/jobs.db")
        event.listen(engine, "connect", durable)
        self.store = SQLAlchemyJobStore(engine=engine)
        self.scheduler = BackgroundScheduler(
            jobstores={"default": self.store}, job_defaults={"misfire_grace_time": None}, timezone=UTC
        )
        self.scheduler.start(paused=paused)

    def ask(self, number: int, due: datetime | None = None) -> None:
        """Add a job; it is stored when this returns."""
        self.scheduler.add_job(noop, "date", args=(number,), run_date=due or datetime.now(UTC))

    def done(self) -> int:
        """Return when all have begun and none is in the store."""
        wait_for(SHEET, PLAN["runs"])
        while self.store.get_next_run_time() is not None:
            time.sleep(0.002)
        # An executor's own books: the pool has finished its jobs when it is shut down.
        self.scheduler.shutdown(wait=True)
        return time.monotonic_ns()


def enqueue() -> dict[str, Any]:
    """Ask for all, while nobody does them."""
    side = Side(paused=True)
    used, began = processor_seconds(), time.monotonic()
    for number in range(PLAN["runs"]):
        side.ask(number)
    seconds = time.monotonic() - began
    return {
        "per_second": PLAN["runs"] / seconds,
        "cpu_us": 1e6 * (processor_seconds() - used) / PLAN["runs"],
    }


def execute() -> dict[str, Any]:
    """Let those that wait be done."""
    side = Side(paused=True)
    for number in range(PLAN["runs"]):
        side.ask(number)
    used = processor_seconds()
    side.scheduler.resume()
    ended = side.done()
    return executed(min(SHEET.begun(PLAN["runs"])), ended, PLAN["runs"], processor_seconds() - used)


def through() -> dict[str, Any]:
    """Ask for all while they are done."""
    side = Side(paused=False)
    began = time.monotonic_ns()
    for number in range(PLAN["runs"]):
        side.ask(number)
    asked = time.monotonic_ns()
    ended = side.done()
    SHEET.begun(PLAN["runs"])
    return {
        "per_second": PLAN["runs"] / ((ended - began) / 1e9),
        "producer": (asked - began) / (ended - began),
    }


def latency(ahead: float) -> dict[str, Any]:
    """Ask at a steady pace, and tell how late runs began."""
    side = Side(paused=False)
    due = []
    start = time.monotonic()
    for number in range(PLAN["runs"]):
        time.sleep(max(0.0, start + number * PLAN["pace"] - time.monotonic()))
        due.append(time.monotonic_ns() + round(ahead * 1e9))
        side.ask(number, datetime.now(UTC) + timedelta(seconds=ahead))
    side.done()
    begun = SHEET.begun(PLAN["runs"])
    return quantiles([(moment - wanted) / 1e9 for moment, wanted in zip(begun, due, strict=True)])


PARTS: dict[str, Callable[[], dict[str, Any]]] = {
    "single": enqueue,
    "execute": execute,
    "through": through,
    "now": lambda: latency(0.0),
    "later": lambda: latency(PLAN["ahead"]),
}

if __name__ == "__main__":
    # Jobs are stored by the function's name: its module must not be called __main__.
    sys.modules["apscheduler_side"] = sys.modules["__main__"]
    noop.__module__ = "apscheduler_side"
    print(json.dumps(PARTS[PLAN["part"]]()), flush=True)
