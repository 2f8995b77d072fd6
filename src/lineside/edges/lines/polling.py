"""Asking a device again and again, but never while it still owes an answer."""

from __future__ import annotations

from collections.abc import Callable

from msgspec import Struct
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

log = Logger()


class Poll(Struct, frozen=True):
    """What a device is asked, and how often."""

    send: bytes
    """The question as it goes out, its end included."""
    every: float
    """Seconds from one question to the next."""
    timeout: float = 5.0
    """Seconds after which an answer is missing, and the device may be asked again."""


class Polling:
    """Asks one device as long as it is connected. Any frame from it counts as the answer.

    A question that comes due while an answer is outstanding, or while nothing is read from the device, is left
    out; the next ones keep to the beat of the first.

    Args:
        poll: what is asked.
        clock: must follow a monotonic clock.
        source: for the log.
        send: writes to the device.
        reading: whether what it says is read at present.

    """

    def __init__(
        self,
        poll: Poll,
        clock: IReactorTime,
        source: str,
        send: Callable[[bytes], None],
        reading: Callable[[], bool],
    ) -> None:
        self.unanswered = 0
        """Questions in a row that had no answer in time."""
        self._poll = poll
        self._clock = clock
        self._source = source
        self._send = send
        self._reading = reading
        self._owed: Deferred[None] | None = None
        self._overdue: IDelayedCall | None = None
        self._asking = LoopingCall(self._ask)
        self._asking.clock = clock

    def start(self) -> None:
        """Ask for the first time, now."""
        self._asking.start(self._poll.every).addErrback(
            lambda failure: log.failure("lines.poll_failed", failure=failure, source=self._source)
        )

    def stop(self) -> None:
        """Ask no more."""
        if self._asking.running:
            self._asking.stop()
        self._settle()

    def answered(self) -> None:
        """Take a frame of the device."""
        if self.unanswered:
            log.info("lines.poll_answered", source=self._source, unanswered=self.unanswered)
            self.unanswered = 0
        self._settle()

    def _ask(self) -> Deferred[None] | None:
        if not self._reading():
            return None
        owed = self._owed = Deferred()
        self._overdue = self._clock.callLater(self._poll.timeout, self._give_up)
        self._send(self._poll.send)
        return owed

    def _give_up(self) -> None:
        self.unanswered += 1
        if self.unanswered == 1:
            log.warn(
                "lines.poll_unanswered",
                source=self._source,
                seconds=self._poll.timeout,
                remedy="does the device know this poll, and does its answer end as the source expects?",
            )
        self._settle()

    def _settle(self) -> None:
        if self._overdue is not None and self._overdue.active():
            self._overdue.cancel()
        owed, self._owed = self._owed, None
        if owed is not None:
            owed.callback(None)
