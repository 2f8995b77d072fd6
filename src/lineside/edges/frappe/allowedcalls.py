"""Methods of the site that callers may have carried out, by names that the configuration gives them.

Each is asked once. A call whose answer was lost may have been carried out, and is not made again: only the one who
wanted it can tell what is to be done then.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
from msgspec import Struct
from twisted.internet.defer import Deferred
from twisted.internet.defer import TimeoutError as TooLate
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from lineside.edges.frappe.calls import UNKNOWN
from lineside.edges.frappe.client import FrappeClient, url_path
from lineside.edges.frappe.outcomes import ROLLED_BACK, Ambiguous, Answered, Conflict, Verdict, classify_call
from lineside.edges.frappe.reply import to_json
from lineside.edges.frappe.view import LONGEST_REST, REST, TOLD_AGAIN, Site
from lineside.model.errors import LinesideError, NotFound
from lineside.model.outcome import Blocked, Refused, TargetDown
from lineside.model.wording import did_you_mean, key_path
from lineside.operations.erp import ErpAway, ErpRefused, ErpUnsure, ErpUnwilling, WrongQuestion
from lineside.security.identity import Identity, Permission, check

log = Logger()

LARGEST = 65_536
"""Bytes of the arguments of one call."""
UNSURE = "the ERP may have done it or not, and is not asked again"


class AllowedCall(Struct, frozen=True):
    """One method under its name."""

    name: str
    site: Site
    method: str
    params: tuple[str, ...] = ()
    """Arguments for which a caller may give a value."""
    fixed: Mapping[str, Any] = {}
    """Arguments that are the same each time."""
    permission: Permission = "operate"
    timeout: float = 10.0
    max_answer: int = 65_536
    description: str = ""


class AllowedCalls:
    """The `ErpCaller` over Frappe sites.

    Args:
        calls: all that may be called.
        clock: monotonic.

    """

    def __init__(self, calls: Iterable[AllowedCall], clock: IReactorTime) -> None:
        self._calls = {call.name: call for call in calls}
        self._clock = clock
        self._told: dict[str, float] = {}

    def permission(self, name: str) -> Permission:
        """Return what a caller must be allowed; see `ErpCaller`."""
        return self._calls[name].permission if name in self._calls else "consult"

    async def call(self, identity: Identity, name: str, params: Mapping[str, Any]) -> Any:
        """Have it done, once; see `ErpCaller`."""
        call = self._calls.get(name)
        if call is None:
            raise NotFound(f'no call "{name}" of the ERP is allowed{did_you_mean(name, self._calls)}')
        check(identity, call.permission)
        body = _arguments(call, params)
        if call.site.crowded:
            raise ErpAway("too many questions to the ERP wait already; it was not called", REST)
        began = self._clock.seconds()
        outcome = "failed"
        try:
            answer = await self._once(call, body)
            outcome = "answered"
            return answer
        except LinesideError as refused:
            outcome = type(refused).__name__
            raise
        finally:
            log.info(
                "erp.called",
                name=name,
                target=call.site.name,
                by=identity.name,
                outcome=outcome,
                seconds=round(self._clock.seconds() - began, 3),
            )

    async def _once(self, call: AllowedCall, body: bytes) -> Any:
        begun = False

        async def ask(client: FrappeClient) -> Verdict:
            nonlocal begun
            begun = True
            return classify_call(await client.ask("POST", url_path("api", "method", call.method), body=body))

        asking = Deferred.fromCoroutine(call.site.in_turn(ask))
        asking.addTimeout(call.timeout, self._clock)
        try:
            verdict = await asking
        except TooLate:
            if not begun:
                raise ErpAway("the ERP is busy with other questions; it was not called", REST) from None
            verdict = Ambiguous(f"no answer within {call.timeout:g} s")
        return self._answer(call, verdict)

    def _answer(self, call: AllowedCall, verdict: Verdict) -> Any:
        match verdict:
            case Answered(value=value):
                size = len(msgspec.json.encode(value))
                if size > call.max_answer:
                    raise ErpUnwilling(
                        f"it is done, but the answer has {size} bytes; at most {call.max_answer} are handed on"
                    )
                return value
            case Conflict(refused=Refused(reason=reason)) if reason.startswith(UNKNOWN):
                raise self._must_act(call, reason, f"check {key_path('calls', call.name, 'method')}")
            case Refused(reason=reason) | Conflict(refused=Refused(reason=reason)):
                raise ErpRefused(f"the ERP says no: {reason}")
            case Blocked(reason=reason, remedy=remedy):
                raise self._must_act(call, reason, remedy)
            case TargetDown(reason=reason, after=after, certain=True):
                raise ErpAway(
                    f"the ERP was not reached, and did nothing: {reason}", min(after or REST, LONGEST_REST)
                )
            case Ambiguous(reason=reason, code=str(code)) if code in ROLLED_BACK:
                raise ErpRefused(f"the ERP undid it, since others worked on the same: {reason}")
            case TargetDown(reason=reason) | Ambiguous(reason=reason, code=None):
                if self._may_tell(call):
                    log.warn(
                        "erp.call_unsure",
                        name=call.name,
                        target=call.site.name,
                        reason=reason,
                        remedy="look in the ERP whether it is done; see its own error log",
                    )
                # What is no answer of Frappe may be a page with a traceback.
                status = reason.partition(":")[0] if reason.startswith("HTTP ") else reason
                raise ErpUnsure(f"{UNSURE}: {status}")
            case Ambiguous(reason=reason):
                raise ErpUnsure(f"{UNSURE}: {reason}")

    def _must_act(self, call: AllowedCall, reason: str, remedy: str) -> ErpUnwilling:
        if self._may_tell(call):
            log.error("erp.call_blocked", name=call.name, target=call.site.name, reason=reason, remedy=remedy)
        return ErpUnwilling(f"the ERP does not let the gateway call this, whose log says why ({call.name})")

    def _may_tell(self, call: AllowedCall) -> bool:
        now = self._clock.seconds()
        due = now - self._told.get(call.name, float("-inf")) >= TOLD_AGAIN
        if due:
            self._told[call.name] = now
        return due


def _arguments(call: AllowedCall, params: Mapping[str, Any]) -> bytes:
    unknown = next((name for name in params if name not in call.params), None)
    if unknown is not None:
        there = ", ".join(call.params) or "none"
        raise WrongQuestion(f'{call.name} has no parameter "{unknown[:140]}"; there are: {there}')
    try:
        body = to_json({**params, **call.fixed})
    except (TypeError, ValueError) as wrong:
        raise WrongQuestion(f"the parameters cannot be written as JSON: {wrong}") from wrong
    if len(body) > LARGEST:
        raise WrongQuestion(f"the parameters have {len(body)} bytes; at most {LARGEST} are sent")
    return body
