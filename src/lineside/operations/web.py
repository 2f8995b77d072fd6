"""What a part offers over HTTP, as values: the HTTP edge serves it, whoever wrote it. Pure.

An edge that answers HTTP requests without being the HTTP edge (a database's queries, Frappe's webhooks) declares
`Endpoint`s; `assemble` mounts them.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from http import HTTPStatus
from typing import Any, Literal

import msgspec
from msgspec import Struct

from lineside.model.errors import LinesideError
from lineside.security.identity import Identity, Permission

JSON = "application/json"
PROBLEM = "application/problem+json"
"""RFC 9457, section 3."""


class Answer(Struct, frozen=True):
    """What is answered. ``body`` in pieces goes out as they come, no faster than the client takes them."""

    status: int = 200
    body: bytes | AsyncIterator[bytes] = b""
    content_type: str = JSON
    headers: tuple[tuple[str, str], ...] = ()


class Problem(LinesideError):
    """A request cannot be answered as asked. Raise it in an endpoint; the client gets it as RFC 9457 JSON.

    Args:
        status: the HTTP status.
        detail: a sentence for who asked.
        headers: of the answer, such as ``Retry-After``.
        more: further members of the JSON object.

    """

    def __init__(self, status: int, detail: str, *, headers: Mapping[str, str] | None = None, **more: Any) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.headers = dict(headers or {})
        self.more = more

    def answer(self) -> Answer:
        """Return it as what the client gets."""
        told = {"type": "about:blank", "title": HTTPStatus(self.status).phrase, "status": self.status}
        body = msgspec.json.encode({**told, "detail": self.detail, **self.more})
        return Answer(self.status, body, PROBLEM, tuple(self.headers.items()))


class Call(Struct, frozen=True):
    """One request, after the one who asks was identified and found permitted."""

    identity: Identity
    path: Mapping[str, str]
    """The path's variable parts by name, decoded."""
    query: Mapping[str, str]
    """The query's parameters; of one given twice the last."""
    headers: Mapping[str, str]
    """Names in lower case; of one given twice both, joined by a comma."""
    body: bytes = b""
    """Whole, where the endpoint's body is not a stream."""
    stream: AsyncIterator[bytes] | None = None
    """The body as it comes, where the endpoint declares ``stream``; the connection is read no faster."""
    peer: str = ""
    """The address that asked."""
    local: bool = False
    """It is this machine's, and the request was meant for it."""
    session: str = ""
    """The id of the session by which the one who asks is known; empty where it is by something else."""

    @property
    def where(self) -> str:
        """The door and the address, for the record of who did what."""
        return f"http {self.peer}"

    def header(self, name: str) -> str | None:
        """Return a header by its name in lower case."""
        return self.headers.get(name)


class Parameter(Struct, frozen=True):
    """A parameter of the path, the query or the headers; for the description and for checking."""

    name: str
    place: Literal["path", "query", "header"]
    schema: Mapping[str, Any]
    """JSON Schema 2020-12."""
    description: str = ""
    required: bool = False


class Reply(Struct, frozen=True):
    """One kind of answer; for the description."""

    description: str
    content: Mapping[str, Any] = {}
    """By media type, the type of its body (a msgspec type) or a JSON Schema as a dict."""


class Endpoint(Struct, frozen=True):
    """One method on one path."""

    method: Literal["GET", "POST", "PUT", "DELETE"]
    path: str
    """Such as ``/api/v1/events/{seq}``; a part in braces takes one segment."""
    name: str
    """Unique; the description's ``operationId``."""
    summary: str
    permission: Permission | None
    """What the one who asks must be allowed; None where everyone may, or where the endpoint checks by itself."""
    answer: Callable[[Call], Answer | Awaitable[Answer]]
    """On the reactor's thread; may raise `Problem`, or `LinesideError` for what a person can mend (status 409)."""
    parameters: tuple[Parameter, ...] = ()
    """A query parameter that is not among them is refused with 400."""
    takes: Mapping[str, Any] = {}
    """The body's types by media type; empty where it has none. Another media type is refused with 415; with
    ``*/*`` none is, nor a body without one."""
    stream: bool = False
    """The body is handed over as it comes; otherwise whole, up to the edge's limit (413)."""
    replies: Mapping[int, Reply] = {}
    tag: str = ""
    """Under what the description lists it."""
    upgrade: Callable[[Call], Any] | None = None
    """Returns the Twisted protocol that takes the connection over, where a client asks for WebSocket (RFC 6455)."""
    described: bool = True
    """Whether the description, and ``Allow``, tell of it."""
