"""`lineside tasks`: list tasks, run them, and see what became of their runs."""

from __future__ import annotations

import sys
import tomllib
from collections.abc import Iterable
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any

import click
import msgspec
from click.shell_completion import CompletionItem
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.text import Text

from lineside.assemble.settings import Settings
from lineside.assemble.values import seconds_of
from lineside.cli.session import Session, config_option, json_option, print_json, run_command, settings_of
from lineside.cli.tables import console, print_facts, print_list
from lineside.model.errors import LinesideError
from lineside.model.wording import plain
from lineside.operations.control import NoGateway
from lineside.operations.requests import (
    CancelRun,
    FollowRun,
    ListRuns,
    ListTasks,
    PauseTask,
    Request,
    ResumeTask,
    RetryRun,
    RunTask,
    ShowRun,
)
from lineside.operations.taskresults import RunState, RunSummary, TaskSummary

STATES = ("queued", "running", "succeeded", "failed", "cancelled", "interrupted")
COLOURS = {
    "queued": "cyan",
    "running": "blue",
    "succeeded": "green",
    "failed": "red",
    "cancelled": "yellow",
    "interrupted": "magenta",
}
ENDED = frozenset({"succeeded", "failed", "cancelled", "interrupted"})


def _names(context: click.Context, _: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Complete a task's name from the configuration, as far as it can be read."""
    path = context.params.get("config") or Path("lineside.toml")
    names: Iterable[str] = ()
    with suppress(OSError, ValueError):
        tables = tomllib.loads(Path(path).read_text(encoding="utf-8")).get("tasks")
        names = tables if isinstance(tables, dict) else ()
    return [CompletionItem(name) for name in names if name.startswith(incomplete)]


task_argument = click.argument("task", shell_complete=_names)
run_argument = click.argument("run", type=click.IntRange(0))


@click.group(epilog="Example: lineside tasks run nightly --follow")
def command() -> None:
    """List tasks, run, follow, cancel and retry them, and show what became of their runs."""


@command.command("list", epilog="Example: lineside tasks list")
@json_option
@config_option
def list_(config: Path, as_json: bool) -> None:
    """List tasks: when each is due next, and what its runs do."""
    run_command(_list, settings_of(config, secrets=False), as_json)


@command.command(epilog="Example: lineside tasks run sync -p item=BOLT-M8 --follow")
@task_argument
@click.option(
    "-p", "--param", "given", multiple=True, metavar="NAME=VALUE", help="A parameter; JSON, or else text."
)
@click.option("--in", "delay", default="0s", metavar="DURATION", help="Not before so much time has passed.")
@click.option("--follow", is_flag=True, help="Show how far it is, and exit with 1 unless it succeeds.")
@json_option
@config_option
def run(config: Path, task: str, given: tuple[str, ...], delay: str, follow: bool, as_json: bool) -> None:
    """Ask for a run of TASK; it is stored when this ends, and done also if the gateway dies meanwhile.

    Where no gateway runs, it waits for the next one.
    """
    try:
        request = RunTask(task=task, params=_params(given), delay=seconds_of(delay))
    except ValueError as wrong:
        raise click.UsageError(str(wrong)) from wrong
    run_command(_run, settings_of(config, secrets=False), request, follow, as_json)


@command.command(epilog="Example: lineside tasks runs --state failed")
@click.option("--task", metavar="TASK", shell_complete=_names, help="Only this one's.")
@click.option("--state", type=click.Choice(STATES), help="Only those in this state.")
@click.option("--before", type=click.IntRange(0), metavar="RUN", help="Only older ones than this.")
@click.option("--limit", type=click.IntRange(1, 1000), default=50, show_default=True)
@json_option
@config_option
def runs(
    config: Path, task: str | None, state: RunState | None, before: int | None, limit: int, as_json: bool
) -> None:
    """List runs, the newest first."""
    request = ListRuns(task=task, state=state, before=before, limit=limit)
    run_command(_runs, settings_of(config, secrets=False), request, as_json)


@command.command(epilog="Example: lineside tasks show 12")
@run_argument
@json_option
@config_option
def show(config: Path, run: int, as_json: bool) -> None:
    """Show one run with its parameters, log, steps, result and traceback."""
    run_command(_show, settings_of(config, secrets=False), ShowRun(run=run), as_json)


@command.command(epilog="Example: lineside tasks cancel 12")
@run_argument
@json_option
@config_option
def cancel(config: Path, run: int, as_json: bool) -> None:
    """Let a run end: at once where it waits, as soon as it can where it runs."""
    run_command(_change, settings_of(config, secrets=False), CancelRun(run=run), as_json)


@command.command(epilog="Example: lineside tasks retry 12")
@run_argument
@json_option
@config_option
def retry(config: Path, run: int, as_json: bool) -> None:
    """Run once more what failed, was cancelled or interrupted; finished steps are not repeated."""
    run_command(_change, settings_of(config, secrets=False), RetryRun(run=run), as_json)


@command.command(epilog="Example: lineside tasks pause nightly")
@task_argument
@json_option
@config_option
def pause(config: Path, task: str, as_json: bool) -> None:
    """Begin no more runs of TASK until it is resumed; those asked for wait, also over restarts."""
    run_command(_pause, settings_of(config, secrets=False), PauseTask(task=task), as_json)


@command.command(epilog="Example: lineside tasks resume nightly")
@task_argument
@json_option
@config_option
def resume(config: Path, task: str, as_json: bool) -> None:
    """Let runs of TASK begin again."""
    run_command(_pause, settings_of(config, secrets=False), ResumeTask(task=task), as_json)


def _params(given: Iterable[str]) -> dict[str, Any] | None:
    params: dict[str, Any] = {}
    for each in given:
        name, equals, text = each.partition("=")
        if not equals or not name:
            raise ValueError(f"{each!r} is no parameter; write NAME=VALUE")
        try:
            params[name] = msgspec.json.decode(text)
        except msgspec.DecodeError:
            params[name] = text
    return params or None


def _session(reactor: Any, settings: Settings) -> Session:
    if not settings.tasks:
        raise LinesideError(f"{settings.path} has no tasks; a table [tasks.NAME] makes one")
    return Session(reactor, settings)


async def _list(reactor: Any, settings: Settings, as_json: bool) -> None:
    found = await _session(reactor, settings).call(ListTasks(upcoming=1))
    if as_json:
        for task in found.tasks:
            print_json(task)
        return
    now = datetime.fromisoformat(found.now)
    rows = [
        (task.name, task.when, _next(task, now), str(task.queued), str(task.running), _last(task))
        for task in found.tasks
    ]
    print_list(("TASK", "WHEN", "NEXT", "QUEUED", "RUNNING", "LAST RUN"), rows, numbers=0)


def _next(task: TaskSummary, now: datetime) -> str | Text:
    if task.paused is not None:
        return Text("paused", "yellow")
    if task.waits is not None:
        return Text(f"waits for {task.waits}", "yellow")
    if not task.next:
        return ""
    ahead = (datetime.fromisoformat(task.next[0]) - now).total_seconds()
    return f"in {_rest(max(0, round(ahead)))}"


def _rest(seconds: int) -> str:
    minutes, hours, days = seconds // 60, seconds // 3_600, seconds // 86_400
    if days:
        return f"{days} d {hours % 24} h"
    if hours:
        return f"{hours} h {minutes % 60} min"
    return f"{minutes} min {seconds % 60} s" if minutes else f"{seconds} s"


def _last(task: TaskSummary) -> Text:
    last = task.last
    if last is None:
        return Text("never", "dim")
    return Text(f"{last.run} ").append(last.state, COLOURS[last.state]).append(_took(last)).append(_why(last))


def _took(run: RunSummary) -> str:
    return "" if run.seconds is None or run.state not in ENDED else f" in {run.seconds:.3g} s"


def _why(run: RunSummary) -> str:
    return "" if run.error is None else f": {plain(run.error)}"


async def _run(reactor: Any, settings: Settings, request: RunTask, follow: bool, as_json: bool) -> None:
    session = _session(reactor, settings)
    asked = await session.call(request)
    if asked.outcome == "skipped":
        raise LinesideError(f"{request.task} is left out: run {asked.run} has not ended, and overlap is skip")
    if not follow:
        if as_json:
            print_json(asked)
        else:
            again = "was asked for before" if asked.outcome == "repeated" else "is queued"
            console().print(f"run {asked.run} of {request.task} {again}; `lineside tasks show {asked.run}`")
        return
    try:
        await _follow(reactor, session, asked.run, as_json)
    except NoGateway:
        raise LinesideError(
            f"run {asked.run} is queued, and waits for a gateway: start one with `lineside run`"
        ) from None


async def _follow(reactor: Any, session: Session, number: int, as_json: bool) -> None:
    last: RunSummary | None = None
    interrupted: list[bool] = []
    reactor.addSystemEventTrigger("before", "shutdown", interrupted.append, True)
    # The bar is for people, and where the data go is for programs.
    shown = Console(stderr=True)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[told]}"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=shown, transient=True, disable=not shown.is_terminal) as bar:
        line = bar.add_task(f"run {number}", total=None, told="")
        async for last in session.follow(FollowRun(run=number)):
            _draw(bar, line, last)
            if as_json:
                print_json(last)
    if last is None or last.state not in ENDED:
        if interrupted:
            # Ctrl-C ends the stream from our side.
            raise LinesideError(f"run {number} goes on; `lineside tasks cancel {number}` ends it")
        raise LinesideError(f"the gateway has stopped; run {number} goes on after its next start")
    if not as_json:
        told = Text(f"run {number} of {last.task} ").append(last.state, COLOURS[last.state])
        console().print(told.append(_took(last)).append(_why(last)))
    if last.state != "succeeded":
        sys.exit(1)


def _draw(bar: Progress, line: TaskID, run: RunSummary) -> None:
    far = "" if run.done is None else f"{run.done:g}" if run.total is None else f"{run.done:g}/{run.total:g}"
    told = " ".join(plain(each) for each in (run.state, far, run.message or "") if each)
    bar.update(line, total=run.total, completed=run.done or 0, told=told)


async def _runs(reactor: Any, settings: Settings, request: ListRuns, as_json: bool) -> None:
    found = await Session(reactor, settings).call(request)
    if as_json:
        for each in found.runs:
            print_json(each)
        return
    rows = [
        (str(each.run), each.task, Text(each.state, COLOURS[each.state]), each.asked, _account(each))
        for each in found.runs
    ]
    if rows:
        print_list(("RUN", "TASK", "STATE", "ASKED FOR", "OUTCOME"), rows, numbers=1)
    else:
        console().print("no runs", style="dim")
    if found.next_before is not None:
        console().print(f"older ones: --before {found.next_before}", style="dim")


def _account(run: RunSummary) -> str:
    parts = [
        "" if run.key is None else run.key,
        "" if run.attempt <= 1 else f"attempt {run.attempt}",
        _took(run).strip(),
        "" if run.state != "running" or run.done is None else f"{run.done:g}/{run.total or 0:g}",
        run.message or "" if run.state == "running" else "",
        run.error or "",
    ]
    return ", ".join(part for part in parts if part)


async def _show(reactor: Any, settings: Settings, request: ShowRun, as_json: bool) -> None:
    story = await _session(reactor, settings).call(request)
    if as_json:
        print_json(story)
        return
    run = story.summary
    far = None if run.done is None else f"{run.done:g}" + ("" if run.total is None else f" of {run.total:g}")
    print_facts(
        [
            ("run", str(run.run)),
            ("task", run.task),
            ("state", Text(run.state, COLOURS[run.state])),
            ("because of", f"{run.cause}{f', {run.caller}' if run.caller else ''}"),
            ("item", run.key),
            ("parameters", msgspec.json.encode(story.params).decode()),
            ("attempt", str(run.attempt)),
            ("asked for", run.asked),
            ("due", run.due if run.state == "queued" else None),
            ("started", run.started),
            ("ended", run.ended),
            ("took", None if run.seconds is None else f"{run.seconds:g} s"),
            ("progress", far),
            ("message", run.message),
            ("error", run.error),
            ("result", story.result),
            *((f"step {step.name}", f"{step.at} {step.result}") for step in story.steps),
            *(("log" if place == 0 else "", f"{line.at} {line.text}") for place, line in enumerate(story.log)),
            ("traceback", story.traceback),
        ]
    )


async def _change(reactor: Any, settings: Settings, request: CancelRun | RetryRun, as_json: bool) -> None:
    run: RunSummary = await _session(reactor, settings).call(request)
    if as_json:
        print_json(run)
    else:
        told = Text(f"run {run.run} of {run.task} is ").append(run.state, COLOURS[run.state])
        console().print(told.append("" if run.message is None else f": {plain(run.message)}"))


async def _pause(reactor: Any, settings: Settings, request: Request[Any], as_json: bool) -> None:
    reached = await _session(reactor, settings).call(request)
    if as_json:
        print_json(reached)
    elif reached.since is None:
        console().print(f"task {reached.id} works")
    else:
        console().print(f"task {reached.id} is paused since {reached.since}")
