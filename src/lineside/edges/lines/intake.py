"""What all connections of one source share: room, the way to the journal, pressure, the end."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from lineside.edges.lines.forged import refuse_forged
from lineside.model.batch import OBJECTS, Batch, Receipts
from lineside.model.errors import CommitInDoubt, JournalFull, JournalUnusable, SourcePaused
from lineside.model.event import Event
from lineside.model.ports import Journal
from lineside.wire.answers import UNAVAILABLE, encode_err, encode_receipts
from lineside.wire.decoding import Decoder, batches_of

if TYPE_CHECKING:
    from lineside.edges.lines.commands import ConnectedLines
    from lineside.edges.lines.session import Session
    from lineside.security.limits import Rate
    from lineside.security.turnstile import ConnectionShare, Door

log = Logger()

DRAIN = 5.0
"""Seconds that connections get to take their last answers when the gateway stops."""
BUSY_EVERY = 10.0
"""Seconds between two lines of the log of one kind about connections that come and go."""
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
    rate: Rate | None = None
    """Lines of one connection; with more it is paused."""


class Share(Struct, eq=False):
    """What came in one turn of the reactor and is to be one batch: frames to decode, or events already."""

    frames: list[bytes] = msgspec.field(default_factory=list)
    events: list[Event] = msgspec.field(default_factory=list)
    runs: list[tuple[Session, str, int]] = msgspec.field(default_factory=list)
    """Whose the next so many of them are, and what the sender is called."""


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
        decoder: Decoder,
        journal: Journal,
        clock: IReactorTime,
        limits: Limits,
    ) -> None:
        self.id = id
        self.decode = batches_of(decoder)
        """Makes a batch of frames and of who sent them, mostly once a turn."""
        self.clock = clock
        self.limits = limits
        self.sessions: set[Session] = set()
        self.received = 0
        self.undecodable = 0
        self.on_frames: Callable[[], None] | None = None
        """Called whenever a device's frames were taken, before they are stored."""
        self.on_batch: Callable[[Batch, list[tuple[str, int]]], None] | None = None
        """Called with each batch before it is stored: it, and how many of its events, in order, each peer sent."""
        self.commands: ConnectedLines | None = None
        """Which device is on which connection, where the source sends commands; None where it does not."""
        self.share: ConnectionShare | None = None
        """What one address may have of the connections; None for all."""
        self.door: Door | None = None
        """From where anybody may come; None for everywhere."""
        self.own_device_only = False
        """Whether an event that names another device than its sender is no event, but a dead letter."""
        self._journal = journal
        self._turn: list[Share] = []
        self._share: Share | None = None
        """The last one of the turn, to which more may be added."""
        self._turn_bytes = 0
        self._waiting_bytes = 0
        self._crowd: set[Session] = set()
        self._shared: dict[Session, str] = {}
        """By whom each session is counted in `share`."""
        self._failing = False
        self._turned_away = 0
        self._busy_told: float | None = None
        self._said: dict[str, float] = {}
        self._emptied: Deferred[None] | None = None

    async def drain(self) -> None:
        """Let every session answer what it received and end; those that take over `DRAIN` seconds are cut."""
        late = self.clock.callLater(DRAIN, self._cut_all)
        for session in list(self.sessions):
            session.finish()
        # Of those who left in this very turn, too: the journal may be closed before the next one.
        self._hand_on()
        if self.sessions:
            emptied = self._emptied = Deferred()
            await emptied
            # A connection may have left something as it ended.
            self._hand_on()
        if late.active():
            late.cancel()

    def admit(self, session: Session) -> bool:
        """Count a session in, if there is room."""
        if len(self.sessions) >= self.limits.max_connections:
            self._turn_away(session.peer)
            return False
        if self.share is not None:
            if not self.share.admits(session.peer):
                return False
            # What a session is called may change while it is open.
            self._shared[session] = session.peer
            self.share.enter(session.peer)
        self.sessions.add(session)
        return True

    def admits(self, peer: str) -> bool:
        """Tell whether an address may come at all."""
        return self.door is None or self.door.admits(peer)

    def may_say(self, name: str) -> bool:
        """Return whether to log an event of this name now: each connection of a flood has a cause for one."""
        now = self.clock.seconds()
        due = now - self._said.get(name, float("-inf")) >= BUSY_EVERY
        if due:
            self._said[name] = now
        return due

    def _turn_away(self, peer: str) -> None:
        self._turned_away += 1
        now = self.clock.seconds()
        if self._busy_told is None or now - self._busy_told >= BUSY_EVERY:
            # Thousands may knock in a second.
            log.warn(
                "lines.busy",
                source=self.id,
                connections=len(self.sessions),
                turned_away=self._turned_away,
                peer=peer,
            )
            self._busy_told, self._turned_away = now, 0

    def dismiss(self, session: Session) -> None:
        """Count a session out."""
        self.sessions.discard(session)
        peer = self._shared.pop(session, None)
        if self.share is not None and peer is not None:
            self.share.leave(peer)
        self._crowd.discard(session)
        if not self.sessions and self._emptied is not None:
            emptied, self._emptied = self._emptied, None
            emptied.callback(None)

    def append(self, session: Session, frames: list[bytes]) -> bool:
        """Append frames, at least one, with all others of this turn of the reactor; the answers go to the session.

        Returns whether the source holds more than it may: then the session is to wait, and is let go later.
        """
        share = self._share_of_frames()
        share.frames += frames
        share.runs.append((session, session.peer, len(frames)))
        return self._weigh(session, OBJECTS * len(frames) + sum(map(len, frames)))

    def append_one(self, session: Session, frame: bytes) -> bool:
        """Append a single frame, as `append` does."""
        share = self._share_of_frames()
        share.frames.append(frame)
        share.runs.append((session, session.peer, 1))
        return self._weigh(session, OBJECTS + len(frame))

    def append_event(self, session: Session, event: Event) -> bool:
        """Append what is an event already, as `append` does frames."""
        share = self._share
        if share is None or share.frames:
            share = self._begin()
        share.events.append(event)
        if share.runs and share.runs[-1][:2] == (session, session.peer):
            share.runs[-1] = (session, session.peer, share.runs[-1][2] + 1)
        else:
            share.runs.append((session, session.peer, 1))
        return self._weigh(session, event.size)

    def _share_of_frames(self) -> Share:
        # All that can be one batch is: what each by itself would cost is spent once.
        share = self._share
        return self._begin() if share is None or share.events else share

    def _begin(self) -> Share:
        if not self._turn:
            self.clock.callLater(0, self._hand_on)
        share = self._share = Share()
        self._turn.append(share)
        return share

    def _weigh(self, session: Session, size: int) -> bool:
        if self.on_frames is not None:
            self.on_frames()
        self._turn_bytes += size
        self._waiting_bytes += size
        if self._waiting_bytes > CROWDED:
            self._crowd.add(session)
            return True
        return False

    def _hand_on(self) -> None:
        turn, self._turn = self._turn, []
        size, self._turn_bytes = self._turn_bytes, 0
        self._share = None
        if turn:
            Deferred.fromCoroutine(self._append(turn)).addCallbacks(
                self._stored, self._not_stored, callbackArgs=(turn, size), errbackArgs=(turn, size)
            ).addErrback(self._give_up, turn)

    async def _append(self, turn: list[Share]) -> list[Receipts]:
        batches = [self._batch(share) for share in turn]
        return await self._journal.append_batches(self.id, batches)

    def _batch(self, share: Share) -> Batch:
        senders = [(sender, count) for _, sender, count in share.runs]
        first = senders[0][0]
        if share.events:
            batch = Batch.of(share.events)
        elif all(sender == first for sender, _ in senders):
            batch = self.decode(share.frames, first)
        else:
            batch = self.decode(share.frames, None)
            batch.name_senders(senders)
        if self.own_device_only:
            refuse_forged(batch, senders)
        if self.on_batch is not None:
            self.on_batch(batch, senders)
        if self.commands is not None:
            self.commands.heard(batch, [(session.line, count) for session, _, count in share.runs])
        return batch

    def _stored(self, receipts: list[Receipts], turn: list[Share], size: int) -> None:
        self._room(size)
        if self._failing:
            self._failing = False
            log.info("journal.writes_again", source=self.id)
        for share, told in zip(turn, receipts, strict=True):
            self.received += told.count
            self.undecodable += len(told.errors)
            answers = encode_receipts(told, [count for _, _, count in share.runs])
            for (session, _, count), answer in zip(share.runs, answers, strict=True):
                session.answered(count, answer)

    def _not_stored(self, failure: Failure, turn: list[Share], size: int) -> None:
        self._room(size)
        failure.trap(sqlite3.Error, OSError, JournalUnusable)
        self._alarm(failure)
        if failure.check(CommitInDoubt):
            # Without an answer the device knows as little as we do.
            self._cut(turn)
            return
        answer = encode_err(UNAVAILABLE, "not stored, send it again")
        for share in turn:
            for session, _, count in share.runs:
                session.answered(count, answer * count)

    def _room(self, size: int) -> None:
        self._waiting_bytes -= size
        if self._crowd and 2 * self._waiting_bytes <= CROWDED:
            crowd, self._crowd = self._crowd, set()
            for session in crowd:
                session.let_go("crowd")

    def _give_up(self, failure: Failure, turn: list[Share]) -> None:
        log.failure("lines.failed", failure=failure, source=self.id)
        self._cut(turn)

    def _cut(self, turn: list[Share]) -> None:
        for share in turn:
            for session, _, _ in share.runs:
                session.abort()

    def _alarm(self, failure: Failure) -> None:
        # Once, not for every line.
        if not self._failing:
            self._failing = True
            log.error(
                "journal.cannot_write",
                source=self.id,
                reason=str(failure.value),
                remedy=f"{_remedy(failure)}; devices are told to send again",
            )

    def _cut_all(self) -> None:
        for session in list(self.sessions):
            session.abort()


def _remedy(failure: Failure) -> str:
    if failure.check(SourcePaused):
        return "a person paused the source; part.resumed follows when it goes on"
    if failure.check(JournalFull):
        return "journal.full in this log names it"
    if failure.check(JournalUnusable):
        return "lineside journal check says where it is damaged, lineside journal restore puts a backup back"
    return "free space on the journal's disk or check it"
