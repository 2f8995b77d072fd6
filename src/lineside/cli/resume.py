"""`lineside resume`: end what `lineside pause` began."""

from __future__ import annotations

from pathlib import Path

import click

from lineside.cli.pause import Kind, kind_argument, reach
from lineside.cli.session import config_option, json_option, run_command, settings_of
from lineside.operations.requests import Resume


@click.command(epilog="Example: lineside resume route checkin")
@kind_argument
@click.argument("id")
@json_option
@config_option
def command(config: Path, kind: Kind, id: str, as_json: bool) -> None:  # noqa: A002 (the argument's name)
    """Let a source, a route or a target work again."""
    run_command(reach, settings_of(config, secrets=False), Resume(kind=kind, id=id), as_json)
