"""OpenSSH's server as a partner's or a legacy host: behind a port of the test, so that its lines can be cut."""

from __future__ import annotations

import contextlib
import os
import pwd
from base64 import b64decode
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from twisted.internet.defer import Deferred
from twisted.internet.error import ProcessExitedAlready
from twisted.internet.protocol import Factory, ProcessProtocol, Protocol, connectionDone
from twisted.python.failure import Failure

SSHD = "/usr/sbin/sshd"


def make_key(path: Path) -> str:
    """Make a key, and return its public half in a line."""
    key = Ed25519PrivateKey.generate()
    path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()))
    path.chmod(0o600)
    return key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()


class Sshd:
    """A host. Each connection has a process of its own, as with inetd.

    Args:
        reactor: runs the processes.
        directory: for its keys and its configuration.
        options: further lines of ``sshd_config``.

    """

    def __init__(self, reactor: Any, directory: Path, options: Sequence[str] = ()) -> None:
        directory.mkdir(exist_ok=True)
        self.directory = directory
        self.user = pwd.getpwuid(os.getuid()).pw_name
        self.cut_after: int | None = None
        """The process of the next connection is killed after so many bytes of its answers."""
        self.sessions: list[_Session] = []
        self.visits = 0
        self._reactor = reactor
        self.host_key = make_key(directory / "host")
        (directory / "authorized").write_text(make_key(directory / "client") + "\n")
        lines = [
            f"HostKey {directory / 'host'}",
            f"AuthorizedKeysFile {directory / 'authorized'}",
            "Subsystem sftp internal-sftp",
            "StrictModes no",
            "UsePAM no",
            "PidFile none",
            "PermitRootLogin yes",
            "PasswordAuthentication no",
            "KbdInteractiveAuthentication no",
            *options,
        ]
        (directory / "sshd_config").write_text("\n".join(lines) + "\n")
        if os.getuid() == 0:
            Path("/run/sshd").mkdir(exist_ok=True)

    def start(self) -> None:
        """Listen."""
        factory = Factory.forProtocol(lambda: _Session(self))
        self._listening = self._reactor.listenTCP(0, factory, interface="127.0.0.1")
        self.port: int = self._listening.getHost().port

    async def stop(self) -> None:
        """Listen no more, and end what runs."""
        await self._listening.stopListening()
        for session in list(self.sessions):
            session.kill()
            await session.over

    def said(self) -> str:
        """Return the host's log."""
        path = self.directory / "sshd.log"
        return path.read_text() if path.exists() else ""

    @property
    def known_hosts(self) -> str:
        """The line that a client needs."""
        return f"[127.0.0.1]:{self.port} {self.host_key}\n"

    @property
    def host_blob(self) -> bytes:
        """The host's public key."""
        return b64decode(self.host_key.split()[1])


class _Session(Protocol):
    def __init__(self, host: Sshd) -> None:
        self._host = host
        self._passed = 0
        self._cut: int | None = None
        self._process: Any = None
        self._ended = False
        self.over: Deferred[None] = Deferred()

    def connectionMade(self) -> None:
        host = self._host
        host.visits += 1
        host.sessions.append(self)
        self._cut, host.cut_after = host.cut_after, None
        command = [SSHD, "-i", "-e", "-f", str(host.directory / "sshd_config")]
        self._process = host._reactor.spawnProcess(_Sshd(self), SSHD, command, env={"PATH": "/usr/bin:/bin"})

    def dataReceived(self, data: bytes) -> None:
        if not self._ended:
            self._process.write(data)

    def answered(self, data: bytes) -> None:
        if self._cut is not None:
            data = data[: max(0, self._cut - self._passed)]
        self._passed += len(data)
        self.transport.write(data)  # type: ignore[union-attr] # (it has one)
        if self._cut is not None and self._passed >= self._cut:
            self.kill()

    def kill(self) -> None:
        if not self._ended:
            with contextlib.suppress(ProcessExitedAlready):
                self._process.signalProcess("KILL")
            # Its own children end with what they listen to.
            self._process.loseConnection()

    def ended(self) -> None:
        self._ended = True
        self._host.sessions.remove(self)
        self.transport.loseConnection()  # type: ignore[union-attr] # (it has one)
        self.over.callback(None)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.kill()


class _Sshd(ProcessProtocol):
    def __init__(self, session: _Session) -> None:
        self._session = session
        self._said = b""

    def outReceived(self, data: bytes) -> None:
        self._session.answered(data)

    def errReceived(self, data: bytes) -> None:
        path = self._session._host.directory / "sshd.log"
        with path.open("ab") as log:
            log.write(data)

    def processEnded(self, reason: Failure) -> None:
        self._session.ended()
