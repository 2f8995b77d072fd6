"""A request that is looked at when its head is there, so that its body can be refused, or taken as it comes."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from functools import lru_cache
from http import HTTPStatus
from typing import Any, Protocol

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IPushProducer
from twisted.protocols.policies import ProtocolWrapper
from twisted.web.http import Request, datetimeToString
from twisted.web.http_headers import Headers
from zope.interface import implementer

from lineside import straight
from lineside.edges.http.bodies import BodyStream, WholeBody
from lineside.edges.http.channel import SILENCE
from lineside.operations.web import Answer, Call, Endpoint, Problem
from lineside.security.identity import NOBODY

LEFT_UNREAD = 1024 * 1024
"""Bytes that a refused client may still send before it is cut off: many read their answer only afterwards."""
AT_ONCE = 64 * 1024
"""Bytes of an answer that are written in one go; of a longer one the next only when these are taken."""
BODILESS = frozenset({204, 304})
"""Answers without a body, and without a word of its length (RFC 9110, section 8.6)."""


class Desk(Protocol):
    """What becomes of requests."""

    def head_came(self, request: EarlyRequest) -> BodyStream | WholeBody | None:
        """Say how the body is to be taken, or None where the request is answered already; called with the head."""
        ...

    def body_came(self, request: EarlyRequest) -> None:
        """Answer; called when all is there. A stream's reader has begun before."""
        ...


class NoContent:
    """Stands where `Request` keeps the body: ours goes elsewhere."""

    def close(self) -> None:
        """Nothing is open."""


def header_texts(headers: Headers) -> dict[str, str]:
    """Return a request's headers as `Call.headers` has them."""
    return {
        name.lower().decode("latin-1"): (values[0] if len(values) == 1 else b", ".join(values)).decode("latin-1")
        for name, values in headers.getAllRawHeaders()
    }


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
    answer_is_out = False
    """All of the answer was written."""
    _unread = 0
    _hesitates = False
    """The client sends no body before it is asked to."""

    @property
    def gone(self) -> bool:
        """The client is."""
        return self._disconnected

    @property
    def is_worked_on(self) -> bool:
        """All is there, or its body is taken as it comes."""
        return self.complete or isinstance(self.body, BodyStream)

    def gotLength(self, length: int | None) -> None:
        """The head is there: let the desk decide on the body."""
        # Request learns method and path only with the end of the body; the channel has them already.
        channel = self.channel
        self.method, self.uri, self.clientproto = channel._command, channel._path, channel._version
        if not self.uri.startswith(b"/"):
            self._cut_authority()
        self.path = self.uri.partition(b"?")[0]
        self.content = NoContent()
        if length != 0:
            channel.head_came()
        self.body = channel.site.desk.head_came(self)

    def _cut_authority(self) -> None:
        # RFC 9112, section 3.2.2: a server takes such targets too, and their host goes before the header.
        scheme, separator, rest = self.uri.partition(b"://")
        if separator and scheme.lower() in {b"http", b"https"}:
            host, slash, path = rest.partition(b"/")
            self.requestHeaders.setRawHeaders(b"Host", [host])
            self.uri = slash + path if slash else b"/"

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
            if self.call.identity is NOBODY and isinstance(self.body, WholeBody):
                self.channel.keep(len(data))
            self.body.push(data)
        except Problem as refused:
            self.refuse(refused)
            return
        self.channel.brought(len(data))

    def requestReceived(self, command: bytes, path: bytes, version: bytes) -> None:
        """All is there."""
        self.complete = True
        if self.answer_is_out:
            self.finish()
        elif self.answered:
            return
        elif isinstance(self.body, BodyStream):
            self.body.end()
        else:
            self.channel.site.desk.body_came(self)

    def refuse(self, problem: Problem) -> None:
        """Answer with a problem, if nothing was answered yet."""
        self.send(problem.answer())

    def send(self, answer: Answer) -> None:
        """Answer with a body that is there whole, and finish; nothing is done if an answer was begun already."""
        body = answer.body
        assert isinstance(body, bytes)
        if self._disconnected or self.answered:
            return
        self._begin(answer.status)
        if answer.status in BODILESS:
            whole = self._head(answer, b"")
        else:
            head = self._head(answer, b"Content-Length: %d\r\n" % len(body))
            whole = head if self.method == b"HEAD" else head + body
        straight.write(self.channel.transport, whole)
        self._finish_in_time()

    def hand_over(self, protocol: Any) -> None:
        """Let another protocol have the connection, from this request's head on."""
        channel = self.channel
        transport = channel.transport
        self.answered = True
        channel.leave()
        # Twisted has no way to say this (https://github.com/twisted/twisted/issues/3204).
        if isinstance(transport, ProtocolWrapper):
            transport.wrappedProtocol = protocol
        elif isinstance(getattr(transport, "protocol", None), ProtocolWrapper):
            transport.protocol.wrappedProtocol = protocol
        else:
            transport.protocol = protocol
        protocol.makeConnection(transport)
        transport.resumeProducing()
        head = [b"%s %s HTTP/1.1\r\n" % (self.method, self.uri)]
        for name, values in self.requestHeaders.getAllRawHeaders():
            head += [b"%s: %s\r\n" % (name, value) for value in values]
        protocol.dataReceived(b"".join([*head, b"\r\n"]))

    async def send_stream(self, answer: Answer) -> None:
        """Answer with a body in pieces, no faster than the client takes them, and finish.

        If the pieces end with an error, the connection is cut so that the client knows. Of a body that is there
        whole the client is told the length.
        """
        body = answer.body
        pieces = _pieces(body) if isinstance(body, bytes) else body
        try:
            if self._disconnected or self.answered:
                return
            self._begin(answer.status)
            length = b""
            if isinstance(body, bytes):
                length = b"Content-Length: %d\r\n" % len(body)
            elif self.clientproto == b"HTTP/1.1":
                length = b"Transfer-Encoding: chunked\r\n"
                self.chunked = int(self.method != b"HEAD")
            else:
                self.channel.persistent = False
            self.channel.write(self._head(answer, length))
            if self.method != b"HEAD":
                await self._send_pieces(pieces)
        finally:
            close = getattr(pieces, "aclose", None)
            if close is not None:
                await close()
        if not self._disconnected:
            self._finish_in_time()

    async def _send_pieces(self, pieces: AsyncIterator[bytes]) -> None:
        tap = Tap(self.channel)
        self.registerProducer(tap, True)
        try:
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

    def _begin(self, status: int) -> None:
        self.answered = True
        self.startedWriting = 1
        self.code = status
        if not self.complete:
            # Asked for its body now, a client that waits to be would take that for the answer's end.
            self._hesitates = self.requestHeaders.hasHeader(b"Expect")
            if self._hesitates:
                self.requestHeaders.removeHeader(b"Expect")
                self.channel.persistent = False
            if isinstance(self.body, BodyStream):
                self.body.abandon()
            else:
                self.body = None
                self.channel.let_go()

    def _head(self, answer: Answer, length: bytes) -> bytes:
        parts = [_constant(answer.status, answer.content_type, _date(int(time.time()))), length]
        for name, value in answer.headers:
            line = f"{name}: {value}".encode("latin-1", "replace")
            if b"\n" in line or b"\r" in line:
                raise ValueError(f"the header {name} would be two lines")
            parts += (line, b"\r\n")
        if not self.channel.persistent:
            parts.append(b"Connection: close\r\n")
        parts.append(b"\r\n")
        return b"".join(parts)

    def _finish_in_time(self) -> None:
        # The next request begins where this one's body ends.
        self.answer_is_out = True
        if self._disconnected:
            return
        if self.complete:
            self.finish()
        elif self._hesitates:
            self.channel.loseConnection()
        else:
            self.channel.setTimeout(SILENCE)

    def _cut(self) -> None:
        if not self._disconnected:
            self.channel.transport.abortConnection()


@implementer(IPushProducer)
class Tap:
    """Whether the client takes more at present. One that takes nothing for too long is cut off.

    Args:
        channel: its deadline is that of the client's next gulp.

    """

    def __init__(self, channel: Any) -> None:
        self._channel = channel
        self._closed: Deferred[None] | None = None

    def pauseProducing(self) -> None:
        """Too much waits to be sent."""
        if self._closed is None:
            self._closed = Deferred()
            self._channel.setTimeout(SILENCE)

    def resumeProducing(self) -> None:
        """There is room again."""
        closed, self._closed = self._closed, None
        if closed is not None:
            self._channel.setTimeout(None)
            if not closed.called:
                closed.callback(None)

    def stopProducing(self) -> None:
        """The client is gone: whoever waits shall see."""
        self.resumeProducing()

    async def open(self) -> None:
        """Return when there is room."""
        if self._closed is not None:
            await self._closed


async def _pieces(body: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(body), AT_ONCE):
        yield body[start : start + AT_ONCE]


@lru_cache(maxsize=1)
def _date(_: int) -> bytes:
    date: bytes = datetimeToString()
    return date


@lru_cache(maxsize=256)
def _constant(status: int, content_type: str, date: bytes) -> bytes:
    kind = b"" if status in BODILESS else b"\r\nContent-Type: " + content_type.encode("latin-1", "replace")
    return b"".join(
        (
            b"HTTP/1.1 %d " % status,
            HTTPStatus(status).phrase.encode(),
            b"\r\nDate: ",
            date,
            kind,
            b"\r\nX-Content-Type-Options: nosniff\r\n",
        )
    )
