"""Senders' keys a second at the journal, with many keys kept: ascending keys, and random ones.

The journal alone, without sockets: batches are appended as the lines edge does, each synced before the next. Keys
are stored beforehand until as many are kept as is asked for. See docs/performance.md.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from lineside.journal.log import SqliteJournal
from lineside.journal.tables import JOURNAL
from lineside.model.batch import Batch
from lineside.store.database import Database
from lineside.testing.workers import InlineWorker, call_at_once

BATCH = 4_000
BODY = b'{"kind":"count","item":"00123","qty":7,"station":"press-07","shift":"A"}'


def random_keys(start: int) -> Iterator[str]:
    """Yield keys without any order."""
    while True:
        yield hashlib.blake2b(start.to_bytes(8), digest_size=12).hexdigest()
        start += 1


def ascending_keys(start: int) -> Iterator[str]:
    """Yield keys as a counter makes them."""
    while True:
        yield f"scan-{start:012d}"
        start += 1


def finished(work: Deferred[object]) -> object:
    """Return the result of what inline workers have done already."""
    result = work.result
    if isinstance(result, Failure):
        result.raiseException()
    return result


def store(journal: SqliteJournal, keys: Iterator[str], count: int) -> float:
    """Append so many events; return how many a second."""
    began = time.perf_counter()
    for _ in range(0, count, BATCH):
        batch = Batch([BODY] * BATCH, "bench", [next(keys) for _ in range(BATCH)])
        finished(Deferred.fromCoroutine(journal.append_batches("bench", [batch])))
    return count / (time.perf_counter() - began)


def measure(kind: str, kept: int, count: int, within: Path) -> dict[str, object]:
    """Fill a journal with keys of a kind, then measure more of them."""
    with tempfile.TemporaryDirectory(dir=within) as directory:
        database = Database(Path(directory) / "journal.db", (JOURNAL,), call_at_once, worker=InlineWorker)
        journal = SqliteJournal(database)
        finished(Deferred.fromCoroutine(database.open()))
        finished(Deferred.fromCoroutine(journal.open()))
        keys = random_keys(0) if kind == "random" else ascending_keys(0)
        store(journal, keys, kept)
        rate = store(journal, keys, count)
        finished(Deferred.fromCoroutine(database.close()))
    return {"keys": kind, "kept": kept, "per_second": round(rate)}


def main() -> None:
    """Print a line for each kind of key."""
    parser = argparse.ArgumentParser(description="Measure the keys that a journal takes a second.")
    parser.add_argument("--kept", type=int, default=1_000_000, help="keys stored beforehand (default 1,000,000)")
    parser.add_argument("--count", type=int, default=100_000, help="keys measured (default 100,000)")
    parser.add_argument("--directory", type=Path, default=Path.cwd(), help="where the data goes: a real disk")
    parser.add_argument("--json", action="store_true", help="print one JSON object a line")
    arguments = parser.parse_args()
    for kind in ("ascending", "random"):
        row = measure(kind, arguments.kept, arguments.count, arguments.directory)
        print(
            json.dumps(row) if arguments.json else "{keys:>10} keys, {kept:,} kept: {per_second:,}/s".format(**row)
        )


if __name__ == "__main__":
    main()
