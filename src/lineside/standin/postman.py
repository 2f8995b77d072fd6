"""Sends webhooks, one at a time as Frappe's one worker does, and writes down each attempt."""

from __future__ import annotations

import json
from collections import deque
from io import BytesIO
from typing import Any

from twisted.internet import defer, task
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.protocol import Protocol, connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.client import FileBodyProducer, ResponseDone
from twisted.web.http import PotentialDataLoss
from twisted.web.http_headers import Headers
from twisted.web.iweb import IAgent

from lineside.standin.authentication import ADMINISTRATOR
from lineside.standin.documents import Documents
from lineside.standin.webhooks import Hook

log = Logger()

WAITS = (1.0, 4.0)
"""Seconds before the second and the third attempt; a time-out is tried again at once."""

KEPT = 10_000
"""Characters of a receiver's answer that are written down."""


class Postman:
    """Sends what `webhooks.asked_for` returned. A webhook that fails three times is lost, as in Frappe.

    Args:
        reactor: its clock counts the waits and the time-outs.
        agent: sends the requests; follows redirects as a browser does.
        documents: where each attempt becomes a Webhook Request Log.

    """

    def __init__(self, reactor: IReactorTime, agent: IAgent, documents: Documents) -> None:
        self._reactor = reactor
        self._agent = agent
        self._documents = documents
        self._waiting: deque[Hook] = deque()
        self._round: Deferred[None] | None = None
        self._busy = False
        self._stopped = False

    def post(self, hooks: list[Hook]) -> None:
        """Send these when those before them are through."""
        self._waiting.extend(hooks)
        if self._waiting and not self._busy and not self._stopped:
            self._busy = True
            self._round = Deferred.fromCoroutine(self._deliver())
            self._round.addErrback(self._ended)

    async def stop(self) -> None:
        """Send no more; what still waits is lost."""
        self._stopped = True
        self._waiting.clear()
        going, self._round = self._round, None
        if going is not None:
            going.cancel()

    async def _deliver(self) -> None:
        try:
            while self._waiting:
                await self._send(self._waiting.popleft())
        finally:
            self._busy = False

    def _ended(self, failure: Any) -> None:
        if not failure.check(CancelledError):
            log.failure("standin.webhooks.failed", failure)

    async def _send(self, hook: Hook) -> None:
        for wait in (*WAITS, None):
            try:
                status, answer = await self._attempt(hook)
                error = f"{status} Error for url: {hook.url}" if status >= 400 else ""
            except CancelledError:
                raise
            except defer.TimeoutError:
                await self._write_down(hook, "", "Read timed out.")
                continue
            except Exception as failed:  # noqa: BLE001 (whatever a receiver does, the next attempt comes)
                # A request that is cancelled fails with whatever the agent makes of it.
                if self._stopped:
                    return
                answer, error = "", f"{type(failed).__name__}: {failed}"
            await self._write_down(hook, answer, error)
            if not error:
                return
            if wait is not None:
                await task.deferLater(self._reactor, wait)
        log.warn("standin.webhook.lost", webhook=hook.webhook, doctype=hook.doctype, name=hook.name)

    async def _attempt(self, hook: Hook) -> tuple[int, str]:
        asked = self._asked(hook)
        asked.addTimeout(hook.timeout, self._reactor)
        status, content = await asked
        return status, content.decode(errors="replace")[:KEPT]

    def _asked(self, hook: Hook) -> Deferred[tuple[int, bytes]]:
        headers = Headers()
        for name, value in hook.headers:
            headers.addRawHeader(name, value)

        def read(response: Any) -> Deferred[tuple[int, bytes]]:
            answer = _Answer()
            response.deliverBody(answer)
            return answer.whole.addCallback(lambda content: (response.code, content))

        producer = FileBodyProducer(BytesIO(hook.body))
        sent: Deferred[Any] = self._agent.request(hook.method.encode(), hook.url.encode(), headers, producer)
        return sent.addCallback(read)

    async def _write_down(self, hook: Hook, answer: str, error: str) -> None:
        entry = {
            "webhook": hook.webhook,
            "reference_doctype": hook.doctype,
            "reference_document": hook.name,
            "url": hook.url,
            "headers": json.dumps(dict(hook.headers)),
            "data": hook.body.decode(),
            "response": answer,
            "error": error,
            "user": ADMINISTRATOR,
        }
        await self._documents.write(lambda records: records.insert("Webhook Request Log", entry, ADMINISTRATOR))


class _Answer(Protocol):
    """Collects what a receiver answers, no more than is written down; ``whole`` fires with it."""

    def __init__(self) -> None:
        self.whole: Deferred[bytes] = Deferred(self._cancelled)
        self._body = bytearray()

    def dataReceived(self, data: bytes) -> None:
        # A character has four bytes at most.
        self._body += data[: 4 * KEPT - len(self._body)]

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if self.whole.called:
            return
        if reason.check(ResponseDone, PotentialDataLoss):
            self.whole.callback(bytes(self._body))
        else:
            self.whole.errback(reason)

    def _cancelled(self, whole: Deferred[bytes]) -> None:
        whole.errback(CancelledError())
        if self.transport is not None:
            self.transport.stopProducing()  # type: ignore[attr-defined] # (nothing else of it cuts at once)
