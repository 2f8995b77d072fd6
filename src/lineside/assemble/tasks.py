"""The tasks of a gateway, as the configuration has them."""

from __future__ import annotations

import inspect
import os
import time
from collections.abc import Callable, Mapping
from functools import cache, partial
from random import Random
from typing import TYPE_CHECKING, Any

import msgspec

from lineside.assemble.builtintasks import Around, WrongBuiltIn, prepared
from lineside.assemble.parts import JournalPart
from lineside.assemble.settings import Settings
from lineside.assemble.tasksettings import TaskSettings
from lineside.assemble.tasktriggers import trigger_routes, trigger_spec
from lineside.assemble.usercode import NoSuchCode, find_function
from lineside.assemble.values import duration_text
from lineside.delivery.backoff import Backoff
from lineside.delivery.gate import Gate
from lineside.journal.retention import Retention
from lineside.model.errors import ConfigurationError
from lineside.model.ports import Part, Ready
from lineside.model.wording import key_path
from lineside.operations.registry import Operations
from lineside.operations.tasks import TaskOperations
from lineside.tasks.calendar import Cron, Every, Schedule
from lineside.tasks.calling import params_type, typed
from lineside.tasks.context import Erp
from lineside.tasks.lane import clocks
from lineside.tasks.runner import Runner
from lineside.tasks.sources import TaskSources
from lineside.tasks.task import RetryPolicy, Task, Told
from lineside.tasks.triggers import Trigger

if TYPE_CHECKING:
    from lineside.assemble.edges import TargetPart


class Tasks:
    """Everything that runs tasks, not started yet.

    Args:
        reactor: its timers must follow a monotonic clock.
        settings: of the whole gateway.
        store: the journal.
        random: for delays between attempts.
        sources: what tasks add events to.
        targets: by name, the parts that hold the connections.
        gates: by target.
        retention: returns what sweeps the journal; called when something runs.

    Raises:
        ConfigurationError: what a task runs is not there, or does not take its parameters.

    """

    def __init__(
        self,
        reactor: Any,
        settings: Settings,
        store: JournalPart,
        random: Random,
        sources: TaskSources,
        targets: Mapping[str, TargetPart],
        gates: Mapping[str, Gate],
        retention: Callable[[], Retention],
    ) -> None:
        around = Around(reactor, store, sources, targets, gates, retention, random)
        self.runner = Runner(
            compile_tasks(settings, os.environ, around),
            store.database,
            reactor,
            clocks(reactor, time.time_ns),
            random,
            sources,
            erps_of(settings, targets, gates, random),
            gates,
        )
        routes = trigger_routes(settings)
        self.consumers = {route.id: store.consumer(trigger_spec(route)) for route in routes.values()}
        """The places in the journal of what starts tasks."""
        ready = Ready(settings.plant.time_zone or "UTC")
        self.triggers = [
            Trigger(name, self.consumers[route.id], partial(route.render, ready=ready), self.runner, reactor)
            for name, route in routes.items()
        ]
        self.stages: list[list[Part]] = [[self.runner], [*self.triggers]]
        self.operations = TaskOperations(lambda: self.runner, store.database, time.time_ns, running=True)

    def register(self, operations: Operations) -> None:
        """Offer the operations on tasks."""
        self.operations.register(operations)


def erps_of(
    settings: Settings, targets: Mapping[str, TargetPart], gates: Mapping[str, Gate], random: Random
) -> dict[str, Erp]:
    """Return the ERP for tasks, by the targets that they name."""
    erps: dict[str, Erp] = {}
    for table in settings.tasks.values():
        name = target_of(table, settings)
        if name is not None and name not in erps:
            from lineside.assemble.frappesites import FrappePart  # noqa: PLC0415 (an edge of its own)
            from lineside.edges.frappe.taskcalls import TaskErp  # noqa: PLC0415

            part = targets[name]
            assert isinstance(part, FrappePart)
            erps[name] = TaskErp(part.client, gates[name], random)
    return erps


def target_of(table: TaskSettings, settings: Settings) -> str | None:
    """Return the name of the site that a task asks; None where there is none, or more than one to choose from."""
    return table.target or (next(iter(settings.sites)) if len(settings.sites) == 1 else None)


def offline(reactor: Any, settings: Settings, store: JournalPart) -> TaskOperations:
    """Return the operations where no gateway runs: what is asked for waits for the next one."""

    @cache
    def runner() -> Runner:
        tasks = compile_tasks(settings)
        return Runner(
            tasks,
            store.database,
            reactor,
            clocks(reactor, time.time_ns),
            Random(0),  # noqa: S311 (jitter)
            TaskSources({}),
        )

    return TaskOperations(runner, store.database, time.time_ns, running=False)


def compile_tasks(
    settings: Settings, environ: Mapping[str, str] | None = None, around: Around | None = None
) -> dict[str, Task]:
    """Return the tasks.

    Args:
        settings: of the whole gateway.
        environ: where secrets of built-in tasks are looked up; None to look up none.
        around: what built-in tasks are made of; None where nothing runs.

    Raises:
        ConfigurationError: with everything that is wrong with what they run.

    """
    tasks, problems = {}, []
    for name, table in settings.tasks.items():
        try:
            tasks[name] = compile_task(name, table, settings, environ, around)
        except NoSuchCode as wrong:
            problems.append(f"{settings.path}: {key_path('tasks', name)}.run: {wrong}")
        except msgspec.ValidationError as wrong:
            problems.append(f"{settings.path}: {key_path('tasks', name)}.params: {wrong}")
        except WrongBuiltIn as wrong:
            problems += [f"{settings.path}: {key_path('tasks', name)}.{problem}" for problem in wrong.problems]
    if problems:
        raise ConfigurationError(problems)
    return tasks


def compile_task(
    name: str,
    table: TaskSettings,
    settings: Settings,
    environ: Mapping[str, str] | None = None,
    around: Around | None = None,
) -> Task:
    """Return one task; for the rest see `compile_tasks`.

    Raises:
        NoSuchCode: what it runs is not there, or not as the configuration says it is.
        msgspec.ValidationError: it does not take its parameters.
        WrongBuiltIn: it cannot be as it is configured.

    """
    if ":" not in table.run:
        built_in = prepared(table, settings, target_of(table, settings), environ)
        function = _runs_nothing if around is None else built_in.function(around)
        return _task(name, table, settings, function, built_in.accepts, {}, thread=built_in.thread)
    function = find_function(settings.code, table.run)
    kind = params_type_of(function)
    if table.thread and (inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function)):
        raise NoSuchCode(f"{table.run} is a coroutine function; thread = true is for those that block")
    if table.every is not None or table.cron is not None or kind is None:
        # What comes with an event, or from a person, may still be missing.
        typed(table.params, kind)

    def accepts(params: Mapping[str, Any]) -> Any:
        return typed(dict(params), kind)

    return _task(name, table, settings, function, accepts, table.params, thread=table.thread)


def _runs_nothing(_: object) -> None:
    raise AssertionError("no gateway runs: tasks are only asked for")


def _task(
    name: str,
    table: TaskSettings,
    settings: Settings,
    function: Callable[..., Any],
    accepts: Callable[[Mapping[str, Any]], Any],
    params: Mapping[str, Any],
    *,
    thread: bool,
) -> Task:
    scheduled = table.every is not None or table.cron is not None
    return Task(
        name=name,
        function=function,
        accepts=accepts,
        thread=thread,
        schedule=schedule_of(table, settings),
        params=params,
        key=table.key,
        timeout=table.timeout,
        retry=RetryPolicy(
            table.retry.attempts, Backoff(table.retry.backoff, table.retry.jitter), frozenset(table.retry.on)
        ),
        overlap=table.overlap or ("skip" if scheduled else "queue"),
        concurrency=table.concurrency,
        unique_for=table.unique_for,
        catch_up=table.catch_up,
        interrupted=table.interrupted,
        erp=table.erp,
        target=target_of(table, settings),
        keep=table.keep,
        told=Told(table.run, words_of(table, settings), table.description),
    )


def params_type_of(function: Callable[..., Any]) -> type | None:
    """Return what a function wants its parameters to be.

    Raises:
        NoSuchCode: nothing that they can be made into; or it takes no context.

    """
    if not takes_context(function):
        raise NoSuchCode(f"{function.__name__} is called with one argument, its context, and takes none such")
    try:
        return params_type(function)
    except TypeError as wrong:
        raise NoSuchCode(str(wrong)) from wrong


def takes_context(function: Callable[..., Any]) -> bool:
    """Tell whether a function can be called with a context alone."""
    try:
        signature = inspect.signature(function)
    except ValueError:
        # One that is written in C need not say.
        return True
    try:
        signature.bind(None)
    except TypeError:
        return False
    return True


def schedule_of(table: TaskSettings, settings: Settings) -> Schedule | None:
    """Return when a task is due by itself; None for never."""
    if table.every is not None:
        return Every(table.every)
    return None if table.cron is None else Cron(table.cron, zone_of(table, settings))


def zone_of(table: TaskSettings, settings: Settings) -> str:
    """Return whose clock a task's calendar means."""
    return table.time_zone or settings.plant.time_zone or "UTC"


def words_of(table: TaskSettings, settings: Settings) -> str:
    """Return when a task runs, in words."""
    if table.every is not None:
        return f"every {duration_text(table.every)}"
    if table.cron is not None:
        return Cron(table.cron, zone_of(table, settings)).words()
    return "when asked for" if table.on is None else f"on events of {', '.join(table.sources)}"
