"""A request that is looked at when its head is there, so that its body can be refused, or taken as it comes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, Protocol

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IPushProducer
from twisted.python.failure import Failure
from twisted.web.http import RESPONSES, Request, datetimeToString
from zope.interface import implementer

from lineside.edges.http.bodies import BodyStream, WholeBody
from lineside.operations.web import Answer, Call, Endpoint, Problem

LEFT_UNREAD = 1024 * 1024
"""Bytes that a refused client may still send before it is cut off: many read their answer only afterwards."""


class Desk(Protocol):
    """What becomes of requests."""

    def head_came(self, request: EarlyRequest) -> BodyStream | WholeBody:
        """Say how the body is to be taken; called when the head is there.

        Raises:
            Problem: the request is refused.

        """
        ...

    def body_came(self, request: EarlyRequest) -> None:
        """Answer; called when all is there. A stream's reader has begun before."""
        ...


class NoContent:
    """Stands where `Request` keeps the body: ours goes elsewhere."""

    def close(self) -> None:
        """Nothing is open."""


class EarlyRequest(Request):
    """One request. Its `Desk` is the channel's site's ``desk``."""

    channel: Any
    content: Any
    endpoint: Endpoint
    call: Call
    """What the endpoint is asked; without the body."""
    body: BodyStream | WholeBody | None = None
    complete = False
    """The body was received whole."""
    answered = False
    """An answer was begun."""
    _unread = 0
    _done = False
    _hesitates = False
    """The client sends no body before it is asked to."""

    @property
    def desk(self) -> Desk:
        """Who answers."""
        desk: Desk = self.channel.site.desk
        return desk

    def gotLength(self, length: int | None) -> None:
        """The head is there: let the desk decide on the body."""
        # Request learns method and path only with the end of the body; the channel has them already.
        channel = self.channel
        self.method, self.uri, self.clientproto = channel._command, channel._path, channel._version
        self.path = self.uri.partition(b"?")[0]
        self.content = NoContent()
        try:
            self.body = self.desk.head_came(self)
        except Problem as refused:
            self.refuse(refused)

    def parseCookies(self) -> None:
        """Read no cookies: nobody is known by one."""

    def handleContentChunk(self, data: bytes) -> None:
        """Take a piece of the body, or let it pass where the answer is out already."""
        if self.body is None or self.answered:
            self._unread += len(data)
            if self._unread > LEFT_UNREAD:
                self._cut()
            return
        try:
            self.body.push(data)
        except Problem as refused:
            self.refuse(refused)
            return
        self.channel.brought(len(data))

    def requestReceived(self, command: bytes, path: bytes, version: bytes) -> None:
        """All is there."""
        self.complete = True
        if self._done:
            self.finish()
        elif self.answered:
            return
        elif isinstance(self.body, BodyStream):
            self.body.end()
        else:
            self.desk.body_came(self)

    def refuse(self, problem: Problem) -> None:
        """Answer with a problem before the body is there, if nothing was answered yet."""
        if not self.answered:
            self._hesitates = self.requestHeaders.hasHeader(b"Expect")
            self.requestHeaders.removeHeader(b"Expect")
            self.send(problem.answer())

    def send(self, answer: Answer) -> None:
        """Answer with a body that is there whole, and finish."""
        assert isinstance(answer.body, bytes)
        if self._disconnected:
            return
        self.answered = True
        if isinstance(self.body, BodyStream):
            self.body.abandon()
        length = str(len(answer.body)).encode()
        head = self._head(answer, b"Content-Length: " + length + b"\r\n")
        self.startedWriting = 1
        self.code = answer.status
        self.sentLength = len(answer.body)
        self.channel.write(head if self.method == b"HEAD" else head + answer.body)
        self._finish_in_time()

    async def send_stream(self, answer: Answer) -> None:
        """Answer with a body that comes in pieces, no faster than the client takes them, and finish.

        If the pieces end with an error, the connection is cut so that the client knows.
        """
        assert not isinstance(answer.body, bytes)
        self.answered = True
        pieces: AsyncIterator[bytes] = answer.body
        chunked = self.clientproto == b"HTTP/1.1" and self.method != b"HEAD"
        if not chunked:
            self.channel.persistent = False
        self.startedWriting = 1
        self.code = answer.status
        self.chunked = int(chunked)
        self.channel.write(self._head(answer, b"Transfer-Encoding: chunked\r\n" if chunked else b""))
        tap = Tap()
        self.registerProducer(tap, True)
        try:
            if self.method != b"HEAD":
                async for piece in pieces:
                    if piece:
                        self.write(piece)
                    await tap.open()
                    if self._disconnected:
                        return
        except BaseException:
            self._cut()
            raise
        finally:
            if not self._disconnected:
                self.unregisterProducer()
            close = getattr(pieces, "aclose", None)
            if close is not None:
                await close()
        self._finish_in_time()

    def connectionLost(self, reason: Failure) -> None:
        """Tell the stream's reader that the client is gone."""
        if isinstance(self.body, BodyStream) and not self.complete:
            self.body.lose(ConnectionDone("the client left before all was there"))
        super().connectionLost(reason)

    def _head(self, answer: Answer, length: bytes) -> bytes:
        keep = b"" if self.channel.persistent else b"Connection: close\r\n"
        more = "".join(f"{name}: {value}\r\n" for name, value in answer.headers)
        return b"".join(
            (
                b"HTTP/1.1 %d " % answer.status,
                RESPONSES.get(answer.status, b"Unknown"),
                b"\r\nDate: ",
                datetimeToString(),
                b"\r\nContent-Type: ",
                answer.content_type.encode("latin-1"),
                b"\r\nX-Content-Type-Options: nosniff\r\n",
                length,
                more.encode("latin-1"),
                keep,
                b"\r\n",
            )
        )

    def _finish_in_time(self) -> None:
        # The next request begins where this one's body ends.
        self._done = True
        if self._disconnected:
            return
        if self.complete:
            self.finish()
        elif self._hesitates:
            self.channel.loseConnection()

    def _cut(self) -> None:
        if not self._disconnected:
            self.channel.transport.abortConnection()


@implementer(IPushProducer)
class Tap:
    """Whether the client takes more at present."""

    def __init__(self) -> None:
        self._closed: Deferred[None] | None = None

    def pauseProducing(self) -> None:
        """Too much waits to be sent."""
        if self._closed is None:
            self._closed = Deferred()

    def resumeProducing(self) -> None:
        """There is room again."""
        closed, self._closed = self._closed, None
        if closed is not None and not closed.called:
            closed.callback(None)

    def stopProducing(self) -> None:
        """The client is gone: whoever waits shall see."""
        self.resumeProducing()

    async def open(self) -> None:
        """Return when there is room."""
        if self._closed is not None:
            await self._closed
