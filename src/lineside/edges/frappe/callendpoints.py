"""Calls of the ERP over HTTP: an endpoint for each, so that the API's description shows its parameters."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import Any

import msgspec

from lineside.edges.frappe.allowedcalls import AllowedCall
from lineside.operations.requests import CallErp
from lineside.operations.results import CalledErp
from lineside.operations.web import JSON, Answer, Call, Endpoint, Problem, Reply
from lineside.security.identity import Identity

PATH = "/api/v1/calls"
Calling = Callable[[CallErp, Identity, str], Awaitable[CalledErp]]


def call_endpoints(calls: Iterable[AllowedCall], carry_out: Calling) -> list[Endpoint]:
    """Return the endpoints of all calls; ``carry_out`` is the operation."""
    return [_endpoint(call, carry_out) for call in calls]


def _endpoint(call: AllowedCall, carry_out: Calling) -> Endpoint:
    # A parameter may have a name that is none in Python.
    names = {f"p{number}": name for number, name in enumerate(call.params)}
    word = call.name.replace("-", "_")
    body = msgspec.defstruct(
        f"Call_{word}",
        [(field, Any | msgspec.UnsetType, msgspec.UNSET) for field in names],
        rename=names.get,
        forbid_unknown_fields=True,
    )

    async def answer(asked: Call) -> Answer:
        try:
            given = msgspec.json.decode(asked.body or b"{}", type=body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as wrong:
            raise Problem(422, str(wrong)) from wrong
        # As a dict by their own names, without those that were left out.
        params = msgspec.to_builtins(given)
        return Answer(
            200, msgspec.json.encode(await carry_out(CallErp(call.name, params), asked.identity, asked.where))
        )

    return Endpoint(
        "POST",
        f"{PATH}/{call.name}",
        f"erp_call_{word}",
        call.description or f"Have the ERP carry out {call.method}, once",
        call.permission,
        answer,
        takes={JSON: body},
        replies={
            200: Reply("It is done.", {JSON: CalledErp}),
            502: Reply("The ERP does not let the gateway call this, or its answer is too large; see `detail`."),
            504: Reply("The ERP may have done it or not, and is not asked again."),
        },
        tag="erp",
    )
