"""What is shown of the ERP, and what may be called there: what `lineside.toml` can say of it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field

from lineside.assemble.bounds import Size
from lineside.assemble.table import Table
from lineside.assemble.values import Duration, Shape, in_tuple
from lineside.edges.frappe.operators import OPERATORS, condition
from lineside.model.wording import did_you_mean, key_path
from lineside.security.identity import Permission

_FIELD = r"^[A-Za-z_][A-Za-z0-9_]{0,139}$"
_DOCTYPE = re.compile(r"[^\W\d_](?:[\w -]*\w)?")
LONGEST_DOCTYPE = 61
"""Frappe's own bound."""
OWN = ("start", "limit")
"""Parameters of a list that are no fields."""

FieldNames = Annotated[
    tuple[Annotated[str, Field(pattern=_FIELD)], ...], BeforeValidator(in_tuple), Shape("array of field names")
]


def _filters(filters: dict[str, Any]) -> dict[str, Any]:
    for field, value in filters.items():
        if not re.match(_FIELD, field):
            raise ValueError(f"{field!r} is no field name")
        try:
            condition(field, value)
        except ValueError as wrong:
            raise ValueError(f"{field}: {wrong}") from wrong
    return filters


class ErpSettings(Table):
    """``[erp.DOCTYPE]``: what is shown of one DocType at ``/api/v1/erp/DOCTYPE``."""

    target: str | None = Field(
        default=None,
        description="Which site is asked. Default: the only target of the type `frappe`, where there is one.",
    )
    fields: Annotated[FieldNames, Field(min_length=1)] = Field(
        description="What of a document leaves, beside its `name`. Child tables cannot be shown."
    )
    filters: Annotated[dict[str, Any], AfterValidator(_filters), Shape("table of values")] = Field(
        default={},
        description=(
            "What a document must be like to be shown at all: by field a value, or an array of an operator and a "
            'value, as in `{ disabled = 0, item_group = ["in", ["Raw", "Packing"]] }`. Operators: '
            f"{', '.join(f'`{operator}`' for operator in OPERATORS)}."
        ),
    )
    filter_by: FieldNames = Field(
        default=(),
        description="Fields for which a caller may give a value that they must have, as in `?item_group=Raw`.",
    )
    order_by: Annotated[
        str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,139}( asc| desc)?$"), Shape("field name, perhaps with desc")
    ] = Field(default="name", description="How lists are sorted: a field, and `desc` for the other way round.")
    limit: int = Field(
        default=100, ge=1, le=1_000, description="Documents in one answer, at most and without a caller's `limit`."
    )
    ttl: Annotated[Duration, Field(le=86_400)] = Field(
        default=30.0,
        description=(
            "For how long an answer is given again without asking the site, a day at most. What is not there is "
            'asked for again after 5 seconds. `"0"` asks each time, though once for all who ask at the same time.'
        ),
    )
    stale_if_error: Annotated[Duration, Field(le=7 * 86_400)] = Field(
        default=3_600.0,
        description=(
            "For how much longer it is given, marked as stale, while the site does not answer; a week at most. "
            '`"0"` for never.'
        ),
    )
    timeout: Annotated[Duration, Field(gt=0, le=60)] = Field(
        default=5.0,
        description="How long the site may take, a minute at most, before it counts as not answering.",
    )
    permission: Permission = Field(
        default="read",
        description=(
            'What a caller must be allowed. `"consult"` lets the tokens of devices in too; `"read"` does not.'
        ),
    )
    description: Annotated[str, Shape("text")] = Field(
        default="", description="What it tells, for the API's description."
    )


class ErpCallSettings(Table):
    """``[calls.NAME]``: a method of a Frappe site that callers may have carried out."""

    target: str | None = Field(
        default=None,
        description="Which site is called. Default: the only target of the type `frappe`, where there is one.",
    )
    method: Annotated[
        str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*$", max_length=200), Shape("method")
    ] = Field(
        description="The whitelisted method, such as `plant.api.close_shift`, or a Server Script's API method."
    )
    params: FieldNames = Field(
        default=(), description="Its arguments for which a caller may give a value; any other one is refused."
    )
    fixed: Annotated[dict[str, Any], Shape("table of values")] = Field(
        default={}, description="Arguments that are the same each time, whoever calls."
    )
    permission: Permission = Field(
        default="operate",
        description=(
            'What a caller must be allowed. `"consult"` lets viewers and the tokens of devices call it too, '
            '`"read"` viewers, `"administer"` admins only.'
        ),
    )
    timeout: Annotated[Duration, Field(gt=0, le=60)] = Field(
        default=10.0,
        description=(
            "How long it may take, a minute at most, its wait among other questions included. What takes longer "
            "may have been carried out or not; it is not called again."
        ),
    )
    max_answer: Annotated[Size, Field(ge=1, le=1_000_000)] = Field(
        default=64_000, description="How large an answer is handed on, 1MB at most."
    )
    description: Annotated[str, Shape("text")] = Field(
        default="", description="What it does, for the API's description."
    )


def check_calls(raw: Mapping[str, Any], targets: Mapping[str, Any]) -> Iterator[str]:
    """Yield what is wrong between ``[calls.NAME]`` and the targets; the tables are as in the file."""
    for name, table in raw.items():
        if not isinstance(table, dict):
            continue
        yield from _check_target(("calls", name), table.get("target"), targets)
        params, fixed = table.get("params"), table.get("fixed")
        for param in params if isinstance(params, list) else ():
            if isinstance(fixed, dict) and param in fixed:
                yield f"{key_path('calls', name, 'fixed')}: {param} is a parameter too; it can only be one of both"


def _check_target(path: tuple[str, str], target: object, targets: Mapping[str, Any]) -> Iterator[str]:
    sites = [name for name, table in targets.items() if isinstance(table, dict) and table.get("type") == "frappe"]
    where = key_path(*path, "target")
    if target is None and len(sites) != 1:
        choice = f"choose one of {', '.join(sites)}" if sites else "and no target has the type frappe"
        yield f"{where}: is missing; {choice}"
    elif isinstance(target, str) and target not in targets:
        yield f'{where}: unknown target "{target}"{did_you_mean(target, sites)}'
    elif isinstance(target, str) and target not in sites:
        yield f"{where}: only a target of the type frappe can be asked"


def check_erp(raw: Mapping[str, Any], targets: Mapping[str, Any]) -> Iterator[str]:
    """Yield what is wrong between ``[erp.DOCTYPE]`` and the targets; the tables are as in the file."""
    for doctype, table in raw.items():
        if len(doctype) > LONGEST_DOCTYPE or not _DOCTYPE.fullmatch(doctype):
            yield (
                f"{key_path('erp', doctype)}: no name of a DocType: letters, digits, blanks, - and _, beginning "
                "with a letter"
            )
        if not isinstance(table, dict):
            continue
        yield from _check_target(("erp", doctype), table.get("target"), targets)
        asked = table.get("filter_by")
        for field in asked if isinstance(asked, list) else ():
            if field in OWN:
                yield f"{key_path('erp', doctype, 'filter_by')}: {field} is a parameter of every list; leave it out"
