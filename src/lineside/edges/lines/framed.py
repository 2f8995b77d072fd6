"""Frames of any kind over a stream: one device's connection, with its session's way back.

This is the choice between framings, for whoever has a stream to a device, listening or dialling: `connections`
returns what makes the stream's protocol, one for each connection. LF, by far the most frequent, has a faster one
(`lineside.edges.lines.protocol`). A protocol needs of its transport what it needs of TCP: ``abortConnection``,
``loseWriteConnection`` (which may end both sides), ``getPeer``, `IConsumer` and `IPushProducer`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from twisted.internet.interfaces import IConsumer, IHalfCloseableProtocol, IPushProducer, ITCPTransport
from twisted.internet.protocol import Protocol, connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from lineside import straight
from lineside.edges.lines.intake import Intake
from lineside.edges.lines.protocol import DeviceConnection
from lineside.edges.lines.session import Session
from lineside.edges.lines.stream import AnswerPressure, Farewell, Naming, end_stream, name_peer
from lineside.wire.framing import Fault, Framing

log = Logger()


def connections(framing: Callable[[], Framing] | None, named: Naming = name_peer) -> Callable[[Intake], Protocol]:
    """Return what makes the protocol of one connection into an `Intake`.

    Args:
        framing: makes the framing of one stream; None for lines that end with LF.
        named: tells who is at the other end.

    """
    if framing is None:
        return lambda intake: DeviceConnection(intake, named)
    return lambda intake: FramedConnection(intake, framing(), named)


@implementer(IHalfCloseableProtocol)
class FramedConnection(Protocol):
    """Gives the frames of a device's stream to its `Session`, and is the session's `Link`.

    Answers go out as the framing frames them. What is no frame is an event as well; bytes between frames have no
    answer. After a fatal fault the device is told, and nothing more is read.
    """

    transport: ITCPTransport

    def __init__(self, intake: Intake, framing: Framing, named: Naming = name_peer) -> None:
        self._intake = intake
        self._named = named
        self._framing = framing
        self._session = Session(intake, self)
        self._farewell = Farewell(intake.clock)
        self._unread = bytearray()
        self._paused = False
        self._ended = False
        self._discarding = False
        self._told_astray = False
        self._taken = self._answered = 0
        """Frames and faults that went to the session, and those of them that came back with their answers."""
        self._unanswered: deque[int] = deque()
        """Which of them have no answer, by their number."""

    def connectionMade(self) -> None:
        """Begin the session, unless there is no room for it."""
        self.peer = self._named(self.transport)
        if self._session.open():
            IConsumer(self.transport).registerProducer(AnswerPressure(self._session), streaming=True)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """End the session. What came and was no frame is kept."""
        if not self._discarding:
            self._take_rest()
        left = self._framing.pending + len(self._unread)
        if left and self._intake.may_say("lines.unterminated"):
            log.info("lines.unterminated", source=self._intake.id, peer=self.peer, bytes=left)
        self._farewell.over()
        self._session.closed()

    def dataReceived(self, data: bytes) -> None:
        """Find the frames of the chunk, and append them in one go."""
        if self._discarding:
            return
        self._session.heard()
        if self._paused:
            self._unread += data
        else:
            self._feed(data)

    def readConnectionLost(self) -> None:
        """The device sends no more: let it have its answers, then close (it may have closed both ways already)."""
        self._ended = True
        self._take_rest()
        self._session.finish()

    def writeConnectionLost(self) -> None:
        """Our side is ended; nothing more is to be done until the device ends its own."""

    def pause(self) -> None:
        """Read and frame no more; see `lineside.edges.lines.session.Link`."""
        self._paused = True
        IPushProducer(self.transport).pauseProducing()

    def resume(self) -> None:
        """Frame what was read, then read on."""
        self._paused = False
        unread, self._unread = bytes(self._unread), bytearray()
        if unread:
            self._feed(unread)
        if not self._paused:
            IPushProducer(self.transport).resumeProducing()

    def answer(self, answers: bytes) -> None:
        """Send answers, framed."""
        framed = []
        for line in answers.removesuffix(b"\n").split(b"\n"):
            if self._unanswered and self._unanswered[0] == self._answered:
                self._unanswered.popleft()
            else:
                framed.append(self._framing.answer(line))
            self._answered += 1
        if framed:
            straight.write(self.transport, b"".join(framed))

    def say(self, frame: bytes) -> None:
        """Send a frame; see `lineside.edges.lines.session.Link`."""
        straight.write(self.transport, self._framing.encode(frame))

    def refuse(self, answer: bytes) -> None:
        """Hang up with one answer. What the device has sent meanwhile is not taken: it is told so."""
        self._discarding = True
        if self._intake.limits.ack:
            self.transport.write(self._framing.answer(answer.removesuffix(b"\n")))
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

    def _feed(self, data: bytes) -> None:
        frames: list[bytes] = []
        fatal = False
        for found in self._framing.feed(data):
            if isinstance(found, bytes):
                frames.append(found)
            else:
                self._take(frames)
                frames = []
                self._keep(found)
                fatal = fatal or found.fatal
        self._take(frames)
        if self._framing.astray:
            self._tell_astray()
        if fatal:
            self._session.finish()

    def _take(self, frames: list[bytes]) -> None:
        if frames:
            self._taken += self._session.take(frames)

    def _keep(self, fault: Fault) -> None:
        if not fault.answered:
            self._tell_astray()
            if self._intake.limits.ack:
                self._unanswered.append(self._taken)
        self._taken += 1
        self._session.keep(fault.event(self.peer))

    def _take_rest(self) -> None:
        if self._unread and not self._intake.limits.ack:
            # TLS gives on what it has decrypted though we are paused. Nobody will send it again.
            unread, self._unread = bytes(self._unread), bytearray()
            self._feed(unread)
        for fault in self._framing.close():
            self._keep(fault)

    def _tell_astray(self) -> None:
        # Once for a connection: a line that is noisy, or a device of another kind, would fill the log.
        if not self._told_astray and self._intake.may_say("lines.astray"):
            self._told_astray = True
            log.warn(
                "lines.astray",
                source=self._intake.id,
                peer=self.peer,
                remedy="check the source's framing and the cable; lineside deadletters list shows what came",
            )

    def _discard(self) -> None:
        self._discarding = True
        self._unread.clear()
        self._paused = False
        IPushProducer(self.transport).resumeProducing()
