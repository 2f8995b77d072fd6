"""``[views.NAME]``: what devices and pages may see of the ERP."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator, Field, field_validator

from lineside.assemble.table import Table
from lineside.assemble.values import Duration, Shape, in_tuple
from lineside.model.wording import did_you_mean, key_path

OPERATORS = ("=", "!=", "<", "<=", ">", ">=", "in", "not in", "like", "not like", "is")
FieldName = Annotated[str, Field(pattern="^[a-z][a-z0-9_]{0,63}$"), Shape("field name")]
Fields = Annotated[tuple[FieldName, ...], BeforeValidator(in_tuple), Shape("list of field names")]
Conditions = Annotated[tuple[tuple[FieldName, str, Any], ...], Shape("list of conditions")]


class ViewSettings(Table):
    """``[views.NAME]``: a DocType that may be read at ``/api/v1/erp/DOCTYPE`` without the ERP's keys."""

    doctype: Annotated[str, Field(pattern="^[^/{}]+$", min_length=1)] = Field(description="The DocType.")
    fields: Fields = Field(min_length=1, description="What is shown; nothing else leaves the ERP.")
    target: str | None = Field(
        default=None, description="The site, a target of type frappe. Default: the only one there is."
    )
    filters: Conditions = Field(
        default=(),
        description=(
            'What is true of all that is shown: `[["disabled", "=", 0]]`, each a field, an operator and a value, '
            "as Frappe has them."
        ),
    )
    filter_by: Fields = Field(default=(), description="The fields by whose value one may ask: `?item_group=Nails`.")
    order_by: Annotated[str, Field(pattern="^[a-z][a-z0-9_]*( asc| desc)?$")] | None = Field(
        default=None, description="The order, such as `modified desc`. Default: the ERP's own."
    )
    limit: int = Field(default=100, ge=1, le=1000, description="How many rows one answer has at most.")
    ttl: Duration = Field(default=10.0, ge=0, description="How long an answer is good.")
    stale_if_error: Duration = Field(
        default=3600.0, ge=0, description="How much longer it is good while the ERP gives none; it is marked then."
    )
    devices: bool = Field(default=False, description="Whether devices may see it as well, by their tokens.")

    @field_validator("filters", mode="before")
    @classmethod
    def _in_tuples(cls, filters: Any) -> Any:
        return tuple(tuple(each) if isinstance(each, list) else each for each in filters)

    @field_validator("filters")
    @classmethod
    def _operators(cls, filters: tuple[tuple[str, str, Any], ...]) -> tuple[tuple[str, str, Any], ...]:
        for _, operator, _ in filters:
            if operator not in OPERATORS:
                raise ValueError(f"unknown operator {operator!r}; there are: {', '.join(OPERATORS)}")
        return filters


def check_views(raw: dict[str, Any]) -> list[str]:
    """Return what is wrong with views that no single table shows."""
    views, targets = raw.get("views"), raw.get("targets")
    if not isinstance(views, dict) or not isinstance(targets, dict):
        return []
    problems: list[str] = []
    if views and "http" not in raw:
        problems.append("views: nobody can ask for them without a table [http]")
    tables = {name: table for name, table in targets.items() if isinstance(table, dict)}
    sites = [name for name, table in tables.items() if table.get("type") == "frappe"]
    seen: dict[Any, str] = {}
    for name, table in views.items():
        if not isinstance(table, dict):
            continue
        doctype, target = table.get("doctype"), table.get("target")
        if isinstance(doctype, str) and seen.setdefault(doctype, name) != name:
            problems.append(
                f"{key_path('views', name, 'doctype')}: [views.{seen[doctype]}] shows {doctype} already; "
                "a DocType has one view"
            )
        if target is None and len(sites) != 1:
            problems.append(f"{key_path('views', name, 'target')}: is missing; there is not just one site")
        elif isinstance(target, str) and target not in sites:
            problems.append(
                f"{key_path('views', name, 'target')}: there is no site {target!r}{did_you_mean(target, sites)}"
            )
    return problems
