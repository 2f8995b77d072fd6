"""The built-in task ``http-call``: an outgoing request, made of what the run is about."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from hashlib import blake2b
from typing import Annotated, Any, Literal
from urllib.parse import quote, urlsplit

import msgspec
from msgspec import Meta, Struct

from lineside.delivery.templates import RenderError, Scope, Template, TemplateProblem, compile_template, scope_of
from lineside.edges.http.outgoing import CallError, Outgoing
from lineside.exchanges import Answer
from lineside.tasks.context import Context
from lineside.tasks.task import GiveUp

HeaderName = Annotated[str, Meta(pattern=r"^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,100}$")]
Status = Annotated[int, Meta(ge=200, le=599)]

_PLACES = re.compile(r"(\{\{.*?\}\})", re.DOTALL)
_OURS = frozenset({"host", "content-length", "transfer-encoding", "connection"})
"""Headers that say how the request is framed."""
_BODYLESS = frozenset({"GET", "HEAD"})
SHOWN = 500
"""Characters of an unexpected answer that are kept in the run's log."""


class CallRefused(CallError):
    """The server does not take the request (4xx), or answers with a status that was not expected."""


class CallFailed(CallError):
    """The server failed, or asks to be tried later (5xx, 429)."""


class HttpCallParams(Struct, frozen=True, forbid_unknown_fields=True):
    """What ``http-call`` is told. Whoever asks for a run gives ``values`` alone."""

    url: str
    """Where. Its host is plain text; each ``{{ ... }}`` after it is percent-encoded."""
    method: Literal["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"] = "POST"
    headers: dict[HeaderName, str] = {}
    """Templates."""
    secrets: dict[HeaderName, dict[str, str]] = {}
    """Headers that nobody may read, as secrets elsewhere: ``{ env = "NAME" }``, with ``before = "Bearer "`` where
    something stands before it. No run keeps what is in them."""
    json: Any = None
    """The body as a table of templates."""
    body: str | None = None
    """Or the body as one template."""
    expect: tuple[Status, ...] = (200, 201, 202, 204)
    """The statuses of success."""
    within: Annotated[float, Meta(gt=0, le=3_600)] = 30.0
    """Seconds for all of it."""
    max_answer: Annotated[int, Meta(ge=0, le=1_048_576)] = 65_536
    """Bytes of the answer that become the run's result; of a larger one there is none."""
    ca: str | None = None
    """A PEM file with the only CA to trust, relative to the configuration."""
    values: dict[str, Any] = {}
    """What the templates see at top level."""
    event: Any = None
    """The event that started the run, where one did: its fields stand there too, and all of it is ``payload``."""
    seq: int | None = None
    """Its sequence; templates see it as ``event.seq``, and the next two likewise."""
    source: str | None = None
    device: str | None = None


class Called(Struct, frozen=True):
    """What a run is told."""

    status: int
    answer: Any
    """Decoded where it is JSON, otherwise text; None where there is none, or too much."""


class Form:
    """What requests look like: the parameters with their templates compiled.

    Raises:
        ValueError: they make no request; each line says one thing.

    """

    def __init__(self, params: HttpCallParams) -> None:
        self.params = params
        problems: list[str] = []
        self._url = _compile_url(params.url, problems)
        self._headers = {
            name: _compiled(text, f"headers.{name}", problems) for name, text in params.headers.items()
        }
        self._json = None if params.json is None else _compiled(params.json, "json", problems)
        self._body = None if params.body is None else _compiled(params.body, "body", problems)
        problems += [
            f"{kind}.{name}: the gateway sets this header itself"
            for kind, names in (("headers", params.headers), ("secrets", params.secrets))
            for name in names
            if name.lower() in _OURS
        ]
        if params.json is not None and params.body is not None:
            problems.append("body: there is json already; a request has one body")
        if params.method in _BODYLESS and (params.json is not None or params.body is not None):
            problems.append(f"method: a {params.method} has no body")
        if problems:
            raise ValueError("\n".join(problems))

    def url(self, scope: Scope) -> str:
        """Return where a request goes.

        Raises:
            RenderError: what the run is about does not fit.

        """
        return self._url(scope)

    def headers(self, scope: Scope) -> dict[str, str]:
        """Return the headers, but for secrets.

        Raises:
            RenderError: likewise.

        """
        headers = {"User-Agent": "Lineside", "Accept": "application/json, */*;q=0.5"}
        if self._json is not None:
            headers["Content-Type"] = "application/json"
        elif self._body is not None:
            headers["Content-Type"] = "text/plain; charset=utf-8"
        named = {name.lower(): name for name in headers}
        for name, template in self._headers.items():
            text = str(template.render(scope))
            if not text.isprintable():
                raise RenderError(f"headers.{name}", "a header is one line without control characters")
            headers.pop(named.get(name.lower(), ""), None)
            headers["Idempotency-Key" if name.lower() == "idempotency-key" else name] = text
        return headers

    def content(self, scope: Scope) -> bytes | None:
        """Return the body; None for none.

        Raises:
            RenderError: likewise.

        """
        if self._json is not None:
            return json.dumps(self._json.render(scope), allow_nan=False, ensure_ascii=False).encode()
        if self._body is not None:
            content = self._body.render(scope)
            return (content if isinstance(content, str) else json.dumps(content, ensure_ascii=False)).encode()
        return None


class HttpCall:
    """Makes one request a run.

    The host is the configuration's and no template's, nor is a redirect followed: what an event holds, or who asks
    for a run, cannot send a request anywhere else.

    Args:
        form: of its requests.
        secrets: by header.
        outgoing: sends.
        epoch: of the journal; with the run's number it makes the ``Idempotency-Key``.

    """

    def __init__(
        self, form: Form, secrets: Mapping[str, str], outgoing: Outgoing, epoch: Callable[[], str]
    ) -> None:
        self._form = form
        self._params = form.params
        self._secrets = secrets
        self._outgoing = outgoing
        self._epoch = epoch

    async def run(self, context: Context[HttpCallParams]) -> Called:
        """Send the request.

        Raises:
            GiveUp: the templates do not fit what the run is about.
            CallUnreachable: nothing was sent.
            CallUnsure: no whole answer came.
            CallRefused: the status is not expected.
            CallFailed: nor is it, and the server may do better later.

        """
        asked = context.params
        fields = asked.event if isinstance(asked.event, dict) else {}
        envelope = {"seq": asked.seq, "source": asked.source, "device": asked.device}
        scope = scope_of({**fields, **asked.values, "payload": asked.event, "event": envelope})
        try:
            url, headers, body = self._form.url(scope), self._form.headers(scope), self._form.content(scope)
        except RenderError as wrong:
            raise GiveUp(str(wrong)) from wrong
        if self._params.method not in _BODYLESS:
            headers.setdefault("Idempotency-Key", self._key(context))
        answer = await self._outgoing.send(
            self._params.method,
            url,
            {**headers, **self._secrets},
            body,
            within=self._params.within,
            largest=self._params.max_answer,
        )
        if answer.status not in self._params.expect:
            raise _unexpected(answer, context)
        if answer.body is None:
            context.log(f"the answer is larger than max_answer, {self._params.max_answer} bytes, and was not kept")
        return Called(answer.status, _value(answer))

    def _key(self, context: Context[HttpCallParams]) -> str:
        # The same for each attempt, after a restart too, and for no other run of any journal.
        run = f"{self._epoch()}\0{context.task}\0{context.run}"
        return blake2b(run.encode(), digest_size=16).hexdigest()


def host_of(url: str) -> str:
    """Return the host and port to which a url with templates leads.

    Raises:
        ValueError: it is no http or https address, or a template may change where it leads.

    """
    before = _PLACES.split(url, maxsplit=1)[0]
    try:
        parts = urlsplit(before)
        host, port = parts.hostname, parts.port
    except ValueError as wrong:
        raise ValueError(f"it is no address: {wrong}") from wrong
    if parts.scheme not in {"http", "https"} or not host or port == 0:
        raise ValueError('expected an address such as "https://crm.example.com/api/orders"')
    if parts.username is not None or parts.password is not None:
        raise ValueError("it must hold no credentials; put them into secrets")
    if before != url and not before[len(parts.scheme) + 3 :].count("/"):
        raise ValueError("a template may not change the host: put a / before the first {{")
    plain = "".join(_PLACES.split(url)[::2])
    if not plain.isascii() or any(sign <= " " or sign in '\\<>"{}|^`\x7f' for sign in plain):
        raise ValueError("it must have no spaces or signs that an address cannot have, but in their encoded form")
    if "#" in plain:
        raise ValueError("what follows a # is never sent; leave it out")
    return host if port is None else f"{host}:{port}"


def _compile_url(url: str, problems: list[str]) -> Callable[[Scope], str]:
    try:
        host_of(url)
    except ValueError as wrong:
        problems.append(f"url: {wrong}")
        return lambda _: url
    pieces = _PLACES.split(url)
    parts = [
        (_compiled(piece, "url", problems), "?" not in "".join(pieces[:place]))
        for place, piece in enumerate(pieces)
        if place % 2
    ]

    def render(scope: Scope) -> str:
        filled = [_encoded(template.render(scope), in_path=in_path) for template, in_path in parts]
        return "".join(text for pair in zip(pieces[::2], [*filled, ""], strict=True) for text in pair)

    return render


def _encoded(value: object, *, in_path: bool) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    if in_path and text in {"", ".", ".."}:
        # As a segment of a path it would lead elsewhere.
        raise RenderError("url", "a part of the path is empty, or a dot or two")
    return quote(text, safe="")


def _compiled(value: object, path: str, problems: list[str]) -> Template:
    try:
        return compile_template(value, path)
    except TemplateProblem as wrong:
        problems += wrong.problems
        return compile_template("", path)


def _unexpected(answer: Answer, context: Context[HttpCallParams]) -> CallError:
    if answer.body:
        context.log(f"HTTP {answer.status}: {answer.body.decode(errors='replace')[:SHOWN]}")
    if 300 <= answer.status < 400:
        where = urlsplit(answer.headers.get("location", ""))
        return CallRefused(
            f"HTTP {answer.status}: redirected to {where.netloc[:200] or 'another path'}, which is not followed; "
            "check the task's url"
        )
    if answer.status >= 500 or answer.status == 429:
        return CallFailed(f"HTTP {answer.status}")
    return CallRefused(f"HTTP {answer.status}; see the run's log")


def _value(answer: Answer) -> Any:
    if not answer.body:
        return None
    kind = answer.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "application/json" or kind.endswith("+json"):
        try:
            return msgspec.json.decode(answer.body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            pass
    return answer.body.decode(errors="replace")
