"""Runs of keys in the database: tens of thousands that arrived one after the other, written once and never changed.

A run's digests are sorted and cut into buckets of about thirty. A bucket is one row, whose number a digest gives.
Each function is one statement or two, however many keys it is about: between two steps of a statement the writer's
thread would have to wait for the reactor's.
"""

from __future__ import annotations

import sys
from array import array
from bisect import bisect_left
from collections.abc import Iterator
from functools import partial
from sqlite3 import Connection
from struct import Struct

import msgspec

from lineside.journal.keydigests import SIZE
from lineside.journal.keyfilter import Fingerprints

MOST = 65_535
"""Keys of a run; see `Fingerprints`."""
BUCKETS = 1024
_SHIFT = 6
"""What of a digest's first 16 bits is not its bucket's number."""
_STARTS = [(number << _SHIFT).to_bytes(2, "big") for number in range(BUCKETS)]

# A key's sequence and time take as many bytes as its digest, so that they stand at the same place of their column.
_FACTS = Struct(">qq")
assert _FACTS.size == SIZE

_encoder = msgspec.json.Encoder()


def store(
    connection: Connection, digests: list[bytes], seqs: list[int], stamps: list[int]
) -> tuple[int, Fingerprints]:
    """Store a run of up to `MOST` keys: their digests, ascending, their sequences and times of arrival.

    Returns its number, which is above those of all runs before, and what the filter has to know of it.
    """
    count = len(digests)
    row = connection.execute("INSERT INTO key_run (newest_ns) VALUES (?) RETURNING id", (max(stamps),)).fetchone()
    run: int = row[0]
    facts = array("q", bytes(SIZE * count))
    facts[0::2], facts[1::2] = array("q", seqs), array("q", stamps)
    if sys.byteorder == "little":
        facts.byteswap()
    edges = list(map(partial(bisect_left, digests), _STARTS))
    connection.execute(
        """INSERT INTO key_bucket (id, digests, facts)
           SELECT ?1 + number, substr(?4, 16 * first + 1, 16 * (last - first)),
                  substr(?5, 16 * first + 1, 16 * (last - first))
           FROM (SELECT key AS number, value AS first, lead(value, 1, ?3) OVER (ORDER BY key) AS last
                 FROM json_each(?2))
           WHERE last > first""",
        (run * BUCKETS, _json(edges), count, b"".join(digests), facts.tobytes()),
    )
    fingerprints = Fingerprints.of(digests)
    connection.execute(
        "INSERT INTO key_filter (run, counts, prints) VALUES (?, ?, ?)",
        (run, fingerprints.counts, fingerprints.prints),
    )
    return run, fingerprints


def find(
    connection: Connection, digests: list[bytes], candidates: list[tuple[int, int]]
) -> Iterator[tuple[bytes, int, int]]:
    """Yield those of ``digests`` that are in the runs where they may be, with their sequences and times of arrival.

    Args:
        connection: the journal's.
        digests: what is looked for.
        candidates: places of digests, each with a run.

    """
    wanted = [digests[place] for place, _ in candidates]
    rows = [
        run * BUCKETS + (int.from_bytes(digest[:2], "big") >> _SHIFT)
        for digest, (_, run) in zip(wanted, candidates, strict=True)
    ]
    # The digests of a bucket are as good as random: found between two of them is none.
    (found,) = connection.execute(
        """SELECT group_concat(place || ':' || hex(substr(facts, at, 16)), ' ')
           FROM (SELECT asked.key AS place, facts, instr(digests, substr(?2, 16 * asked.key + 1, 16)) AS at
                 FROM json_each(?1) AS asked CROSS JOIN key_bucket ON key_bucket.id = asked.value)
           WHERE at % 16 = 1""",
        (_json(rows), b"".join(wanted)),
    ).fetchone()
    for each in (found or "").split():
        place, _, facts = each.partition(":")
        seq, received_ns = _FACTS.unpack(bytes.fromhex(facts))
        yield wanted[int(place)], seq, received_ns


def newest(connection: Connection) -> dict[int, int]:
    """Return for each run, ascending, when the last of its keys arrived."""
    return dict(connection.execute("SELECT id, newest_ns FROM key_run ORDER BY id"))


def filters(connection: Connection) -> Iterator[tuple[int, Fingerprints]]:
    """Yield each run, ascending, with what the filter has to know of it."""
    for run, counts, prints in connection.execute("SELECT run, counts, prints FROM key_filter ORDER BY run"):
        yield run, Fingerprints(counts, prints)


def read(connection: Connection, run: int) -> Iterator[tuple[bytes, bytes]]:
    """Yield a run's buckets: digests, and as many bytes of sequences and times."""
    yield from connection.execute(
        "SELECT digests, facts FROM key_bucket WHERE id BETWEEN ? AND ? ORDER BY id", _rows(run)
    )


def problem(connection: Connection, run: int, fingerprints: Fingerprints | None, last: int) -> str | None:
    """Return what is wrong with a run of a journal whose last event is ``last``; None where nothing is."""
    digests: list[bytes] = []
    for joined, facts in read(connection, run):
        if len(joined) != len(facts) or len(joined) % SIZE:
            return "a key is stored in part only"
        digests += [joined[at : at + SIZE] for at in range(0, len(joined), SIZE)]
        if any(seq > last for seq, _ in _FACTS.iter_unpack(facts)):
            return "a key is of an event that is not there"
    if digests != sorted(set(digests)):
        return "its keys are not in order"
    if fingerprints is None or fingerprints != Fingerprints.of(digests):
        return "its filter is that of other keys: repeats would be stored again"
    return None


def remove(connection: Connection, run: int) -> None:
    """Remove a run."""
    connection.execute("DELETE FROM key_bucket WHERE id BETWEEN ? AND ?", _rows(run))
    connection.execute("DELETE FROM key_filter WHERE run = ?", (run,))
    connection.execute("DELETE FROM key_run WHERE id = ?", (run,))


def _rows(run: int) -> tuple[int, int]:
    return run * BUCKETS, (run + 1) * BUCKETS - 1


def _json(numbers: list[int]) -> str:
    return _encoder.encode(numbers).decode()
