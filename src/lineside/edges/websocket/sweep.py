"""What clients missed: the journal is looked through for all who come back at the same time together."""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from collections.abc import Awaitable, Callable

from msgspec import Struct
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.python.failure import Failure

from lineside.background import Background
from lineside.edges.websocket.channels import Publication

RECOVERED = 4 * 1024 * 1024
"""Bytes of events that are looked up at most for a client that comes back."""
AT_A_TIME = 4
"""Clients that are told in one turn of the reactor: each answer may be of some MiB."""


class Stretch(Struct, frozen=True):
    """What one look into the journal found."""

    found: list[tuple[str, Publication]]
    """Names and publications, by ascending offset."""
    floor: int
    """All at or below may be gone."""
    reached: int | None
    """From where there may be more; None if this is all."""
    looked: int
    """Stored bytes that were looked through."""


Look = Callable[[frozenset[str], int], Awaitable[Stretch]]
"""Looks for what is of any of these names above an offset, a bounded stretch far."""


class Missed:
    """What was found of one name, for whoever asked for it."""

    def __init__(self) -> None:
        self._offsets: list[int] = []
        self._publications: list[Publication] = []
        self._ends: list[int] = []

    def add(self, publication: Publication) -> None:
        """Keep the next one."""
        self._offsets.append(publication.offset)
        self._publications.append(publication)
        self._ends.append((self._ends[-1] if self._ends else 0) + len(bytes(publication.data)))

    def is_too_much(self, offset: int, limit: int) -> bool:
        """Tell whether more lies above ``offset`` than one is sent."""
        first = bisect_right(self._offsets, offset)
        before = self._ends[first - 1] if first else 0
        return len(self._offsets) - first > limit or (self._ends[-1] if self._ends else 0) - before > RECOVERED

    def since(self, offset: int) -> list[Publication]:
        """Return all above ``offset``."""
        return self._publications[bisect_right(self._offsets, offset) :]


class Asked:
    """One who came back."""

    __slots__ = ("limit", "looked", "name", "offset", "waits")

    def __init__(self, name: str, offset: int, limit: int) -> None:
        self.name = name
        self.offset = offset
        self.limit = limit
        self.looked = 0
        self.waits: Deferred[list[Publication] | None] = Deferred()


class Sweep:
    """Goes through the journal from the oldest offset on that anybody was at, one look after the other.

    Who comes back while it is under way goes along from where it is, or waits for the next one.

    Args:
        look: one at a time is asked for.
        clock: answers a few each turn.
        far: stored bytes that are looked through for one who came back; None for as many as it takes.

    """

    def __init__(self, look: Look, clock: IReactorTime, *, far: int | None = None) -> None:
        self._look = look
        self._clock = clock
        self._far = far
        self._waiting: list[Asked] = []
        self._working = Background("live")
        self._works = False
        self._ready: deque[tuple[Asked, Missed | None]] = deque()
        self._telling: IDelayedCall | None = None

    async def since(self, name: str, offset: int, limit: int) -> list[Publication] | None:
        """Return all of a name above ``offset``; None if some are gone, or if it is too much or too far back."""
        asked = Asked(name, offset, limit)
        self._waiting.append(asked)
        if not self._works:
            self._working.run("sweep", self._go())
        return await asked.waits

    def stop(self) -> None:
        """Let go of the journal; who waits is cancelled."""
        self._working.cancel()
        if self._telling is not None:
            self._telling.cancel()
            self._telling = None
        left = [each for each, _ in self._ready] + self._waiting
        self._ready.clear()
        self._waiting = []
        for each in left:
            each.waits.cancel()

    async def _go(self) -> None:
        self._works = True
        try:
            while self._waiting:
                await self._go_through()
        finally:
            self._works = False

    async def _go_through(self) -> None:
        asked, self._waiting = self._waiting, []
        missed: dict[str, Missed] = {}
        after = min(each.offset for each in asked)
        try:
            while asked:
                later = [each for each in self._waiting if each.offset >= after]
                if later:
                    self._waiting = [each for each in self._waiting if each.offset < after]
                    asked += later
                stretch = await self._look(frozenset(each.name for each in asked), after)
                for name, publication in stretch.found:
                    missed.setdefault(name, Missed()).add(publication)
                asked = [each for each in asked if not self._is_through(each, missed, stretch)]
                if asked and stretch.reached is not None:
                    after = max(stretch.reached, min(each.offset for each in asked))
        except CancelledError:
            _fail(asked)
            raise
        except Exception:  # noqa: BLE001 (whoever asked is told)
            _fail(asked)

    def _is_through(self, asked: Asked, missed: dict[str, Missed], stretch: Stretch) -> bool:
        if asked.waits.called:
            # It went meanwhile.
            return True
        found = missed.setdefault(asked.name, Missed())
        if asked.offset < stretch.floor or found.is_too_much(asked.offset, asked.limit):
            self._tell(asked, None)
            return True
        if stretch.reached is None:
            self._tell(asked, found)
            return True
        if stretch.reached > asked.offset:
            asked.looked += stretch.looked
            if self._far is not None and asked.looked > self._far:
                self._tell(asked, None)
                return True
        return False

    def _tell(self, asked: Asked, missed: Missed | None) -> None:
        self._ready.append((asked, missed))
        if self._telling is None:
            self._telling = self._clock.callLater(0, self._tell_some)

    def _tell_some(self) -> None:
        self._telling = None
        for _ in range(min(AT_A_TIME, len(self._ready))):
            asked, missed = self._ready.popleft()
            if not asked.waits.called:
                asked.waits.callback(None if missed is None else missed.since(asked.offset))
        if self._ready and self._telling is None:
            self._telling = self._clock.callLater(0, self._tell_some)


def _fail(asked: list[Asked]) -> None:
    failure = Failure()
    for each in asked:
        if not each.waits.called:
            each.waits.errback(failure)
