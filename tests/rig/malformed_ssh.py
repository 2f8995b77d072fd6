"""What nobody should say to an SSH server: before there are keys, after a log-in, and to a drop box."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from random import Random
from time import time

from tests.rig.sftp_speaker import NEW, NOTHING, Speaker, Taking, make_box
from tests.rig.ssh_memory import BANNER, Visit, kexinit, packet
from twisted.conch.ssh import filetransfer as sftp
from twisted.conch.ssh.common import NS
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from lineside.background import Background
from lineside.edges.ssh.channels import MAX_CHANNELS, Programs
from lineside.edges.ssh.packets import LONGEST
from lineside.edges.ssh.shell.session import Conversation, OneCommand
from lineside.operations.registry import Operations
from lineside.security.audit import Act

BANNERS = (
    BANNER,
    b"SSH-2.0-x y z\n",
    b"SSH-1.99-old\r\n",
    b"SSH-1.5-older\r\n",
    b"hello\r\nSSH-2.0-peer\r\n",
    b"SSH-2.0-" + b"x" * 300 + b"\r\n",
    b"GET / HTTP/1.1\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01",
    b"",
)
FIRST = (
    kexinit(),
    kexinit(b"curve25519-sha256,kex-strict-c-v00@openssh.com"),
    kexinit(b"mlkem768x25519-sha256"),
    b"\x1e" + NS(bytes(range(32))),
    b"\x1e" + NS(bytes(1216)),
    b"\x15",
    b"\x05" + NS(b"ssh-userauth"),
    b"\x02" + NS(b"ignored"),
    b"\x01" + struct.pack("!L", 11) + NS(b"bye") + NS(b""),
)
"""Messages before there are keys, which may come in any order here."""
_SIZES = struct.pack("!3L", 0, 1 << 20, 32_768)
LATER = (
    (90, NS(b"session") + _SIZES),
    (90, NS(b"direct-tcpip") + _SIZES + NS(b"10.0.0.1") + struct.pack("!L", 80) + NS(b"10.0.0.2") + bytes(4)),
    (80, NS(b"tcpip-forward") + b"\1" + NS(b"") + struct.pack("!L", 0)),
    (80, NS(b"keepalive@openssh.com") + b"\1"),
    (
        98,
        bytes(4)
        + NS(b"pty-req")
        + b"\1"
        + NS(b"xterm")
        + struct.pack("!4L", 80, 24, 0, 0)
        + NS(b"\x01" + bytes(4)),
    ),
    (98, bytes(4) + NS(b"shell") + b"\1"),
    (98, bytes(4) + NS(b"exec") + b"\1" + NS(b"status --json")),
    (98, bytes(4) + NS(b"subsystem") + b"\1" + NS(b"sftp")),
    (98, bytes(4) + NS(b"env") + b"\1" + NS(b"LANG") + NS(b"C")),
    (98, bytes(4) + NS(b"window-change") + b"\0" + struct.pack("!4L", 120, 40, 0, 0)),
    (98, bytes(4) + NS(b"signal") + b"\0" + NS(b"INT")),
    (94, bytes(4) + NS(b"help\r\x1b[A\t\x03events tail\r")),
    (94, bytes(4) + NS(struct.pack("!LBL", 5, sftp.FXP_INIT, 3))),
    (95, bytes(4) + struct.pack("!L", 1) + NS(b"aside")),
    (93, bytes(4) + struct.pack("!L", 1 << 20)),
    (96, bytes(4)),
    (97, bytes(4)),
    (50, NS(b"ops") + NS(b"ssh-connection") + NS(b"none")),
    (5, NS(b"ssh-connection")),
    (20, kexinit()[1:]),
)
"""Messages of somebody who has logged in, to the channel 0."""
PATHS = (
    b"/inbox/a.csv",
    b"/inbox/b.part",
    b"/outbox",
    b"/archive/old.csv",
    b"/",
    b"",
    b"/inbox/../../outside/secret",
    b"../outside/secret",
    b"/inbox/link/secret",
    b"/outbox/secret",
    b"/inbox/\0/../secret",
    "/inbox/\u2024\u2024/\u2024\u2024/outside/secret".encode(),
    "/inbox/\uff0e\uff0e/outside/secret".encode(),
    b"/inbox/%2e%2e/%2e%2e/outside/secret",
    b"..\\outside\\secret",
    b"/inbox/\xc0\xae\xc0\xae/secret",
    b"/.partial/a.csv",
    b"/inbox/" + b"n" * 300,
    b"/inbox" * 200,
)
SECRET = b"nobody outside may read this"


def spoiled(random: Random, real: bytes, times: int = 3) -> bytes:
    """Return bytes after flips, cuts, insertions and wrong lengths; now and then as they were."""
    made = bytearray(real)
    for _ in range(random.randint(0, times)):
        at = random.randrange(len(made) + 1)
        match random.randrange(6):
            case 0:
                made[at : at + 1] = bytes((random.randrange(256),))
            case 1:
                del made[at:]
            case 2:
                made[at:at] = random.randbytes(random.randint(1, 40))
            case 3:
                made[at : at + 4] = struct.pack("!L", random.choice((0, 1, 5, 255, 35_000, 1 << 31, (1 << 32) - 1)))
            case 4:
                made[at : at + 1] = random.choice((b"\0", b"\xff", b"\x80", b"/", b"\n"))
            case 5:
                del made[at : at + random.randint(1, 8)]
    return bytes(made)


def beginnings(seed: int, count: int) -> Iterator[list[bytes]]:
    """Yield what a client says first, in the pieces in which it comes; the same for a seed."""
    random = Random(seed)
    for _ in range(count):
        said = random.choice(BANNERS)
        if random.random() < 0.3:
            said = spoiled(random, said)
        for _ in range(random.randrange(5)):
            message = random.choice(FIRST)
            if random.random() < 0.5:
                message = spoiled(random, message) or b"\0"
            framed = packet(message)
            said += spoiled(random, framed) if random.random() < 0.3 else framed
        pieces = []
        while said:
            length = random.choice((1, 7, 100, 10_000, 100_000))
            pieces.append(said[:length])
            said = said[length:]
        yield pieces


def messages(seed: int, count: int) -> Iterator[tuple[int, bytes]]:
    """Yield numbers and contents of messages after a log-in."""
    random = Random(seed)
    for _ in range(count):
        number, content = random.choice((LATER[0], *LATER))
        if random.random() < 0.1:
            number = random.randrange(1, 256)
        yield number, spoiled(random, content) if random.random() < 0.4 else content


def requests(seed: int, count: int) -> Iterator[tuple[int, bytes]]:
    """Yield kinds and contents of requests to a drop box."""
    random = Random(seed)
    sized, moded, timed = struct.pack("!LQ", 1, 1 << 62), struct.pack("!LL", 4, 0o777), struct.pack("!LLL", 8, 0, 0)
    for _ in range(count):
        path, goal = (spoiled(random, random.choice(random.choice((PATHS, PATHS[:2]))), 1) for _ in range(2))
        handle = random.choice((b"", b"\0", b"0", b"1", b"2", b"3", bytes(4), b"\0\0\0\1", b"\0\0\0\2"))
        # A handle is told in an answer; `Judge` puts one that was told in place of this.
        handle = random.choice((b"HANDLE", b"HANDLE", handle))
        flags = random.choice((NEW, sftp.FXF_READ, random.randrange(64)))
        told = random.choice((NOTHING, sized, moded, timed))
        kind, content = random.choice(
            (
                (sftp.FXP_OPEN, NS(path) + struct.pack("!L", flags) + told),
                *[(sftp.FXP_OPEN, NS(b"/inbox/%d" % random.randrange(9)) + struct.pack("!L", NEW) + NOTHING)] * 3,
                *[(sftp.FXP_WRITE, NS(b"HANDLE") + struct.pack("!Q", 0) + NS(b"row\n" * 9))] * 3,
                *[(sftp.FXP_CLOSE, NS(b"HANDLE"))] * 3,
                (
                    sftp.FXP_READ,
                    NS(handle) + struct.pack("!QL", *(random.randrange(1 << bits) for bits in (40, 32))),
                ),
                (sftp.FXP_READ, NS(handle) + struct.pack("!QL", 0, 32_768)),
                (sftp.FXP_WRITE, NS(handle) + struct.pack("!Q", random.choice((0, 5, 1 << 63))) + NS(b"row\n" * 9)),
                (sftp.FXP_OPENDIR, NS(path)),
                (sftp.FXP_READDIR, NS(handle)),
                (sftp.FXP_REMOVE, NS(path)),
                (sftp.FXP_MKDIR, NS(path) + told),
                (sftp.FXP_RMDIR, NS(path)),
                (sftp.FXP_REALPATH, NS(path)),
                (sftp.FXP_STAT, NS(path)),
                (sftp.FXP_LSTAT, NS(path)),
                (sftp.FXP_SETSTAT, NS(path) + told),
                (sftp.FXP_FSETSTAT, NS(handle) + told),
                (sftp.FXP_RENAME, NS(path) + NS(goal)),
                (sftp.FXP_READLINK, NS(path)),
                (sftp.FXP_SYMLINK, NS(path) + NS(goal)),
                (sftp.FXP_EXTENDED, NS(b"statvfs@openssh.com") + NS(path)),
                (sftp.FXP_EXTENDED, NS(b"posix-rename@openssh.com") + NS(path) + NS(goal)),
                (random.randrange(256), NS(path)),
            )
        )
        yield kind, spoiled(random, content) if random.random() < 0.3 else content


class Door:
    """One SSH server, and what must hold whatever is said to it."""

    def __init__(self) -> None:
        operations, self._work = Operations(), Background("malformed")
        shared = (operations, self._work)

        def programs(_: object) -> Programs:
            return Programs(
                shell=lambda session: Conversation(session, *shared, self._visit.clock, dict, "hello"),
                command=lambda session, line: OneCommand(session, *shared, self._visit.clock, line),
            )

        self._programs = programs
        self._visit = Visit(programs=programs)
        self.visits = 0

    def begin(self, pieces: list[bytes]) -> None:
        """Say something first, and go.

        Raises:
            AssertionError: it was let in, something is left of it, or too much was kept.

        """
        visit = self._visit
        pipe, server = visit.connect()
        for piece in pieces:
            server.dataReceived(piece)
        assert len(server._received) <= LONGEST + 100_000, len(server._received)
        assert not server.known
        server.connectionLost()
        assert len(visit.door.connections) == 1
        assert len(pipe.value()) < 100_000

    def say(self, number: int, content: bytes) -> None:
        """Say something after a log-in; whoever is shown out comes again.

        Raises:
            AssertionError: something is left of who went, or there are too many channels.

        """
        visit = self._visit
        if not self.visits or visit.pipe.disconnecting:
            self.leave()
            self._visit = visit = Visit(programs=self._programs)
            visit.log_in()
            assert visit.server.known
            visit.other.clear()
            visit.client.sendPacket(*LATER[0])
            self.visits += 1
        visit.client.sendPacket(number, content)
        visit.server.dataReceived(visit.other.value())
        visit.clock.advance(0)
        visit.other.clear()
        visit.pipe.clear()
        service = visit.server.service
        assert len(getattr(service, "channels", ())) <= MAX_CHANNELS

    def leave(self) -> None:
        """Go, and leave nothing."""
        visit = self._visit
        visit.server.connectionLost()
        self._work.cancel()
        visit.clock.advance(0)
        assert visit.door.connections == set()
        assert visit.clock.getDelayedCalls() == [], visit.clock.getDelayedCalls()


class Box:
    """One drop box beside a folder that is not its own."""

    def __init__(self, folder: Path) -> None:
        self._outside = folder / "outside"
        self._outside.mkdir()
        (self._outside / "secret").write_bytes(SECRET)
        self._root = folder / "acme"
        self._clock = Clock()
        self._clock.rightNow = time()
        self._taking = Taking()
        self._acts: list[Act] = []
        self._box = make_box(self._root, self._taking, self._clock, self._acts, rate=100_000)
        Deferred.fromCoroutine(self._box.start())
        (self._root / "archive" / "old.csv").write_bytes(b"old")
        (self._root / "inbox" / "link").symlink_to(self._outside)
        (self._root / "outbox" / "secret").symlink_to(self._outside / "secret")
        self._speaker = Speaker(self._box, self._clock)
        self._handles: list[bytes] = []
        self.kinds: dict[int, int] = {}
        self.taken = 0

    def ask(self, kind: int, content: bytes) -> None:
        """Ask something.

        Raises:
            AssertionError: it was answered with what is outside, or not at all.

        """
        if self._speaker.wire.disconnecting:
            self._speaker.lose()
            self._speaker = Speaker(self._box, self._clock)
            self._handles.clear()
        if self._handles:
            handle = self._handles[-1]
            content = content.replace(NS(b"HANDLE"), NS(handle))
        number = self._speaker.send(kind, content)
        self._speaker.turn()
        answer = self._speaker.answers.pop(number, None)
        if answer is None and kind == sftp.FXP_INIT:
            # Its answer has a version in place of the number.
            self._speaker.answers.clear()
            return
        if answer is None:
            assert self._speaker.wire.disconnecting, (kind, content)
            return
        assert SECRET not in answer.rest, (kind, content)
        self.kinds[answer.kind] = self.kinds.get(answer.kind, 0) + 1
        if answer.kind == sftp.FXP_HANDLE:
            self._handles = [*self._handles[-3:], answer.text]
        self.taken += len(self._taking.taken)
        self._taking.taken.clear()
        self._acts.clear()
        self._clock.advance(0.01)

    def leave(self) -> None:
        """Go.

        Raises:
            AssertionError: something was made, altered or removed that is not the partner's.

        """
        self._speaker.lose()
        assert (self._outside / "secret").read_bytes() == SECRET
        assert [path.name for path in self._outside.iterdir()] == ["secret"]
        assert {path.name for path in self._root.parent.iterdir()} == {"acme", "outside"}
        folders = {str(path.relative_to(self._root)) for path in self._root.rglob("*") if path.is_dir()}
        assert folders <= {"inbox", "outbox", "archive", ".partial", "inbox/link"}, folders
        Deferred.fromCoroutine(self._box.stop())
