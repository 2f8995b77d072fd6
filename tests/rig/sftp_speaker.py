"""A drop box's protocol without SSH, and a client that speaks it packet by packet."""

from __future__ import annotations

import struct
from pathlib import Path
from random import Random
from typing import Any

from msgspec import Struct
from twisted.conch.ssh import filetransfer as sftp
from twisted.conch.ssh.common import NS, getNS
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from lineside.edges.ssh.dropbox.box import DropBox, Limits
from lineside.edges.ssh.dropbox.protocol import DropBoxProtocol
from lineside.edges.ssh.dropbox.threads import Threads
from lineside.model.errors import FileNotTaken
from lineside.model.ports import TakenFile
from lineside.security.audit import Act
from lineside.testing.workers import InlineWorker

NEW = sftp.FXF_WRITE | sftp.FXF_CREAT | sftp.FXF_TRUNC
ON = sftp.FXF_WRITE | sftp.FXF_CREAT
END = sftp.FXF_WRITE | sftp.FXF_CREAT | sftp.FXF_APPEND
NOTHING = struct.pack("!L", 0)
"""No attributes."""


class Answer(Struct):
    """What came back to one request."""

    kind: int
    rest: bytes

    @property
    def status(self) -> tuple[int, str]:
        """The code and the text of a status."""
        assert self.kind == sftp.FXP_STATUS, self
        (code,) = struct.unpack_from("!L", self.rest)
        return code, getNS(self.rest[4:])[0].decode()

    @property
    def text(self) -> bytes:
        """The handle, or the data."""
        assert self.kind in (sftp.FXP_HANDLE, sftp.FXP_DATA), self.status
        return bytes(getNS(self.rest)[0])

    @property
    def size(self) -> int:
        """The size among attributes."""
        assert self.kind == sftp.FXP_ATTRS, self.status
        flags, size = struct.unpack_from("!LQ", self.rest)
        assert flags & sftp.FILEXFER_ATTR_SIZE
        return int(size)

    @property
    def names(self) -> list[str]:
        """The names of a listing."""
        assert self.kind == sftp.FXP_NAME, self.status
        (count,), rest = struct.unpack_from("!L", self.rest), self.rest[4:]
        names = []
        for _ in range(count):
            name, _line, rest = getNS(rest, 2)
            names.append(name.decode())
            _, rest = sftp.FileTransferBase()._parseAttributes(rest)
        return names


class Channel:
    """As much of a channel as the protocol holds back."""

    def __init__(self) -> None:
        self.buf = b""
        self.localWindowSize = self.localWindowLeft = 2 << 20
        self.conn = self
        self.full = False
        self.aloud: list[bytes] = []

    def adjustWindow(self, channel: Channel, by: int) -> None:
        """Widen the window."""
        self.localWindowLeft += by

    def writeExtended(self, kind: int, data: bytes) -> None:
        """Keep what goes to standard error."""
        self.aloud.append(data)


class Wire:
    """The transport that conch gives a subsystem."""

    def __init__(self) -> None:
        self.session = Channel()
        self.received = b""
        self.disconnecting = False

    def write(self, data: bytes) -> None:
        """Keep what is answered."""
        self.received += data

    def loseConnection(self) -> None:
        """Note that the server hangs up."""
        self.disconnecting = True


class Speaker:
    """A connection to a drop box."""

    def __init__(self, box: DropBox, clock: Clock) -> None:
        self._clock = clock
        self.wire = Wire()
        self.protocol = DropBoxProtocol(box, "ssh from 192.0.2.1", clock)
        self.protocol.makeConnection(self.wire)
        self._number = 0
        self.answers: dict[int, Answer] = {}
        self.protocol.dataReceived(struct.pack("!LBL", 5, sftp.FXP_INIT, 3))
        clock.advance(0)
        self.wire.received = b""

    def send(self, kind: int, rest: bytes) -> int:
        """Send a request; return its number."""
        self._number += 1
        body = struct.pack("!BL", kind, self._number) + rest
        self.protocol.dataReceived(struct.pack("!L", len(body)) + body)
        return self._number

    def turn(self) -> None:
        """Let the server answer."""
        for _ in range(4):
            self._clock.advance(0)
        while self.wire.received:
            length, kind, number = struct.unpack_from("!LBL", self.wire.received)
            self.answers[number] = Answer(kind, self.wire.received[9 : 4 + length])
            self.wire.received = self.wire.received[4 + length :]

    def ask(self, kind: int, rest: bytes) -> Answer:
        """Send a request, and return its answer."""
        number = self.send(kind, rest)
        self.turn()
        return self.answers.pop(number)

    def open(self, path: str, flags: int) -> Answer:
        """Open a file."""
        return self.ask(sftp.FXP_OPEN, NS(path.encode()) + struct.pack("!L", flags) + NOTHING)

    def write(self, handle: bytes, offset: int, data: bytes) -> Answer:
        """Write, and wait for it."""
        return self.ask(sftp.FXP_WRITE, NS(handle) + struct.pack("!Q", offset) + NS(data))

    def close(self, handle: bytes) -> Answer:
        """Close."""
        return self.ask(sftp.FXP_CLOSE, NS(handle))

    def look(self, path: str) -> Answer:
        """Ask for attributes."""
        return self.ask(sftp.FXP_STAT, NS(path.encode()))

    def rename(self, path: str, to: str) -> Answer:
        """Rename a file."""
        return self.ask(sftp.FXP_RENAME, NS(path.encode()) + NS(to.encode()))

    def remove(self, path: str) -> Answer:
        """Remove a file."""
        return self.ask(sftp.FXP_REMOVE, NS(path.encode()))

    def put(self, path: str, data: bytes, flags: int = NEW) -> Answer:
        """Send a whole file; return what came of closing it."""
        handle = self.open(path, flags).text
        self.write(handle, 0, data)
        return self.close(handle)

    def files(self, folder: str) -> list[str]:
        """List the files of a folder."""
        handle = self.ask(sftp.FXP_OPENDIR, NS(folder.encode())).text
        names = self.ask(sftp.FXP_READDIR, NS(handle)).names
        self.close(handle)
        return [name for name in names if name not in (".", "..")]

    def lose(self) -> None:
        """Lose the connection."""
        self.protocol.connectionLost()
        self._clock.advance(0)


class Taking:
    """An intake that keeps what it is given, unless it is told to refuse."""

    def __init__(self) -> None:
        self.taken: list[tuple[str, bytes]] = []
        self.refusal: Exception | None = None

    async def take(self, path: Path, name: str, sender: str) -> TakenFile:
        """Take a file."""
        if self.refusal is not None:
            raise self.refusal
        self.taken.append((name, _removed(path)))
        return TakenFile("0" * 64, repeated=False)

    def hold(self) -> None:
        """Take nothing for a while."""
        self.refusal = FileNotTaken("the source is paused")


def _removed(path: Path) -> bytes:
    data = path.read_bytes()
    path.unlink()
    return data


def make_box(
    root: Path, taking: Taking, clock: Clock, acts: list[Act], worker: Any = InlineWorker, **limits: Any
) -> DropBox:
    """Return a drop box whose threads are the caller's."""
    threads = Threads(lambda call, *words: call(*words), 1, worker)
    Deferred.fromCoroutine(threads.start())
    return DropBox(
        "acme", root, taking, Limits(**limits), clock, Random(1), clock.seconds, threads=threads, record=acts.append
    )
