"""What a device's connection does with its frames, however they are framed and whatever carries them.

This is the seam between bytes and events. A **framing** (`lineside.edges.lines.protocol` for lines over a stream)
finds the frames and drives a `Session`:

- `Session.open` when the device is there; false means that it was refused and that nothing more is to be taken;
- `Session.heard` for any sign of life;
- `Session.take` with the frames of a chunk, `Session.keep` for an event that the framing made itself, such as a
  frame that is too long; each has exactly one answer, in that order;
- `Session.flush` at the end of each chunk;
- `Session.finish` when the device sends no more, `Session.closed` when it is gone.

It is also the session's `Link`, its way back: to answer, to read no more, to end.
"""

from __future__ import annotations

import sqlite3
from typing import Protocol

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from lineside.edges.lines.intake import Intake
from lineside.model.event import Event, Receipt
from lineside.wire.answers import BUSY, UNAVAILABLE, encode_err, encode_ok

log = Logger()


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

    def refuse(self, answer: bytes) -> None:
        """Send this one answer, take nothing, hang up."""
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

    What is taken between two calls of `flush` is appended together. While too much waits for the disk, or the
    device does not read its answers, nothing more is read from it.
    """

    def __init__(self, intake: Intake, link: Link) -> None:
        self._intake = intake
        self._link = link
        self._taken: list[Event] = []
        self._in_flight = 0
        self._held_by: set[str] = set()
        self._idle: IDelayedCall | None = None
        self._finishing = False
        self._closed = False

    @property
    def peer(self) -> str:
        """Who the device is."""
        return self._link.peer

    def open(self) -> bool:
        """Admit the device, or tell it that there is no room."""
        if not self._intake.admit(self):
            self._link.refuse(encode_err(BUSY, "too many connections"))
            return False
        self.heard()
        return True

    def closed(self) -> None:
        """Forget the device. What it sent is committed all the same; it will ask again for the answers."""
        if self._idle is not None and self._idle.active():
            self._idle.cancel()
        self._closed = True
        self._intake.dismiss(self)

    def heard(self) -> None:
        """Take a sign of life."""
        timeout = self._intake.limits.idle_timeout
        if self._idle is not None and self._idle.active():
            self._idle.reset(timeout)
        elif timeout:
            self._idle = self._intake.clock.callLater(timeout, self._fell_silent)

    def take(self, frames: list[bytes]) -> None:
        """Decode frames; each becomes an event and has an answer. More than may be in flight is a pause."""
        decode = self._intake.decoder.decode
        peer = self.peer
        self._taken += [decode(frame, peer) for frame in frames]
        self._hold_if_ahead()

    def keep(self, event: Event) -> None:
        """Take an event that the framing made itself."""
        self._taken.append(event)
        self._hold_if_ahead()

    def flush(self) -> None:
        """Append what was taken."""
        if self._taken:
            events, self._taken = self._taken, []
            self._in_flight += len(events)
            if self._intake.crowded_by(self, events):
                self.hold("crowd")
            Deferred.fromCoroutine(self._intake.append(events)).addCallbacks(
                self._answer, self._answer_failure, callbackArgs=(events,), errbackArgs=(events,)
            ).addErrback(self._give_up)

    def finish(self) -> None:
        """Read no more; end once everything received is answered."""
        self._finishing = True
        self.hold("finishing")
        self.flush()
        self._end_when_answered()

    def abort(self) -> None:
        """Cut the connection at once."""
        if not self._closed:
            self._link.abort()

    def hold(self, why: str) -> None:
        """Read nothing more, until every reason is let go."""
        if not self._held_by:
            self._link.pause()
        self._held_by.add(why)

    def let_go(self, why: str) -> None:
        """One reason is gone."""
        if why in self._held_by:
            self._held_by.remove(why)
            if not self._held_by:
                self._link.resume()

    def _hold_if_ahead(self) -> None:
        if self._in_flight + len(self._taken) >= self._intake.limits.max_in_flight:
            self.hold("disk")

    def _answer(self, receipts: list[Receipt], events: list[Event]) -> None:
        answers = []
        for receipt in receipts:
            if receipt.error is None:
                answers.append(encode_ok(receipt.seq))
            else:
                code, _, reason = receipt.error.partition(": ")
                answers.append(encode_err(code, reason))
        self._answered(answers)

    def _answer_failure(self, failure: Failure, events: list[Event]) -> None:
        failure.trap(sqlite3.Error, OSError)
        self._intake.not_stored(failure)
        self._answered([encode_err(UNAVAILABLE, "not stored, send it again")] * len(events))

    def _answered(self, answers: list[bytes]) -> None:
        self._in_flight -= len(answers)
        if not self._closed:
            if self._intake.limits.ack:
                self._link.answer(b"".join(answers))
            if 2 * self._in_flight <= self._intake.limits.max_in_flight:
                self.let_go("disk")
        self._end_when_answered()

    def _give_up(self, failure: Failure) -> None:
        log.failure("lines.failed", failure=failure, source=self._intake.id, peer=self.peer)
        self.abort()

    def _end_when_answered(self) -> None:
        if self._finishing and not self._in_flight and not self._closed:
            # The hold stays: from here on only the link knows when to read, to throw it away.
            self._link.end()

    def _fell_silent(self) -> None:
        if self._held_by & {"disk", "crowd"}:
            self.heard()
            return
        seconds = self._intake.limits.idle_timeout
        log.info("lines.silent", source=self._intake.id, peer=self.peer, seconds=seconds)
        self.abort()
