"""Files that are received and read, a piece at a time.

On the disk a file that is being received is always its beginning, without a hole: what comes ahead of its turn
waits in memory. So its size says how far it has come, to a client that goes on with it and to nobody else.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

from twisted.conch.interfaces import ISFTPFile
from twisted.conch.ssh.filetransfer import FX_FAILURE, FX_PERMISSION_DENIED, SFTPError
from twisted.internet.defer import CancelledError, Deferred, fail, succeed
from twisted.python.failure import Failure
from zope.interface import implementer

from lineside.background import Background
from lineside.model.sizes import size_text

if TYPE_CHECKING:
    from lineside.edges.ssh.dropbox.box import DropBox

Piece: TypeAlias = bytes | memoryview
"""Of a file; a view is of the request that it came in, and of hardly more."""
EARLY_BYTES = 8 << 20
EARLY_PIECES = 1024
"""How much may come ahead of its turn."""
AT_ONCE = 512
"""Pieces that are written by one call (IOV_MAX is 1,024)."""
LONGEST_READ = 256 << 10
SYNC_EVERY = 16 << 20
"""Bytes after which the disk begins to sync, so that little is left when the file is closed."""


@implementer(ISFTPFile)
class Upload:
    """A file that is received. It is whole once `close` has succeeded, and never otherwise."""

    def __init__(self, box: DropBox, name: str, descriptor: int, size: int, *, append: bool) -> None:
        self.name = name
        self.size = size
        """Bytes, those that are still to be written counted."""
        self.queued = 0
        """Bytes that are still to be written."""
        self._box = box
        self._descriptor = descriptor
        self._append = append
        self._resumed = size > 0
        self._grown = False
        self._written = size
        self._queue: list[tuple[int, Piece, Deferred[None]]] = []
        self._early: dict[int, Piece] = {}
        self._early_bytes = 0
        self._failed: Exception | None = None
        self._ended = False
        self._times: tuple[int, int] | None = None
        self._cut_at: int | None = None
        self._work = Background(f"upload of {name}")
        self._writing = False
        self._synced = size
        self._syncing = False
        self._gone: list[Deferred[None]] = []

    def writeChunk(self, offset: int, data: Piece) -> Deferred[None]:
        """Write; the Deferred fires when the disk has it, or at once with what comes ahead of its turn."""
        if self._failed is not None:
            return fail(self._failed)
        if self._append:
            offset = self.size
        if offset + len(data) > self._box.limits.largest:
            self._box.say_refused(self.name, "largest", allowed=self._box.limits.largest)
            return self._fail(f"too large: a file may have {size_text(self._box.limits.largest)}")
        if not self._grown and offset < self.size:
            # Whoever goes on from here is going to send the rest, which need not be as long as what there was.
            self._cut_at = self.size = offset
        self._grown = True
        if offset > self.size:
            return self._wait(offset, data)
        written = self._write(offset, data)
        while self._early and (ready := [start for start in self._early if start <= self.size]):
            for start in ready:
                piece = self._early.pop(start)
                self._early_bytes -= len(piece)
                # Its client was answered; a failure ends the whole file.
                self._write(start, piece).addErrback(lambda _: None)
        return written

    def _wait(self, offset: int, data: Piece) -> Deferred[None]:
        self._early_bytes += len(data) - len(self._early.get(offset, b""))
        self._early[offset] = data
        if self._early_bytes > EARLY_BYTES or len(self._early) > EARLY_PIECES:
            return self._fail(f"nothing came for byte {self.size} on: a file is sent from its beginning to its end")
        return succeed(None)

    def _write(self, offset: int, data: Piece) -> Deferred[None]:
        written: Deferred[None] = Deferred()
        self._queue.append((offset, data, written))
        self.queued += len(data)
        self.size = max(self.size, offset + len(data))
        if not self._writing:
            self._writing = True
            self._work.run("write", self._write_all())
        return written

    async def _write_all(self) -> None:
        while self._queue:
            pieces, self._queue = self._queue[:AT_ONCE], self._queue[AT_ONCE:]
            end = max(offset + len(data) for offset, data, _ in pieces)
            cut, self._cut_at = self._cut_at, None
            failed: Failure | None = None
            try:
                if self._failed is not None:
                    raise self._failed
                await self._box.allow(self, max(0, end - self._written))
                await self._box.threads.run(lambda: _write(self._descriptor, pieces, cut))  # noqa: B023
                self._written = max(self._written if cut is None else cut, end)
                if self._written - self._synced >= SYNC_EVERY and not self._syncing:
                    self._syncing = True
                    self._work.run("sync", self._sync_ahead())
            except CancelledError:
                raise
            except OSError as refused:
                self._failed = SFTPError(FX_FAILURE, f"it cannot be written: {refused.strerror}")
                failed = Failure(self._failed)
            except SFTPError as refused:
                self._failed = refused
                failed = Failure()
            self.queued -= sum(len(data) for _, data, _ in pieces)
            for _, _, written in pieces:
                written.callback(failed)
        self._writing = False

    async def _sync_ahead(self) -> None:
        self._synced = self._written
        try:
            await self._box.threads.run(lambda: os.fdatasync(self._descriptor))
        except OSError:
            # Linux tells of a failed sync once: whoever closes the file would not hear of it again.
            self._failed = SFTPError(FX_FAILURE, "it cannot be kept: the disk fails")
        finally:
            self._syncing = False

    def close(self) -> Deferred[None]:
        """Say that the file is whole; the Deferred fires when it is synced in the inbox."""
        return Deferred.fromCoroutine(self._close())

    async def _close(self) -> None:
        if self._ended:
            raise SFTPError(FX_FAILURE, str(self._failed or "it is closed"))
        self._ended = True
        try:
            await self._written_out()
            if self._failed is not None:
                raise self._failed
            if self._early:
                raise SFTPError(FX_FAILURE, f"not whole: bytes {self.size} to {min(self._early)} never came")
            if self._resumed and not self._grown:
                raise SFTPError(FX_FAILURE, f"nothing was added to {self.name}: send it again")
            try:
                await self._box.publish(self)
            except OSError as refused:
                raise SFTPError(FX_FAILURE, f"it cannot be kept: {refused.strerror}") from refused
        finally:
            self._let_go()

    async def cut(self, reason: str) -> None:
        """Receive no more of it: what there is waits, to be gone on with."""
        if self._ended:
            # It is being closed; nobody else may have it before that has come to its end.
            if self._descriptor >= 0:
                gone: Deferred[None] = Deferred()
                self._gone.append(gone)
                await gone
            return
        self._ended = True
        self._failed = SFTPError(FX_FAILURE, reason)
        self._early.clear()
        self._early_bytes = 0
        try:
            await self._written_out()
        finally:
            self._let_go()

    async def _written_out(self) -> None:
        await self._work.finish()

    def sync(self) -> None:
        """Wait until the disk has it; blocks."""
        if self._times is not None:
            os.utime(self._descriptor, self._times)
        os.fsync(self._descriptor)

    def flush(self) -> Deferred[None]:
        """What fsync@openssh.com asks for."""
        return Deferred.fromCoroutine(self._flush())

    async def _flush(self) -> None:
        await self._written_out()
        if self._failed is not None:
            raise self._failed
        if not self._ended:
            await self._box.threads.run(self.sync)

    def readChunk(self, offset: int, length: int) -> Deferred[bytes]:
        """Refuse: there is nothing to read until it is whole."""
        return fail(SFTPError(FX_PERMISSION_DENIED, "it is being sent, and cannot be read"))

    def getAttrs(self) -> dict[str, Any]:
        """Return its size as it will be."""
        return {"size": self.size, "permissions": 0o100640}

    def setAttrs(self, attrs: dict[str, Any]) -> Deferred[None]:
        """Take its times, and a size that is no more than it has; leave the rest, which is ours to say."""
        if "mtime" in attrs:
            self._times = (attrs["atime"], attrs["mtime"])
        if (size := attrs.get("size")) is not None and size != self.size:
            return self._fail("a file is as long as what is sent of it: its size cannot be set")
        return succeed(None)

    def _fail(self, reason: str) -> Deferred[Any]:
        self._failed = SFTPError(FX_FAILURE, reason)
        return fail(self._failed)

    def _let_go(self) -> None:
        descriptor, self._descriptor = self._descriptor, -1
        os.close(descriptor)
        self._box.ended(self)
        gone, self._gone = self._gone, []
        for waiting in gone:
            waiting.callback(None)


def _write(descriptor: int, pieces: Sequence[tuple[int, Piece, Any]], cut: int | None) -> None:
    if cut is not None:
        os.ftruncate(descriptor, cut)
    following: list[Piece] = []
    begin = end = pieces[0][0]
    for offset, data, _ in pieces:
        if offset != end:
            _write_row(descriptor, begin, following)
            following, begin, end = [], offset, offset
        following.append(data)
        end += len(data)
    _write_row(descriptor, begin, following)


def _write_row(descriptor: int, offset: int, pieces: list[Piece]) -> None:
    while pieces:
        written = os.pwritev(descriptor, pieces, offset)
        offset += written
        while pieces and written >= len(pieces[0]):
            written -= len(pieces.pop(0))
        if pieces and written:
            pieces[0] = memoryview(pieces[0])[written:]


@implementer(ISFTPFile)
class Download:
    """A file that is read."""

    def __init__(self, box: DropBox, descriptor: int) -> None:
        self._box = box
        self._descriptor = descriptor
        self._work = Background("download")
        self._ended = False

    def readChunk(self, offset: int, length: int) -> Deferred[bytes]:
        """Return bytes, none after its end."""
        read: Deferred[bytes] = Deferred()
        self._work.run("read", self._read(offset, min(length, LONGEST_READ), read))
        return read

    async def _read(self, offset: int, length: int, read: Deferred[bytes]) -> None:
        try:
            data = await self._box.threads.run(lambda: os.pread(self._descriptor, length, offset))
        except OSError as refused:
            read.errback(SFTPError(FX_FAILURE, f"it cannot be read: {refused.strerror}"))
        else:
            read.callback(data)

    def close(self) -> Deferred[None]:
        """Let go of it."""
        return Deferred.fromCoroutine(self._close())

    async def _close(self) -> None:
        if self._ended:
            return
        self._ended = True
        await self._work.finish()
        os.close(self._descriptor)

    async def cut(self, reason: str) -> None:
        """Let go of it, whatever its client thinks."""
        await self._close()

    def getAttrs(self) -> dict[str, Any]:
        """Return what there is to know."""
        status = os.fstat(self._descriptor)
        return {
            "size": status.st_size,
            "permissions": 0o100440,
            "atime": int(status.st_atime),
            "mtime": int(status.st_mtime),
        }

    def setAttrs(self, attrs: dict[str, Any]) -> Deferred[None]:
        """Refuse."""
        return fail(SFTPError(FX_PERMISSION_DENIED, "it is open for reading"))

    def writeChunk(self, offset: int, data: Piece) -> Deferred[None]:
        """Refuse."""
        return fail(SFTPError(FX_PERMISSION_DENIED, "it is open for reading"))
