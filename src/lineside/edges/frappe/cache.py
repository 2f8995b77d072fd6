"""What was answered before, bounded in number and in bytes: what was not looked at for longest goes first. Pure."""

from __future__ import annotations

from collections import OrderedDict

from msgspec import Struct

ENTRY_BYTES = 400
"""What an entry takes beside its key and its value, about."""


class Entry(Struct, frozen=True):
    """One answer."""

    value: bytes | None
    """None for what is not there."""
    at: float
    """When it was asked for, in monotonic seconds."""


class Cache:
    """Answers by question.

    Args:
        entries: so many at most.
        size: bytes at most; a single answer larger than an eighth of it is not kept.

    """

    def __init__(self, entries: int, size: int) -> None:
        self._most = entries
        self._room = size
        self._kept: OrderedDict[bytes, Entry] = OrderedDict()
        self.size = 0
        """Bytes in use, about."""

    def __len__(self) -> int:
        return len(self._kept)

    def get(self, key: bytes) -> Entry | None:
        """Return what is kept, however old."""
        entry = self._kept.get(key)
        if entry is not None:
            self._kept.move_to_end(key)
        return entry

    def keep(self, key: bytes, entry: Entry) -> None:
        """Keep an answer in the place of an older one."""
        self.drop(key)
        cost = _cost(key, entry)
        if cost > self._room // 8:
            return
        self._kept[key] = entry
        self.size += cost
        while self.size > self._room or len(self._kept) > self._most:
            oldest, gone = self._kept.popitem(last=False)
            self.size -= _cost(oldest, gone)

    def drop(self, key: bytes) -> None:
        """Forget an answer, if it is kept."""
        entry = self._kept.pop(key, None)
        if entry is not None:
            self.size -= _cost(key, entry)


def _cost(key: bytes, entry: Entry) -> int:
    return ENTRY_BYTES + len(key) + len(entry.value or b"")
