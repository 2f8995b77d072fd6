"""A simulated old Unix box that speaks SSH: on this machine alone, for one user with one key."""

from __future__ import annotations

import os
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from msgspec import Struct
from twisted.internet.defer import Deferred, succeed
from twisted.internet.endpoints import TCP4ServerEndpoint
from twisted.internet.task import LoopingCall

from lineside.edges.ssh.channels import Programs
from lineside.edges.ssh.door import Limits, SshDoor
from lineside.edges.ssh.hostkeys import HostKeys, own_key
from lineside.edges.ssh.logins import Logins, User
from lineside.listeningport import ListeningPort
from lineside.security.identity import Identity
from lineside.testing.legacyhost import OldBox

USER = "lineside"
KEY = "client_ed25519"


class HostStatus(Struct, frozen=True):
    """How it stands, or how it ended."""

    seconds: float
    written: int
    """Lines of the log."""
    rotations: int
    connections: int
    """At present."""
    log_ins: int
    commands: int
    dropped: int
    """Connections that it cut."""


class LegacyHost:
    """The box, its SSH server, and a folder with what a client needs.

    Args:
        reactor: its timers must follow a monotonic clock.
        folder: keeps its keys, and gets ``known_hosts``, the client's key and ``source.toml``.
        port: of 127.0.0.1; 0 for any.
        lines: what is written to the log.
        drop_every: seconds after which all connections are cut, again and again; None for never.
        box: further arguments of `OldBox`.

    """

    def __init__(
        self,
        reactor: Any,
        folder: Path,
        port: int,
        lines: Iterator[bytes],
        *,
        drop_every: float | None = None,
        **box: Any,
    ) -> None:
        self.box = OldBox(reactor, lines, **box)
        self._reactor = reactor
        self._folder = folder
        self._asked = port
        self._drop_every = drop_every
        self._port = ListeningPort("legacy-host", TCP4ServerEndpoint(reactor, port, 5, "127.0.0.1"), f"port {port}")
        self._door: SshDoor | None = None
        self._began = 0.0
        self._dropped = 0
        self._dropping = LoopingCall(self._drop)
        self._dropping.clock = reactor
        self._ended: list[Deferred[Any]] = []

    async def start(self) -> None:
        """Listen, and leave what a client needs in the folder.

        Raises:
            LinesideError: the port is taken, or the folder cannot be written.
            OSError: the folder cannot be written.

        """
        host, ours = own_key(self._folder / "ssh_host_ed25519_key"), own_key(self._folder / KEY)
        keys = HostKeys({b"ssh-ed25519": host}, [b"ssh-ed25519"])
        users = {USER: User(USER, Identity(USER, "nobody"), frozenset([ours.public().blob()]))}
        self._door = SshDoor(
            self._reactor,
            keys,
            Logins(users, lambda work: succeed(work())),
            lambda _: Programs(command=self.box.run),
            Limits(),
        )
        await self._port.listen(self._door)
        self._leave(keys)
        self._began = self._reactor.seconds()
        self._ended.append(self.box.start())
        if self._drop_every is not None:
            self._ended.append(self._dropping.start(self._drop_every, now=False))

    async def stop(self) -> None:
        """Write and listen no more, and cut all connections."""
        self.box.stop()
        if self._dropping.running:
            self._dropping.stop()
        for each in self._ended:
            await each
        await self._port.close()
        self._cut()

    @property
    def status(self) -> HostStatus:
        """How it stands."""
        door = self._door
        return HostStatus(
            seconds=round(self._reactor.seconds() - self._began, 1),
            written=self.box.written,
            rotations=self.box.rotations,
            connections=0 if door is None else len(door.connections),
            log_ins=0 if door is None else door.logged_in,
            commands=self.box.commands,
            dropped=self._dropped,
        )

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self._port.address.rpartition(":")[2])

    @property
    def table(self) -> str:
        """The table of a source that reads its log."""
        folder = self._folder.resolve()
        return (
            "[sources.legacy]\n"
            'type = "ssh-command"\n'
            f'connect = "tcp:127.0.0.1:{self.port}"\n'
            f'user = "{USER}"\n'
            f'key = "{folder / KEY}"\n'
            f'known_hosts = "{folder / "known_hosts"}"\n'
            f'follow = "{self.box.path}"\n'
            f'# Or without a place that is kept: command = "tail -n 0 -F {self.box.path}"\n'
        )

    def _leave(self, keys: HostKeys) -> None:
        lines = [
            f"[127.0.0.1]:{self.port} {key.sshType().decode()} {b64encode(key.blob()).decode()}\n"
            for key in keys.public.values()
        ]
        _replace(self._folder / "known_hosts", "".join(lines))
        _replace(self._folder / "source.toml", self.table)

    def _drop(self) -> None:
        self._dropped += self._cut()

    def _cut(self) -> int:
        connections = list(() if self._door is None else self._door.connections)
        for connection in connections:
            connection.cut()
        return len(connections)


def _replace(path: Path, text: str) -> None:
    new = path.with_name(f".{path.name}.{os.getpid()}")
    new.write_text(text, encoding="utf-8")
    new.replace(path)
