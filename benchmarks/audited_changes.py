"""What the record of who did what costs: changes a second with it and without, and how fast it is verified.

The change is a pause that is made and taken back: one commit each. See README.md.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.task import react

from lineside.operations.audit import Audit
from lineside.operations.auditlog import AUDIT
from lineside.operations.pauses import PAUSES, Pauses
from lineside.operations.registry import Operations
from lineside.operations.requests import Pause, Resume, VerifyAudit
from lineside.security.identity import LOCAL_USER
from lineside.store.database import Database

ROUTES = 32


async def change(operations: Operations, route: str, times: int) -> None:
    """Pause and resume a route, one after the other."""
    for _ in range(times // 2):
        await operations.call(Pause(kind="route", id=route), LOCAL_USER, "benchmark")
        await operations.call(Resume(kind="route", id=route), LOCAL_USER, "benchmark")


async def rate(operations: Operations, at_a_time: int, changes: int) -> float:
    """Return changes a second."""
    began = time.monotonic()
    each = changes // at_a_time
    await gatherResults(
        [Deferred.fromCoroutine(change(operations, f"r-{number}", each)) for number in range(at_a_time)]
    )
    return at_a_time * (each // 2 * 2) / (time.monotonic() - began)


async def run(reactor: Any, changes: int, rounds: int, directory: Path) -> None:
    """Measure in turn."""
    database = Database(directory / "journal.db", (PAUSES, AUDIT), reactor.callFromThread)
    await database.open()
    audit = Audit(database, reactor, time.time_ns)
    pauses = Pauses(database, {"route": {f"r-{number}": lambda _: None for number in range(ROUTES)}}, time.time_ns)
    plain, audited = Operations(), Operations(audit)
    for operations in (plain, audited):
        pauses.register(operations)
    audit.register(audited)
    found: dict[tuple[int, str], list[float]] = defaultdict(list)
    for _ in range(rounds):
        for at_a_time in (1, ROUTES):
            for name, operations in (("without", plain), ("with", audited)):
                found[at_a_time, name].append(await rate(operations, at_a_time, changes))
    for (at_a_time, name), rates in found.items():
        print(
            f"{at_a_time:3} at a time {name:8} {statistics.median(rates):8,.0f} changes/s  "
            f"({min(rates):,.0f} to {max(rates):,.0f})"
        )
    began = time.monotonic()
    verdict = await audited.call(VerifyAudit(), LOCAL_USER)
    print(f"{verdict.entries:,} entries verified in {time.monotonic() - began:.2f} s, broken: {verdict.broken}")
    print(f"load {os.getloadavg()[0]:.1f}")
    await database.close()


def main() -> None:
    """Read the arguments and run."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--changes", type=int, default=1_000, help="of one measurement")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument(
        "--directory", type=Path, default=None, help="on the disk to measure; default: a new one here"
    )
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=arguments.directory or Path.cwd()) as directory:
        react(
            lambda reactor: Deferred.fromCoroutine(
                run(reactor, arguments.changes, arguments.rounds, Path(directory))
            )
        )


if __name__ == "__main__":
    main()
