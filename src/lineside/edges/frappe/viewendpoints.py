"""Views of the ERP over HTTP: two endpoints for each DocType, so that the API's description shows its parameters.

``Age`` (RFC 9111, section 5.1) says how long ago the ERP was asked, ``Cache-Status`` (RFC 9211) what the gateway
did, with a ``ttl`` below 0 for what is stale. ``Warning`` is obsolete since RFC 9111 (section 5.5).
"""

from __future__ import annotations

import re
from collections.abc import Awaitable
from math import ceil, floor
from typing import Any

from lineside.edges.frappe.view import FARTHEST, LONGEST_TEXT, ErpView, View
from lineside.operations.erp import ErpAway, ErpUnwilling, Look, WrongQuestion
from lineside.operations.web import JSON, Answer, Call, Endpoint, Parameter, Problem, Reply

PATH = "/api/v1/erp"
OWN = ("start", "limit")
"""Parameters of a list that are none of the document's fields."""
_DIGITS = re.compile(r"[0-9]{1,9}", re.ASCII)
_NOT_IN_NAMES = re.compile(r"[^a-z0-9]+")


def endpoints(view: ErpView) -> list[Endpoint]:
    """Return the endpoints of all DocTypes that are shown."""
    doctypes = sorted(view.views)
    return [each for number, doctype in enumerate(doctypes) for each in _endpoints(view, doctype, number)]


def _endpoints(erp: ErpView, doctype: str, number: int) -> list[Endpoint]:
    view = erp.views[doctype]
    # Letters of any alphabet may name a DocType; the number keeps what is left of two names apart.
    word = f"erp_{_NOT_IN_NAMES.sub('_', doctype.lower()).strip('_')}_{number}"

    async def listed(call: Call) -> Answer:
        filters = {field: text for field, text in call.query.items() if field not in OWN}
        start = _number(call, "start")
        limit = _number(call, "limit")
        return await _answer(erp.list(call.identity, doctype, filters, start=start or 0, limit=limit))

    async def shown(call: Call) -> Answer:
        return await _answer(erp.get(call.identity, doctype, call.path["name"]))

    document: dict[str, Any] = {
        "type": "object",
        "required": list(view.shown),
        "properties": {field: {} for field in view.shown},
        "additionalProperties": False,
    }
    rows = {
        "type": "object",
        "required": ["doctype", "rows", "more"],
        "properties": {
            "doctype": {"const": doctype},
            "rows": {"type": "array", "items": document},
            "more": {"type": "boolean"},
        },
    }
    return [
        Endpoint(
            "GET",
            f"{PATH}/{doctype}",
            f"{word}_list",
            view.description or f"Documents of the kind {doctype}, from the ERP",
            view.permission,
            listed,
            parameters=_parameters(view),
            replies=_replies("The documents.", rows),
            tag="erp",
        ),
        Endpoint(
            "GET",
            f"{PATH}/{doctype}/{{name}}",
            f"{word}_get",
            f"One {doctype}, from the ERP",
            view.permission,
            shown,
            parameters=(Parameter("name", "path", {"type": "string", "maxLength": LONGEST_TEXT}),),
            replies=_replies("The document.", document),
            tag="erp",
        ),
    ]


def _parameters(view: View) -> tuple[Parameter, ...]:
    text = {"type": "string", "maxLength": LONGEST_TEXT}
    start = {"type": "integer", "minimum": 0, "maximum": FARTHEST, "default": 0}
    limit = {"type": "integer", "minimum": 1, "maximum": view.limit, "default": view.limit}
    return (
        *(Parameter(field, "query", text, "The value that it must have.") for field in view.filter_by),
        Parameter("start", "query", start, "So many documents are left out."),
        Parameter("limit", "query", limit, "So many documents at most."),
    )


def _replies(description: str, schema: dict[str, Any]) -> dict[int, Reply]:
    return {
        200: Reply(f"{description} `Age` and `Cache-Status` say how old the answer is.", {JSON: schema}),
        502: Reply("The ERP turns the gateway away, or cannot answer this; the gateway's log says why."),
        503: Reply("The ERP does not answer, and nothing is kept; see Retry-After."),
    }


def _number(call: Call, name: str) -> int | None:
    text = call.query.get(name)
    if text is None:
        return None
    if not _DIGITS.fullmatch(text):
        raise Problem(400, f"{name}: a whole number", parameter=name)
    return int(text)


async def _answer(looking: Awaitable[Look]) -> Answer:
    try:
        look = await looking
    except WrongQuestion as wrong:
        raise Problem(400, str(wrong)) from wrong
    except ErpUnwilling as unwilling:
        raise Problem(502, str(unwilling)) from unwilling
    except ErpAway as away:
        raise Problem(503, str(away), headers={"Retry-After": str(max(1, ceil(away.after)))}) from away
    headers = [("Cache-Status", _status(look))]
    if look.stale or not look.asked:
        headers.append(("Age", str(int(look.age))))
    return Answer(200, look.body, JSON, tuple(headers))


def _status(look: Look) -> str:
    match look:
        case Look(stale=True, asked=True):
            done = f"fwd=stale; ttl={floor(look.ttl)}; detail=stale"
        case Look(stale=True):
            done = f"hit; ttl={floor(look.ttl)}; detail=stale"
        case Look(asked=True):
            done = "fwd=miss"
        case _:
            done = f"hit; ttl={int(look.ttl)}"
    return f"lineside; {done}{'; collapsed' if look.shared else ''}"
