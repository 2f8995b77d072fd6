"""The channel of a command on a host as a transport: what the command writes is read, what is written is its input.

While its reader is paused the channel's window is not widened, so that the host holds the command back; the
connection itself is read on.
"""

from __future__ import annotations

from typing import Any, cast

from twisted.conch.error import ConchError
from twisted.conch.ssh.channel import SSHChannel
from twisted.conch.ssh.common import NS, getNS
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import (
    IConsumer,
    IDelayedCall,
    IProtocol,
    IPushProducer,
    IReactorTime,
)
from twisted.python.failure import Failure
from zope.interface import implementer

from lineside.edges.ssh.client.complaints import Complaints
from lineside.edges.ssh.client.failures import NotReached
from lineside.edges.ssh.quiet import QUIET

WINDOW = 1 << 18
"""Bytes that the host may send ahead: what a long way holds, and what is kept here while nothing is read."""
PACKET = 32_768
GRACE = 5.0
"""Seconds from a command's last output until the host has to tell how it ended."""


class CommandEnded(Exception):
    """How a command ended.

    Args:
        how: in words.
        status: what it ended with, where the host told one.

    """

    def __init__(self, how: str, status: int | None = None) -> None:
        super().__init__(how)
        self.status = status


@implementer(IConsumer, IPushProducer)
class CommandChannel(SSHChannel):
    """One run of a command, and the transport of who reads it.

    ``begun`` fires when the command runs, or fails with `NotReached`.

    Args:
        command: as a shell there is to read it.
        complaints: takes its standard error; None to let that pass.
        clock: must follow a monotonic clock.
        alone: the connection is there for this run alone, and ends with it.

    """

    name = b"session"
    _log = QUIET
    conn: Any

    def __init__(
        self, command: bytes, complaints: Complaints | None, clock: IReactorTime, *, alone: bool = True
    ) -> None:
        super().__init__(localWindow=WINDOW, localMaxPacket=PACKET)
        self.begun: Deferred[None] = Deferred()
        self.disconnecting = False
        self.held = False
        """Its window is not to be widened."""
        self._command = command
        self._complaints = complaints
        self._clock = clock
        self._reader: IProtocol | None = None
        self._early = bytearray()
        self._writer: IPushProducer | None = None
        self._alone = alone
        self._how: str | None = None
        self._status: int | None = None
        self._late: IDelayedCall | None = None
        self._leaving = self._over = False

    def join(self, reader: IProtocol) -> None:
        """Give what the command writes to a protocol, from its first byte."""
        self._reader = reader
        self.held = False
        reader.makeConnection(cast(Any, self))
        early, self._early = bytes(self._early), bytearray()
        if early:
            reader.dataReceived(early)
        if not self.held:
            self.resumeProducing()
        if self._over:
            self._tell_end()

    # What conch calls.

    def channelOpen(self, specificData: bytes) -> None:
        """Ask for the command."""
        asked = self.conn.sendRequest(self, b"exec", NS(self._command), wantReply=True)
        asked.addCallbacks(self._runs, self._refused)

    def openFailed(self, reason: Any) -> None:
        """The host opens no channel."""
        told = isinstance(reason, ConchError)
        self._fail("the host opens no session for us" if told else "the connection ended before the command ran")

    def dataReceived(self, data: bytes) -> None:
        """Give on what the command wrote."""
        if self._reader is None:
            # Not all hosts say first that it runs. There is no more of it than the window holds.
            self._early += data
            self.held = True
        else:
            self._reader.dataReceived(data)

    def extReceived(self, dataType: int, data: bytes) -> None:
        """Tell what it wrote to its standard error."""
        if self._complaints is not None:
            self._complaints.heard(data)

    def requestReceived(self, requestType: bytes, data: bytes) -> bool:
        """Take note of how it ended (RFC 4254, section 6.10)."""
        if requestType == b"exit-status" and len(data) == 4:
            self._status = int.from_bytes(data, "big")
            self._how = f"the command ended with status {self._status}"
        elif requestType == b"exit-signal":
            signal = getNS(data)[0].decode("ascii", "replace")[:20]
            self._how = f"the command was ended by the signal {signal}"
        else:
            return False
        return True

    def eofReceived(self) -> None:
        """It writes nothing more: wait a little for how it ended."""
        if self._late is None:
            self._how = self._how or "the command closed its output"
            self._late = self._clock.callLater(GRACE, self._leave)

    def closeReceived(self) -> None:
        """The command is over."""
        self._how = self._how or "the host closed the command's channel"
        self.conn.sendClose(self)

    def close_sent(self) -> None:
        """Wait no longer for the host than is bearable: what it sends beyond the window closes the channel, too."""
        if not self._over and self._late is None:
            self._how = self._how or "the host sent more than it may"
            self._late = self._clock.callLater(GRACE, self.conn.transport.cut)

    def closed(self) -> None:
        """Tell the reader that nothing more comes, and leave the host."""
        if self._over:
            return
        self._over = True
        if self._late is not None and self._late.active():
            self._late.cancel()
        if self._complaints is not None:
            self._complaints.over()
        if self._how is not None and not self.begun.called:
            # It was over before the host said that it runs.
            self.begun.callback(None)
        self._fail("the connection ended before the command ran")
        if self._reader is not None:
            self._tell_end()
        if self._alone:
            self.conn.transport.leave()

    def stopWriting(self) -> None:
        """The command does not read its input."""
        if self._writer is not None:
            self._writer.pauseProducing()

    def startWriting(self) -> None:
        """It reads again."""
        if self._writer is not None:
            self._writer.resumeProducing()

    # What the reader calls.

    def pauseProducing(self) -> None:
        """Let the host send no more than the window still holds."""
        self.held = True

    def resumeProducing(self) -> None:
        """Let it send on."""
        self.held = False
        if not self._over and self.localWindowLeft < self.localWindowSize // 2:
            self.conn.adjustWindow(self, self.localWindowSize - self.localWindowLeft)

    def stopProducing(self) -> None:
        """Read no more."""
        self.loseConnection()

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        """Tell who writes when the command does not read."""
        self._writer = producer
        if not streaming:
            raise ValueError("it is told when to pause")

    def unregisterProducer(self) -> None:
        """Tell nobody any more."""
        self._writer = None

    def loseConnection(self) -> None:
        """Leave the host once the command has its input. What it writes meanwhile is not waited for."""
        self.disconnecting = True
        self.closing = 1
        if not self.buf:
            self._leave()

    def loseWriteConnection(self) -> None:
        """End the command, too: one that waits for its input would never end."""
        self.loseConnection()

    def abortConnection(self) -> None:
        """Leave the host at once."""
        self.disconnecting = True
        self._how = self._how or "it was cut off"
        self.conn.transport.cut()

    def getPeer(self) -> Any:
        """Return where the host is."""
        return self.conn.transport.transport.getPeer()

    def getHost(self) -> Any:
        """Return from where we came."""
        return self.conn.transport.transport.getHost()

    def _leave(self) -> None:
        self._how = self._how or "the gateway left"
        if not self._over and not self._leaving:
            self._leaving = True
            if self._late is not None and self._late.active():
                self._late.cancel()
            self._late = self._clock.callLater(GRACE, self.conn.transport.cut)
            self.conn.transport.leave()

    def _runs(self, _: object) -> None:
        if not self.begun.called:
            self.begun.callback(None)

    def _refused(self, failed: Failure) -> None:
        failed.trap(ConchError)
        if self.remoteClosed:
            # What follows tells how it ended.
            return
        self._fail("the host runs no commands for us")

    def _fail(self, reason: str) -> None:
        if not self.begun.called:
            remedy = "see what the host lets this user do, and its own log"
            self.begun.errback(NotReached(reason, remedy))

    def _tell_end(self) -> None:
        reader, self._reader = self._reader, None
        assert reader is not None
        how = self._how
        if how is None:
            why = self.conn.transport.why
            how = "the connection broke" if why is None else str(why)
        reader.connectionLost(Failure(CommandEnded(how, self._status)))
