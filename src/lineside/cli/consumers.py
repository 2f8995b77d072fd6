"""`lineside consumers`: where each route stands in the journal."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from lineside.assemble.settings import Settings
from lineside.cli.session import Session, config_option, json_option, print_json, run_command, settings_of
from lineside.cli.tables import console, print_list
from lineside.operations.requests import ForgetConsumer, ListConsumers, RewindConsumer


@click.group(epilog="Example: lineside consumers list")
def command() -> None:
    """List, forget and rewind the places of routes in the journal."""


@command.command("list", epilog="Example: lineside consumers list")
@json_option
@config_option
def list_(config: Path, as_json: bool) -> None:
    """Show how far each route is; one that is no longer configured keeps its events until it is forgotten."""
    run_command(_list, settings_of(config, secrets=False), as_json)


@command.command(epilog="Example: lineside consumers forget old-route")
@click.argument("id")
@json_option
@config_option
def forget(config: Path, id: str, as_json: bool) -> None:  # noqa: A002 (the argument's name on the command line)
    """Remove the place of a route that is no longer configured. Its dead letters stay."""
    run_command(_reach, settings_of(config, secrets=False), ForgetConsumer(id=id), "is forgotten", as_json)


@command.command(epilog="Example: lineside consumers rewind checkin --to 0")
@click.argument("id")
@click.option("--to", type=click.IntRange(min=0), required=True, metavar="SEQUENCE", help="Begin after this one.")
@json_option
@config_option
def rewind(config: Path, id: str, to: int, as_json: bool) -> None:  # noqa: A002 (the argument's name on the command line)
    """Deliver again what came after a sequence; only while no gateway runs.

    What the ERP already holds is found there by its delivery id, and not made twice.
    """
    run_command(
        _reach,
        settings_of(config, secrets=False),
        RewindConsumer(id=id, to=to),
        f"begins again after {to}",
        as_json,
    )


async def _list(reactor: Any, settings: Settings, as_json: bool) -> None:
    found = (await Session(reactor, settings).call(ListConsumers())).consumers
    if as_json:
        for one in found:
            print_json(one)
        return
    rows = [
        (
            str(one.floor),
            str(one.head),
            str(one.gaps),
            str(one.backlogs),
            str(one.dead_letters),
            one.id,
            "" if one.route else "no such route any more; it keeps events: lineside consumers forget " + one.id,
        )
        for one in found
    ]
    if rows:
        print_list(("SETTLED TO", "HEAD", "GAPS", "BACKLOGS", "DEAD", "ROUTE", ""), rows, numbers=5)
    else:
        console().print("no route has read anything yet", style="dim")


async def _reach(
    reactor: Any, settings: Settings, request: ForgetConsumer | RewindConsumer, what: str, as_json: bool
) -> None:
    reached = await Session(reactor, settings).call(request)
    if as_json:
        print_json(reached)
    else:
        console().print(f"{reached.id} {what}")
