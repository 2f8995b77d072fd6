"""What an answer of Frappe means for the delivery that asked. Pure and total: no answer raises.

The rules are those of the Frappe contract, sections 1 and 10. The exception's class decides where it is
known, then the status, then the shape. Whatever is not understood is ambiguous, never a success.

That something was written is believed only of ``application/json``, as Frappe calls its own answers. The very
same document under another content type has passed through something that rewrites answers, or comes from
elsewhere: also where it holds our delivery id it is ambiguous, and a look-up, which costs one request, tells
whether it is stored. What answers a question is read whatever it is called: it claims no success, it must have its
own shape, and behind a wrong "there is none" stands the unique index. So is an error: its status alone says that
nothing was done.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from email.utils import parsedate_to_datetime
from typing import Any, Literal

from msgspec import Struct

from lineside.edges.frappe.reply import Parsed, Reply, Unreachable, kept, parse, summary
from lineside.model.outcome import Blocked, Refused, Retry, TargetDown

JSON = "application/json"
MAX_AFTER = 3600.0
"""Seconds; a server that asks for a longer pause is asked again after this one."""


class Answered(Struct, frozen=True):
    """Frappe did what was asked; ``value`` is what its envelope holds."""

    value: Any


class Created(Struct, frozen=True):
    """Frappe inserted the document, which it returned."""

    name: str
    document: dict[str, Any]


class Conflict(Struct, frozen=True):
    """409 or 417: look the delivery id up. Absent means ``refused``, or a later attempt where it is ``passing``."""

    refused: Refused
    passing: bool = False


class Ambiguous(Struct, frozen=True):
    """The document may be stored or not: look the delivery id up before anything else."""

    reason: str
    code: str | None = None
    """The exception's class, where Frappe named one."""


Verdict = Answered | Conflict | Ambiguous | Refused | TargetDown | Blocked

DUPLICATES = frozenset({"DuplicateEntryError", "UniqueValidationError"})
"""Another document has the name, or the value of a unique field."""
ROLLED_BACK = frozenset({"QueryDeadlockError", "QueryTimeoutError"})
"""MariaDB chose this transaction to make way for another: the record is not to blame."""

CHECK_KEY = "check the target's api_key and api_secret"
CHECK_PERMISSION = "give the API user the permission that Frappe names"
CHECK_COOKIE = "let no proxy add a session cookie: an API key counts only without one"
CHECK_URL = "check the target's url and site"
CHECK_PROXY = "check the proxy between the gateway and Frappe"

Rule = Callable[[Reply, Parsed], Verdict]


def _down(reply: Reply, parsed: Parsed) -> Verdict:
    return TargetDown(_told(reply, parsed), retry_after(reply))


def _behind(reply: Reply, parsed: Parsed) -> Verdict:
    """Say what a proxy means that had no answer from the server behind it: a worker may have died, or all of it."""
    after = retry_after(reply)
    return TargetDown(_told(reply, parsed), after, certain=after is not None)


def _ambiguous(reply: Reply, parsed: Parsed) -> Verdict:
    return Ambiguous(_told(reply, parsed), parsed.exc_type)


def _refused(reply: Reply, parsed: Parsed) -> Refused:
    return Refused(parsed.exc_type or f"HTTP {reply.status}", summary(reply, parsed), kept(reply))


def _conflict(reply: Reply, parsed: Parsed) -> Verdict:
    return Conflict(_refused(reply, parsed))


def _passing(reply: Reply, parsed: Parsed) -> Verdict:
    return Conflict(_refused(reply, parsed), passing=True)


def _blocked(remedy: str) -> Rule:
    return lambda reply, parsed: Blocked(_told(reply, parsed), remedy)


def _not_found(reply: Reply, parsed: Parsed) -> Verdict:
    """Refuse where Frappe says so; any other server's 404 (an unknown site is one) is no fault of the record."""
    return _refused(reply, parsed) if parsed.exc_type else _blocked(CHECK_URL)(reply, parsed)


BY_TYPE: dict[str, Rule] = {
    "AuthenticationError": _blocked(CHECK_KEY),
    "InvalidAuthorizationToken": _blocked(CHECK_KEY),
    "SessionExpired": _blocked(CHECK_KEY),
    "CSRFTokenError": _blocked(CHECK_COOKIE),
    "IncorrectSitePath": _blocked(CHECK_URL),
    "TooManyRequestsError": _down,
    "RateLimitExceededError": _down,
    "SessionStopped": _down,
    "InReadOnlyMode": _down,
    "QueueOverloaded": _down,
    "ServiceUnavailableError": _down,
    "DuplicateEntryError": _conflict,
    "UniqueValidationError": _conflict,
    "TimestampMismatchError": _passing,
    "DocumentLockedError": _passing,
    "QueryDeadlockError": _ambiguous,
    "QueryTimeoutError": _ambiguous,
}
"""Only names that mean one thing under every status: a NameError is a bad name with 409 and a bug with 500."""

BY_STATUS: dict[int, Rule] = {
    401: _blocked(CHECK_KEY),
    402: _blocked(CHECK_URL),
    403: _blocked(CHECK_PERMISSION),
    404: _not_found,
    405: _not_found,
    407: _blocked(CHECK_PROXY),
    408: _ambiguous,
    409: _conflict,
    417: _conflict,
    421: _blocked(CHECK_URL),
    425: _down,
    429: _down,
    502: _behind,
    503: _down,
    504: _behind,
    # What a content network answers when the server behind it does not.
    520: _behind,
    521: _behind,
    522: _behind,
    523: _behind,
    524: _behind,
    530: _behind,
}


def classify(
    answer: Reply | Unreachable, envelope: Literal["data", "message"] = "data", *, question: bool = False
) -> Verdict:
    """Return what an answer means.

    Args:
        answer: to one request.
        envelope: the key under which a success holds its value.
        question: the request changed nothing, so that the content type is not looked at.

    """
    if isinstance(answer, Unreachable):
        if answer.sent:
            return Ambiguous(answer.reason)
        # What lasts is a wrong address or certificate, for which no record is to blame.
        return TargetDown(answer.reason, sent=not answer.lasting, lasting=answer.lasting)
    parsed = parse(answer)
    if answer.status < 400:
        right = answer.status in {200, 201, 202} and (question or answer.content_type == JSON)
        if right and parsed.envelope is not None and envelope in parsed.envelope:
            return Answered(parsed.envelope[envelope])
        return Ambiguous(_unexpected(answer, parsed))
    rule = BY_TYPE.get(parsed.exc_type or "") or BY_STATUS.get(answer.status)
    if rule is None:
        rule = _refused if answer.status < 500 else _ambiguous
    return rule(answer, parsed)


def classify_insert(answer: Reply | Unreachable) -> Created | Verdict:
    """Return what the answer to an insert means: a success is `Created` only with a named document."""
    verdict = classify(answer)
    if not isinstance(verdict, Answered):
        return verdict
    document = verdict.value
    if isinstance(document, dict) and isinstance(document.get("name"), str | int) and document["name"] != "":
        return Created(str(document["name"]), document)
    return Ambiguous("the answer holds no document")


def classify_call(answer: Reply | Unreachable) -> Verdict:
    """Return what the answer to a called method means; one that returns nothing has no ``message``."""
    verdict = classify(answer, "message")
    if (
        isinstance(verdict, Ambiguous)
        and isinstance(answer, Reply)
        and answer.status == 200
        and answer.content_type == JSON
    ):
        envelope = parse(answer).envelope
        if envelope is not None and not envelope.keys() & {"data", "exc_type", "exception", "errors"}:
            return Answered(None)
    return verdict


def undone(verdict: Verdict) -> Refused | Retry | TargetDown | Blocked:
    """Return what a write that did not succeed means where there is nothing to look up: it may be made again."""
    match verdict:
        case TargetDown() | Blocked() | Refused():
            return verdict
        case Conflict(refused=refused, passing=passing):
            return Retry(refused.reason) if passing else refused
        case Ambiguous(reason=reason):
            return Retry(reason, ambiguous=True)
        case Answered():
            return Retry("not an answer of Frappe: its value has another shape", ambiguous=True)


def unanswered(verdict: Verdict, remedy: str) -> TargetDown | Blocked:
    """Return what a read without its answer means for all that wait for it; ``remedy`` is for a refusal."""
    match verdict:
        case TargetDown() | Blocked():
            return verdict
        case Refused(reason=reason) | Conflict(refused=Refused(reason=reason)):
            return Blocked(reason, remedy)
        case Ambiguous(reason=reason):
            return TargetDown(reason, certain=False)
        case Answered():
            return TargetDown("not an answer of Frappe: its value has another shape", certain=False)


def retry_after(reply: Reply) -> float | None:
    """Return the seconds for which the server asks not to be tried (RFC 9110, 10.2.3); None if it does not say.

    A date is read against the answer's own ``Date``, so that a wrong clock does no harm. Frappe's
    limiter tells the same as ``X-RateLimit-Reset``.
    """
    told = reply.headers.get("retry-after")
    seconds = None if told is None else _seconds(told, reply.headers.get("date", ""))
    if seconds is None and reply.status == 429:
        seconds = _seconds(reply.headers.get("x-ratelimit-reset", ""), "")
    return seconds


def _seconds(told: str, date: str) -> float | None:
    try:
        seconds = float(told)
    except ValueError:
        try:
            seconds = (parsedate_to_datetime(told) - parsedate_to_datetime(date)).total_seconds()
        except (ValueError, TypeError, IndexError, OverflowError):
            return None
    return min(seconds, MAX_AFTER) if math.isfinite(seconds) and seconds >= 0 else None


def _told(reply: Reply, parsed: Parsed) -> str:
    """Return what is told of an answer in the log: Frappe's own words, and of any other page nothing.

    A page for debugging repeats what it was sent, and payloads do not belong into the log.
    """
    text = parsed.words or parsed.exc_type
    return f"HTTP {reply.status} {text}" if text else f"HTTP {reply.status}"


def _unexpected(reply: Reply, parsed: Parsed) -> str:
    if 300 <= reply.status < 400:
        return f"HTTP {reply.status}: redirected to {reply.headers.get('location', 'nowhere')[:200]}"
    kind = reply.content_type or "no content type"
    if parsed.envelope is not None and reply.content_type != JSON:
        return f"HTTP {reply.status}: JSON, but called {kind}; let no proxy change the content type"
    return f"HTTP {reply.status}: not an answer of Frappe ({kind})"
