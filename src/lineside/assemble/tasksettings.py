"""``[tasks.NAME]`` and ``[code]``: what `lineside.toml` can say of tasks."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, field_validator

from lineside.assemble.bounds import Retention
from lineside.assemble.table import Table
from lineside.assemble.values import Duration, Durations, FieldPath, RelativePath, Shape, TimeZone, in_tuple
from lineside.delivery.templates import TemplateProblem, compile_condition
from lineside.model.wording import did_you_mean, key_path
from lineside.tasks.calendar import Cron, NoSchedule

DAY = 86_400.0
BUILT_IN = ("erp-poll", "sql-poll", "http-call", "journal-retention", "journal-backup")
"""Names of tasks that come with the gateway."""
EVENTS = "sources."
"""What stands before a source's name where its events start a task."""


NAMED = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*|[a-z]+(-[a-z]+)+")
"""A function of the user's own, or what may be the name of a built-in task."""


def _named(run: str) -> str:
    if NAMED.fullmatch(run) is None:
        raise ValueError(f'"{run}" is neither module:function nor the name of a built-in task')
    return run


class CodeSettings(Table):
    """``[code]``: the user's own Python."""

    path: RelativePath = Field(
        default=Path("tasks"), description="The folder of your modules. Nothing else is imported for you."
    )


class RetrySettings(Table):
    """``retry = { … }`` of a task."""

    attempts: int = Field(default=1, ge=1, le=1_000, description="Attempts in all.")
    backoff: Durations = Field(
        default=(1.0, 5.0, 30.0, 300.0),
        description="How long to wait after the first, second, ... failure; the last one repeats.",
    )
    jitter: float = Field(
        default=0.1, ge=0, le=1, description="The share by which a wait is longer or shorter at random."
    )
    on: Annotated[tuple[str, ...], BeforeValidator(in_tuple), Shape("array of names")] = Field(
        default=(),
        description=(
            "Names of the exceptions after which it is tried again, such as `TimeoutError` or `OSError`; those "
            "derived from them count too. Default: all but `GiveUp`."
        ),
    )


class TaskSettings(Table):
    """``[tasks.NAME]``: work that is done on time, and as often as promised."""

    run: Annotated[str, AfterValidator(_named), Shape("name")] = Field(
        description="What it runs: `module:function` of your own in the folder of `[code]`, or a built-in task."
    )
    description: str = Field(default="", description="What people are told of it.")
    every: Annotated[Duration, Field(ge=0.1)] | None = Field(
        default=None, description="The interval at which it is due, from 0.1 s. Default: no interval."
    )
    cron: str | None = Field(
        default=None,
        description=(
            "When it is due by the calendar, as in cron(8): minute, hour, day of the month, month, day of the "
            "week, or six fields with the seconds first. Default: by no calendar."
        ),
    )
    time_zone: TimeZone | None = Field(
        default=None, description="Whose clock `cron` means. Default: that of `[plant]`, or UTC."
    )
    on: (
        Annotated[tuple[str, ...], BeforeValidator(in_tuple), Field(min_length=1), Shape("array of sources")] | None
    ) = Field(
        default=None,
        description='The sources whose events start it, one run each: `["sources.gate"]`. Default: none.',
    )
    when: Annotated[str, Shape("condition")] | None = Field(
        default=None, description="Of `on`: only events for which this is true. Default: all."
    )
    params: Annotated[dict[str, Any], Shape("table")] = Field(
        default={}, description="What its function gets as `context.params`."
    )
    thread: bool = Field(default=False, description="Whether the function blocks, and so gets a thread of its own.")
    timeout: Annotated[Duration, Field(gt=0)] | None = Field(
        default=None, description="How long one attempt may take. Default: as long as it likes."
    )
    retry: RetrySettings = Field(
        default=RetrySettings(),
        description="What follows a failure; a table, see below. Default: no second attempt.",
    )
    concurrency: int = Field(default=1, ge=1, le=1_000, description="Runs at a time; of one item always one.")
    key: FieldPath | None = Field(
        default=None,
        description="The parameter that says which item a run concerns, such as `event.order`. Default: none.",
    )
    overlap: Literal["skip", "queue", "cancel"] | None = Field(
        default=None,
        description=(
            "What becomes of a new run while as many as may are under way, or one of the same item: it is left "
            "out, it waits, or the oldest gives way to it. Default: `skip` with `every` or `cron`, else `queue`."
        ),
    )
    unique_for: Annotated[Duration, Field(gt=0)] | None = Field(
        default=None,
        description=(
            "For how long, after a run was asked for, no other is added for the same item, or where there is no "
            "`key` with the same parameters. Default: as many as are asked for."
        ),
    )
    catch_up: Literal["none", "once", "all"] = Field(
        default="once",
        description=(
            "What is made up for after the gateway was stopped while the task was due: nothing, one run, or each, "
            "up to the newest 1,000."
        ),
    )
    interrupted: Literal["again", "stop"] = Field(
        default="again",
        description=(
            "What becomes of a run in whose middle the gateway ended: it is begun again, without its finished "
            "steps, or it waits for a person."
        ),
    )
    erp: bool = Field(
        default=False, description="Whether it needs the ERP: it then begins nothing while that is away."
    )
    target: str | None = Field(
        default=None,
        description="Which site it asks. Default: the only target of the type `frappe`, where there is one.",
    )
    keep: Annotated[Retention, Field(ge=DAY)] = Field(
        default=30 * DAY, description="How long runs that have ended are kept, from a day."
    )

    @field_validator("cron")
    @classmethod
    def _calendar(cls, cron: str | None) -> str | None:
        if cron is not None:
            try:
                Cron(cron, "UTC")
            except NoSchedule as wrong:
                raise ValueError(f'{cron!r} is no time for cron: {wrong}; an example is "0 2 * * 1-5"') from wrong
        return cron

    @field_validator("on", mode="before")
    @classmethod
    def _one(cls, on: object) -> object:
        return (on,) if isinstance(on, str) else on

    @property
    def sources(self) -> tuple[str, ...]:
        """The sources whose events start it."""
        return tuple(name.removeprefix(EVENTS) for name in self.on or ())


def check_tasks(raw: Mapping[str, Any]) -> list[str]:
    """Return what is wrong with tasks that no single key shows."""
    tasks, sources, targets = (
        table if isinstance(table := raw.get(key), dict) else {} for key in ("tasks", "sources", "targets")
    )
    sites = [name for name, table in targets.items() if isinstance(table, dict) and table.get("type") == "frappe"]
    return [
        problem
        for name, table in tasks.items()
        if isinstance(table, dict)
        for path in [key_path("tasks", name)]
        for problem in (*_beginnings(path, table), *_events(path, table, sources), *_needs(path, table, sites))
    ]


def _beginnings(path: str, table: Mapping[str, Any]) -> Iterator[str]:
    given = [key for key in ("every", "cron", "on") if key in table]
    if len(given) > 1:
        yield f"{path}.{given[1]}: a task has one of every, cron and on; make two tasks of it"
    for key, needs in (("time_zone", "cron"), ("when", "on")):
        if key in table and needs not in table:
            yield f"{path}.{key}: means nothing without {needs}"
    if "catch_up" in table and not {"every", "cron"} & table.keys():
        yield f"{path}.catch_up: means nothing without every or cron"


def _events(path: str, table: Mapping[str, Any], sources: Mapping[str, Any]) -> Iterator[str]:
    on = table.get("on")
    for source in [on] if isinstance(on, str) else on if isinstance(on, list) else []:
        if not isinstance(source, str) or not source.startswith(EVENTS):
            yield f'{path}.on: write a source as "{EVENTS}NAME"'
        elif (name := source.removeprefix(EVENTS)) not in sources:
            # By the names alone: what stands before them makes them all alike.
            near = did_you_mean(name, sources).replace('"', f'"{EVENTS}', 1)
            yield f'{path}.on: there is no source "{source}"{near}'
    if isinstance(table.get("when"), str):
        try:
            compile_condition(table["when"], f"{path}.when")
        except TemplateProblem as wrong:
            yield from wrong.problems


def _needs(path: str, table: Mapping[str, Any], sites: list[str]) -> Iterator[str]:
    target, run = table.get("target"), table.get("run")
    if isinstance(target, str) and target not in sites:
        yield f'{path}.target: there is no target "{target}" of the type frappe{did_you_mean(target, sites)}'
    if target is None and table.get("erp") is True and len(sites) != 1:
        yield f"{path}.target: is missing; there is not just one target of the type frappe"
    if isinstance(run, str) and ":" not in run and run not in BUILT_IN and NAMED.fullmatch(run):
        yield (
            f'{path}.run: there is no built-in task "{run}"; your own are written module:function'
            f"{did_you_mean(run, BUILT_IN)}"
        )
