"""Views of the ERP as endpoints: ``GET /api/v1/erp/DOCTYPE`` and ``/api/v1/erp/DOCTYPE/NAME``."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import Any

import msgspec
from msgspec import Struct

from lineside.edges.frappe.views import ErpAway, ErpView, Seen
from lineside.model.errors import LinesideError, NotFound
from lineside.operations.web import JSON, Answer, Call, Endpoint, Parameter, Problem, Reply
from lineside.security.identity import NOBODY

PATH = "/api/v1/erp"
AGAIN = 5
"""Seconds after which an ERP that is away may be asked again."""
LONGEST = 140
"""Characters of a value that is asked by; Frappe's own limit of a Data field."""


class ErpRows(Struct, frozen=True):
    """Documents of the ERP, as far as they may be seen."""

    data: list[dict[str, Any]]
    stale: bool
    """The ERP gives no answer at present; this is what it said last."""


class ErpRow(Struct, frozen=True):
    """One document of the ERP, as far as it may be seen."""

    data: dict[str, Any]
    stale: bool


def view_endpoints(views: Iterable[ErpView]) -> list[Endpoint]:
    """Return two endpoints for each view."""
    return [endpoint for view in views for endpoint in (_list(view), _get(view))]


def _list(view: ErpView) -> Endpoint:
    known = view.view
    value = {"type": "string", "maxLength": LONGEST}

    async def answer(call: Call) -> Answer:
        filters = {name: text for name, text in call.query.items() if name in known.filter_by}
        start, limit = _number(call, "start", 0, 2**31 - 1), _number(call, "limit", 1, known.limit)
        seen = await _seen(view, call, lambda: view.find(filters, start=start or 0, limit=limit))
        return _answer(ErpRows(seen.rows, seen.stale), seen)

    return Endpoint(
        "GET",
        f"{PATH}/{known.doctype}",
        f"erp_{known.name.replace('-', '_')}_list",
        f"Documents of the DocType {known.doctype}, as far as the view {known.name} shows them",
        None,
        answer,
        parameters=(
            *(Parameter(field, "query", value, "Only those with this value.") for field in sorted(known.filter_by)),
            Parameter("start", "query", {"type": "integer", "minimum": 0, "maximum": 2**31 - 1, "default": 0}),
            Parameter(
                "limit", "query", {"type": "integer", "minimum": 1, "maximum": known.limit, "default": known.limit}
            ),
        ),
        replies={200: Reply("As asked.", {JSON: ErpRows}), **_refusals()},
        tag="erp",
        private=True,
    )


def _get(view: ErpView) -> Endpoint:
    known = view.view

    async def answer(call: Call) -> Answer:
        seen = await _seen(view, call, lambda: view.get(call.path["name"]))
        return _answer(ErpRow(seen.rows[0], seen.stale), seen)

    return Endpoint(
        "GET",
        f"{PATH}/{known.doctype}/{{name}}",
        f"erp_{known.name.replace('-', '_')}_show",
        f"One document of the DocType {known.doctype}",
        None,
        answer,
        parameters=(Parameter("name", "path", {"type": "string"}, required=True),),
        replies={200: Reply("As asked.", {JSON: ErpRow}), **_refusals()},
        tag="erp",
        private=True,
    )


def _refusals() -> dict[int, Reply]:
    return {
        401: Reply("No token, or one that is not valid."),
        403: Reply("The token's role may not see this view."),
        503: Reply("The ERP gives no answer, and none is kept; see Retry-After."),
    }


async def _seen(view: ErpView, call: Call, look: Callable[[], Awaitable[Seen]]) -> Seen:
    if call.identity is NOBODY:
        raise Problem(401, "this needs a token: Authorization: Bearer …", headers={"WWW-Authenticate": "Bearer"})
    view.check(call.identity)
    for name, text in (*call.query.items(), *call.path.items()):
        if len(text) > LONGEST:
            raise Problem(400, f"{name} has more than {LONGEST} characters")
    try:
        return await look()
    except ErpAway as away:
        raise Problem(503, str(away), headers={"Retry-After": str(AGAIN)}) from away
    except NotFound:
        raise
    except LinesideError as wrong:
        raise Problem(400, str(wrong)) from wrong


def _answer(told: ErpRows | ErpRow, seen: Seen) -> Answer:
    # RFC 9111, section 5.1.
    return Answer(200, msgspec.json.encode(told), JSON, (("Age", str(int(seen.age))),))


def _number(call: Call, name: str, least: int, most: int) -> int | None:
    text = call.query.get(name)
    if text is None:
        return None
    if not text.isascii() or not text.isdigit() or len(text) > 10 or not least <= int(text) <= most:
        raise Problem(400, f"{name} is a whole number from {least} to {most}")
    return int(text)
