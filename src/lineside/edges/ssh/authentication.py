"""The service by which a client says who it is (RFC 4252): public keys, and passwords where a user has one.

Conch's own goes through ``twisted.cred`` and tells an unknown user by the time that the answer takes. Here the
unknown user, the wrong key, the wrong password and the wrong network get one answer after one way.
"""

from __future__ import annotations

from typing import Any

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from twisted.conch.ssh.common import NS, getNS
from twisted.conch.ssh.keys import BadKeyError, Key
from twisted.conch.ssh.service import SSHService
from twisted.conch.ssh.transport import DISCONNECT_NO_MORE_AUTH_METHODS_AVAILABLE
from twisted.internet.defer import CancelledError
from twisted.internet.task import deferLater

from lineside.background import Background
from lineside.edges.ssh.logins import Failures, Logins, User, Visitor
from lineside.edges.ssh.quiet import QUIET

REQUEST, FAILURE, SUCCESS, BANNER, KEY_IS_GOOD = 50, 51, 52, 53, 60
MAX_TRIES = 6
"""Log-ins of a connection that may fail."""
LONGEST_NAME = 64
ALGORITHMS = {b"ssh-ed25519": "Ed25519", b"rsa-sha2-512": "RSA", b"rsa-sha2-256": "RSA"}
"""Signatures that are taken, and the kind of key that makes each."""


class Authentication(SSHService):
    """Finds out who a client is, and lets them in.

    Args:
        logins: who may.
        failures: what slows down who may not.
        door: where they go; its ``welcome`` is called with who has logged in, its ``failed`` for who has not.

    """

    name = b"ssh-userauth"
    _log = QUIET
    transport: Any

    def __init__(self, logins: Logins, failures: Failures, door: Any) -> None:
        self._logins = logins
        self._failures = failures
        self._door = door
        self._tries = 0
        self._work = Background("SSH log-in")

    def serviceStopped(self) -> None:
        """Give up what is under way."""
        self._work.cancel()

    def packetReceived(self, messageNum: int, packet: bytes) -> None:
        """Take a request; one at a time, since what is not read is not begun."""
        if messageNum != REQUEST:
            self.transport.sendUnimplemented()
            return
        name, service, method, rest = getNS(packet, 3)
        if len(self._work):
            # RFC 4252, section 5.1: who asks anew gives up what they asked before.
            self._give_up()
            return
        self._work.run("log-in", self._answer(name, service, method, rest))

    async def _answer(self, name: bytes, service: bytes, method: bytes, rest: bytes) -> None:
        try:
            user = None
            if service == b"ssh-connection" and len(name) <= LONGEST_NAME:
                text = name.decode("utf-8", "replace")
                if method == b"none":
                    # Asked to learn which methods there are: no try, and nothing is told of the user.
                    self._fail()
                    return
                if method == b"publickey":
                    user = self._by_key(name, text, service, rest)
                    if user is _ASKED:
                        return
                elif method == b"password" and method in self._logins.methods and rest[:1] == b"\0":
                    user = await self._logins.by_password(text, getNS(rest[1:])[0], self.transport.peer)
        except CancelledError:
            raise
        except Exception:  # noqa: BLE001
            # What cannot be parsed is nobody's.
            user = None
        if user is None:
            await self._refuse(name.decode("utf-8", "replace"))
            return
        self._failures.forget(self.transport.peer)
        visitor = Visitor(user, self.transport.peer, f"ssh, {self.transport.peer}")
        self.transport.logged_in()
        self.transport.sendPacket(SUCCESS, b"")
        self._door.welcome(self.transport, visitor)

    def _by_key(self, name: bytes, text: str, service: bytes, rest: bytes) -> User | None:  # noqa: PLR0911
        algorithm, blob, signed = getNS(rest[1:], 2)
        kind = ALGORITHMS.get(algorithm)
        user = self._logins.by_key(text, blob, self.transport.peer)
        if user is None or kind is None:
            return None
        try:
            key = Key.fromString(blob)
        except (BadKeyError, UnsupportedAlgorithm):
            return None
        if key.type() != kind:
            return None
        if not rest[0]:
            self.transport.sendPacket(KEY_IS_GOOD, NS(algorithm) + NS(blob))
            asked: User = _ASKED
            return asked
        signature = getNS(signed)[0]
        if getNS(signature)[0] != algorithm:
            return None
        said = (
            NS(self.transport.sessionID)
            + bytes((REQUEST,))
            + NS(name)
            + NS(service)
            + NS(b"publickey")
            + b"\1"
            + NS(algorithm)
            + NS(blob)
        )
        try:
            good: bool = key.verify(signature, said)
            return user if good else None
        except InvalidSignature:
            return None

    async def _refuse(self, name: str) -> None:
        self._tries += 1
        self._door.failed(self.transport, name)
        delay = self._failures.delay(self.transport.peer)
        if delay:
            await deferLater(self.transport.clock, delay)
        if self._tries >= MAX_TRIES:
            self._give_up()
            return
        self._fail()

    def _fail(self) -> None:
        self.transport.sendPacket(FAILURE, NS(b",".join(self._logins.methods)) + b"\0")

    def _give_up(self) -> None:
        self.transport.sendDisconnect(DISCONNECT_NO_MORE_AUTH_METHODS_AVAILABLE, b"too many log-ins failed")


_ASKED: Any = object()
"""Whether a key would do was asked and told; the proof is to come."""
