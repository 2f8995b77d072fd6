"""From `on` and `when` of a task to its place in the journal."""

from __future__ import annotations

from lineside.assemble.settings import Settings
from lineside.assemble.tasksettings import TaskSettings
from lineside.delivery.route import Route
from lineside.delivery.templates import compile_condition, compile_template
from lineside.model.ports import ConsumerSpec
from lineside.model.wording import key_path


def trigger_routes(settings: Settings) -> dict[str, Route]:
    """Return what decides on the events that start tasks, by the tasks' names."""
    return {name: trigger_route(name, table) for name, table in settings.tasks.items() if table.on is not None}


def trigger_route(name: str, table: TaskSettings) -> Route:
    """Return what decides on the events that start a task: a route that leads nowhere."""
    path = key_path("tasks", name)
    return Route(
        id=f"task.{name}",
        sources=frozenset(table.sources),
        target="",
        action="call",
        doctype="",
        document=compile_template({}, path),
        when=None if table.when is None else compile_condition(table.when, f"{path}.when"),
        order_by=None,
        concurrency=1,
    )


def trigger_spec(route: Route) -> ConsumerSpec:
    """Return how a task's events are read from the journal: what came before it was configured starts nothing."""
    return ConsumerSpec(route.id, route.sources, route.accepts, route.order_key, deliver_policy="new")
