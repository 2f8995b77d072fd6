"""Answers that are good for a while, bounded in number and size. Pure."""

from __future__ import annotations

from collections import OrderedDict
from typing import Generic, TypeVar

from msgspec import Struct

V = TypeVar("V")


class Kept(Struct, Generic[V], frozen=True):
    """One answer."""

    value: V
    asked: float
    """When it was true, by a monotonic clock."""
    size: int


class KeptAnswers(Generic[V]):
    """The answers that were asked for last.

    Args:
        most: how many are kept.
        room: bytes of all of them, by the sizes that are told.

    """

    def __init__(self, *, most: int, room: int) -> None:
        self._most = most
        self._room = room
        self._kept: OrderedDict[str, Kept[V]] = OrderedDict()
        self.size = 0

    def __len__(self) -> int:
        return len(self._kept)

    def get(self, key: str) -> Kept[V] | None:
        """Return what is kept, however old."""
        kept = self._kept.get(key)
        if kept is not None:
            self._kept.move_to_end(key)
        return kept

    def put(self, key: str, value: V, *, asked: float, size: int) -> None:
        """Keep an answer; others go where there is no room. One that is larger than all the room is not kept."""
        self.drop(key)
        if size > self._room:
            return
        self._kept[key] = Kept(value, asked, size)
        self.size += size
        while len(self._kept) > self._most or self.size > self._room:
            self.drop(next(iter(self._kept)))

    def drop(self, key: str) -> None:
        """Keep it no more."""
        gone = self._kept.pop(key, None)
        if gone is not None:
            self.size -= gone.size
