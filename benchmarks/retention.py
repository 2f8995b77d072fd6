"""What half of a full journal costs to remove: the time, the space given back, and what appends notice of it.

The journal is the product's own, on a real file; half of its events are older than ``retain``. See README.md.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from sqlite3 import Connection
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater, react

from lineside.journal.capacity import Keeping, measure
from lineside.journal.log import SqliteJournal
from lineside.journal.retention import Retention
from lineside.journal.tables import JOURNAL
from lineside.model.batch import Batch
from lineside.store.database import Database

BATCH = 1_000
BODY = (
    b'{"scan_id":"%012d","kind":"checkin","employee":"HR-EMP-00042","at":"2026-01-01T08:00:00Z","direction":"IN"}'
)
DAY_NS = 86_400_000_000_000
EVERY = 0.002
MEGABYTE = 1_000_000


def percentile(times: list[float], share: float) -> float:
    """Return one of the times, in milliseconds."""
    return sorted(times)[min(len(times) - 1, int(share * len(times)))] * 1000


async def fill(journal: SqliteJournal, events: int) -> float:
    """Append so many events; return how many a second."""
    began = time.monotonic()
    for start in range(0, events, 16 * BATCH):
        last = min(events, start + 16 * BATCH)
        batches = [
            Batch([BODY % number for number in range(first, min(last, first + BATCH))], "device")
            for first in range(start, last, BATCH)
        ]
        await journal.append_batches("gate", batches)
    return events / (time.monotonic() - began)


async def probe(reactor: Any, journal: SqliteJournal, go_on: Any) -> list[float]:
    """Append single events, one after the other with rests; return how long each waited."""
    times = []
    while go_on():
        began = time.perf_counter()
        await journal.append_batches("gate", [Batch([BODY % 1], "device")])
        times.append(time.perf_counter() - began)
        await deferLater(reactor, EVERY)
    return times


def report(what: str, times: list[float]) -> None:
    """Print what appends waited."""
    print(
        f"  append {what:16} p50 {percentile(times, 0.5):7.2f} ms   p99 {percentile(times, 0.99):7.2f} ms   "
        f"longest {max(times) * 1000:7.2f} ms   ({len(times)} appends)",
        flush=True,
    )


async def run(reactor: Any, events: int, directory: Path) -> None:
    """Measure once."""
    shift = 0
    database = Database(directory / "journal.db", (JOURNAL,), reactor.callFromThread)
    await database.open()
    journal = SqliteJournal(database, now_ns=lambda: time.time_ns() + shift)
    await journal.open()
    shift = -20 * DAY_NS
    rate = await fill(journal, events // 2)
    shift = 0
    await fill(journal, events - events // 2)
    await database.write(consumer_of_half)
    full = await database.read(measure)
    print(f"{events:,} events, {full.size / MEGABYTE:,.0f} MB, stored at {rate:,.0f} a second", flush=True)
    until = time.monotonic() + 5
    report("alone", await probe(reactor, journal, lambda: time.monotonic() < until))

    keeper = Retention(
        journal, database, reactor, Keeping(retain=10 * 86_400.0), sources={"route": frozenset({"gate"})}
    )
    began = time.monotonic()
    await keeper.start()
    beside: list[float] = []
    probing = Deferred.fromCoroutine(probe(reactor, journal, lambda: keeper.sweeping))
    probing.addCallback(beside.extend)
    await probing
    took = time.monotonic() - began
    await keeper.stop()
    report("beside a sweep", beside)
    left = await database.read(measure)
    await database.close()
    size = (directory / "journal.db").stat().st_size
    print(
        f"  removed {keeper.removed:,} events in {took:.1f} s; the file has {size / MEGABYTE:,.0f} MB, "
        f"of which {(left.size - left.used) / MEGABYTE:,.0f} MB are free; "
        f"{(full.size - size) / full.size:.0%} were given back",
        flush=True,
    )


def consumer_of_half(connection: Connection) -> None:
    """Let a route have settled everything."""
    (head,) = connection.execute("SELECT MAX(last) FROM segment").fetchone()
    connection.execute("INSERT INTO consumer (id, cursor) VALUES ('route', ?)", (head,))


def main() -> None:
    """Read the arguments and run."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument(
        "--directory", type=Path, default=None, help="on the disk to measure; default: a new one here"
    )
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=arguments.directory or Path.cwd()) as directory:
        react(lambda reactor: Deferred.fromCoroutine(run(reactor, arguments.events, Path(directory))))


if __name__ == "__main__":
    main()
