"""What all connections of one source share: room, the way to the journal, pressure, the end."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from lineside.model.event import Event, Receipt
from lineside.model.ports import Journal
from lineside.wire.jsonl import JsonLines

if TYPE_CHECKING:
    from lineside.edges.lines.session import Session

log = Logger()

DRAIN = 5.0
"""Seconds that connections get to take their last answers when the gateway stops."""
CROWDED = 64 * 1024 * 1024
"""Bytes of one source that may wait for the disk before its devices are paused."""


class Limits(Struct, frozen=True):
    """What one source bears."""

    max_line: int = 65_536
    """Bytes of a line without its delimiter."""
    max_kept: int = 262_144
    """Bytes that are kept of a line that is too long."""
    max_in_flight: int = 4_096
    """Lines of one connection that may wait for the disk before it is paused."""
    max_connections: int = 1_024
    idle_timeout: float = 300.0
    """Seconds of silence after which a device is cut off; 0 for never."""
    ack: bool = True
    """Whether lines are answered."""


class Intake:
    """One source's events on their way to the journal, from however many sessions.

    It knows nothing of sockets: who listens, dials or opens a port makes a `Session` for each device, and the
    session comes here.

    Args:
        id: the source's name in the configuration.
        decoder: makes an event of a frame.
        journal: where the events go.
        clock: for silence and for the end; must follow a monotonic clock.
        limits: what the source bears.

    """

    def __init__(
        self,
        id: str,  # noqa: A002 (what the configuration calls it)
        decoder: JsonLines,
        journal: Journal,
        clock: IReactorTime,
        limits: Limits,
    ) -> None:
        self.id = id
        self.decoder = decoder
        self.clock = clock
        self.limits = limits
        self.sessions: set[Session] = set()
        self.received = 0
        self.undecodable = 0
        self._journal = journal
        self._waiting_bytes = 0
        self._crowd: set[Session] = set()
        self._failing = False
        self._emptied: Deferred[None] | None = None

    async def drain(self) -> None:
        """Let every session answer what it received and end; those that take over `DRAIN` seconds are cut."""
        late = self.clock.callLater(DRAIN, self._cut_all)
        for session in list(self.sessions):
            session.finish()
        if self.sessions:
            emptied = self._emptied = Deferred()
            await emptied
        if late.active():
            late.cancel()

    def admit(self, session: Session) -> bool:
        """Count a session in, if there is room."""
        if len(self.sessions) >= self.limits.max_connections:
            log.warn("lines.busy", source=self.id, connections=len(self.sessions), peer=session.peer)
            return False
        self.sessions.add(session)
        return True

    def dismiss(self, session: Session) -> None:
        """Count a session out."""
        self.sessions.discard(session)
        self._crowd.discard(session)
        if not self.sessions and self._emptied is not None:
            emptied, self._emptied = self._emptied, None
            emptied.callback(None)

    async def append(self, events: list[Event]) -> list[Receipt]:
        """Append a session's events; see `lineside.model.ports.Journal.append`."""
        size = _size(events)
        self._waiting_bytes += size
        try:
            receipts = await self._journal.append(self.id, events)
        finally:
            self._waiting_bytes -= size
            if self._crowd and 2 * self._waiting_bytes <= CROWDED:
                crowd, self._crowd = self._crowd, set()
                for session in crowd:
                    session.let_go("crowd")
        self.received += len(events)
        self.undecodable += sum(receipt.error is not None for receipt in receipts)
        if self._failing:
            self._failing = False
            log.info("journal.writes_again", source=self.id)
        return receipts

    def crowded_by(self, session: Session, events: list[Event]) -> bool:
        """Whether ``events`` are more than the source may still hold; the session is let go later."""
        if self._waiting_bytes + _size(events) <= CROWDED:
            return False
        self._crowd.add(session)
        return True

    def not_stored(self, failure: Failure) -> None:
        """The journal could not store events: raise the alarm once, not for every line."""
        if not self._failing:
            self._failing = True
            log.error(
                "journal.cannot_write",
                source=self.id,
                reason=str(failure.value),
                remedy="free space on the journal's disk or check it; devices are told to send again",
            )

    def _cut_all(self) -> None:
        for session in list(self.sessions):
            session.abort()


def _size(events: list[Event]) -> int:
    return sum(event.size for event in events)
