"""`lineside pause`: stop a part of the gateway for a while."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import click

from lineside.assemble.settings import Settings
from lineside.cli.session import Session, config_option, json_option, print_json, run_command, settings_of
from lineside.cli.tables import console
from lineside.operations.requests import Pause, Resume

Kind = Literal["source", "route", "target"]

kind_argument = click.argument("kind", type=click.Choice(["source", "route", "target"]))


@click.command(epilog="Example: lineside pause route checkin")
@kind_argument
@click.argument("id")
@json_option
@config_option
def command(config: Path, kind: Kind, id: str, as_json: bool) -> None:  # noqa: A002 (the argument's name)
    """Stop a source, a route, or all that goes to a target, until it is resumed; also over restarts.

    Devices of a paused source are told to send again later. What a route does not deliver waits in the journal.
    """
    run_command(reach, settings_of(config, secrets=False), Pause(kind=kind, id=id), as_json)


async def reach(reactor: Any, settings: Settings, request: Pause | Resume, as_json: bool) -> None:
    """Carry it out and print what is so now."""
    reached = await Session(reactor, settings).call(request)
    if as_json:
        print_json(reached)
    elif reached.since is None:
        console().print(f"{reached.kind} {reached.id} works")
    else:
        console().print(f"{reached.kind} {reached.id} is paused since {reached.since}")
