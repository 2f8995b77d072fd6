"""Line devices as they behave on a shop floor: patient, in order, and never the ones to lose a line."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from itertools import chain, repeat
from random import Random

from msgspec import Struct
from twisted.internet.defer import Deferred, TimeoutError  # noqa: A004 - what addTimeout raises
from twisted.internet.interfaces import IDelayedCall, IReactorTime, IStreamClientEndpoint
from twisted.logger import Logger
from twisted.python.failure import Failure

from lineside.testing.connection import LineConnection, dialling
from lineside.testing.ledger import Ledger, Line
from lineside.testing.pace import Pace
from lineside.testing.speech import AS_LINES, Speech
from lineside.wire import answers

log = Logger()

CLOSE_WITHIN = 2.0
"""Seconds a connection may take to close before it is cut."""

RESEND_DELAYS = (0.2, 0.5, 1.0, 2.0, 5.0)
"""Seconds before refused lines are sent again, for each refusal in a row; the last one repeats."""


class Counts(Struct):
    """What a device has done so far."""

    sent: int = 0
    """Lines sent, each counted once."""
    acked: int = 0
    errors: int = 0
    """Lines the gateway took as dead letters."""
    unavailable: int = 0
    """Answers "not stored, send it again"."""
    resent: int = 0
    """Lines sent another time, after a cut or because the gateway was unavailable."""
    connections: int = 0
    reconnects: int = 0
    """Connections after the first."""
    timeouts: int = 0
    """Connections cut because an answer was overdue."""
    commands: int = 0
    """Commands that came, replied to or not."""


class _Sent(Struct):
    """A line the gateway has given no final answer to."""

    line: Line
    sent_at: float
    frame: bytes


class LineDevice:
    """Sends lines to a gateway until each has its answer, through refused, cut and hanging connections.

    At most ``window`` lines are without an answer at any time. Answers belong to lines in order. After a
    cut the device cannot know what became of the unanswered lines, and sends all of them again, in order,
    before any new one. A line answered "unavailable" or "busy" goes out again after a delay, and no new
    line before it; with a window of 1 the gateway therefore stores lines in exactly the order of ``lines``.

    ``lines`` is asked for a line only when it can be sent at once. ``rate`` is in lines per second; what an
    outage kept back is caught up for at most one second's worth. ``answer_timeout`` is how many seconds the
    gateway may leave all unanswered lines without one answer before the connection is cut. ``speech`` is how
    the device frames lines and hears answers. ``wall`` gives the time stamps in the ledger, seconds since 1970.
    Everything happens on the reactor's thread.
    """

    def __init__(
        self,
        reactor: IReactorTime,
        endpoint: IStreamClientEndpoint,
        lines: Iterator[Line],
        ledger: Ledger,
        *,
        name: str = "device",
        window: int = 1,
        rate: float | None = None,
        answer_timeout: float = 30.0,
        speech: Speech = AS_LINES,
        wall: Callable[[], float] = time.time,
        random: Random | None = None,
    ) -> None:
        if window < 1:
            raise ValueError(f"a window of {window} lets no line out: it must be 1 or more")
        if answer_timeout <= 0:
            raise ValueError(f"an answer time-out of {answer_timeout} s gives the gateway no time")
        self.name = name
        self.counts = Counts()
        self.trouble: str | None = None
        """Why there is no connection, in one line; None while there is one, and before the first dial."""
        self._reactor = reactor
        self._lines = lines
        self._ledger = ledger
        self._window = window
        self._pace = None if rate is None else Pace(rate)
        self._wall = wall
        self._random = random if random is not None else Random()  # noqa: S311 - jitter
        self._frame = speech.framing().encode
        self._service = dialling(
            reactor,
            endpoint,
            self._dial_failed,
            lambda: LineConnection(self, reactor, answer_timeout, speech),
            self._random,
        )
        self._connection: LineConnection | None = None
        self._unanswered: deque[_Sent] = deque()
        self._again: deque[_Sent] = deque()
        """Not stored, as the gateway said. All are older than any in ``_unanswered``: no new line passes them."""
        self._again_at = 0.0
        self._refusals_in_a_row = 0
        self._wakeup: IDelayedCall | None = None
        self._exhausted = False
        self._failure: Failure | None = None
        self._settled_waiters: list[Deferred[None]] = []

    @property
    def unanswered(self) -> list[Line]:
        """The lines that were sent and have no final answer, oldest first."""
        return [sent.line for sent in chain(self._again, self._unanswered)]

    @property
    def connected(self) -> bool:
        """There is a connection now."""
        return self._connection is not None

    def _dial_failed(self, failure: Failure) -> None:
        self.trouble = failure.getErrorMessage()

    def start(self) -> None:
        """Dial the gateway, and keep dialling until `stop`."""
        self._service.startService()

    async def finished(self) -> None:
        """Wait until ``lines`` is exhausted, or the device is stopping, and every line has its answer.

        Raises:
            Exception: whatever ``lines`` or the ledger raised; the device has stopped sending.

        """
        await self._settled()
        if self._failure is not None:
            self._failure.raiseException()

    async def stop(self, within: float) -> list[Line]:
        """Send nothing new, wait up to ``within`` seconds for the answers still owed, and hang up.

        Until then the device reconnects and sends again as ever. Returns the lines without a final answer:
        the gateway may have stored them or not.
        """
        self._exhausted = True
        try:
            await self._settled().addTimeout(within, self._reactor)
        except TimeoutError:
            log.warn("device.unanswered", device=self.name, lines=len(self._again) + len(self._unanswered))
        self._cancel_wakeup()
        hung_up = self._service.stopService()
        if self.unanswered:
            self._cut()
        overdue = self._reactor.callLater(CLOSE_WITHIN, self._cut)
        try:
            await hung_up
        finally:
            if overdue.active():
                overdue.cancel()
        return self.unanswered

    def _settled(self) -> Deferred[None]:
        waiter: Deferred[None] = Deferred()
        self._settled_waiters.append(waiter)
        self._tell_settled()
        return waiter

    def _tell_settled(self) -> None:
        settled = self._exhausted and not self._unanswered and not self._again
        if settled or self._failure is not None:
            waiters, self._settled_waiters = self._settled_waiters, []
            for waiter in waiters:
                waiter.callback(None)

    def _cut(self) -> None:
        if self._connection is not None:
            connection, self._connection = self._connection, None
            connection.cut()

    def _fail(self) -> None:
        """Give up over what the source or the ledger raised: to go on would be to send lines unrecorded."""
        self._failure = Failure()
        log.error("device.failed", device=self.name, error=self._failure.getErrorMessage())
        self._cancel_wakeup()
        self._service.stopService()
        self._cut()
        self._tell_settled()

    # What its connection tells it ------------------------------------------------------------------------

    def opened(self, connection: LineConnection) -> None:
        """Send everything unanswered again, in order, then go on."""
        self._connection = connection
        self.counts.reconnects += 1 if self.counts.connections else 0
        self.counts.connections += 1
        self.trouble = None
        log.info("device.connected", device=self.name, again=len(self._again) + len(self._unanswered))
        self._unanswered = deque(chain(self._again, self._unanswered))
        self._again.clear()
        self._send_again(self._unanswered)
        self.go_on()

    def lost(self, connection: LineConnection, reason: Failure) -> None:
        """Keep what is unanswered; the service dials again."""
        if self._connection is connection:
            self._connection = None
        self.trouble = reason.getErrorMessage()
        log.info("device.cut", device=self.name, reason=self.trouble)

    def overdue(self) -> None:
        """Cut: a gateway that answers nothing is no better than none."""
        self.counts.timeouts += 1
        log.warn("device.answer_overdue", device=self.name)
        self._cut()

    def answered(self, connection: LineConnection, answer: answers.Ok | answers.Err) -> None:
        """Match the answer to the oldest unanswered line."""
        if connection is not self._connection:
            return
        if not self._unanswered:
            self.garbled("an answer to a line that was never sent")
            return
        sent = self._unanswered.popleft()
        try:
            match answer:
                case answers.Ok(seq):
                    self.counts.acked += 1
                    self._refusals_in_a_row = 0
                    self._ledger.on_ack(sent.line.id, sent.sent_at, seq)
                case answers.Err(again=True):
                    self.counts.unavailable += 1
                    self._postpone(sent)
                case answers.Err(code, reason):
                    self.counts.errors += 1
                    self._refusals_in_a_row = 0
                    self._ledger.on_error(sent.line.id, code, reason)
        except Exception:  # noqa: BLE001 - whatever the ledger raises belongs to `finished`
            self._fail()

    def obeyed(self) -> None:
        """Count a command."""
        self.counts.commands += 1

    def garbled(self, what: str) -> None:
        """Cut: when one answer is not understood, no later one can be matched to its line."""
        log.warn("device.answer_garbled", device=self.name, reason=what)
        self._cut()

    def _postpone(self, sent: _Sent) -> None:
        if not self._again:
            delay = RESEND_DELAYS[min(self._refusals_in_a_row, len(RESEND_DELAYS) - 1)]
            self._again_at = self._reactor.seconds() + delay * self._random.uniform(1.0, 1.5)
            self._refusals_in_a_row += 1
        self._again.append(sent)

    # Sending -------------------------------------------------------------------------------------------

    def go_on(self) -> None:
        """Send what may be sent now, and see to it that the rest has its turn."""
        connection = self._connection
        if connection is None:
            return
        if self._again and not self._unanswered:
            wait = self._again_at - self._reactor.seconds()
            if wait > 0:
                self._wake_in(wait)
            else:
                self._unanswered, self._again = self._again, deque()
                self._send_again(self._unanswered)
        if not self._again and not self._exhausted:
            try:
                self._send_new(connection)
            except Exception:  # noqa: BLE001 - whatever the source or the ledger raises belongs to `finished`
                self._fail()
                return
        connection.expect_answer(bool(self._unanswered))
        self._tell_settled()

    def _send_again(self, sent: deque[_Sent]) -> None:
        if sent and self._connection is not None:
            self.counts.resent += len(sent)
            self._connection.send([each.frame for each in sent])

    def _send_new(self, connection: LineConnection) -> None:
        room = self._window - len(self._unanswered)
        turns = room if self._pace is None else self._pace.take(room, self._reactor.seconds())
        frames = []
        try:
            for _ in repeat(None, turns):
                line = next(self._lines, None)
                if line is None:
                    self._exhausted = True
                    break
                frame = framed(line, self._frame)
                sent_at = self._wall()
                self._ledger.on_sent(line, sent_at)
                self._unanswered.append(_Sent(line, sent_at, frame))
                frames.append(frame)
        finally:
            self.counts.sent += len(frames)
            connection.send(frames)
        if self._pace is not None and turns < room and not self._exhausted:
            self._wake_in(self._pace.wait(self._reactor.seconds()))

    def _wake_in(self, seconds: float) -> None:
        if self._wakeup is not None:
            if self._wakeup.getTime() <= self._reactor.seconds() + seconds:
                return
            self._wakeup.cancel()
        self._wakeup = self._reactor.callLater(seconds, self._woken)

    def _woken(self) -> None:
        self._wakeup = None
        self.go_on()

    def _cancel_wakeup(self) -> None:
        if self._wakeup is not None:
            self._wakeup.cancel()
            self._wakeup = None


def framed(line: Line, encode: Callable[[bytes], bytes]) -> bytes:
    """Return a line as one frame.

    Raises:
        ValueError: it is blank, or is no one frame, and would not get one answer.

    """
    if not line.payload.strip():
        raise ValueError(f"line {line.id} is blank: it would get no answer")
    try:
        return encode(line.payload)
    except ValueError as wrong:
        raise ValueError(f"line {line.id} cannot be framed: {wrong}") from wrong
