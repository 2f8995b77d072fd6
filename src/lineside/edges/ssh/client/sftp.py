"""SFTP (version 3) of a host, by conch's client, bounded."""

from __future__ import annotations

import stat
from typing import Any, cast

from msgspec import Struct
from twisted.conch.ssh.channel import SSHChannel
from twisted.conch.ssh.common import NS
from twisted.conch.ssh.filetransfer import (
    FXF_CREAT,
    FXF_READ,
    FXF_TRUNC,
    FXF_WRITE,
    ClientDirectory,
    ClientFile,
    FileTransferClient,
    SFTPError,
)
from twisted.internet.defer import Deferred, FirstError, gatherResults
from twisted.internet.defer import TimeoutError as TookTooLong
from twisted.internet.error import ConnectionLost
from twisted.internet.interfaces import IReactorTime
from twisted.internet.protocol import connectionDone
from twisted.python.failure import Failure

from lineside.edges.ssh.client.failures import NotReached
from lineside.edges.ssh.client.login import Channels
from lineside.edges.ssh.quiet import QUIET

PIECE = 32_768
"""Bytes that are asked for at a time: what every server gives."""
AHEAD = 32
"""How many such pieces."""
WINDOW = 2 * AHEAD * PIECE
LONGEST = 1 << 20
"""Bytes of a server's answer."""
MOST_NAMES = 100_000
"""Of one folder."""


class RemoteFile(Struct, frozen=True):
    """A file as the host lists it."""

    name: bytes
    size: int
    changed: int
    """Seconds since 1970."""


class _Client(FileTransferClient):
    _log = QUIET

    def __init__(self) -> None:
        super().__init__()
        self.opened: Deferred[None] = Deferred()

    def gotServerVersion(self, serverVersion: int, extData: object) -> None:
        if not self.opened.called:
            self.opened.callback(None)

    def dataReceived(self, data: bytes) -> None:
        super().dataReceived(data)
        if len(self.buf) >= 4 and int.from_bytes(self.buf[:4], "big") > LONGEST:
            cast(Any, self.transport).loseConnection()
            self.buf = b""

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.connected = 0
        super().connectionLost(reason)
        if not self.opened.called:
            self.opened.errback(Failure(ConnectionLost()))


class _Channel(SSHChannel):
    name = b"session"
    _log = QUIET
    conn: Any

    def __init__(self) -> None:
        super().__init__(localWindow=WINDOW, localMaxPacket=2 * PIECE)
        self.client = _Client()

    def channelOpen(self, specificData: bytes) -> None:
        asked = self.conn.sendRequest(self, b"subsystem", NS(b"sftp"), wantReply=True)
        asked.addCallbacks(lambda _: self.client.makeConnection(cast(Any, self)), self._refused)

    def _refused(self, failed: Failure) -> None:
        if not self.client.opened.called:
            self.client.opened.errback(failed)

    def openFailed(self, reason: Any) -> None:
        if not self.client.opened.called:
            self.client.opened.errback(Failure(ConnectionLost()))

    def dataReceived(self, data: bytes) -> None:
        self.client.dataReceived(data)

    def eofReceived(self) -> None:
        self.loseConnection()

    def closed(self) -> None:
        self.client.connectionLost(Failure(ConnectionLost()))


class Sftp:
    """A session. Each call may raise `NotReached`, after which the connection is to be ended.

    Args:
        client: is there.
        clock: must follow a monotonic clock.
        patience: seconds that one answer may take.

    """

    def __init__(self, client: _Client, clock: IReactorTime, patience: float) -> None:
        self._client = client
        self._clock = clock
        self._patience = patience

    async def files(self, folder: bytes) -> list[RemoteFile]:
        """Return the regular files of a folder; links are none."""
        directory = cast(ClientDirectory, await self._ask(self._client.openDirectory(folder), folder))
        found: list[RemoteFile] = []
        listed = 0
        try:
            while True:
                names = cast(list[tuple[bytes, bytes, dict[str, int]]], await self._told(directory.read(), folder))
                for name, _, attributes in names:
                    listed += 1
                    if b"/" in name or b"\0" in name or "size" not in attributes:
                        continue
                    if stat.S_IFMT(attributes.get("permissions", stat.S_IFREG)) in {0, stat.S_IFREG}:
                        found.append(RemoteFile(name, attributes["size"], attributes.get("mtime", 0)))
                if listed > MOST_NAMES:
                    raise NotReached(f"{_text(folder)} has more than {MOST_NAMES} names", "clear the folder out")
        except EOFError:
            pass
        await self._ask(directory.close(), folder)
        return found

    async def look(self, path: bytes, name: bytes) -> RemoteFile | None:
        """Return a file as it is now; None where it is not there."""
        try:
            told = cast(dict[str, int], await self._told(self._client.getAttrs(path), path))
        except FileNotFoundError:
            return None
        return RemoteFile(name, told.get("size", -1), told.get("mtime", 0))

    async def open(self, path: bytes) -> ClientFile:
        """Open a file to read it."""
        return cast(ClientFile, await self._ask(self._client.openFile(path, FXF_READ, {}), path))

    async def read(self, file: ClientFile, offset: int, end: int) -> bytes:
        """Return some of the bytes from an offset, none at or beyond ``end``; empty where the file ends there."""
        asked = [
            self._client_read(file, at, min(PIECE, end - at))
            for at in range(offset, min(end, offset + AHEAD * PIECE), PIECE)
        ]
        together = cast(Deferred[Any], gatherResults(asked, consumeErrors=True))
        pieces = cast(list[bytes], await self._ask(together, cast(Any, file).name))
        content = []
        for at, piece in zip(range(offset, end, PIECE), pieces, strict=False):
            wanted = min(PIECE, end - at)
            content.append(piece[:wanted])
            # What follows a short one has a gap before it.
            if len(piece) < wanted:
                break
        return b"".join(content)

    def _client_read(self, file: ClientFile, offset: int, length: int) -> Deferred[bytes]:
        read = cast(Deferred[bytes], file.readChunk(offset, length))

        def ended(failed: Failure) -> bytes:
            failed.trap(EOFError)
            return b""

        return read.addErrback(ended)

    async def fetch(self, path: bytes, largest: int) -> bytes:
        """Return a whole file, which is no larger than some bytes."""
        file = await self.open(path)
        content = bytearray()
        while more := await self.read(file, len(content), largest + 1):
            content += more
            if len(content) > largest:
                raise NotReached(f"{_text(path)} has more than {largest} bytes", "it is not fetched")
        await self.close(file)
        return bytes(content)

    async def put(self, path: bytes, content: bytes) -> None:
        """Write a whole file, new or in the place of another; when this returns the host has closed it."""
        asked = self._client.openFile(path, FXF_WRITE | FXF_CREAT | FXF_TRUNC, {})
        file = cast(ClientFile, await self._ask(asked, path))
        for begin in range(0, len(content), AHEAD * PIECE):
            written = [
                cast(Deferred[object], file.writeChunk(at, content[at : at + PIECE]))
                for at in range(begin, min(len(content), begin + AHEAD * PIECE), PIECE)
            ]
            await self._ask(cast(Deferred[Any], gatherResults(written, consumeErrors=True)), path)
        await self.close(file)

    async def close(self, file: ClientFile) -> None:
        """Close a file."""
        await self._ask(file.close(), cast(Any, file).name)

    async def remove(self, path: bytes) -> None:
        """Remove a file."""
        await self._ask(self._client.removeFile(path), path)

    async def rename(self, path: bytes, goal: bytes) -> None:
        """Rename a file. Servers of version 3 refuse to where the goal is there."""
        await self._ask(self._client.renameFile(path, goal), path)

    async def make_folder(self, path: bytes) -> None:
        """Make a folder; where it is there, or cannot be made, renaming into it tells."""
        try:
            await self._told(self._client.makeDirectory(path, {}), path)
        except (OSError, NotReached):
            return

    async def _ask(self, answer: Deferred[Any], path: bytes) -> object:
        try:
            return await self._told(answer, path)
        except FileNotFoundError as missing:
            raise NotReached(f"{_text(path)}: it is not there", "see that the folder is right") from missing

    async def _told(self, answer: Deferred[Any], path: bytes) -> object:
        answer.addTimeout(self._patience, self._clock)
        try:
            try:
                return await answer
            except FirstError as first:
                raise cast(Exception, first.subFailure.value) from first
        except TookTooLong as late:
            reason = f"no answer within {self._patience:.0f} s"
            raise NotReached(reason, "see the network and the host; it is tried again") from late
        except ConnectionLost as lost:
            raise NotReached("the connection was lost", "it is tried again, from where it was") from lost
        except SFTPError as failed:
            if failed.code == 2:
                raise FileNotFoundError(_text(path)) from failed
            told = failed.message or f"status {failed.code}"
            reason = f"{_text(path)}: the host says {str(told)[:200]}"
            raise NotReached(reason, "see the user's rights there") from failed


async def open_sftp(channels: Channels, clock: IReactorTime, patience: float) -> Sftp:
    """Open a session of SFTP.

    Raises:
        NotReached: the host has none for us.

    """
    channel = _Channel()
    channels.openChannel(channel)
    opened = channel.client.opened
    opened.addTimeout(patience, clock)
    try:
        await opened
    except Exception as failed:
        raise NotReached(
            "the host gives no SFTP", "see that its server has the subsystem sftp for this user"
        ) from failed
    return Sftp(channel.client, clock, patience)


def _text(path: bytes) -> str:
    return path.decode("utf-8", "replace")
