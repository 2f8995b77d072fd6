"""The stand-in's own resources: turn its faults, read its counters."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import msgspec
from twisted.internet.interfaces import IReactorTime
from twisted.web.http import HTTPChannel
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request

from lineside.standin import envelope
from lineside.standin.authentication import GUEST, Credentials, authenticate
from lineside.standin.envelope import Answer
from lineside.standin.errors import FrappeError
from lineside.standin.exchange import body, header, send
from lineside.standin.faults import FaultKnobs, Refusals
from lineside.standin.settings import SiteSettings

GoDown = Callable[[float], None]
"""Shuts the listening port for some seconds."""


class ControlResource(Resource):
    """A resource outside Frappe's API, open to the API key only."""

    isLeaf = True  # noqa: N815 (twisted.web's name)

    def __init__(self, credentials: Credentials, answer: Callable[[Request], Answer]) -> None:
        super().__init__()
        self._credentials = credentials
        self._answer = answer

    def render(self, request: Request) -> int:
        """Answer at once."""
        try:
            known = authenticate(header(request, b"authorization"), self._credentials) != GUEST
            answer = self._answer(request) if known else envelope.plain(403, {"error": "the API key is missing"})
        except FrappeError:
            answer = envelope.plain(401, {"error": "the API key or its secret is wrong"})
        send(request, answer)
        return NOT_DONE_YET


class Statistics:
    """How many requests came, and how they were answered, since the start."""

    def __init__(self) -> None:
        self.requests = 0
        self.by_status: Counter[int] = Counter()
        self.unanswered = 0
        """Hung on purpose, or the client had gone."""
        self.cut = 0
        """Of those in ``by_status``: half of the answer was sent."""

    def answer(self, _request: Request) -> Answer:
        """Return the counters."""
        by_status = {str(status): number for status, number in sorted(self.by_status.items())}
        counted = {"requests": self.requests, "unanswered": self.unanswered, "cut": self.cut}
        return envelope.plain(200, {**counted, "by_status": by_status})


class SettingsControl:
    """GET shows the site's settings; POST changes those it names."""

    def __init__(self, settings: SiteSettings) -> None:
        self._settings = settings

    def answer(self, request: Request) -> Answer:
        """Return the settings in force after what was asked; 400 with one line for what makes no sense."""
        if request.method == b"POST":
            try:
                self._settings.turn(msgspec.json.decode(body(request), type=dict[str, Any]))
            except msgspec.DecodeError as wrong:
                return envelope.plain(400, {"error": str(wrong)})
        elif request.method not in {b"GET", b"HEAD"}:
            return envelope.method_not_allowed("GET, HEAD, POST")
        return envelope.plain(200, self._settings.now)


class FaultControl:
    """GET shows the faults in force; POST turns those it names.

    ``down`` closes the port, ``unauthorized`` and ``forbidden`` refuse everybody, each for so many seconds.
    """

    def __init__(
        self, reactor: IReactorTime, faults: FaultKnobs, refusals: Refusals, go_down: GoDown | None
    ) -> None:
        self._reactor = reactor
        self._faults = faults
        self._refusals = refusals
        self._go_down = go_down

    def answer(self, request: Request) -> Answer:
        """Return the faults in force after what was asked; 400 with one line for what makes no sense."""
        if request.method == b"POST":
            refused = self._turn(request)
            if refused:
                return envelope.plain(400, {"error": refused})
        elif request.method not in {b"GET", b"HEAD"}:
            return envelope.method_not_allowed("GET, HEAD, POST")
        return envelope.plain(200, {**msgspec.structs.asdict(self._faults.faults), **self._refusals.left()})

    def _turn(self, request: Request) -> str | None:
        try:
            changes = msgspec.json.decode(body(request), type=dict[str, Any])
            durations = {
                name: msgspec.convert(changes.pop(name), float)
                for name in ("down", *self._refusals.left())
                if name in changes
            }
            for name, seconds in durations.items():
                if seconds < 0:
                    return f"{name}: seconds, at least 0"
            down = durations.pop("down", 0.0)
            if down and self._go_down is None:
                return "down: nothing listens that could be closed"
            self._faults.turn(changes)
            for name, seconds in durations.items():
                self._refusals.refuse(name, seconds)
        except msgspec.DecodeError as wrong:
            return str(wrong)
        if down and self._go_down is not None:
            request.setHeader(b"connection", b"close")
            self._reactor.callLater(0, self._leave, request.channel, self._go_down, down)
        return None

    @staticmethod
    def _leave(channel: HTTPChannel, go_down: GoDown, seconds: float) -> None:
        """Let the connection that asked close after its answer; all others are aborted."""
        channel.loseConnection()
        go_down(seconds)
