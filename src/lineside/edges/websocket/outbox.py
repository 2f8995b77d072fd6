"""What waits to be sent to a client, and how it goes out: one write a client and turn of the reactor.

A write to a socket costs the kernel more than all else that is done for a message; so whatever comes for a client
within a turn goes out in one. When a round of writes takes long the next one waits as long, to have more to carry
and to leave time for all else; but not where nothing more comes, since who publishes waits for the last one to have
it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.interfaces import IDelayedCall, IPushProducer, IReactorTime
from zope.interface import implementer

from lineside import straight

AT_ONCE = 0.001
"""A round of writes that takes no longer is followed by the next in the next turn."""
LATEST = 0.010
"""Seconds that a message waits for company at most."""
IN_VAIN = 63
"""Rounds that do not wait, at most, after one that waited for nothing."""


class Rounds:
    """Empties outboxes, all that have something, in one round.

    Args:
        clock: calls; must follow a monotonic clock.

    """

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._fills: dict[Callable[[], None], None] = {}
        self._due: list[Outbox] = []
        self._next: IDelayedCall | None = None
        self._took = 0.0
        self._ended = 0.0
        self._waits = False
        self._company = False
        self.alone = False
        """A single fill is under way, which puts one frame into each outbox: an empty one need not keep it."""
        self._in_vain = 0
        """Rounds that go without waiting, after a wait that brought nothing; doubled each time."""
        self._without = 0

    def first(self, fill: Callable[[], None]) -> None:
        """Have something put into outboxes when the next round begins; once, however often this is asked for."""
        if self._waits and fill in self._fills:
            self._company = True
        self._fills[fill] = None
        if self._next is None:
            self._plan()

    def add(self, outbox: Outbox) -> None:
        """Let an outbox take part in the next round."""
        self._due.append(outbox)
        if self._next is None:
            self._plan()

    def _plan(self) -> None:
        self._next = self._clock.callLater(0, self._begin)

    def _begin(self) -> None:
        rest = min(self._took, LATEST) - (self._clock.seconds() - self._ended)
        if self._took <= AT_ONCE or rest <= 0:
            self._go_round()
        elif self._without:
            self._without -= 1
            self._go_round()
        else:
            self._waits, self._company = True, False
            self._next = self._clock.callLater(rest, self._go_round)

    def _go_round(self) -> None:
        if self._waits:
            self._waits = False
            self._in_vain = 0 if self._company else min(2 * self._in_vain + 1, IN_VAIN)
            self._without = self._in_vain
        began = self._clock.seconds()
        fills, self._fills = self._fills, {}
        self.alone = len(fills) == 1
        try:
            for fill in fills:
                fill()
        finally:
            self.alone = False
            # What is filled now goes out in this round, not in one of its own.
            self._next = None
        due, self._due = self._due, []
        for outbox in due:
            outbox.empty()
        self._ended = self._clock.seconds()
        self._took = self._ended - began


@implementer(IPushProducer)
class Outbox:
    """The whole WebSocket frames that wait for one client.

    Args:
        transport: to the client; the outbox is registered as its producer.
        rounds: empty it.
        room: bytes that may wait while the client takes nothing; a frame is let in as long as they are not exceeded
            yet, however large it is itself.
        overflow: called once when there is no more room; what waited is dropped then.
        paused: called with true when the client takes no more for now, and with false when it goes on.

    """

    __slots__ = (
        "_closed",
        "_frames",
        "_overflow",
        "_paused",
        "_room",
        "_rounds",
        "_tell_paused",
        "_transport",
        "_write",
        "size",
    )

    def __init__(
        self,
        transport: Any,
        rounds: Rounds,
        *,
        room: int,
        overflow: Callable[[], None],
        paused: Callable[[bool], None] = lambda _: None,
    ) -> None:
        self._transport = transport
        self._write = straight.writer(transport)
        self._rounds = rounds
        self._room = room
        self._overflow = overflow
        self._tell_paused = paused
        self._frames: list[bytes] = []
        self._paused = False
        self._closed = False
        self.size = 0
        """Bytes that wait here, beside what the transport holds."""
        transport.registerProducer(self, True)

    def put(self, frame: bytes) -> None:
        """Let whole frames go out after all others."""
        if self._rounds.alone and not (self._frames or self._paused or self._closed):
            self._write(frame)
            return
        if self._closed:
            return
        if self.size > self._room:
            # Much may come within a turn; too much is what the client does not take.
            self.empty()
            if self.size:
                self.close()
                self._overflow()
                return
        if not self._frames and not self._paused:
            self._rounds.add(self)
        self._frames.append(frame)
        self.size += len(frame)

    def empty(self) -> None:
        """Write what waits, unless the client takes nothing at present."""
        frames = self._frames
        if self._paused or self._closed or not frames:
            return
        data = frames[0] if len(frames) == 1 else b"".join(frames)
        self._frames = []
        self.size = 0
        self._write(data)

    def close(self) -> None:
        """Take no more, and drop what waits. Called more than once it does nothing."""
        if not self._closed:
            self._closed = True
            self._frames = []
            self.size = 0
            self._transport.unregisterProducer()

    def pauseProducing(self) -> None:
        """Too much waits in the transport already."""
        self._paused = True
        self._tell_paused(True)

    def resumeProducing(self) -> None:
        """Go on."""
        self._paused = False
        if self._frames:
            self._rounds.add(self)
        self._tell_paused(False)

    def stopProducing(self) -> None:
        """The connection is lost."""
        self._closed = True
        self._frames = []
