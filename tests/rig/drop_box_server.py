"""A drop box behind conch's SSH server, in a process of its own.

    drop_box_server FOLDER [--held] [limits as JSON]

In FOLDER it keeps its host key, the partner's folders in ``acme`` and what was taken in ``taken``; it takes the
user "acme" with FOLDER's ``id.pub``. It prints its port once it listens, then ``begun NAME`` and ``taken NAME``.
With ``--held`` it takes nothing in. Where its standard input ends, it ends.
"""

from __future__ import annotations

import json
import os
import sys
from functools import partial
from pathlib import Path
from random import Random
from time import time
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from msgspec import convert
from twisted.conch.ssh.keys import Key
from twisted.internet.defer import Deferred, ensureDeferred
from twisted.internet.protocol import Protocol
from twisted.internet.stdio import StandardIO
from twisted.internet.threads import deferToThreadPool

from lineside.assemble.sshsettings import authorized_keys
from lineside.edges.ssh.channels import Programs
from lineside.edges.ssh.door import Limits as DoorLimits
from lineside.edges.ssh.door import SshDoor
from lineside.edges.ssh.dropbox.box import DropBox, Limits
from lineside.edges.ssh.dropbox.protocol import DropBoxProtocol
from lineside.edges.ssh.dropbox.threads import Threads
from lineside.edges.ssh.dropbox.uploads import Upload
from lineside.edges.ssh.hostkeys import HostKeys
from lineside.edges.ssh.logins import Logins, User
from lineside.model.errors import FileNotTaken
from lineside.model.ports import TakenFile
from lineside.security.audit import Act
from lineside.security.identity import Identity


class Taking:
    """An intake that moves files to a folder, once it may."""

    def __init__(self, folder: Path, threads: Threads, *, held: bool) -> None:
        folder.mkdir(exist_ok=True)
        self._folder = folder
        self._threads = threads
        self.held = held

    async def take(self, path: Path, name: str, sender: str) -> TakenFile:
        if self.held:
            raise FileNotTaken("it is held")
        await self._threads.run(partial(os.replace, path, self._folder / name))
        print("taken", name, flush=True)  # noqa: T201 (the test reads it)
        return TakenFile("0" * 64, repeated=False)


class ToldBox(DropBox):
    """A drop box that says when a file has begun to grow."""

    async def allow(self, upload: Upload, growth: int) -> None:
        await super().allow(upload, growth)
        if upload.name not in _BEGUN:
            _BEGUN.add(upload.name)
            print("begun", upload.name, flush=True)  # noqa: T201 (the test reads it)


_BEGUN: set[str] = set()


class Listening(Protocol):
    """Ends the server where its standard input ends."""

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor

    def connectionLost(self, reason: Any = None) -> None:
        self._reactor.stop()


def host_keys(folder: Path) -> HostKeys:
    """Return the host's key, which is made once; of one kind, for making one of RSA takes a second."""
    path = folder / "host"
    if not path.exists():
        made = Key(Ed25519PrivateKey.generate())
        path.write_bytes(made.toString("OPENSSH"))
        (folder / "host.pub").write_bytes(made.public().toString("OPENSSH"))
    return HostKeys({b"ssh-ed25519": Key.fromFile(str(path))}, [b"ssh-ed25519"])


def serve(folder: Path, limits: Limits, *, held: bool) -> None:
    """Serve until standard input ends."""
    from twisted.internet import reactor as installed  # noqa: PLC0415, TID251 (it is this process's)

    reactor: Any = installed
    threads = Threads(reactor.callFromThread)
    taking = Taking(folder / "taken", threads, held=held)
    acts = (folder / "acts").open("a", buffering=1)

    def record(act: Act) -> None:
        acts.write(json.dumps([act.what, act.state, dict(act.facts)]) + "\n")

    box = ToldBox("acme", folder / "acme", taking, limits, reactor, Random(1), time, threads=threads, record=record)

    user = User(
        "acme",
        Identity("acme", "nobody"),
        frozenset(authorized_keys((folder / "id.pub").read_text())),
        source="acme",
    )
    programs = Programs(subsystems={b"sftp": lambda visitor: DropBoxProtocol(box, visitor.where, reactor)})
    door = SshDoor(
        reactor,
        host_keys(folder),
        Logins({"acme": user}, lambda work: deferToThreadPool(reactor, reactor.getThreadPool(), work)),
        lambda _: programs,
        DoorLimits(),
    )

    async def start() -> None:
        await threads.start()
        await box.start()
        port = reactor.listenTCP(0, door, interface="127.0.0.1")
        print(port.getHost().port, flush=True)  # noqa: T201 (the test reads it)
        StandardIO(Listening(reactor))

    def failed(reason: Any) -> None:
        reason.printTraceback(sys.stderr)
        reactor.stop()

    async def stop() -> None:
        await box.stop()
        await threads.stop()

    started: Deferred[None] = ensureDeferred(start())
    started.addErrback(failed)
    reactor.addSystemEventTrigger("before", "shutdown", lambda: ensureDeferred(stop()))
    reactor.run()


def main() -> None:
    """Serve as the arguments say."""
    words = sys.argv[1:]
    given: dict[str, Any] = next((json.loads(word) for word in words[1:] if word.startswith("{")), {})
    serve(Path(words[0]), convert(given, Limits), held="--held" in words)


if __name__ == "__main__":
    main()
