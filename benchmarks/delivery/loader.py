"""Load for `frappe_delivery` without a gateway: a bare Agent loop, or the Frappe target by itself.

A process of its own: ``python loader.py PLAN``, where PLAN is the JSON of a `Plan`. It inserts until SIGTERM, ends
what is under way, and prints how many documents the site acknowledged.
"""

from __future__ import annotations

import sys
import uuid
from collections.abc import Awaitable, Callable
from typing import Any, Literal

import msgspec
from twisted.internet import task
from twisted.internet.defer import Deferred, FirstError, gatherResults, succeed
from twisted.internet.interfaces import IConsumer
from twisted.python.failure import Failure
from twisted.web.client import Agent, HTTPConnectionPool, readBody
from twisted.web.http_headers import Headers
from twisted.web.iweb import IBodyProducer
from zope.interface import implementer

from lineside.edges.frappe.client import FrappeClient
from lineside.edges.frappe.target import FrappeTarget
from lineside.model.outcome import Delivered
from lineside.model.ports import Delivery


class Plan(msgspec.Struct, frozen=True):
    """What to insert, and how."""

    url: str
    key: str
    secret: str
    mode: Literal["agent", "target"]
    concurrency: int
    """Requests under way, always."""
    batch: int = 1
    """Documents that go to the target together; the bare loop sends them one by one."""


Insert = Callable[[], Awaitable[int]]
"""Carries out one request, and returns how many documents were acknowledged."""


def fields() -> dict[str, str]:
    """Return a document as the gateway's route makes it."""
    return {"description": "item 00042, 7 pieces at press-07", "priority": "Low"}


def bare(reactor: Any, plan: Plan) -> Insert:
    """Return the least that an insert can be: one POST, and a look at the status."""
    pool = HTTPConnectionPool(reactor)
    pool.maxPersistentPerHost = plan.concurrency
    agent = Agent(reactor, pool=pool)
    address = f"{plan.url}/api/resource/ToDo".encode()
    headers = Headers(
        {
            b"Authorization": [f"token {plan.key}:{plan.secret}".encode()],
            b"Accept": [b"application/json"],
            b"Content-Type": [b"application/json"],
        }
    )

    async def insert() -> int:
        body = msgspec.json.encode({**fields(), "lineside_id": uuid.uuid4().hex})
        response = await agent.request(b"POST", address, headers, _Body(body))
        answer = await readBody(response)
        if response.code != 200:
            raise RuntimeError(f"the stand-in answered {response.code}: {answer[:200]!r}")
        return 1

    return insert


def targeted(reactor: Any, plan: Plan) -> Insert:
    """Return what the gateway's target does, without a journal, a route or a gate before it."""
    client = FrappeClient(reactor, plan.url, plan.key, plan.secret, pool_size=plan.concurrency)
    target = FrappeTarget(client)

    async def insert() -> int:
        batch = [Delivery(uuid.uuid4().hex, "insert", "ToDo", fields()) for _ in range(plan.batch)]
        outcomes = await target.deliver(batch)
        wrong = next((outcome for outcome in outcomes if not isinstance(outcome, Delivered)), None)
        if wrong is not None:
            raise RuntimeError(f"a document was not delivered: {wrong}")
        return len(outcomes)

    return insert


@implementer(IBodyProducer)
class _Body:
    """A body written at once: ``FileBodyProducer`` would cost the bare loop a turn of the reactor."""

    def __init__(self, body: bytes) -> None:
        self._body = body
        self.length = len(body)

    def startProducing(self, consumer: IConsumer) -> Deferred[None]:
        consumer.write(self._body)
        return succeed(None)

    def pauseProducing(self) -> None:
        """Do nothing: it is written."""

    def resumeProducing(self) -> None:
        """Do nothing: it is written."""

    def stopProducing(self) -> None:
        """Do nothing: it is written."""


def load(reactor: Any, plan: Plan) -> Deferred[None]:
    """Insert until the reactor is told to stop; then print how many documents were acknowledged."""
    insert = (bare if plan.mode == "agent" else targeted)(reactor, plan)
    acknowledged = 0
    stopping = False

    async def lane() -> None:
        nonlocal acknowledged
        while not stopping:
            done = await insert()
            acknowledged += done

    lanes = [Deferred.fromCoroutine(lane()) for _ in range(plan.concurrency)]
    ended = gatherResults(lanes, consumeErrors=True)
    finished: Deferred[None] = Deferred()

    def stop() -> Deferred[None]:
        nonlocal stopping
        stopping = True
        return finished

    def end(result: object) -> None:
        finished.callback(None)
        if isinstance(result, Failure):
            # A lane that fails ends the process with its reason.
            assert isinstance(result.value, FirstError)
            result.value.subFailure.raiseException()
        print(acknowledged, flush=True)

    reactor.addSystemEventTrigger("before", "shutdown", stop)
    return ended.addBoth(end)


if __name__ == "__main__":
    task.react(load, [msgspec.json.decode(sys.argv[1], type=Plan)])
