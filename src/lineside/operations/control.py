"""The control socket: operations of a running gateway for other processes of the same user.

A Unix stream socket, mode 0600. The client sends one request as a line of JSON and gets lines of JSON:
``{"result": …}`` once, or ``{"item": …}`` for each result of a stream until it hangs up, or
``{"error": "…"}``. Whoever sends no request for `PATIENCE` seconds is told so and cut off.
"""

from __future__ import annotations

import os
import socket
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from struct import Struct
from typing import Any, TypeVar

import msgspec
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.endpoints import UNIXClientEndpoint, UNIXServerEndpoint, connectProtocol
from twisted.internet.error import ConnectError
from twisted.internet.interfaces import IDelayedCall, IListeningPort, IPushProducer, IReactorTime, IReactorUNIX
from twisted.internet.protocol import Factory, connectionDone
from twisted.logger import Logger
from twisted.protocols.basic import LineOnlyReceiver
from twisted.python.failure import Failure
from zope.interface import implementer

from lineside.background import Background
from lineside.model.errors import LinesideError
from lineside.operations.registry import Operations
from lineside.operations.requests import AnyRequest, Request
from lineside.security.identity import LOCAL_USER
from lineside.wakeup import Wakeup

log = Logger()

R = TypeVar("R")

_request = msgspec.json.Decoder(AnyRequest)

LONGEST_PATH = 107
"""Bytes of a Unix socket's path (unix(7), ``sun_path``)."""
_CREDENTIALS = Struct("3i")
"""``struct ucred``: process, user, group."""
PATIENCE = 10.0
"""Seconds that a client gets to send its request."""


class NoGateway(LinesideError):
    """No gateway listens on the control socket."""


class ControlSocket:
    """The `Part` that serves a gateway's operations to other processes. Hold the journal's lock first."""

    name = "control socket"

    def __init__(self, reactor: IReactorUNIX, path: Path, operations: Operations, clock: IReactorTime) -> None:
        self._reactor = reactor
        self._path = path
        self._operations = operations
        self._clock = clock
        self._port: IListeningPort | None = None
        self._silent: set[Conversation] = set()
        self._answers = Background(self.name)

    async def start(self) -> None:
        """Listen; a socket that a killed process left behind is replaced, since the journal's lock is ours.

        Raises:
            LinesideError: the path is too long, no directory leads there, it is no socket's, or cannot be bound.

        """
        check_path(self._path)
        _check_place(self._path)
        factory = Factory.forProtocol(
            lambda: Conversation(self._operations, self._answers, self._silent, self._clock)
        )
        factory.noisy = False
        # Between bind and chmod the socket must not be open to others either.
        mask = os.umask(0o177)
        try:
            with suppress(FileNotFoundError):
                self._path.unlink()
            self._port = await UNIXServerEndpoint(self._reactor, str(self._path), mode=0o600).listen(factory)
        except Exception as failed:
            raise LinesideError(f"cannot open the control socket {self._path}: {failed}") from failed
        finally:
            os.umask(mask)

    async def stop(self) -> None:
        """End every conversation, also those that have not begun, and remove the socket."""
        if self._port is not None:
            stopped = self._port.stopListening()
            if isinstance(stopped, Deferred):
                await stopped
            self._port = None
        for conversation in list(self._silent):
            conversation.hang_up()
        self._answers.cancel()
        await self._answers.finish()


class Conversation(LineOnlyReceiver):
    """One client's request and its answers.

    Args:
        operations: answer the request.
        answers: where the answer runs.
        silent: holds the conversation while no request has come.
        clock: measures `PATIENCE`.

    """

    delimiter = b"\n"
    MAX_LENGTH = 1024 * 1024
    _door = "control socket"

    def __init__(
        self, operations: Operations, answers: Background, silent: set[Conversation], clock: IReactorTime
    ) -> None:
        self._operations = operations
        self._answers = answers
        self._silent = silent
        self._clock = clock
        self._late: IDelayedCall | None = None
        self._answering: Deferred[None] | None = None
        self._drained = Wakeup()

    def connectionMade(self) -> None:
        """Wait for the request, but not for ever."""
        self._silent.add(self)
        self._late = self._clock.callLater(PATIENCE, self._give_up)

    def lineReceived(self, line: bytes) -> None:
        """Begin to answer the request."""
        if self._answering is None:
            self._wait_no_more()
            self._answering = self._answers.run("answer", self._answer(line))

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Whoever asked is gone: stop answering."""
        self._wait_no_more()
        if self._answering is not None:
            self._answering.cancel()

    def hang_up(self) -> None:
        """Cut the connection off."""
        assert self.transport is not None
        self.transport.loseConnection()

    def _give_up(self) -> None:
        self._say(error=f"no request came within {PATIENCE:g} s")
        self.hang_up()

    def _wait_no_more(self) -> None:
        self._silent.discard(self)
        if self._late is not None and self._late.active():
            self._late.cancel()

    async def _answer(self, line: bytes) -> None:
        try:
            try:
                request = _request.decode(line)
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as wrong:
                raise LinesideError(f"not a request this gateway knows: {wrong}") from wrong
            if self._operations.streams(request):
                await self._stream(request)
            else:
                self._say(result=await self._operations.call(request, LOCAL_USER, self._where()))
        except CancelledError:
            raise
        except LinesideError as failed:
            self._say(error=str(failed))
        except Exception as failed:
            self._say(error=f"the gateway failed: {type(failed).__name__}: {failed}")
            raise
        finally:
            self.hang_up()

    def _where(self) -> str:
        """Return the door and which user of the system came by it, by the kernel (unix(7), ``SO_PEERCRED``)."""
        assert self.transport is not None
        connection = getattr(self.transport, "socket", None)
        if connection is None or not hasattr(socket, "SO_PEERCRED"):
            return self._door
        credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
        return f"{self._door}, uid {_CREDENTIALS.unpack(credentials)[1]}"

    async def _stream(self, request: Request[Any]) -> None:
        producer = _StreamPressure(self._drained)
        assert self.transport is not None
        self.transport.registerProducer(producer, True)  # type: ignore[attr-defined]
        items = self._operations.follow(request, LOCAL_USER)
        try:
            async for item in items:
                self._say(item=item)
                while producer.paused:
                    await self._drained.wait()
        finally:
            self.transport.unregisterProducer()  # type: ignore[attr-defined]
            await items.aclose()  # type: ignore[attr-defined]

    def _say(self, **answer: object) -> None:
        assert self.transport is not None
        self.transport.write(msgspec.json.encode(answer) + b"\n")


@implementer(IPushProducer)
class _StreamPressure:
    """Lets a stream go on only while its client reads."""

    def __init__(self, drained: Wakeup) -> None:
        self.paused = False
        self._drained = drained

    def pauseProducing(self) -> None:
        self.paused = True

    def resumeProducing(self) -> None:
        self.paused = False
        self._drained.set()

    def stopProducing(self) -> None:
        # The client is gone: what waits is cancelled by `connectionLost`, and must not write before.
        self.paused = True


class _Asking(LineOnlyReceiver):
    """The client's side: sends the request, keeps the answers until they are taken."""

    delimiter = b"\n"
    MAX_LENGTH = 64 * 1024 * 1024

    def __init__(self) -> None:
        self._lines: list[bytes] = []
        self._arrived = Wakeup()
        self._lost = False

    def ask(self, request: Request[Any]) -> None:
        assert self.transport is not None
        self.transport.write(msgspec.json.encode(request) + b"\n")

    def lineReceived(self, line: bytes) -> None:
        self._lines.append(line)
        self._arrived.set()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._lost = True
        self._arrived.set()

    async def answers(self) -> AsyncIterator[dict[str, msgspec.Raw]]:
        while True:
            lines, self._lines = self._lines, []
            for line in lines:
                answer = msgspec.json.decode(line, type=dict[str, msgspec.Raw])
                if "error" in answer:
                    raise LinesideError(msgspec.json.decode(answer["error"], type=str))
                yield answer
            if not self._lines:
                if self._lost:
                    return
                await self._arrived.wait()

    def hang_up(self) -> None:
        if not self._lost:
            assert self.transport is not None
            self.transport.loseConnection()


class RemoteOperations:
    """The operations of a gateway that runs in another process."""

    def __init__(self, reactor: IReactorUNIX, path: Path) -> None:
        self._reactor = reactor
        self._path = path

    async def call(self, request: Request[R]) -> R:
        """Ask for one result.

        Raises:
            NoGateway: nothing listens.
            LinesideError: the gateway's own error, or it went away.

        """
        async for answer in self._answers(request):
            result: R = msgspec.json.decode(answer["result"], type=request.result)
            return result
        raise LinesideError("the gateway went away before it answered")

    async def follow(self, request: Request[R]) -> AsyncIterator[R]:
        """Ask for a stream of results; ends when the gateway stops. Raises as `call` does."""
        async for answer in self._answers(request):
            item: R = msgspec.json.decode(answer["item"], type=request.result)
            yield item

    async def _answers(self, request: Request[Any]) -> AsyncIterator[dict[str, msgspec.Raw]]:
        check_path(self._path)
        endpoint = UNIXClientEndpoint(self._reactor, str(self._path), timeout=5)
        asking = _Asking()
        try:
            await connectProtocol(endpoint, asking)
        except (ConnectError, OSError) as refused:
            raise NoGateway(f"no gateway listens on {self._path}") from refused
        asking.ask(request)
        try:
            async for answer in asking.answers():
                yield answer
        finally:
            asking.hang_up()


def check_path(path: Path) -> None:
    """Refuse a path that no Unix socket can have.

    Raises:
        LinesideError: it is too long.

    """
    if len(os.fsencode(path)) > LONGEST_PATH:
        raise LinesideError(
            f"the control socket's path {path} is longer than {LONGEST_PATH} bytes; "
            "set a shorter one with journal.control"
        )


def _check_place(path: Path) -> None:
    if not path.parent.is_dir():
        raise LinesideError(f"cannot open the control socket {path}: there is no directory {path.parent}")
    if os.path.lexists(path) and not path.is_socket():
        # To replace it would cost its owner a file.
        raise LinesideError(f"{path} is no socket; set another path with journal.control")
