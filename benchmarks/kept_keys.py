"""Senders' keys a second at the journal, with many keys kept: ascending keys, and random ones.

The journal alone, without sockets: batches are appended as the lines edge does, each synced before the next. Keys
are stored beforehand until as many are kept as is asked for. See docs/performance.md.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import islice
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


def random_key(number: int) -> str:
    """Return one of keys without any order."""
    return hashlib.blake2b(number.to_bytes(8), digest_size=12).hexdigest()


def ascending_key(number: int) -> str:
    """Return a key as a counter makes it."""
    return f"scan-{number:012d}"


def finished(work: Deferred[object]) -> object:
    """Return the result of what inline workers have done already."""
    result = work.result
    if isinstance(result, Failure):
        result.raiseException()
    return result


@contextmanager
def opened(path: Path) -> Iterator[SqliteJournal]:
    """Open a journal in this thread."""
    database = Database(path, (JOURNAL,), call_at_once, worker=InlineWorker)
    journal = SqliteJournal(database)
    finished(Deferred.fromCoroutine(database.open()))
    finished(Deferred.fromCoroutine(journal.open()))
    yield journal
    finished(Deferred.fromCoroutine(database.close()))


def store(journal: SqliteJournal, keys: Iterator[str]) -> tuple[int, float, float, float]:
    """Append an event for each key; return how many, the seconds and the processor's, and the longest batch's."""
    count = 0
    wall = processor = longest = 0.0
    while batch := list(islice(keys, BATCH)):
        # What the benchmark does to make keys and bodies is not measured.
        batches = [Batch([BODY] * len(batch), "bench", list(batch))]
        began, used = time.perf_counter(), time.process_time()
        finished(Deferred.fromCoroutine(journal.append_batches("bench", batches)))
        took = time.perf_counter() - began
        wall, processor, longest = wall + took, processor + time.process_time() - used, max(longest, took)
        count += len(batch)
    return count, wall, processor, longest


def resident() -> int:
    """Return the memory that this process has, in bytes."""
    fields = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(fields["VmRSS"].split()[0]) * 1024


def start(path: Path) -> dict[str, object]:
    """Open a journal as a process does that starts; return how long it takes, and the memory it leaves taken."""
    before, began = resident(), time.perf_counter()
    with opened(path):
        return {
            "opened_in_s": round(time.perf_counter() - began, 2),
            "memory_mb": round((resident() - before) / 1e6, 1),
        }


def measure(kind: str, key: Callable[[int], str], kept: int, count: int, within: Path) -> dict[str, object]:
    """Fill a journal with keys of a kind; then measure more of them, repeats of any, and a start."""
    with tempfile.TemporaryDirectory(dir=within) as directory:
        path = Path(directory) / "journal.db"
        with opened(path) as journal:
            store(journal, map(key, range(kept)))
            new, wall, processor, longest = store(journal, map(key, range(kept, kept + count)))
            chosen = random.Random(1).sample(range(kept + count), min(count, kept))
            head = journal.head
            repeats, repeats_wall, _, _ = store(journal, map(key, chosen))
            if journal.head != head:
                raise SystemExit("a repeat was stored as a new event")
        started = subprocess.run(
            [sys.executable, __file__, "--open", str(path)], capture_output=True, text=True, check=True
        )
        return {
            "keys": kind,
            "kept": kept,
            "per_second": round(new / wall),
            "processor_us": round(processor / new * 1e6, 1),
            "longest_batch_ms": round(longest * 1e3),
            "repeats_per_second": round(repeats / repeats_wall),
            **json.loads(started.stdout),
        }


def main() -> None:
    """Print a line for each kind of key."""
    parser = argparse.ArgumentParser(description="Measure the keys that a journal takes a second.")
    parser.add_argument("--kept", type=int, default=1_000_000, help="keys stored beforehand (default 1,000,000)")
    parser.add_argument("--count", type=int, default=200_000, help="keys measured (default 200,000)")
    parser.add_argument("--kind", choices=("ascending", "random"), help="only keys of this kind")
    parser.add_argument("--directory", type=Path, default=Path.cwd(), help="where the data goes: a real disk")
    parser.add_argument("--json", action="store_true", help="print one JSON object a line")
    parser.add_argument("--open", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.open is not None:
        print(json.dumps(start(arguments.open)))
        return
    for kind, key in (("ascending", ascending_key), ("random", random_key)):
        if arguments.kind not in {kind, None}:
            continue
        row = measure(kind, key, arguments.kept, arguments.count, arguments.directory)
        print(
            json.dumps(row)
            if arguments.json
            else (
                "{keys:>10} keys, {kept:,} kept: {per_second:,}/s, {processor_us} us of processor time each, "
                "longest batch {longest_batch_ms} ms; repeats {repeats_per_second:,}/s; "
                "opened in {opened_in_s} s, {memory_mb} MB"
            ).format(**row),
            flush=True,
        )


if __name__ == "__main__":
    main()
