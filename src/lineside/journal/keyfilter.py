"""Which run of stored keys may hold a key: two bytes of memory for each key that is kept. Pure.

A digest's first 12 bits name one of 4,096 buckets. A bucket is a string of fingerprints, the digests' third and
fourth bytes, run after run; how many belong to which run is counted for each run. So one search of one string asks
all runs at once, and the place of a fingerprint tells its run. Of keys that are not there, one in 2^28 for each key
that is kept is taken for one that may be: whoever asks has to look it up.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from functools import partial
from operator import add, sub
from struct import Struct

import msgspec

BUCKETS = 4096
_SHIFT = 4
"""What of a digest's first 16 bits is not its bucket's number."""
_STARTS = [(number << _SHIFT).to_bytes(2, "big") for number in range(BUCKETS)]
_FIELDS = Struct(">H2s12x")
_COUNTS = Struct(f"<{BUCKETS}H")


class Fingerprints(msgspec.Struct, frozen=True):
    """What the filter has to know of a run, as it is stored."""

    counts: bytes
    """How many keys are in each bucket: 16 bits each, little-endian."""
    prints: bytes
    """All fingerprints, by bucket."""

    @classmethod
    def of(cls, digests: list[bytes]) -> Fingerprints:
        """Return those of ascending digests, fewer than 65,536."""
        edges = [*map(partial(bisect_left, digests), _STARTS), len(digests)]
        counts = map(sub, edges[1:], edges)
        joined = b"".join(digests)
        prints = bytearray(2 * len(digests))
        prints[0::2], prints[1::2] = joined[2::16], joined[3::16]
        return cls(_COUNTS.pack(*counts), bytes(prints))


class KeyFilter:
    """The fingerprints of all runs."""

    def __init__(self) -> None:
        self._buckets = [bytearray() for _ in range(BUCKETS)]
        self._counts: dict[int, array[int]] = {}
        """By run, in the order of their fingerprints in each bucket."""

    def add(self, run: int, fingerprints: Fingerprints) -> None:
        """Add a run behind those that are there."""
        counts = array("H", _COUNTS.unpack(fingerprints.counts))
        prints, start = fingerprints.prints, 0
        for bucket, count in zip(self._buckets, counts, strict=True):
            end = start + 2 * count
            bucket.extend(prints[start:end])
            start = end
        self._counts[run] = counts

    def drop(self, run: int) -> None:
        """Take a run out."""
        before = [0] * BUCKETS
        for other, counts in self._counts.items():
            if other == run:
                break
            before = list(map(add, before, counts))
        for bucket, start, count in zip(self._buckets, before, self._counts.pop(run), strict=True):
            del bucket[2 * start : 2 * (start + count)]

    def search(self, digests: list[bytes]) -> list[tuple[int, int]]:
        """Return the places of those that may be there, each with the run: one digest may be in several runs."""
        if not self._counts:
            return []
        buckets = self._buckets
        found = [buckets[lead >> _SHIFT].find(wanted) for lead, wanted in _FIELDS.iter_unpack(b"".join(digests))]
        return [
            (place, run) for place, at in enumerate(found) if at >= 0 for run in self._runs_with(digests[place], at)
        ]

    def _runs_with(self, digest: bytes, at: int) -> list[int]:
        lead, wanted = _FIELDS.unpack(digest)
        number = lead >> _SHIFT
        bucket = self._buckets[number]
        runs = []
        while at >= 0:
            # One at an odd place is made of two neighbours' halves.
            if at % 2 == 0:
                runs.append(self._run_at(number, (len(bucket) - at) // 2))
            at = bucket.find(wanted, at + 1)
        return runs

    def _run_at(self, number: int, from_end: int) -> int:
        # Devices repeat what they sent last: the newest runs come first.
        for run in reversed(self._counts):
            from_end -= self._counts[run][number]
            if from_end <= 0:
                return run
        raise AssertionError("the counts of the runs do not agree with their fingerprints")
