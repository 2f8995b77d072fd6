"""Lines over a stream: one device's connection, framed by LF, with its session's way back."""

from __future__ import annotations

from twisted.internet.interfaces import IConsumer, IHalfCloseableProtocol, ITCPTransport
from twisted.internet.protocol import connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from lineside import straight
from lineside.edges.lines.intake import Intake
from lineside.edges.lines.receiver import LineReceiver
from lineside.edges.lines.session import Session
from lineside.edges.lines.stream import AnswerPressure, Farewell, Naming, end_stream, name_peer
from lineside.wire.lines import content, contents, too_long

log = Logger()


@implementer(IHalfCloseableProtocol)
class DeviceConnection(LineReceiver):
    """Finds the lines of a device's stream for its `Session`, and is the session's `Link`."""

    delimiter = b"\n"
    judges_length = True
    transport: ITCPTransport

    def __init__(self, intake: Intake, named: Naming = name_peer) -> None:
        self.MAX_LENGTH = intake.limits.max_line
        self._intake = intake
        self._named = named
        self._session = Session(intake, self)
        self._farewell = Farewell(intake.clock)
        self._begun = bytearray()
        """The latest part of a line whose end has not come. To split all of it for each byte costs its square."""
        self._overlong = bytearray()
        self._overlong_size = 0
        self._ended = False
        self._discarding = False

    def connectionMade(self) -> None:
        """Begin the session, unless there is no room for it."""
        self.peer = self._named(self.transport)
        if self._session.open():
            IConsumer(self.transport).registerProducer(AnswerPressure(self._session), streaming=True)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """End the session."""
        if self._buffer and not (self._intake.limits.ack or self._discarding):
            # TLS gives on what it has decrypted though we are paused. Nobody will send it again.
            self.paused = False
            super().dataReceived(b"")
        left = len(self._buffer) + len(self._begun) + self._overlong_size
        if left and self._intake.may_say("lines.unterminated"):
            log.info("lines.unterminated", source=self._intake.id, peer=self.peer, bytes=left)
        self._farewell.over()
        self._session.closed()

    def dataReceived(self, data: bytes) -> None:
        """Split the chunk, and append what it held in one go."""
        if self._discarding:
            return
        session = self._session
        if data:
            session.heard()
        end = data.find(b"\n")
        if data and not (self.paused or self._busyReceiving or self.line_mode != 1):
            if end == len(data) - 1 <= self.MAX_LENGTH and not (self._buffer or self._begun):
                # Most devices send one line and wait for its answer.
                if said := content(data[:-1]):
                    session.take_one(said)
                return
            if end < 0 and len(self._buffer) + len(self._begun) + len(data) <= self.MAX_LENGTH:
                self._begun += data
                return
        if self._begun:
            data = bytes(self._begun) + data
            self._begun.clear()
        super().dataReceived(data)

    def linesReceived(self, lines: list[bytes]) -> None:
        """Take a chunk's lines. An empty line is a device's sign of life and has no answer."""
        if max(map(len, lines)) <= self.MAX_LENGTH:
            if said := contents(lines):
                self._session.take(said)
            return
        for line in lines:
            if len(line) > self.MAX_LENGTH:
                kept = line[: self._intake.limits.max_kept]
                self._session.keep(too_long(kept, len(line), self.MAX_LENGTH, self.peer))
            elif said := contents([line]):
                self._session.take(said)

    def lineLengthExceeded(self, line: bytes) -> None:
        """Collect an unended line that is too long already, up to its end."""
        self.setRawMode()
        self.rawDataReceived(line)

    def rawDataReceived(self, data: bytes) -> None:
        """Keep an over-long line's bytes as far as is bearable, then go on with the next line."""
        part, delimiter, following = data.partition(self.delimiter)
        self._overlong_size += len(part)
        self._overlong += part[: max(0, self._intake.limits.max_kept - len(self._overlong))]
        if delimiter:
            self._session.keep(too_long(bytes(self._overlong), self._overlong_size, self.MAX_LENGTH, self.peer))
            self._overlong, self._overlong_size = bytearray(), 0
            self.setLineMode(following)

    def readConnectionLost(self) -> None:
        """The device sends no more: let it have its answers, then close (it may have closed both ways already)."""
        self._ended = True
        self._session.finish()

    def writeConnectionLost(self) -> None:
        """Our side is ended; nothing more is to be done until the device ends its own."""

    def pause(self) -> None:
        """Read and split no more; see `lineside.edges.lines.session.Link`."""
        self.pauseProducing()

    def resume(self) -> None:
        """Split what was read, then read on."""
        self.resumeProducing()

    def answer(self, answers: bytes) -> None:
        """Send answers."""
        straight.write(self.transport, answers)

    def say(self, frame: bytes) -> None:
        """Send a line; see `lineside.edges.lines.session.Link`."""
        if b"\n" in frame:
            raise ValueError("it holds a line end")
        straight.write(self.transport, frame + b"\n")

    def refuse(self, answer: bytes) -> None:
        """Hang up with one answer. What the device has sent meanwhile is not taken: it is told so."""
        self._discarding = True
        self.transport.write(answer)
        self._farewell.begin(self.transport)

    def turn_out(self, answer: bytes) -> None:
        """Hang up with one answer after all others; see `lineside.edges.lines.session.Link`."""
        IConsumer(self.transport).unregisterProducer()
        self._discard()
        self.refuse(answer)

    def expel(self, reason: str) -> None:
        """End the session for who is not to be here any longer."""
        self._session.turn_out(reason)

    def end(self) -> None:
        """Close, or end our side first; see `lineside.edges.lines.session.Link`."""
        at_once = self._ended or not self._intake.limits.ack
        end_stream(self.transport, self._discard, at_once=at_once)

    def abort(self) -> None:
        """Cut the connection at once."""
        self.transport.abortConnection()

    def _discard(self) -> None:
        self._discarding = True
        self._begun.clear()
        self.clearLineBuffer()
        self.resumeProducing()
