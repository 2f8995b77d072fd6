"""What a device's connection does with its frames, however they are framed and whatever carries them.

This is the seam between bytes and events. A **framing** (`lineside.edges.lines.protocol` for lines over a stream)
finds the frames and drives a `Session`:

- `Session.open` when the device is there; false means that it was refused and that nothing more is to be taken;
- `Session.heard` for any sign of life;
- `Session.take` with the frames of a chunk, `Session.keep` for an event that the framing made itself, such as a
  frame that is too long; each has exactly one answer, in that order. What all sessions of a source take in one turn
  of the reactor is appended together;
- `Session.finish` when the device sends no more, `Session.closed` when it is gone.

It is also the session's `Link`, its way back: to answer, to read no more, to end.
"""

from __future__ import annotations

from typing import Protocol

from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger

from lineside.edges.lines.commands import ConnectedLine
from lineside.edges.lines.intake import Intake
from lineside.model.event import Event
from lineside.security.limits import Meter
from lineside.wire.answers import BUSY, encode_err

log = Logger()

TURNED_OUT = 5.0
"""Seconds that who is turned out has for the answers that it still gets."""


class Link(Protocol):
    """The way back to one device. Called on the reactor's thread; nothing is called after `Session.closed`."""

    @property
    def peer(self) -> str:
        """Who the device is, where its frames don't say."""
        ...

    def pause(self) -> None:
        """Read nothing more, and give no further frames, until `resume`."""
        ...

    def resume(self) -> None:
        """Read on, beginning with what was read and not framed yet."""
        ...

    def answer(self, answers: bytes) -> None:
        """Send answers; what the device does not read at once is kept."""
        ...

    def say(self, frame: bytes) -> None:
        """Send what answers nothing, framed as the device frames its own.

        Raises:
            ValueError: the framing cannot carry it.

        """
        ...

    def refuse(self, answer: bytes) -> None:
        """Send this one answer, take nothing, hang up."""
        ...

    def turn_out(self, answer: bytes) -> None:
        """Everything taken is answered: take nothing more, send this, hang up."""
        ...

    def end(self) -> None:
        """Everything taken is answered: end our side, then the connection as soon as no answer is lost by it.

        Called while paused; what still comes is to be thrown away. A second call follows where the device
        ends its own side later.
        """
        ...

    def abort(self) -> None:
        """Cut the connection at once."""
        ...


class Session:
    """Takes a device's frames and answers each one, in order, once its event is committed.

    While too much of it waits for the disk, or the device does not read its answers, nothing more is read from it.
    More than may be in flight is never split: a chunk's frames are taken whole, and then it is paused.
    """

    def __init__(self, intake: Intake, link: Link) -> None:
        self._intake = intake
        self._link = link
        self._in_flight = 0
        self._heard_at = 0.0
        self._held_by: set[str] = set()
        self._idle: IDelayedCall | None = None
        self._finishing = False
        self._closed = False
        rate = intake.limits.rate
        self._meter = None if rate is None else Meter(rate)
        self._afford: IDelayedCall | None = None
        self._last_words: bytes | None = None
        """What who is turned out is told once all else is answered."""
        self._late: IDelayedCall | None = None
        self.line: ConnectedLine | None = None
        """For commands to the device, where its source sends any."""

    @property
    def peer(self) -> str:
        """Who the device is."""
        return self._link.peer

    @property
    def held(self) -> bool:
        """Whether nothing is read from the device at present."""
        return bool(self._held_by)

    def open(self) -> bool:
        """Admit the device, or tell it that there is no room."""
        if not self._intake.admit(self):
            self._link.refuse(encode_err(BUSY, "too many connections"))
            return False
        if self._intake.commands is not None:
            self.line = self._intake.commands.opened(self._link)
        self.heard()
        self._watch(self._intake.limits.idle_timeout)
        return True

    def closed(self) -> None:
        """Forget the device. What it sent is committed all the same; it will ask again for the answers."""
        if self._idle is not None and self._idle.active():
            self._idle.cancel()
        for call in (self._late, self._afford):
            if call is not None and call.active():
                call.cancel()
        self._closed = True
        if self.line is not None:
            self.line.end("the connection was lost")
        self._intake.dismiss(self)

    def heard(self) -> None:
        """Take a sign of life."""
        # The timer looks at this when it ends: moving it each time would cost more than all the rest of a line.
        self._heard_at = self._intake.clock.seconds()
        if self.line is not None:
            self.line.spoke()

    def take(self, frames: list[bytes]) -> int:
        """Take frames, at least one; each becomes an event and has an answer, but for replies to commands.

        Returns how many will be answered.
        """
        if self.line is not None and self.line.listens:
            frames = self.line.without_replies(frames)
            if not frames:
                return 0
        if self._meter is not None:
            self._spend(len(frames))
        self._in_flight += len(frames)
        if self._in_flight >= self._intake.limits.max_in_flight:
            self.hold("disk")
        if self._intake.append(self, frames):
            self.hold("crowd")
        return len(frames)

    def take_one(self, frame: bytes) -> None:
        """Take a chunk's only frame, as `take` does."""
        if self.line is not None and self.line.listens and not self.line.without_replies([frame]):
            return
        if self._meter is not None:
            self._spend(1)
        self._in_flight += 1
        if self._in_flight >= self._intake.limits.max_in_flight:
            self.hold("disk")
        if self._intake.append_one(self, frame):
            self.hold("crowd")

    def keep(self, event: Event) -> None:
        """Take an event that the framing made itself."""
        if self._meter is not None:
            self._spend(1)
        self._in_flight += 1
        if self._in_flight >= self._intake.limits.max_in_flight:
            self.hold("disk")
        if self._intake.append_event(self, event):
            self.hold("crowd")

    def answered(self, count: int, answers: bytes) -> None:
        """Take the answers to the next ``count`` frames; for `Intake`."""
        self._in_flight -= count
        if not self._closed:
            if self._intake.limits.ack:
                self._link.answer(answers)
            if self._held_by and 2 * self._in_flight <= self._intake.limits.max_in_flight:
                self.let_go("disk")
        if self._finishing:
            self._end_when_answered()

    def finish(self) -> None:
        """Read no more; end once everything received is answered."""
        self._finishing = True
        if self.line is not None:
            self.line.end("nothing more was read from the device")
        self.hold("finishing")
        self._end_when_answered()

    def turn_out(self, reason: str) -> None:
        """Take nothing more; answer what was taken, say why, and hang up, all within `TURNED_OUT` seconds."""
        if self._closed or self._late is not None:
            return
        self._late = self._intake.clock.callLater(TURNED_OUT, self.abort)
        if not self._finishing:
            self._last_words = encode_err(BUSY, reason)
            self.finish()

    def abort(self) -> None:
        """Cut the connection at once."""
        if not self._closed:
            self._link.abort()

    def hold(self, why: str) -> None:
        """Read nothing more, until every reason is let go."""
        if not self._held_by:
            self._link.pause()
        self._held_by.add(why)
        if self.line is not None and why == "answers":
            self.line.hold()

    def let_go(self, why: str) -> None:
        """One reason is gone."""
        if why in self._held_by:
            self._held_by.remove(why)
            if not self._held_by:
                self._link.resume()
            if self.line is not None and why == "answers":
                self.line.go_on()

    def _spend(self, count: int) -> None:
        assert self._meter is not None
        now = self._intake.clock.seconds()
        self._meter.take(count, now)
        wait = self._meter.wait(now)
        if wait and self._afford is None and not self._closed:
            self.hold("rate")
            self._afford = self._intake.clock.callLater(wait, self._go_on)

    def _go_on(self) -> None:
        assert self._meter is not None
        # More may have come than what was paid for when the wait began.
        wait = self._meter.wait(self._intake.clock.seconds())
        self._afford = self._intake.clock.callLater(wait, self._go_on) if wait else None
        if not wait:
            self.let_go("rate")

    def _end_when_answered(self) -> None:
        if self._finishing and not self._in_flight and not self._closed:
            # The hold stays: from here on only the link knows when to read, to throw it away.
            words, self._last_words = self._last_words, None
            if words is None:
                self._link.end()
            else:
                self._link.turn_out(words)

    def _watch(self, seconds: float) -> None:
        if seconds:
            self._idle = self._intake.clock.callLater(seconds, self._look_for_silence)

    def _look_for_silence(self) -> None:
        timeout = self._intake.limits.idle_timeout
        if self._held_by & {"disk", "crowd", "rate"}:
            self.heard()
        left = self._heard_at + timeout - self._intake.clock.seconds()
        if left > 0:
            self._watch(left)
            return
        log.info("lines.silent", source=self._intake.id, peer=self.peer, seconds=timeout)
        self.abort()
