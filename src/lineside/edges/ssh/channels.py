"""What a client who has logged in may open: sessions, a few at a time, and nothing else (RFC 4254).

No forwarding, no agent, no X11, no environment: each is answered with a refusal, and changes nothing.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any, Protocol

from msgspec import Struct
from twisted.conch.error import ConchError
from twisted.conch.ssh.channel import SSHChannel
from twisted.conch.ssh.common import getNS
from twisted.conch.ssh.connection import (
    EXTENDED_DATA_STDERR,
    OPEN_ADMINISTRATIVELY_PROHIBITED,
    OPEN_RESOURCE_SHORTAGE,
    SSHConnection,
)
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IProtocol, IReactorTime

from lineside.edges.ssh.logins import Visitor
from lineside.edges.ssh.quiet import QUIET

MAX_CHANNELS = 10
"""Sessions of a connection that are open at a time, as many as OpenSSH's server allows."""
KEEPALIVE = 30.0
"""Seconds between two questions whether the client is still there."""
MISSED = 3
"""Questions without an answer after which it is not."""
WINDOW = 2 << 20
"""Bytes that a client may send ahead on a channel with files: what a long line holds."""
SMALL_WINDOW = 64 << 10
"""The same where a person types."""
_DATA = struct.Struct(">2L")
WIDEST, TALLEST = 500, 300


class Window(Struct):
    """A terminal, as the client tells of it."""

    columns: int = 80
    rows: int = 24


class Program(Protocol):
    """What answers on a session's channel, from its start to its end."""

    def received(self, data: bytes) -> None:
        """Take what the client sent."""
        ...

    def ended(self) -> None:
        """Take note that the client sends nothing more."""
        ...

    def drained(self) -> None:
        """Go on: the client reads again."""
        ...

    def resized(self) -> None:
        """Take note that the terminal has another size."""
        ...

    def stop(self) -> None:
        """End: the channel is closed."""
        ...


class Programs(Struct, frozen=True):
    """What there is for one user. What is None is refused."""

    shell: Callable[[Session], Program] | None = None
    command: Callable[[Session, str], Program] | None = None
    subsystems: dict[bytes, Callable[[Visitor], IProtocol]] = {}
    """By name; each gives a protocol whose transport is a `SubsystemTransport`."""


class Connection(SSHConnection):
    """The channels of one client.

    Args:
        visitor: who it is.
        programs: what there is for them.
        clock: asks whether they are still there.
        tell: puts on record what was asked for, and whether it was given.

    """

    transport: Any
    _log = QUIET

    def __init__(
        self,
        visitor: Visitor,
        programs: Programs,
        clock: IReactorTime,
        tell: Callable[[str, bool], None] = lambda _what, _given: None,
    ) -> None:
        super().__init__()
        self.visitor = visitor
        self.programs = programs
        self.clock = clock
        self.tell = tell
        self._unanswered = 0
        self._asking: IDelayedCall | None = None

    def serviceStarted(self) -> None:
        """Begin to ask whether the client is there."""
        self._asking = self.clock.callLater(KEEPALIVE, self._ask)

    def serviceStopped(self) -> None:
        """Close the channels."""
        if self._asking is not None and self._asking.active():
            self._asking.cancel()
        super().serviceStopped()

    def resumed(self) -> None:
        """Let the programs go on: the client reads again."""
        for channel in list(self.channels.values()):
            channel.startWriting()

    def packetReceived(self, messageNum: int, packet: bytes) -> Any:
        """Take a message."""
        self._unanswered = 0
        return super().packetReceived(messageNum, packet)

    def data_received(self, packet: memoryview) -> None:
        """Take a CHANNEL_DATA (RFC 4254, section 5.2), which most of what comes is; conch copies it three times.

        Raises:
            KeyError: there is no such channel.
            ValueError: it has more or less data than it says.

        """
        self._unanswered = 0
        number, length = _DATA.unpack_from(packet)
        channel = self.channels[number]
        if len(packet) != _DATA.size + length:
            raise ValueError("the length is not that of the data")
        if length > channel.localWindowLeft or length > channel.localMaxPacket:
            self.sendClose(channel)
            return
        channel.localWindowLeft -= length
        if channel.localWindowLeft < channel.localWindowSize // 2:
            self.adjustWindow(channel, channel.localWindowSize - channel.localWindowLeft)
        channel.dataReceived(bytes(packet[_DATA.size :]))

    def getChannel(self, channelType: bytes, windowSize: int, maxPacket: int, data: bytes) -> Session:
        """Open a session."""
        if channelType != b"session":
            self.tell(f"channel {channelType[:40].decode('ascii', 'replace')}", False)
            raise ConchError("sessions are all there is here", OPEN_ADMINISTRATIVELY_PROHIBITED)
        if len(self.channels) >= MAX_CHANNELS:
            raise ConchError(f"{MAX_CHANNELS} sessions are open", OPEN_RESOURCE_SHORTAGE)
        if maxPacket < 1:
            raise ConchError("packets hold a byte at least", OPEN_ADMINISTRATIVELY_PROHIBITED)
        window = WINDOW if self.programs.subsystems else SMALL_WINDOW
        channel = Session(self.visitor, window, windowSize, min(maxPacket, 32_768))
        channel.conn = self
        return channel

    def ssh_CHANNEL_OPEN(self, packet: bytes) -> None:
        """Open a channel, or refuse it; conch would have a refusal in the log as a failure of its own."""
        kind, rest = getNS(packet)
        sender, window, largest = struct.unpack(">3L", rest[:12])
        try:
            channel = self.getChannel(kind, window, largest, rest[12:])
        except ConchError as refused:
            text, reason = refused.args
            words = text.encode()
            self.transport.sendPacket(
                92, struct.pack(">3L", sender, reason, len(words)) + words + struct.pack(">L", 0)
            )
            return
        number = self.localChannelID
        self.localChannelID += 1
        channel.id = number  # type: ignore[assignment]
        self.channels[number] = channel
        self.channelsToRemoteChannel[channel] = sender
        self.localToRemoteChannel[number] = sender
        self.transport.sendPacket(
            91, struct.pack(">4L", sender, number, channel.localWindowSize, channel.localMaxPacket)
        )

    def ssh_CHANNEL_OPEN_CONFIRMATION(self, packet: bytes) -> None:
        """End the connection: no channel is opened from here, and conch would forget one that is open."""
        raise ValueError("an answer to what was not asked")

    ssh_CHANNEL_OPEN_FAILURE = ssh_CHANNEL_OPEN_CONFIRMATION  # noqa: N815 (the name of conch)

    def gotGlobalRequest(self, requestType: bytes, data: bytes) -> int:
        """Refuse: nothing is forwarded."""
        return 0

    def _ask(self) -> None:
        if self._unanswered >= MISSED:
            self.transport.cut()
            return
        self._unanswered += 1
        answered: Deferred[Any] | None = self.sendGlobalRequest(b"keepalive@openssh.com", b"", wantReply=1)
        if answered is not None:
            # Either answer shows that somebody is there.
            answered.addErrback(lambda _: None)
        self._asking = self.clock.callLater(KEEPALIVE, self._ask)


class Session(SSHChannel):
    """One session: a shell on a terminal, one command, or a subsystem."""

    name = b"session"
    _log = QUIET
    conn: Any

    def __init__(self, visitor: Visitor, window: int, remote_window: int, remote_packet: int) -> None:
        super().__init__(localWindow=window, remoteWindow=remote_window, remoteMaxPacket=remote_packet)
        self.visitor = visitor
        self.terminal: Window | None = None
        self._program: Program | None = None
        self._begun = False

    @property
    def full(self) -> bool:
        """What is written now waits for the client."""
        return bool(self.buf or self.extBuf or not self.areWriting or self.conn.transport.congested)

    def requestReceived(self, requestType: bytes, data: bytes) -> bool:
        """Carry out a request of the client; false where it is refused."""
        try:
            if requestType == b"pty-req":
                self.terminal = _window(getNS(data)[1])
                return True
            if requestType == b"window-change":
                return self._resize(_window(data))
            if requestType in {b"shell", b"exec", b"subsystem"}:
                return self._begin(requestType, data)
        except (struct.error, IndexError, UnicodeDecodeError):
            return False
        return False

    def dataReceived(self, data: bytes) -> None:
        """Give on what the client sent; before it asked for a program there is nobody to have it."""
        if self._program is not None:
            self._program.received(data)

    def extReceived(self, dataType: int, data: bytes) -> None:
        """Take nothing: a client has no other stream than its input."""

    def eofReceived(self) -> None:
        """Tell that the client sends nothing more."""
        if self._program is not None:
            self._program.ended()

    def closeReceived(self) -> None:
        """Close; what still waits is nobody's."""
        self.buf, self.extBuf = b"", []
        self.loseConnection()

    def closed(self) -> None:
        """End the program."""
        program, self._program = self._program, None
        if program is not None:
            program.stop()

    def startWriting(self) -> None:
        """Let the program go on."""
        if self._program is not None and not self.full:
            self._program.drained()

    def say(self, text: str) -> None:
        """Write to the client's standard output."""
        self.write(text.encode("utf-8", "replace"))

    def complain(self, text: str) -> None:
        """Write to the client's standard error."""
        self.writeExtended(EXTENDED_DATA_STDERR, text.encode("utf-8", "replace"))

    def finish(self, status: int) -> None:
        """End the session with a status, once all that was written is sent."""
        if self.localClosed or self.remoteClosed or self.closing:
            return
        self.conn.sendRequest(self, b"exit-status", struct.pack(">L", status))
        self.conn.sendEOF(self) if not self.full else None
        self.loseConnection()

    def _begin(self, kind: bytes, data: bytes) -> bool:
        if self._begun:
            return False
        make = self._found(kind, data)
        wanted = kind.decode() if kind == b"shell" else getNS(data)[0][:200].decode("utf-8", "replace")
        self.conn.tell(wanted if kind == b"shell" else f"{kind.decode()} {wanted}", make is not None)
        if make is None:
            return False
        self._begun = True
        self._program = make()
        return True

    def _found(self, kind: bytes, data: bytes) -> Callable[[], Program] | None:
        programs: Programs = self.conn.programs
        if kind == b"subsystem":
            subsystem = programs.subsystems.get(getNS(data)[0])
            return None if subsystem is None else lambda: Subsystem(self, subsystem(self.visitor))
        if kind == b"shell":
            shell = programs.shell
            return None if shell is None else lambda: shell(self)
        command, line = programs.command, getNS(data)[0].decode()
        return None if command is None else lambda: command(self, line)

    def _resize(self, window: Window) -> bool:
        if self.terminal is None:
            return False
        self.terminal = window
        if self._program is not None:
            self._program.resized()
        return True


class SubsystemTransport:
    """The transport of a subsystem's protocol. ``session`` is its channel, whose window holds the client back."""

    disconnecting = False

    def __init__(self, session: Session) -> None:
        self.session = session
        self.write = session.write
        self.writeSequence = session.writeSequence
        self.getPeer = session.getPeer
        self.getHost = session.getHost

    def loseConnection(self) -> None:
        """Close the channel, once all that was written is sent."""
        self.disconnecting = True
        self.session.finish(0)


class Subsystem:
    """A protocol as a session's program.

    Where the protocol has ``drained``, it is called when the client reads again; see `Session.full`.
    """

    def __init__(self, session: Session, protocol: IProtocol) -> None:
        self._session = session
        self._protocol = protocol
        protocol.makeConnection(SubsystemTransport(session))  # type: ignore[arg-type]

    def received(self, data: bytes) -> None:
        """See `Program`."""
        self._protocol.dataReceived(data)

    def ended(self) -> None:
        """See `Program`."""
        self._session.finish(0)

    def drained(self) -> None:
        """See `Program`."""
        drained = getattr(self._protocol, "drained", None)
        if drained is not None:
            drained()

    def resized(self) -> None:
        """See `Program`."""

    def stop(self) -> None:
        """See `Program`."""
        from twisted.internet.error import ConnectionDone  # noqa: PLC0415
        from twisted.python.failure import Failure  # noqa: PLC0415

        self._protocol.connectionLost(Failure(ConnectionDone()))


def _window(data: bytes) -> Window:
    columns, rows = struct.unpack(">2L", data[:8])
    return Window(min(columns, WIDEST) or 80, min(rows, TALLEST) or 24)
