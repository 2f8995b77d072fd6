"""The site as tasks ask it: calls wait while it is away, and a write is never repeated on suspicion."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Any, Literal

from twisted.internet.defer import DeferredSemaphore
from twisted.internet.task import deferLater

from lineside.delivery.backoff import Backoff
from lineside.delivery.gate import Gate
from lineside.edges.frappe.calls import UNKNOWN
from lineside.edges.frappe.client import FrappeClient, url_path
from lineside.edges.frappe.lookup import GET_LIST
from lineside.edges.frappe.outcomes import (
    DUPLICATES,
    ROLLED_BACK,
    Ambiguous,
    Answered,
    Conflict,
    Verdict,
    classify,
    classify_call,
)
from lineside.edges.frappe.reads import REPEATS, REPEATS_WITHIN
from lineside.edges.frappe.reply import Reply, Unreachable, parse, to_json
from lineside.model.outcome import Blocked, Refused, TargetDown
from lineside.tasks.erp import (
    ErpConflict,
    ErpDenied,
    ErpError,
    ErpFailed,
    ErpNotFound,
    ErpRefused,
    ErpSilent,
    ErpUnsure,
)

AWAY = Backoff((1.0, 2.0, 5.0, 10.0, 30.0), jitter=0.2)
"""Seconds between two attempts while the site is away and names no time itself."""
PAUSE = 1.0
"""Seconds between two looks whether a person has let calls go on."""
NOTHING_DONE = frozenset({425, 429, 503})
"""With these a server says that it did not begin. A 502 or 504 comes from a proxy, which cannot know."""
SLOW = frozenset({504, 524})
"""The site is there and took too long: waiting for its return would ask the same for ever."""

_Asked = Literal["data", "message", "call"]


class TaskErp:
    """One site for tasks; it has the methods of `lineside.tasks.context.Erp`.

    A call waits its turn in the site's budget, and takes at most half of the connections, so that deliveries go on.
    While the site is down for maintenance, asks for a rest (429), or takes no connection, it waits and asks again.
    What got no answer is asked again only where it changes nothing.

    Cancelling what a method returned aborts the request beneath.

    Args:
        client: for the site; its budget is everybody's.
        gate: the target's.
        random: for delays.

    """

    def __init__(self, client: FrappeClient, gate: Gate, random: Random) -> None:
        self._client = client
        self._gate = gate
        self._random = random
        self._places = DeferredSemaphore(max(1, client.pool_size // 2))

    async def get(self, doctype: str, name: str) -> dict[str, Any]:
        """Return one document, with its child tables.

        Raises:
            ErpNotFound: there is none.
            ErpError: see its kinds.

        """
        document = await self._ask("GET", url_path("api", "resource", doctype, name), None, "data", safe=True)
        if not isinstance(document, dict):
            raise ErpSilent("not an answer of Frappe: it holds no document")
        return document

    async def get_list(
        self,
        doctype: str,
        *,
        fields: Sequence[str] = ("name",),
        filters: Any = None,
        order_by: str | None = None,
        start: int = 0,
        limit: int = 20,
    ) -> list[dict[str, Any]]:
        """Return fields of documents that the API user may read.

        Args:
            doctype: whose.
            fields: of each; child tables cannot be asked for.
            filters: as Frappe takes them: ``{"status": "Open"}`` or ``[["qty", ">", 5]]``.
            order_by: such as ``modified asc, name asc``; without it the order is Frappe's, newest change first.
            start: so many are left out.
            limit: so many at most; 0 for all.

        Raises:
            ErpError: see its kinds.

        """
        asked: dict[str, Any] = {"doctype": doctype, "fields": list(fields), "limit_page_length": limit}
        if filters is not None:
            asked["filters"] = filters
        if order_by is not None:
            asked["order_by"] = order_by
        if start:
            asked["limit_start"] = start
        rows = await self._ask("POST", GET_LIST, asked, "message", safe=True)
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            raise ErpSilent("not an answer of Frappe: it holds no list of documents")
        return rows

    async def call(self, method: str, arguments: dict[str, Any] | None = None, *, safe: bool = False) -> Any:
        """Call a whitelisted method by POST, and return its ``message``; None where it has none.

        Args:
            method: its dotted path.
            arguments: by name.
            safe: it changes nothing, or nothing more when it is called twice: it is called again where no answer
                comes.

        Raises:
            ErpUnsure: no answer came, and it is not ``safe``: look whether it did its work before calling again.
            ErpError: see its kinds.
            ValueError: the arguments hold what JSON has not, such as NaN.
            TypeError: likewise.

        """
        return await self._ask("POST", url_path("api", "method", method), arguments or {}, "call", safe=safe)

    async def _ask(self, method: str, path: str, body: Any, asked: _Asked, *, safe: bool) -> Any:
        text = None if body is None else to_json(body)
        await self._places.acquire()
        try:
            return await self._until_answered(method, path, text, asked, safe)
        finally:
            self._places.release()

    async def _until_answered(self, method: str, path: str, body: bytes | None, asked: _Asked, safe: bool) -> Any:
        begun, repeats, turned_away = self._client.clock.seconds(), REPEATS, 0
        while True:
            await self._let_through()
            answer = await self._client.ask(method, path, body=body)
            verdict = _classify(answer, asked, safe=safe)
            if isinstance(verdict, Answered):
                return verdict.value
            if _lost(answer, verdict):
                if not safe:
                    raise ErpUnsure(f"{_reason(verdict)}; nobody knows whether it was carried out")
                if isinstance(answer, Unreachable):
                    self._client.drop_idle()
                if repeats and self._client.clock.seconds() - begun <= REPEATS_WITHIN:
                    repeats -= 1
                    continue
            if isinstance(verdict, TargetDown) and not _is_slow(answer):
                turned_away += 1
                await self._rest(answer, verdict, turned_away)
                begun, repeats = self._client.clock.seconds(), REPEATS
                continue
            raise _error(answer, verdict)

    async def _let_through(self) -> None:
        while True:
            await self._gate.passed()
            if not self._gate.paused:
                return
            await deferLater(self._client.clock, PAUSE)

    async def _rest(self, answer: Reply | Unreachable, why: TargetDown, times: int) -> None:
        # A 429 may be one method's own; everything else concerns whoever asks the site.
        if why.certain and not (isinstance(answer, Reply) and answer.status == 429):
            self._gate.shut(why)
        after = AWAY.delay(times, self._random) if why.after is None else max(why.after, AWAY.steps[0])
        await deferLater(self._client.clock, after)


def _classify(answer: Reply | Unreachable, asked: _Asked, *, safe: bool) -> Verdict:
    if asked == "call":
        return classify_call(answer)
    return classify(answer, asked, question=safe)


def _lost(answer: Reply | Unreachable, verdict: Verdict) -> bool:
    """Tell whether it may have been carried out, or just failed to be told."""
    match verdict:
        case Ambiguous(code=code):
            return code is None
        case TargetDown():
            if isinstance(answer, Unreachable):
                return answer.sent
            return answer.status not in NOTHING_DONE and parse(answer).exc_type is None
        case _:
            return False


def _is_slow(answer: Reply | Unreachable) -> bool:
    return isinstance(answer, Reply) and answer.status in SLOW


def _reason(verdict: Verdict) -> str:
    match verdict:
        case Ambiguous(reason=reason) | TargetDown(reason=reason) | Blocked(reason=reason) | Refused(reason=reason):
            return reason
        case Conflict(refused=refused):
            return refused.reason
        case Answered():
            return "answered"


def _error(answer: Reply | Unreachable, verdict: Verdict) -> ErpError:
    reason = _reason(verdict)
    match verdict:
        case Blocked(remedy=remedy):
            status = answer.status if isinstance(answer, Reply) else None
            kind = ErpNotFound if status in {404, 405} else ErpDenied
            return kind(f"{reason}; {remedy}", _code(answer))
        case Conflict() if reason.startswith(UNKNOWN):
            return ErpNotFound(reason, _code(answer))
        case Conflict(refused=Refused(code=code), passing=passing):
            return (ErpConflict if passing or code in DUPLICATES else ErpRefused)(reason, _code(answer))
        case Refused():
            missing = isinstance(answer, Reply) and answer.status == 404
            return (ErpNotFound if missing else ErpRefused)(reason, _code(answer))
        case Ambiguous(code=str() as code):
            return (ErpConflict if code in ROLLED_BACK else ErpFailed)(reason, code)
        case _:
            return ErpSilent(reason)


def _code(answer: Reply | Unreachable) -> str | None:
    return parse(answer).exc_type if isinstance(answer, Reply) else None
