"""Conch's SFTP server, made fit for clients that send fast, much, or nonsense."""

from __future__ import annotations

import struct
from collections.abc import Container
from functools import partial
from typing import Any

from twisted.conch.ssh.common import NS, getNS
from twisted.conch.ssh.filetransfer import (
    FX_BAD_MESSAGE,
    FX_EOF,
    FX_FAILURE,
    FX_OK,
    FX_OP_UNSUPPORTED,
    FXP_DATA,
    FXP_EXTENDED_REPLY,
    FXP_HANDLE,
    FXP_VERSION,
    FileTransferServer,
    SFTPError,
)
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.protocol import connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure

from lineside.edges.ssh.dropbox.box import DropBox
from lineside.edges.ssh.dropbox.requests import NoRequest, Requests
from lineside.edges.ssh.dropbox.session import (
    LONGEST_DATA,
    LONGEST_MESSAGE,
    OPEN_AT_ONCE,
    Answer,
    Session,
    status_of,
)
from lineside.edges.ssh.dropbox.uploads import Download, Upload

log = Logger()

LONGEST_PACKET = LONGEST_MESSAGE + 1024
ENOUGH_BYTES = 4 << 20
"""Bytes that are to be written, were asked for or wait for their client, above which no more is read from it."""
ENOUGH_REQUESTS = 256
"""Requests that are not answered, likewise."""
TOLD_ALOUD = 20
"""Refusals that are told on the channel's standard error too, for clients that show no status text."""
_TOGETHER = frozenset({"READ", "WRITE", "FSTAT"})
"""Requests that others need not wait for; what they do to a file is kept in order there."""
_OF_HANDLES = frozenset({"READDIR", "FSTAT", "FSETSTAT"})


class DropBoxProtocol(FileTransferServer):
    """One connection's SFTP subsystem.

    Beside what conch's does: a file whose connection is lost is cut off, and not closed; what is malformed is
    answered; requests about names come into effect one after the other; and a client that sends more than the disk
    takes, or asks for more than it reads, is held back by the window of its channel.

    Args:
        box: the user's.
        where: the door and the client's address, for the record.
        clock: the reactor.

    """

    def __init__(self, box: DropBox, where: str, clock: IReactorTime) -> None:
        self._session = Session(box, where)
        super().__init__(avatar=self._session)
        self._box = box
        self._clock = clock
        self._requests = Requests(LONGEST_PACKET)
        self._answers: list[bytes] = []
        self._flushing = False
        self._going_on = False
        self._handles = 0
        self._unanswered = 0
        self._alone: bytes | None = None
        self._asked_bytes = 0
        self._aloud = 0
        self._lost = False
        self._window: int | None = None
        self._channel: Any = None

    def connectionMade(self) -> None:
        """Find the channel that is to be held back."""
        super().connectionMade()
        self._channel = getattr(self.transport, "session", None)

    def drained(self) -> None:
        """Go on: the client reads again."""
        self._go_on_soon()

    def dataReceived(self, data: bytes) -> None:
        """Carry out what is whole, unless enough is under way."""
        if self._requests.add(data):
            self._go_on()

    def _go_on(self) -> None:
        try:
            while not self._enough() and (request := self._requests.next()) is not None:
                self._carry_out(request)
        except NoRequest as nonsense:
            log.warn("sftp.nonsense", user=self._box.user, reason=str(nonsense), remedy="the client speaks no SFTP")
            self._requests.clear()
            self._hang_up()
            return
        self._hold_back()

    def _carry_out(self, request: bytes) -> None:
        name = self.packetTypes.get(request[0])
        # A copy of a piece of a file would be one of 256 KiB.
        data: Any = memoryview(request)[1:] if name == "WRITE" else request[1:]
        number = bytes(data[:4])
        carry_out = None if name is None else getattr(self, f"packet_{name}", None)
        if name != "INIT":
            self._unanswered += 1
            if name not in _TOGETHER:
                self._alone = number
        if carry_out is None:
            self._sendStatus(number, FX_OP_UNSUPPORTED, b"there is no such request here")
            return
        try:
            if name in _OF_HANDLES and not self._has(data, self.openDirs if name == "READDIR" else self.openFiles):
                self._sendStatus(number, FX_FAILURE, b"there is no such handle")
                return
            carry_out(data)
        except (struct.error, AssertionError, IndexError, ValueError):
            if name == "INIT":
                self._hang_up()
                return
            self._sendStatus(number, FX_BAD_MESSAGE, b"the request is malformed")

    def _has(self, data: bytes, opened: Container[bytes]) -> bool:
        # Conch fails with an error of its own for a file that is read as a folder.
        return getNS(data[4:])[0] in opened

    def _hang_up(self) -> None:
        assert self.transport is not None
        self.transport.loseConnection()

    def _enough(self) -> bool:
        return (
            self._lost
            or self._alone is not None
            or self._unanswered >= ENOUGH_REQUESTS
            or (self._channel is not None and self._channel.full)
            or self._asked_bytes + sum(file.queued for file in self.openFiles.values() if isinstance(file, Upload))
            > ENOUGH_BYTES
        )

    def _hold_back(self) -> None:
        channel = self._channel
        if channel is None or self._lost:
            return
        if len(self._requests) > 0 and self._enough():
            if self._window is None:
                # Conch widens a window that is half used; one of no size never is.
                self._window, channel.localWindowSize = channel.localWindowSize, 0
        elif self._window is not None:
            channel.localWindowSize, self._window = self._window, None
            if channel.localWindowLeft < channel.localWindowSize // 2:
                channel.conn.adjustWindow(channel, channel.localWindowSize - channel.localWindowLeft)

    def _go_on_soon(self) -> None:
        if not self._going_on:
            self._going_on = True
            self._clock.callLater(0, self._wake)

    def _wake(self) -> None:
        self._going_on = False
        if not self._lost:
            self._go_on()

    def sendPacket(self, kind: int, data: bytes) -> None:
        """Answer; answers of one moment go out together, for each costs a packet of SSH."""
        if self._lost:
            return
        if kind != FXP_VERSION:
            self._unanswered -= 1
            if data[:4] == self._alone:
                self._alone = None
                self._go_on_soon()
        self._answers.append(struct.pack("!LB", len(data) + 1, kind) + data)
        if not self._flushing:
            self._flushing = True
            self._clock.callLater(0, self._flush)

    def _flush(self) -> None:
        self._flushing = False
        answers, self._answers = self._answers, []
        if not self._lost:
            assert self.transport is not None
            self.transport.write(b"".join(answers))
            if len(self._requests) > 0 or self._window is not None:
                self._go_on()

    def packet_OPEN(self, data: bytes) -> None:
        """Open a file, where not too many are."""
        if len(self.openFiles) + len(self.openDirs) >= OPEN_AT_ONCE:
            self._sendStatus(data[:4], FX_FAILURE, f"{OPEN_AT_ONCE} files are open already".encode())
            return
        super().packet_OPEN(data)

    def packet_OPENDIR(self, data: bytes) -> None:
        """List a folder, where not too many are."""
        if len(self.openFiles) + len(self.openDirs) >= OPEN_AT_ONCE:
            self._sendStatus(data[:4], FX_FAILURE, f"{OPEN_AT_ONCE} folders are open already".encode())
            return
        super().packet_OPENDIR(data)

    def _cbOpenFile(self, fileObj: Upload | Download, requestId: bytes) -> None:
        if self._lost:
            self._box.leave([fileObj], "the connection was lost")
            return
        handle = self._next_handle()
        self.openFiles[handle] = fileObj
        self.sendPacket(FXP_HANDLE, requestId + NS(handle))

    def _cbOpenDirectory(self, dirObj: Any, requestId: bytes) -> None:
        handle = self._next_handle()
        self.openDirs[handle] = [dirObj, iter(dirObj)]
        self.sendPacket(FXP_HANDLE, requestId + NS(handle))

    def _next_handle(self) -> bytes:
        self._handles += 1
        return b"%d" % self._handles

    def packet_CLOSE(self, data: bytes) -> None:
        """Close: from here on a file is whole, or was refused."""
        number, (handle, _) = data[:4], getNS(data[4:])
        if self.openDirs.pop(handle, None) is not None:
            self._sendStatus(number, FX_OK, b"closed")
            return
        file = self.openFiles.pop(handle, None)
        if file is None:
            self._sendStatus(number, FX_FAILURE, b"there is no such handle")
            return
        closed = maybeDeferred(file.close)
        closed.addCallback(partial(self._closed, file, number))
        closed.addErrback(self._ebStatus, number)

    def _closed(self, file: Upload | Download, number: bytes, _: None) -> None:
        if isinstance(file, Upload):
            self._session.tell("sftp.received", file=f"/inbox/{file.name}", bytes=file.size)
        self._sendStatus(number, FX_OK, b"closed")

    def packet_WRITE(self, data: memoryview) -> None:
        """Write a piece of a file."""
        number = bytes(data[:4])
        (length,) = struct.unpack_from("!L", data, 4)
        at = 8 + length
        offset, length = struct.unpack_from("!QL", data, at)
        piece = data[at + 12 :]
        if len(piece) != length:
            raise ValueError("the length is not that of the data")
        file = self.openFiles.get(bytes(data[8:at]))
        if file is None:
            self._sendStatus(number, FX_FAILURE, b"there is no such handle")
            return
        written: Deferred[None] = file.writeChunk(offset, piece)
        written.addCallbacks(self._cbStatus, self._ebStatus, (number, b""), {}, (number,))

    def packet_READ(self, data: bytes) -> None:
        """Read a piece of a file."""
        number = data[:4]
        handle, rest = getNS(data[4:])
        offset, length = struct.unpack("!QL", rest)
        file = self.openFiles.get(handle)
        if file is None:
            self._sendStatus(number, FX_FAILURE, b"there is no such handle")
            return
        length = min(length, LONGEST_DATA)
        self._asked_bytes += length
        read: Deferred[bytes] = file.readChunk(offset, length)

        def answer(outcome: bytes | Failure) -> None:
            self._asked_bytes -= length
            if isinstance(outcome, Failure):
                self._ebStatus(outcome, number)
            elif outcome:
                self.sendPacket(FXP_DATA, number + NS(outcome))
            else:
                self._sendStatus(number, FX_EOF, b"the end")

        read.addBoth(answer)

    def packet_EXTENDED(self, data: bytes) -> None:
        """Carry out an extension."""
        number = data[:4]
        name, rest = getNS(data[4:])
        if name == b"fsync@openssh.com":
            file = self.openFiles.get(getNS(rest)[0])
            flushed = maybeDeferred(file.flush) if isinstance(file, Upload) else maybeDeferred(_no_handle)
        else:
            flushed = maybeDeferred(self._session.extendedRequest, name, rest)

        def answer(outcome: Answer | None) -> None:
            if isinstance(outcome, Answer):
                self.sendPacket(FXP_EXTENDED_REPLY, number + outcome)
            else:
                self._sendStatus(number, FX_OK, b"")

        flushed.addCallback(answer)
        flushed.addErrback(self._ebStatus, number)

    def _ebStatus(self, reason: Failure, requestId: bytes, msg: bytes = b"") -> None:
        if reason.check(EOFError):
            self._sendStatus(requestId, FX_EOF, b"the end")
            return
        if reason.check(struct.error, ValueError, IndexError):
            self._sendStatus(requestId, FX_BAD_MESSAGE, b"the request is malformed")
            return
        told = status_of(reason.value) if isinstance(reason.value, Exception) else None
        if told is None:
            log.failure("sftp.stumbled", failure=reason, user=self._box.user)
            told = FX_FAILURE, "it failed here: the operator's log says why"
        code, text = told
        if code == FX_FAILURE:
            self._say_aloud(text)
        self._sendStatus(requestId, code, text.encode("utf-8", "replace"))

    def _say_aloud(self, text: str) -> None:
        self._session.refused("sftp.refused", text)
        if self._channel is not None and self._aloud < TOLD_ALOUD and not self._lost:
            self._aloud += 1
            self._channel.writeExtended(1, f"{text}\r\n".encode("utf-8", "replace"))

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Cut off what is being received: it was not closed, and so it is not whole."""
        if self._lost:
            return
        self._lost = True
        left = list(self.openFiles.values())
        self.openFiles.clear()
        self.openDirs.clear()
        self._requests.clear()
        for file in left:
            if isinstance(file, Upload):
                self._session.tell("sftp.cut", file=f"/inbox/{file.name}", bytes=file.size)
        self._box.leave(left, "the connection was lost")
        self._session.ended()


def _no_handle() -> None:
    raise SFTPError(FX_FAILURE, "there is no such handle")
