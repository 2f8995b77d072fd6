"""Documents for those who must not have the ERP's keys: asked for once, kept a while, and longer while it is away.

What leaves is bounded by the configuration alone: DocTypes, fields, and the operator's own filters, which hold for
a single document as well. What a caller gives becomes a value in a JSON body, and never a part of a path, of a name
or of an operator.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable, Mapping
from typing import Any, Literal, TypeVar

import msgspec
from msgspec import Struct
from twisted.internet.defer import Deferred
from twisted.internet.defer import TimeoutError as TooLate
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from lineside.edges.frappe.cache import Cache, Entry
from lineside.edges.frappe.client import FrappeClient
from lineside.edges.frappe.flights import Flights
from lineside.edges.frappe.lookup import GET_LIST
from lineside.edges.frappe.outcomes import ROLLED_BACK, Ambiguous, Answered, Conflict, Verdict
from lineside.edges.frappe.reads import read
from lineside.edges.frappe.reply import to_json
from lineside.edges.frappe.turns import Turns
from lineside.model.errors import NotFound
from lineside.model.outcome import Blocked, Refused, TargetDown
from lineside.model.wording import key_path
from lineside.operations.erp import ErpAway, ErpUnwilling, Look, WrongQuestion
from lineside.security.identity import Identity, Permission, check

log = Logger()

T = TypeVar("T")

ENTRIES = 10_000
SIZE = 32 * 1024 * 1024
"""Answers, and bytes of them, that are kept."""
ABSENT_ENTRIES = 2_000
ABSENT_SIZE = 2 * 1024 * 1024
"""As much is kept of what is not there, apart: whoever tries names pushes out nothing that may be needed."""
ABSENT = 5.0
"""Seconds for which a document counts as not there, where the view's ttl is not less: it may just be being made."""
ASKING = 2
"""Questions under way to a site at a time: deliveries share its workers, and go before."""
WAITING = 64
"""Further questions that wait for their turn; one more is answered as if the site were away."""
REST = 5.0
"""Seconds for which a site, or a view, that did not answer is not asked again."""
LONGEST_REST = 60.0
"""However long the site asks not to be tried: one question a minute is no load."""
TOLD_AGAIN = 60.0
"""Seconds after which an alarm about a view is repeated while it lasts."""
LONGEST_TEXT = 140
"""Characters of a name, or of a value to filter by: Frappe's own bound for names and short texts."""
FARTHEST = 100_000
"""Documents that a list may leave out."""
LOOK_AT = "does the DocType have these fields, and do the filters fit"


class Site:
    """One site, as it is asked on behalf of views, and of callers of its methods.

    Args:
        name: the target's.
        client: sends within the target's budget.

    """

    def __init__(self, name: str, client: FrappeClient) -> None:
        self.name = name
        self._turns = Turns(ASKING, WAITING)
        self._client = client

    @property
    def crowded(self) -> bool:
        """So many wait that one more would wait in vain."""
        return self._turns.crowded

    async def ask(self, body: bytes) -> Verdict:
        """Ask for a list of documents, at once."""
        return await read(self._client, "POST", GET_LIST, "message", body=body)

    async def in_turn(self, work: Callable[[FrappeClient], Coroutine[Deferred[Any], Any, T]]) -> T:
        """Let ``work`` use the client when it is our turn."""
        return await self._turns.take(lambda: work(self._client))


class View(Struct, frozen=True):
    """What is shown of one DocType, and to whom."""

    doctype: str
    site: Site
    fields: tuple[str, ...]
    """Beside ``name``, which always is."""
    filters: tuple[tuple[str, str, Any], ...] = ()
    """Field, operator and value: what does not match does not exist."""
    filter_by: tuple[str, ...] = ()
    """Fields for which a caller may give a value."""
    order_by: str = "name asc"
    limit: int = 100
    ttl: float = 30.0
    stale_if_error: float = 3600.0
    timeout: float = 5.0
    permission: Permission = "read"
    description: str = ""

    @property
    def shown(self) -> tuple[str, ...]:
        """All fields that leave, each once."""
        return tuple(dict.fromkeys(("name", *self.fields)))


class Trouble(Struct, frozen=True):
    """Why there is no answer."""

    kind: Literal["away", "blocked", "refused"]
    reason: str
    remedy: str
    after: float = REST
    passing: bool = True
    """What is kept may be shown meanwhile."""


CROWDED = Trouble("away", "too many questions wait for it", "ask for less", 1.0)


class _Question(Struct, frozen=True):
    key: bytes
    body: bytes
    answer: Callable[[list[dict[str, Any]]], bytes | None]
    """What is kept of the rows; None for nothing there."""


class ErpView:
    """The `ErpReader` over Frappe sites.

    Args:
        views: one for each DocType that is shown.
        clock: monotonic.
        entries: answers kept, over all views.
        size: bytes of them.

    """

    def __init__(
        self, views: Iterable[View], clock: IReactorTime, *, entries: int = ENTRIES, size: int = SIZE
    ) -> None:
        self.views = {view.doctype: view for view in views}
        self._clock = clock
        self._cache = Cache(entries, size)
        self._absent = Cache(ABSENT_ENTRIES, ABSENT_SIZE)
        self._flights: Flights[Entry | Trouble] = Flights()
        self._resting: dict[tuple[str, str], tuple[float, Trouble]] = {}
        self._told: dict[str, tuple[str, float]] = {}

    async def get(self, identity: Identity, doctype: str, name: str) -> Look:
        """Return one document; see `ErpReader`."""
        view = self._view(identity, doctype)
        _check_text("the name", name)

        def answer(rows: list[dict[str, Any]]) -> bytes | None:
            # Databases find more than was asked for: letters of another case, blanks at the end.
            same = [row for row in rows if str(row["name"]).casefold() == name.casefold()]
            return msgspec.json.encode(_shown(view, same[0])) if same else None

        look = await self._look(view, _question(view, ["get", name], [("name", "=", name)], 0, 1, answer))
        if look is None:
            raise NotFound(f"there is no {doctype} of this name")
        return look

    async def list(
        self,
        identity: Identity,
        doctype: str,
        filters: Mapping[str, str] = {},
        *,
        start: int = 0,
        limit: int | None = None,
    ) -> Look:
        """Return documents; see `ErpReader`."""
        view = self._view(identity, doctype)
        for field, value in filters.items():
            if field not in view.filter_by:
                raise WrongQuestion(f"{doctype} cannot be filtered by this field")
            _check_text(field, value)
        most = view.limit if limit is None else limit
        if not 1 <= most <= view.limit:
            raise WrongQuestion(f"limit: a number from 1 to {view.limit}")
        if not 0 <= start <= FARTHEST:
            raise WrongQuestion(f"start: a number from 0 to {FARTHEST}")

        def answer(rows: list[dict[str, Any]]) -> bytes:
            shown = [_shown(view, row) for row in rows[:most]]
            return msgspec.json.encode({"doctype": doctype, "rows": shown, "more": len(rows) > most})

        given = sorted(filters.items())
        wanted = [(field, "=", value) for field, value in given]
        # One more than is shown tells whether there are more.
        look = await self._look(
            view, _question(view, ["list", given, start, most], wanted, start, most + 1, answer)
        )
        assert look is not None
        return look

    def _view(self, identity: Identity, doctype: str) -> View:
        view = self.views.get(doctype)
        if view is None:
            raise NotFound("no such DocType is shown")
        check(identity, view.permission)
        return view

    async def _look(self, view: View, question: _Question) -> Look | None:
        now = self._clock.seconds()
        kept = self._cache.get(question.key) or self._absent.get(question.key)
        if kept is not None and now - kept.at < _lifetime(view, kept):
            return _seen(view, kept, now)
        trouble = self._rests(view, now)
        asked = trouble is None
        shared = False
        if trouble is None:
            shared = self._flights.under_way(question.key)
            told = await self._flights.join(question.key, lambda: self._ask(view, question))
            now = self._clock.seconds()
            if isinstance(told, Entry):
                return _seen(view, told, now, asked=True, shared=shared)
            trouble = told
        if (
            trouble.passing
            and kept is not None
            and kept.value is not None
            and now - kept.at < view.ttl + view.stale_if_error
        ):
            return _seen(view, kept, now, asked=asked, shared=shared, stale=True)
        if trouble.kind != "away":
            raise ErpUnwilling(f"the ERP does not answer this to the gateway, whose log says why ({view.doctype})")
        raise ErpAway(f"the ERP does not answer, and nothing of {view.doctype} is kept for this", trouble.after)

    async def _ask(self, view: View, question: _Question) -> Entry | Trouble:
        if view.site.crowded:
            return CROWDED
        begun = self._clock.seconds()
        turn: float | None = None

        def ask(_: FrappeClient) -> Coroutine[Deferred[Any], Any, Verdict]:
            nonlocal turn
            turn = self._clock.seconds()
            return view.site.ask(question.body)

        asking = Deferred.fromCoroutine(view.site.in_turn(ask))
        asking.addTimeout(view.timeout, self._clock)
        try:
            verdict = await asking
        except TooLate:
            if turn is None or turn > begun:
                # Others took of its time: nothing is known of the site.
                return CROWDED
            verdict = TargetDown(f"no answer within {view.timeout:g} s", certain=False)
        match verdict:
            case Answered(value=list(rows)) if all(isinstance(row, dict) and "name" in row for row in rows):
                entry = Entry(question.answer(rows), begun)
                self._keep(question.key, entry)
                self._answers(view)
                return entry
        trouble = _trouble(verdict, view.doctype)
        if trouble.kind == "blocked":
            # What the gateway may not read any more is not shown later, when the site is away.
            self._cache.drop(question.key)
        self._fails(view, verdict, trouble)
        return trouble

    def _keep(self, key: bytes, entry: Entry) -> None:
        there, other = (self._cache, self._absent) if entry.value is not None else (self._absent, self._cache)
        there.keep(key, entry)
        other.drop(key)

    def _rests(self, view: View, now: float) -> Trouble | None:
        for place in (("site", view.site.name), ("view", view.doctype)):
            until, trouble = self._resting.get(place, (0.0, None))
            if trouble is not None and now < until:
                return msgspec.structs.replace(trouble, after=until - now)
        return None

    def _fails(self, view: View, verdict: Verdict, trouble: Trouble) -> None:
        now = self._clock.seconds()
        match verdict:
            case TargetDown(certain=True):
                self._resting["site", view.site.name] = (now + trouble.after, trouble)
            case TargetDown() | Blocked() | Ambiguous(code=None):
                self._resting["view", view.doctype] = (now + trouble.after, trouble)
            # What Frappe itself fails over, or refuses, may be this question alone.
        kind, at = self._told.get(view.doctype, ("", 0.0))
        if kind == trouble.kind and now - at < TOLD_AGAIN:
            return
        self._told[view.doctype] = (trouble.kind, now)
        told = {"doctype": view.doctype, "target": view.site.name, "reason": trouble.reason}
        match trouble.kind:
            case "away":
                log.warn("erp.unanswered", **told, remedy=trouble.remedy)
            case "blocked":
                log.error("erp.blocked", **told, remedy=trouble.remedy)
            case "refused":
                log.error("erp.refused", **told, remedy=trouble.remedy)

    def _answers(self, view: View) -> None:
        if self._told.get(view.doctype, ("refused", 0.0))[0] != "refused":
            del self._told[view.doctype]
            log.info("erp.answers", doctype=view.doctype, target=view.site.name)


async def try_view(view: View) -> list[str] | Trouble:
    """Ask for one document with all fields that matter; return those that lack, or why there is no answer."""
    fields = tuple(dict.fromkeys((*view.shown, *view.filter_by)))
    whole = msgspec.structs.replace(view, fields=fields)
    verdict = await view.site.ask(_question(whole, [], [], 0, 1, lambda rows: None).body)
    match verdict:
        case Answered(value=[]):
            return []
        case Answered(value=[{"name": _, **row}]):
            return [field for field in fields if field not in {"name", *row}]
    return _trouble(verdict, view.doctype)


def _question(
    view: View,
    asked: list[Any],
    wanted: list[tuple[str, str, Any]],
    start: int,
    limit: int,
    answer: Callable[[list[dict[str, Any]]], bytes | None],
) -> _Question:
    body = {
        "doctype": view.doctype,
        "fields": view.shown,
        "filters": [*view.filters, *wanted],
        "order_by": view.order_by,
        "limit_start": start,
        "limit_page_length": limit,
    }
    return _Question(msgspec.json.encode([view.doctype, *asked]), to_json(body), answer)


def _trouble(verdict: Verdict, doctype: str) -> Trouble:
    match verdict:
        case Blocked(reason=reason, remedy=remedy):
            return Trouble("blocked", reason, remedy, passing=False)
        case Refused(reason=reason) | Conflict(refused=Refused(reason=reason)):
            return Trouble("refused", reason, f"check {key_path('erp', doctype)}: {LOOK_AT}", passing=False)
        case TargetDown(reason=reason, after=after):
            return Trouble("away", reason, "bring the ERP back", min(after or REST, LONGEST_REST))
        case Ambiguous(reason=reason, code=str(code)) if code not in ROLLED_BACK:
            remedy = f"check {key_path('erp', doctype)}: {LOOK_AT}, and the ERP's own error log"
            return Trouble("refused", reason, remedy)
        case Ambiguous(reason=reason):
            return Trouble("away", reason, "bring the ERP back")
        case Answered():
            return Trouble("away", "not an answer of Frappe: its value has another shape", "check the target's url")


def _shown(view: View, row: Mapping[str, Any]) -> dict[str, Any]:
    return {field: row.get(field) for field in view.shown}


def _lifetime(view: View, entry: Entry) -> float:
    return view.ttl if entry.value is not None else min(view.ttl, ABSENT)


def _seen(
    view: View, entry: Entry, now: float, *, asked: bool = False, shared: bool = False, stale: bool = False
) -> Look | None:
    if entry.value is None:
        return None
    age = now - entry.at
    ttl = view.ttl - age
    # An answer that took longer than it lives is as fresh as can be.
    return Look(entry.value, age, ttl if stale else max(ttl, 0.0), asked, shared)


def _check_text(what: str, text: str) -> None:
    if len(text) > LONGEST_TEXT:
        raise WrongQuestion(f"{what}: at most {LONGEST_TEXT} characters")
    try:
        text.encode()
    except UnicodeEncodeError as wrong:
        raise WrongQuestion(f"{what}: no text") from wrong
