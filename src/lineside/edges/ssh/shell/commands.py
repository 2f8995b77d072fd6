"""The operator's words, as typed operations: what a line asks for, and how its answer is told. Pure."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import click
from msgspec import Struct, ValidationError, convert

from lineside.edges.ssh.shell import telling
from lineside.model.errors import LinesideError
from lineside.model.wording import did_you_mean
from lineside.operations.requests import (
    CancelRun,
    CommandDevice,
    DiscardDeadLetters,
    FollowRun,
    ListConsumers,
    ListDeadLetters,
    ListDeviceCommands,
    ListDevices,
    ListEvents,
    ListRuns,
    ListTasks,
    Pause,
    PauseTask,
    Request,
    Resume,
    ResumeTask,
    RetryDeadLetters,
    RetryRun,
    RunTask,
    ShowDeadLetter,
    ShowEvent,
    ShowRun,
    ShowStatus,
    TailEvents,
)

Tell = Callable[[Any, int], list[str]]


class WrongUse(LinesideError):
    """The line is no command, or not all of one."""


class Asked(Struct, frozen=True):
    """What a line asks for."""

    request: Request[Any] | None
    """None where ``text`` is the answer."""
    tell: Tell = lambda _told, _width: []
    as_json: bool = False
    each: str | None = None
    """The field whose items are a line of JSON each."""
    text: str = ""
    leave: bool = False


JSON = click.Option(["--json", "as_json"], is_flag=True, help="One JSON value a line.")


def asked(line: str | Sequence[str]) -> Asked:
    """Return what a line asks for.

    Raises:
        WrongUse: it asks for nothing; the text says what is wrong.

    """
    try:
        words = shlex.split(line) if isinstance(line, str) else list(line)
    except ValueError as wrong:
        raise WrongUse(f"a quotation mark has no other: {wrong}") from wrong
    if not words:
        return Asked(None)
    if words[0] == "help":
        return Asked(None, text=_help(words[1:]))
    if words[0] in {"exit", "quit", "logout"} and len(words) == 1:
        return Asked(None, leave=True)
    command, rest, path = _find(words)
    try:
        context = command.make_context(path, rest, help_option_names=[])
        with context:
            found: Asked = command.invoke(context)
    except click.UsageError as wrong:
        raise WrongUse(f"{wrong.format_message()}\nusage: {_usage(command, path)}") from wrong
    except (ValidationError, click.ClickException) as wrong:
        raise WrongUse(f"{wrong}\nusage: {_usage(command, path)}") from wrong
    return found


def completions(before: str, names: Mapping[str, Sequence[str]]) -> list[str]:
    """Return how the last word of a line may go on.

    Args:
        before: the line as far as it is typed.
        names: of ``source``, ``route``, ``target`` and ``task``.

    """
    *words, _last = before.split(" ")
    words = [word for word in words if word]
    group: Any = COMMANDS
    for place, word in enumerate(words):
        if isinstance(group, dict) and word in group:
            group = group[word]
        elif isinstance(group, dict):
            return ["help"] if place == 0 and word == "help" else []
    if words[:1] == ["help"]:
        return sorted(COMMANDS)
    if isinstance(group, dict):
        return sorted([*group, *(["help", "exit"] if not words else [])])
    if words[-1] in names:
        return sorted(names[words[-1]])
    if words[-1].removeprefix("--") in names and words[-1].startswith("--"):
        return sorted(names[words[-1][2:]])
    command: click.Command = group
    options = [
        name for each in command.params if isinstance(each, click.Option) for name in each.opts if name[:2] == "--"
    ]
    kinds = [
        choice
        for each in command.params
        if isinstance(each, click.Argument) and isinstance(each.type, click.Choice) and words[-1:] == [command.name]
        for choice in each.type.choices
    ]
    named = names.get("task", ()) if any(each.name == "task" for each in command.params) else ()
    return sorted({*options, *kinds, *named} - set(words))


def _find(words: Sequence[str]) -> tuple[click.Command, list[str], str]:
    found: Any = COMMANDS
    taken: list[str] = []
    for word in words:
        if not isinstance(found, dict):
            break
        if word not in found:
            known = ", ".join(sorted(found))
            where = " ".join([*taken, ""]) if taken else ""
            hint = did_you_mean(word, found) or f"; there are {where}{known}"
            raise WrongUse(f'there is no command "{" ".join([*taken, word])}"{hint}')
        found = found[word]
        taken.append(word)
    if isinstance(found, dict):
        raise WrongUse(f"{' '.join(taken)} needs one of {', '.join(sorted(found))}")
    return found, list(words[len(taken) :]), " ".join(taken)


def _usage(command: click.Command, path: str) -> str:
    context = click.Context(command)
    return " ".join([path, *(_piece(each, context) for each in command.params)])


def _piece(parameter: click.Parameter, context: click.Context) -> str:
    if not isinstance(parameter, click.Option):
        return parameter.make_metavar(context)
    value = "" if parameter.is_flag else f" {parameter.metavar or str(parameter.name).upper()}"
    return f"[{max(parameter.opts, key=len)}{value}]"


def _help(words: Sequence[str]) -> str:
    if words:
        found: Any = COMMANDS
        for word in words:
            found = found.get(word) if isinstance(found, dict) else None
        if found is None:
            raise WrongUse(f'there is no command "{" ".join(words)}"')
        listed = list(_each(found, " ".join(words)))
    else:
        listed = list(_each(COMMANDS, ""))
    lines = [f"{_usage(command, path)}\n    {command.help}" for path, command in listed]
    more = "" if words else "\nhelp [COMMAND]\n    Tell this.\nexit\n    Leave."
    return "\n".join(lines) + more


def _each(group: Any, path: str) -> Iterator[tuple[str, click.Command]]:
    if isinstance(group, click.Command):
        yield path, group
        return
    for name, found in group.items():
        yield from _each(found, f"{path} {name}".strip())


def every() -> list[tuple[str, click.Command]]:
    """Return each command with its words."""
    return list(_each(COMMANDS, ""))


def _command(name: str, words: str, make: Callable[..., Asked], *params: click.Parameter) -> click.Command:
    return click.Command(name, callback=make, params=[*params, JSON], help=words, add_help_option=False)


def _simple(request: type[Request[Any]], tell: Tell, each: str | None = None) -> Callable[..., Asked]:
    def make(as_json: bool, **given: Any) -> Asked:
        fields = {name: list(value) if isinstance(value, tuple) else value for name, value in given.items()}
        # The bounds are the request's own.
        checked = convert({**fields, "operation": request.__struct_config__.tag}, request)
        return Asked(checked, tell, as_json, each)

    return make


def _letters(request: type[Request[Any]], what: str) -> Callable[..., Asked]:
    def make(as_json: bool, ids: tuple[int, ...], everything: bool, route: str | None) -> Asked:
        if bool(ids) == (everything or route is not None):
            raise click.UsageError("name the dead letters by their ids, or say --all or --route")
        fields = {"operation": request.__struct_config__.tag, "ids": list(ids) or None, "route": route}
        return Asked(convert(fields, request), lambda told, _: telling.done(told, what), as_json)

    return make


def _tail(as_json: bool, source: str | None, device: str | None, last: int, since: int | None) -> Asked:
    return Asked(TailEvents(source=source, device=device, last=last, after=since), telling.followed, as_json)


def _send(as_json: bool, device: str, payload: str, source: str | None) -> Asked:
    return Asked(CommandDevice(device=device, payload=payload, source=source), telling.answer, as_json)


def _number(name: str) -> click.Argument:
    return click.Argument([name], type=click.IntRange(min=0))


def _text(*names: str, words: str) -> click.Option:
    return click.Option(list(names), help=words)


_LIMIT = click.Option(["--limit"], type=click.IntRange(1, 1000), default=20)
_SOURCE = _text("--source", words="Only this source's.")
_DEVICE = _text("--device", words="Only this device's.")
_ROUTE = _text("--route", words="Only this route's.")
_ALL = click.Option(["--all", "everything"], is_flag=True)
_IDS = click.Argument(["ids"], type=click.IntRange(min=0), nargs=-1)
_KIND = click.Argument(["kind"], type=click.Choice(["source", "route", "target"]))
_ID = click.Argument(["id"])
_TASK = click.Argument(["task"])

COMMANDS: dict[str, Any] = {
    "status": _command("status", "Show what the gateway does.", _simple(ShowStatus, telling.status)),
    "events": {
        "list": _command(
            "list",
            "List events, the newest by default.",
            _simple(ListEvents, telling.events, "events"),
            click.Option(["--after"], type=click.IntRange(min=0), metavar="SEQUENCE"),
            _SOURCE,
            _LIMIT,
        ),
        "show": _command("show", "Show one event's story.", _simple(ShowEvent, telling.event), _number("seq")),
        "tail": _command(
            "tail",
            "Follow events as they are committed, until Ctrl-C.",
            _tail,
            _SOURCE,
            _DEVICE,
            click.Option(["-n", "--last"], type=click.IntRange(0, 1000), default=10),
            click.Option(["--since"], type=click.IntRange(min=0), metavar="SEQUENCE"),
        ),
    },
    "deadletters": {
        "list": _command(
            "list",
            "List what waits for a person.",
            _simple(ListDeadLetters, telling.dead_letters, "dead_letters"),
            click.Option(["--after"], type=click.IntRange(min=0), default=0, metavar="ID"),
            _ROUTE,
            _LIMIT,
        ),
        "show": _command(
            "show", "Show one with the target's words.", _simple(ShowDeadLetter, telling.dead_letter), _number("id")
        ),
        "retry": _command(
            "retry", "Deliver again.", _letters(RetryDeadLetters, "given another try"), _IDS, _ALL, _ROUTE
        ),
        "discard": _command(
            "discard", "Remove for good.", _letters(DiscardDeadLetters, "discarded"), _IDS, _ALL, _ROUTE
        ),
    },
    "tasks": {
        "list": _command("list", "List the tasks.", _simple(ListTasks, telling.tasks, "tasks")),
        "runs": _command(
            "runs",
            "List runs, the newest first.",
            _simple(ListRuns, telling.runs, "runs"),
            _text("--task", words="Of one task."),
            _LIMIT,
        ),
        "show": _command("show", "Show one run.", _simple(ShowRun, telling.run), _number("run")),
        "follow": _command(
            "follow", "Follow one run to its end.", _simple(FollowRun, telling.run_line), _number("run")
        ),
        "run": _command("run", "Ask for a run.", _simple(RunTask, telling.asked), _TASK),
        "cancel": _command("cancel", "Let a run end.", _simple(CancelRun, telling.run_line), _number("run")),
        "retry": _command("retry", "Run once more.", _simple(RetryRun, telling.run_line), _number("run")),
        "pause": _command("pause", "Begin no more runs.", _simple(PauseTask, telling.paused), _TASK),
        "resume": _command("resume", "Let runs begin again.", _simple(ResumeTask, telling.paused), _TASK),
    },
    "pause": _command("pause", "Stop a source, a route or a target.", _simple(Pause, telling.paused), _KIND, _ID),
    "resume": _command("resume", "Let it work again.", _simple(Resume, telling.paused), _KIND, _ID),
    "devices": {
        "list": _command(
            "list", "List connected devices.", _simple(ListDevices, telling.devices, "devices"), _SOURCE
        ),
        "send": _command(
            "send",
            "Send a device a command.",
            _send,
            click.Argument(["device"]),
            click.Argument(["payload"]),
            _SOURCE,
        ),
        "commands": _command(
            "commands",
            "List commands and what became of them.",
            _simple(ListDeviceCommands, telling.commands, "commands"),
            _DEVICE,
            _SOURCE,
            _LIMIT,
        ),
    },
    "consumers": {
        "list": _command(
            "list", "Show where each route stands.", _simple(ListConsumers, telling.consumers, "consumers")
        )
    },
}
"""Every command, by its words."""
