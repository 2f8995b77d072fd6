"""`lineside erp`: what an ERP needs before it can take deliveries exactly once, and calls that are allowed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import msgspec
from msgspec import Struct

from lineside.assemble.edges import frappe_client
from lineside.assemble.frappetargetsettings import FrappeTargetSettings
from lineside.assemble.settings import Settings
from lineside.cli.documents import json_line, plain_lines
from lineside.cli.session import config_option, json_option, print_json, run_command, settings_of
from lineside.edges.frappe.client import FrappeClient
from lineside.edges.frappe.prepare import Prepared, prepare
from lineside.model.errors import ConfigurationError, LinesideError
from lineside.model.wording import did_you_mean
from lineside.operations.control import RemoteOperations
from lineside.operations.requests import CallErp
from lineside.operations.results import CalledErp

Connect = Callable[[Any, FrappeTargetSettings], FrappeClient]


class Preparation(Struct, frozen=True):
    """A DocType that has its id field, as ``--json`` prints it."""

    target: str
    doctype: str
    field: str
    created: bool
    """It was made now; it had been there otherwise."""


@click.group(epilog="Example: lineside erp prepare")
def command() -> None:
    """Prepare an ERP for exactly-once delivery, and call it."""


@command.command("call", epilog="Example: lineside erp call close_shift shift=NIGHT")
@click.argument("name")
@click.argument("params", nargs=-1, metavar="[PARAM=VALUE]...")
@click.option("--data", metavar="JSON", help="Parameters as a JSON object, where they are no texts.")
@json_option
@config_option
def call_(config: Path, name: str, params: tuple[str, ...], data: str | None, as_json: bool) -> None:
    """Have the ERP carry out what [calls.NAME] allows, once, by way of the running gateway."""
    settings = settings_of(config, secrets=False)
    given: dict[str, Any] = {}
    if data is not None:
        try:
            given = msgspec.json.decode(data, type=dict[str, Any])
        except msgspec.DecodeError as wrong:
            raise click.UsageError(f"--data: {wrong}") from wrong
    for param in params:
        key, parted, value = param.partition("=")
        if not parted or key in given:
            raise click.UsageError(f"{param}: expected PARAM=VALUE, each once")
        given[key] = value
    run_command(_call, settings, CallErp(name, given), as_json)


async def _call(reactor: Any, settings: Settings, request: CallErp, as_json: bool) -> None:
    called: CalledErp = await RemoteOperations(reactor, settings.journal.control_path).call(request)
    if as_json:
        print_json(called)
    else:
        click.echo(plain_lines(called.answer) if isinstance(called.answer, str) else json_line(called.answer))


@command.command("prepare", epilog="Example: lineside erp prepare -c lineside.toml")
@click.option("--target", metavar="NAME", help="Only this target; all that routes lead to by default.")
@json_option
@config_option
def prepare_(config: Path, target: str | None, as_json: bool) -> None:
    """Give every DocType that the routes insert the unique field that holds the delivery id.

    What is there already stays as it is: running it again changes nothing. The API user needs the role System
    Manager for it, and only for it.
    """
    settings = settings_of(config)
    if target is not None and target not in settings.targets:
        raise ConfigurationError(
            [f'{config}: there is no target "{target}"{did_you_mean(target, settings.targets)}']
        )
    run_command(prepare_targets, settings, target, _print_json if as_json else _print)


async def prepare_targets(
    reactor: Any,
    settings: Settings,
    target: str | None,
    told: Callable[[Preparation], None],
    connect: Connect = frappe_client,
) -> None:
    """Prepare the DocTypes of one target, or of every one that a route leads to; ``told`` hears of each.

    Raises:
        LinesideError: what could not be prepared, a line each; everything else is.

    """
    problems = []
    if target is not None and all(settings.target_of(route) != target for route in settings.routes.values()):
        raise LinesideError(f"no route leads to the target {target}: there is nothing to prepare")
    if target is not None and target not in settings.sites:
        raise LinesideError(f"the target {target} is no Frappe site; its tables are prepared by their owner")
    for name in settings.sites if target is None else [target]:
        doctypes = settings.prepared_doctypes(name)
        if not doctypes:
            continue
        client = connect(reactor, settings.sites[name])
        try:
            await _prepare_target(client, settings, name, doctypes, told)
        except LinesideError as failed:
            problems += [f"targets.{name}: {line}" for line in str(failed).splitlines()]
    if problems:
        raise LinesideError("\n".join(problems))


async def _prepare_target(
    client: FrappeClient, settings: Settings, name: str, doctypes: list[str], told: Callable[[Preparation], None]
) -> None:
    field = settings.sites[name].id_field

    def tell(prepared: Prepared) -> None:
        told(Preparation(name, prepared.doctype, field, prepared.created))

    try:
        await prepare(client, doctypes, field, tell)
    finally:
        await client.close()


def _print(done: Preparation) -> None:
    state = "created" if done.created else "was there already"
    click.echo(f"targets.{done.target}: {done.doctype}: {done.field} {state}")


def _print_json(done: Preparation) -> None:
    print_json(done)
