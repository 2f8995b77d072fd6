"""Between a ``twisted.web`` request and the pure values that the stand-in works with."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any
from urllib.parse import unquote_to_bytes

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.web.server import Request

from lineside.standin import envelope
from lineside.standin.envelope import Answer
from lineside.standin.incoming import Incoming

log = Logger()

MAX_LINE = 4094
"""Octets of a request line that gunicorn takes."""
MAX_BODY = 25 * 2**20
"""Octets of a body that Frappe takes."""


class UnparsedRequest(Request):
    """A request whose form is left unread: the API reads bodies as Frappe does, and once is enough.

    It keeps the limits of the servers in front of Frappe: gunicorn's for the request line, Frappe's for the body.
    """

    content_type: str | None = None
    _length = 0

    def handleContentChunk(self, data: bytes) -> None:
        """Keep a piece of the body, but not what is over the limit."""
        self._length += len(data)
        if self._length <= MAX_BODY:
            super().handleContentChunk(data)

    def requestReceived(self, command: bytes, path: bytes, version: bytes) -> None:
        """Keep the type of the body from ``twisted.web``, which would parse a form by it."""
        self.content_type = header(self, b"content-type")
        self.requestHeaders.removeHeader(b"content-type")
        super().requestReceived(command, path, version)

    def process(self) -> None:
        """Answer, unless the request is larger than the servers in front allow."""
        line = len(self.method) + len(self.uri) + len(self.clientproto) + 2
        if line > MAX_LINE:
            channel = self.channel
            send(self, envelope.line_too_long(line, MAX_LINE))
            channel.loseConnection()
        elif self._length > MAX_BODY:
            send(self, envelope.TOO_LARGE)
        else:
            super().process()


def body(request: Request) -> bytes:
    """Return the whole body, however often it was read."""
    assert request.content is not None
    request.content.seek(0)
    content: bytes = request.content.read()
    return content


def header(request: Request, name: bytes) -> str | None:
    """Return a header's last value."""
    value = request.getHeader(name)
    return None if value is None else value.decode("latin-1")


def begin(request: Request, answer: Answer) -> None:
    """Set an answer's status and headers."""
    request.setResponseCode(answer.status)
    request.setHeader(b"content-type", answer.content_type)
    request.setHeader(b"content-length", str(len(answer.body)).encode())
    for name, value in answer.headers:
        request.responseHeaders.addRawHeader(name, value)


def send(request: Request, answer: Answer) -> None:
    """Send an answer and finish the request."""
    begin(request, answer)
    if request.method != b"HEAD":
        request.write(answer.body)
    request.finish()


def in_background(coroutine: Coroutine[Deferred[Any], Any, None]) -> None:
    """Run to the end; the request keeps the only interest in the result."""
    Deferred.fromCoroutine(coroutine).addErrback(_tell)


def _tell(failure: Any) -> None:
    log.failure("standin.answer.failed", failure)


def incoming_of(request: Request) -> Incoming:
    """Return a request as the API sees it."""
    raw = request.uri.partition(b"?")
    path = [unquote_to_bytes(part).decode(errors="replace") for part in raw[0].split(b"/")[2:]]
    while path and not path[-1]:
        path.pop()
    version = 2 if path[:1] == ["v2"] else 1
    if path[:1] in (["v1"], ["v2"]):
        path = path[1:]
    return Incoming(
        request.method.decode("latin-1"),
        tuple(path),
        version,
        raw[2].decode(errors="replace"),
        body(request),
        (request.content_type if isinstance(request, UnparsedRequest) else header(request, b"content-type")) or "",
        header(request, b"authorization"),
        header(request, b"accept") or "*/*",
        header(request, b"cookie"),
        header(request, b"x-frappe-csrf-token"),
        header(request, b"x-frappe-site-name") or request.getRequestHostname().decode("latin-1"),
    )
