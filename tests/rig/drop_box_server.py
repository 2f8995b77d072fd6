"""A drop box behind conch's SSH server, in a process of its own.

    python -m tests.rig.drop_box_server FOLDER [--held] [limits as JSON]

In FOLDER it keeps its host key, the partner's folders in ``acme`` and what was taken in ``taken``; it takes the
user "acme" with FOLDER's ``id.pub``. It prints its port once it listens. The line ``take`` on its standard
input lets files be taken that were held; where standard input ends, it ends.
"""

from __future__ import annotations

import base64
import hashlib
import json
import sys
from pathlib import Path
from random import Random
from time import time
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from msgspec import convert
from twisted.conch.avatar import ConchUser
from twisted.conch.checkers import InMemorySSHKeyDB, SSHPublicKeyChecker
from twisted.conch.ssh.connection import SSHConnection
from twisted.conch.ssh.factory import SSHFactory
from twisted.conch.ssh.keys import Key
from twisted.conch.ssh.session import SSHSession
from twisted.conch.ssh.userauth import SSHUserAuthServer
from twisted.cred.portal import Portal
from twisted.internet.defer import Deferred, ensureDeferred
from twisted.internet.protocol import Protocol
from twisted.internet.stdio import StandardIO
from twisted.protocols.basic import LineReceiver

from lineside.edges.ssh.dropbox.box import DropBox, Limits
from lineside.edges.ssh.dropbox.protocol import DropBoxProtocol
from lineside.edges.ssh.dropbox.threads import Threads
from lineside.model.errors import FileNotTaken
from lineside.model.ports import TakenFile
from lineside.security.audit import Act

WINDOW = 2 << 20


class WideSession(SSHSession):
    """A session whose window is that of the gateway."""

    def __init__(self, *args: Any, **settings: Any) -> None:
        super().__init__(*args, **{**settings, "localWindow": WINDOW})


class Partner(ConchUser):
    """Who may open the drop box."""

    def __init__(self, box: DropBox, reactor: Any) -> None:
        super().__init__()
        self.channelLookup[b"session"] = WideSession
        self._box = box
        self._reactor = reactor

    def lookupSubsystem(self, name: bytes, data: bytes) -> Protocol | None:
        return DropBoxProtocol(self._box, "ssh from 127.0.0.1", self._reactor) if name == b"sftp" else None


class Taking:
    """An intake that moves files to a folder, once it may."""

    def __init__(self, folder: Path, *, held: bool) -> None:
        folder.mkdir(exist_ok=True)
        self._folder = folder
        self.held = held

    async def take(self, path: Path, name: str, sender: str) -> TakenFile:
        if self.held:
            raise FileNotTaken("it is held")
        return TakenFile(_moved(path, self._folder / name), repeated=False)


def _moved(path: Path, goal: Path) -> str:
    digest = hashlib.blake2b(path.read_bytes(), digest_size=32).hexdigest()
    path.replace(goal)
    return digest


class Orders(LineReceiver):
    """What the test says; where it says no more, the server ends."""

    delimiter = b"\n"

    def __init__(self, taking: Taking, reactor: Any) -> None:
        self._taking = taking
        self._reactor = reactor

    def lineReceived(self, line: bytes) -> None:
        if line == b"take":
            self._taking.held = False

    def connectionLost(self, reason: Any = None) -> None:
        self._reactor.stop()


def host_key(folder: Path) -> Key:
    """Return the host's key, which is made once."""
    path = folder / "host"
    if not path.exists():
        path.write_bytes(Key(Ed25519PrivateKey.generate()).toString("OPENSSH"))
    return Key.fromFile(str(path))


def serve(folder: Path, limits: Limits, *, held: bool) -> None:
    """Serve until standard input ends."""
    from twisted.internet import reactor as installed  # noqa: PLC0415, TID251 (it is this process's)

    reactor: Any = installed
    threads = Threads(reactor.callFromThread)
    threads.start()
    taking = Taking(folder / "taken", held=held)
    acts = (folder / "acts").open("a", buffering=1)

    def record(act: Act) -> None:
        acts.write(json.dumps([act.what, act.state, dict(act.facts)]) + "\n")

    box = DropBox("acme", folder / "acme", taking, limits, reactor, Random(1), time, threads=threads, record=record)

    class Realm:
        def requestAvatar(self, avatar_id: Any, mind: Any, *interfaces: Any) -> Any:
            return interfaces[0], Partner(box, reactor), lambda: None

    portal = Portal(Realm())  # type: ignore[arg-type]
    key = Key.fromString((folder / "id.pub").read_bytes())
    portal.registerChecker(SSHPublicKeyChecker(InMemorySSHKeyDB({b"acme": [key]})))
    factory = SSHFactory()
    factory.portal = portal
    mine = host_key(folder)
    factory.publicKeys = {b"ssh-ed25519": mine.public()}
    factory.privateKeys = {b"ssh-ed25519": mine}
    factory.services = {b"ssh-userauth": SSHUserAuthServer, b"ssh-connection": SSHConnection}

    async def start() -> None:
        await box.start()
        port = reactor.listenTCP(0, factory, interface="127.0.0.1")
        print(port.getHost().port, flush=True)  # noqa: T201 (the test reads it)
        StandardIO(Orders(taking, reactor))

    def failed(reason: Any) -> None:
        reason.printTraceback(sys.stderr)
        reactor.stop()

    async def stop() -> None:
        await box.stop()
        threads.stop()

    started: Deferred[None] = ensureDeferred(start())
    started.addErrback(failed)
    reactor.addSystemEventTrigger("before", "shutdown", lambda: ensureDeferred(stop()))
    reactor.run()


def fingerprint(folder: Path) -> str:
    """Return the host key's line for known_hosts, without the host."""
    blob = Key.fromFile(str(folder / "host")).public().blob()
    return f"ssh-ed25519 {base64.b64encode(blob).decode()}"


if __name__ == "__main__":
    words = sys.argv[1:]
    given = next((json.loads(word) for word in words[1:] if word.startswith("{")), {})
    serve(Path(words[0]), convert(given, Limits), held="--held" in words)
