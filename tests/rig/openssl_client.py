"""OpenSSL's own client, as a device or a browser that has nothing to do with our libraries."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.error import ProcessExitedAlready
from twisted.internet.protocol import ProcessProtocol
from twisted.python.failure import Failure

PATIENCE = 60.0
"""Seconds that a conversation may take on a busy machine."""


class Conversation(ProcessProtocol):
    """One run of ``openssl s_client``: says something, and listens until it has heard what it waits for."""

    def __init__(self, reactor: Any, talk: Sequence[tuple[bytes, bytes]]) -> None:
        self.over: Deferred[str] = Deferred()
        self._talk = list(talk)
        self._until: bytes | None = None
        self._heard = b""
        self._late = reactor.callLater(PATIENCE, self._cut)

    def connectionMade(self) -> None:
        assert self.transport is not None
        if self._talk:
            self._go_on()
        else:
            self.transport.closeStdin()

    def outReceived(self, data: bytes) -> None:
        self._heard += data
        if self._until is not None and self._until in self._heard:
            if self._talk:
                self._go_on()
            else:
                self._cut()

    def _go_on(self) -> None:
        assert self.transport is not None
        says, self._until = self._talk.pop(0)
        self.transport.write(says)

    def errReceived(self, data: bytes) -> None:
        self.outReceived(data)

    def processEnded(self, reason: Failure) -> None:
        if self._late.active():
            self._late.cancel()
        self.over.callback(self._heard.decode("utf-8", "replace"))

    def _cut(self) -> None:
        assert self.transport is not None
        self._until = None
        with suppress(ProcessExitedAlready):
            self.transport.signalProcess("KILL")


def s_client(reactor: Any, port: int, *options: str, talk: Sequence[tuple[bytes, bytes]] = ()) -> Deferred[str]:
    """Connect to 127.0.0.1; the Deferred fires with all that was said, by OpenSSL and by the server.

    Args:
        reactor: runs the process.
        port: where to.
        options: further ones of ``openssl s_client``.
        talk: what is sent, and what is waited for then, one after the other; nothing to end after the handshake.

    """
    conversation = Conversation(reactor, talk)
    arguments = ["openssl", "s_client", "-connect", f"127.0.0.1:{port}", *options]
    reactor.spawnProcess(conversation, "openssl", arguments, env=None)
    return conversation.over
