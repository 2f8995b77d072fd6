"""One device's connection: lines in, answers out, in order."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import (
    IConsumer,
    IDelayedCall,
    IHalfCloseableProtocol,
    IPushProducer,
    ITCPTransport,
)
from twisted.internet.protocol import connectionDone
from twisted.logger import Logger
from twisted.protocols.basic import LineReceiver
from twisted.python.failure import Failure
from zope.interface import implementer

from lineside.model.event import Event, Receipt
from lineside.wire.answers import BUSY, UNAVAILABLE, encode_err, encode_ok
from lineside.wire.lines import content, too_long

if TYPE_CHECKING:
    from lineside.edges.lines.source import LinesSource

log = Logger()


@implementer(IHalfCloseableProtocol)
class DeviceConnection(LineReceiver):
    """Takes lines from a device and answers each one, in order, once its event is committed.

    The lines of one chunk are appended together. While too many wait for the disk, or the device does
    not read its answers, nothing more is read from it.
    """

    delimiter = b"\n"
    transport: ITCPTransport

    def __init__(self, source: LinesSource) -> None:
        self.source = source
        self.MAX_LENGTH = source.limits.max_line
        self._batch: list[Event] = []
        self._in_flight = 0
        self._held_by: set[str] = set()
        self._overlong = bytearray()
        self._overlong_size = 0
        self._unsplit = b""
        self._lost = False
        self._idle: IDelayedCall | None = None
        self._ended = False
        self._finishing = False
        self._discarding = False

    def connectionMade(self) -> None:
        """Admit the device, or tell it that there is no room."""
        self.peer = _name_peer(self.transport)
        if not self.source.admit(self):
            # What it has sent meanwhile is not taken: it was told that nothing is read.
            self._discarding = True
            self.transport.write(encode_err(BUSY, "too many connections"))
            self.transport.loseConnection()
            return
        IConsumer(self.transport).registerProducer(_AnswerPressure(self), streaming=True)
        self._touch()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Forget the device. What it sent is committed all the same; it will ask again for the answers."""
        if self._idle is not None and self._idle.active():
            self._idle.cancel()
        if left := len(self._buffer) + self._overlong_size:
            log.info("lines.unterminated", source=self.source.id, peer=self.peer, bytes=left)
        self._lost = True
        self.source.dismiss(self)

    def dataReceived(self, data: bytes) -> None:
        """Split the chunk, then append what it held in one go."""
        if self._discarding:
            return
        if data:
            self._touch()
        super().dataReceived(data)
        while self._unsplit:
            # `LineReceiver` ends its turn after an over-long line; what followed it is still to be split.
            unsplit, self._unsplit = self._unsplit, b""
            super().dataReceived(unsplit)
        self._append_batch()

    def lineReceived(self, line: bytes) -> None:
        """Decode one line. An empty line is a device's sign of life and has no answer."""
        said = content(line)
        if said:
            self._take(self.source.decoder.decode(said, self.peer))

    def lineLengthExceeded(self, line: bytes) -> None:
        """Collect the line up to its end; ``line`` holds its beginning and whatever follows."""
        self.setRawMode()
        self._unsplit = line

    def rawDataReceived(self, data: bytes) -> None:
        """Keep an over-long line's bytes as far as is bearable, then go on with the next line."""
        part, delimiter, following = data.partition(self.delimiter)
        self._overlong_size += len(part)
        self._overlong += part[: max(0, self.source.limits.max_kept - len(self._overlong))]
        if delimiter:
            self._take(too_long(bytes(self._overlong), self._overlong_size, self.MAX_LENGTH, self.peer))
            self._overlong, self._overlong_size = bytearray(), 0
            self.setLineMode(following)

    def readConnectionLost(self) -> None:
        """The device sends no more: let it have its answers, then close (it may have closed both ways already)."""
        self._ended = True
        self.finish()

    def writeConnectionLost(self) -> None:
        """Our side is ended; nothing more is to be done until the device ends its own."""

    def finish(self) -> None:
        """Read no more; close once everything received is answered."""
        self._finishing = True
        self.hold("finishing")
        self._append_batch()
        self._close_when_answered()

    def _take(self, event: Event) -> None:
        self._batch.append(event)
        if self._in_flight + len(self._batch) >= self.source.limits.max_in_flight:
            self.hold("disk")

    def _append_batch(self) -> None:
        if self._batch:
            events, self._batch = self._batch, []
            self._in_flight += len(events)
            if self.source.crowded_by(self, events):
                self.hold("crowd")
            Deferred.fromCoroutine(self.source.append(events)).addCallbacks(
                self._answer, self._answer_failure, callbackArgs=(events,), errbackArgs=(events,)
            ).addErrback(self._give_up)

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
        self.source.not_stored(failure)
        self._answered([encode_err(UNAVAILABLE, "not stored, send it again")] * len(events))

    def _answered(self, answers: list[bytes]) -> None:
        self._in_flight -= len(answers)
        if not self._lost:
            if self.source.limits.ack:
                self.transport.write(b"".join(answers))
            if 2 * self._in_flight <= self.source.limits.max_in_flight:
                self.let_go("disk")
        self._close_when_answered()

    def _give_up(self, failure: Failure) -> None:
        log.failure("lines.failed", failure=failure, source=self.source.id, peer=self.peer)
        self.abort()

    def _close_when_answered(self) -> None:
        if self._finishing and not self._in_flight and not self._lost:
            IConsumer(self.transport).unregisterProducer()
            if self._ended:
                self.transport.loseConnection()
                return
            # Closing a socket with unread bytes resets it, and the device would lose its last answers:
            # end our side, and throw away what still comes until the device ends its own.
            self._discarding = True
            self.clearLineBuffer()
            self.let_go("finishing")
            self.transport.loseWriteConnection()

    def hold(self, why: str) -> None:
        """Read nothing more, until every reason is let go."""
        if not self._held_by:
            self.pauseProducing()
        self._held_by.add(why)

    def let_go(self, why: str) -> None:
        """One reason is gone."""
        if why in self._held_by:
            self._held_by.remove(why)
            if not self._held_by:
                self.resumeProducing()

    def _touch(self) -> None:
        timeout = self.source.limits.idle_timeout
        if self._idle is not None and self._idle.active():
            self._idle.reset(timeout)
        elif timeout:
            self._idle = self.source.clock.callLater(timeout, self._fell_silent)

    def _fell_silent(self) -> None:
        if self._held_by & {"disk", "crowd"}:
            self._touch()
            return
        log.info("lines.silent", source=self.source.id, peer=self.peer, seconds=self.source.limits.idle_timeout)
        self.abort()

    def abort(self) -> None:
        """Cut the connection at once."""
        if not self._lost:
            self.transport.abortConnection()


@implementer(IPushProducer)
class _AnswerPressure:
    """Told by the transport when the device does not read its answers, and when it does again."""

    def __init__(self, connection: DeviceConnection) -> None:
        self._connection = connection

    def pauseProducing(self) -> None:
        self._connection.hold("answers")

    def resumeProducing(self) -> None:
        self._connection.let_go("answers")

    def stopProducing(self) -> None:
        pass


def _name_peer(transport: ITCPTransport) -> str:
    peer = transport.getPeer()
    host = getattr(peer, "host", None)
    return host if isinstance(host, str) else type(peer).__name__
