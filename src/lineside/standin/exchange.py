"""Between a ``twisted.web`` request and the pure values that the stand-in works with."""

from __future__ import annotations

from twisted.web.server import Request

from lineside.standin.envelope import Answer


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


def send(request: Request, answer: Answer) -> None:
    """Send an answer and finish the request."""
    request.setResponseCode(answer.status)
    request.setHeader(b"content-type", answer.content_type)
    request.setHeader(b"content-length", str(len(answer.body)).encode())
    for name, value in answer.headers:
        request.setHeader(name, value)
    if request.method != b"HEAD":
        request.write(answer.body)
    request.finish()
