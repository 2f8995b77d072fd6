"""Frappe as a source: what `lineside.toml` can say of webhooks, and of the poll that repairs their gaps."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from lineside.assemble.plant import WorkingHours
from lineside.assemble.table import Table
from lineside.assemble.values import Duration, FieldPath, SecretText, Shape, in_tuple
from lineside.model.wording import did_you_mean, key_path

FieldName = Annotated[str, Field(pattern="^[a-z][a-z0-9_]{0,139}$"), Shape("field name")]


def _filters(value: object) -> object:
    if not isinstance(value, list | tuple):
        raise ValueError('expected an array of filters, such as [["status", "=", "Open"]]')
    for each in value:
        if not isinstance(each, list) or len(each) != 3 or not all(isinstance(part, str) for part in each[:2]):
            raise ValueError('a filter has a field, an operator and a value, such as ["status", "=", "Open"]')
    return tuple(tuple(each) for each in value)


class FrappePollSettings(Table):
    """``[sources.NAME.poll]`` of a Frappe site: how it is asked for what was changed."""

    target: Annotated[str, Shape("text")] | None = Field(
        default=None,
        description=(
            "Which target of the type `frappe` is asked: its address, key and rate limit count. "
            "Default: the only one, where there is one."
        ),
    )
    fields: Annotated[tuple[FieldName, ...], BeforeValidator(in_tuple), Shape("array of field names")] = Field(
        default=(),
        description=(
            "Which fields an event has, beside `name`, `modified` and `docstatus`. Where there are webhooks, those "
            "of the Webhook's data. Child tables cannot be asked for. Default: none."
        ),
    )
    filters: Annotated[
        tuple[tuple[str, str, Any], ...], BeforeValidator(_filters), Shape("array of filters as Frappe has them")
    ] = Field(
        default=(),
        description=(
            'Which documents, such as `[["status", "=", "Open"]]`; as the Webhook\'s condition does. Default: all.'
        ),
    )
    every: Annotated[Duration, Field(gt=0)] = Field(default=60.0, description="How often it is asked.")
    overlap: Annotated[Duration, Field(gt=0)] = Field(
        default=300.0,
        description=(
            "How far each look goes back, for documents whose transaction was committed late. As long as the "
            "longest request or background job that writes them, and a bit."
        ),
    )
    batch: int = Field(default=200, ge=1, le=1_000, description="Documents that are read, and stored, at a time.")
    begin: Literal["all", "new"] = Field(
        default="new",
        description="Where a poll begins that was never there before: with all documents, or with changes to come.",
    )


class FrappeSourceSettings(Table):
    """``[sources.NAME]`` with ``type = "frappe"``: changes of documents, by webhooks, a poll, or both."""

    type: Literal["frappe"] = Field(description="The kind of source.")
    doctype: Annotated[str, Field(min_length=1, max_length=140), Shape("text")] = Field(
        description="The DocType whose documents it is about, such as `Sales Order`."
    )
    secret: SecretText | None = Field(
        default=None,
        description=(
            "The webhooks' secret: `POST /hooks/NAME` takes what is signed with it. Default: none; then nothing is "
            "taken there."
        ),
    )
    unsigned: bool = Field(
        default=False,
        description=(
            "Whether webhooks are taken without a signature, from everyone who can connect. Only for a network in "
            "which nobody else can."
        ),
    )
    poll: FrappePollSettings | None = Field(
        default=None,
        description=(
            "How the site is asked for changes that no webhook brought: a table. A source has webhooks, or this, "
            "or both. See below. Default: it is not asked."
        ),
    )
    device: FieldPath | None = Field(
        default=None, description="The field that names the device. Default: none; the events have no device."
    )
    silence: Annotated[Duration, Field(gt=0)] | None = Field(
        default=None,
        description="After how long without a change there is an alarm, `source.silent`. Default: never.",
    )
    silence_of: Literal["source", "device"] = Field(
        default="source",
        description="Whether the source is watched as a whole, or each of its devices as well, by its name.",
    )
    hours: WorkingHours | None = Field(
        default=None, description="When silence counts, in the time zone of `[plant]`. Default: always."
    )

    @property
    def takes_hooks(self) -> bool:
        """Whether Frappe may post webhooks."""
        return self.secret is not None or self.unsigned


def check_frappe_sources(
    raw: Mapping[str, Any], targets: Mapping[str, Any], sources: Mapping[str, Any]
) -> Iterator[str]:
    """Yield what is wrong between Frappe sources and the rest, with key paths; the tables are as in the file."""
    sites = [name for name, table in targets.items() if isinstance(table, dict) and table.get("type") == "frappe"]
    for name, source in sources.items():
        if not isinstance(source, dict) or source.get("type") != "frappe":
            continue
        unsigned = source.get("unsigned") is True
        hooks = unsigned or "secret" in source
        if unsigned and "secret" in source:
            yield f"{key_path('sources', name, 'unsigned')}: with a secret all are signed; remove one of them"
        if not hooks and "poll" not in source:
            yield (
                f"{key_path('sources', name, 'secret')}: is missing; set the Webhook's secret, or a table poll, or "
                "both"
            )
        if hooks and "http" not in raw:
            key = "secret" if "secret" in source else "unsigned"
            yield f"{key_path('sources', name, key)}: nobody can post webhooks without a table [http]; add it"
        poll = source.get("poll")
        if isinstance(poll, dict):
            yield from _check_polled(
                key_path("sources", name, "poll", "target"), poll.get("target"), targets, sites
            )


def warn_of_frappe_sources(sources: Mapping[str, FrappeSourceSettings]) -> Iterator[str]:
    """Yield what works but had better be otherwise."""
    for name, source in sources.items():
        if source.unsigned:
            yield f"{key_path('sources', name, 'unsigned')}: everyone who can connect can make events; set a secret"
        if source.takes_hooks and source.poll is None:
            where = key_path("sources", name, "poll")
            yield f"{where}: Frappe drops a webhook after three attempts; add a table poll, which finds the change"


def _check_polled(where: str, target: object, targets: Mapping[str, Any], sites: list[str]) -> Iterator[str]:
    if isinstance(target, str):
        if target not in targets:
            yield f'{where}: unknown target "{target}"{did_you_mean(target, targets)}'
        elif target not in sites:
            yield f"{where}: {target} is no Frappe site, and only one can be asked"
    elif target is None and len(sites) != 1:
        choose = f"choose one of {', '.join(sites)}" if sites else 'add a table [targets.NAME] with type = "frappe"'
        yield f"{where}: is missing; {choose}"
