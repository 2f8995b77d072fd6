"""A dry run: deliveries are carried out at a real site up to the first request that would write, which is held."""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO
from typing import Any, cast
from urllib.parse import urlsplit

from msgspec import Struct, structs
from twisted.internet.defer import CancelledError, Deferred, fail
from twisted.web.http_headers import Headers
from twisted.web.iweb import IAgent, IBodyProducer, IResponse
from zope.interface import implementer

from lineside.edges.frappe.client import FrappeClient
from lineside.edges.frappe.lookup import GET_LIST
from lineside.edges.frappe.target import FrappeTarget
from lineside.model.outcome import Blocked, Refused, Retry, TargetDown
from lineside.model.ports import Delivery, Ready


class Held(Struct, frozen=True):
    """A request that was not sent. It shows no header, and so no key."""

    method: str
    path: str
    """As it would be sent, percent-encoded."""
    body: bytes
    """JSON, byte for byte; ``null`` where there is none."""
    remarks: tuple[str, ...] = ()
    """What may go wrong with it at the site, a line each."""


Attempt = Held | Refused | Retry | TargetDown | Blocked
"""The first request that would write, or why a gateway would send none."""


class DryRun:
    """Deliveries to one site, by the very `FrappeTarget` of a gateway, of which no write leaves this process.

    What a delivery asks before it writes is asked: how the DocType is made, which document matches. The first
    writing request ends it. What a gateway would send after that depends on the answer, which nobody has.

    Args:
        connect: makes the client, which must send everything through what the given function makes of its agent.
        id_field: as of `FrappeTarget`.
        time_zone: as of `FrappeTarget`.

    """

    def __init__(
        self,
        connect: Callable[[Callable[[IAgent], IAgent]], FrappeClient],
        id_field: str,
        time_zone: str | None = None,
    ) -> None:
        self._valve = _Valve()
        self._client = connect(lambda agent: _ReadingAgent(agent, self._valve))
        self._target = FrappeTarget(self._client, id_field, time_zone)

    async def probe(self) -> Ready | TargetDown | Blocked:
        """Ask the site what a gateway asks it first. Never raises."""
        self._valve.open(questions=False)
        return await self._target.probe()

    async def deliver(self, delivery: Delivery) -> Attempt:
        """Return the request that a gateway would send first, or why it would send none; one at a time.

        Raises:
            CancelledError: the caller gave up.

        """
        # A call asks nothing beforehand: also one of a method that only reads is the delivery itself.
        self._valve.open(questions=delivery.action != "call")
        try:
            [outcome] = await self._target.deliver([delivery])
        except CancelledError:
            held = self._valve.held
            if held is None:
                raise
            inserts = delivery.action != "call" and held.method == "POST"
            return structs.replace(held, remarks=tuple(self._target.remarks(delivery))) if inserts else held
        if isinstance(outcome, Refused | Retry | TargetDown | Blocked):
            return self._valve.held or outcome
        raise AssertionError(f"{type(outcome).__name__} without a request that writes")

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()


class _Valve:
    """What a dry run lets through, and what it held back."""

    def __init__(self) -> None:
        self.held: Held | None = None
        self._questions = False

    def open(self, *, questions: bool) -> None:
        """Begin anew; ``questions`` lets look-ups through that are too long for a GET."""
        self.held = None
        self._questions = questions

    def lets_through(self, method: str, path: str) -> bool:
        if self.held is not None:
            return False
        # Frappe rolls back what a GET does, and each is a question here; a path's segments hold no bare slash.
        return method == "GET" or (self._questions and method == "POST" and path.endswith(GET_LIST))


@implementer(IAgent)
class _ReadingAgent:
    """Sends what only reads through another agent. The first other request is held; it and all later ones fail."""

    def __init__(self, agent: IAgent, valve: _Valve) -> None:
        self._agent = agent
        self._valve = valve

    def request(
        self, method: bytes, uri: bytes, headers: Headers | None = None, bodyProducer: IBodyProducer | None = None
    ) -> Deferred[IResponse]:
        parts = urlsplit(uri.decode("ascii"))
        path = f"{parts.path}?{parts.query}" if parts.query else parts.path
        verb = method.decode("ascii")
        if self._valve.lets_through(verb, path):
            return self._agent.request(method, uri, headers, bodyProducer)
        if self._valve.held is None:
            self._valve.held = Held(verb, path, b"null" if bodyProducer is None else _written(bodyProducer))
        # As if the caller gave up: the only failure after which the target asks and repeats nothing.
        return fail(CancelledError())


def _written(producer: IBodyProducer) -> bytes:
    """Return a body that is in memory, as each of `FrappeClient` is."""
    written = BytesIO()
    producer.startProducing(cast(Any, written))
    return written.getvalue()
