"""`lineside dns`: the plant's names."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from lineside.assemble.settings import Settings
from lineside.cli.session import config_option, json_option, print_json, run_command, settings_of
from lineside.cli.tables import console, print_facts, print_list
from lineside.operations.control import RemoteOperations
from lineside.operations.requests import ShowZone


@click.group(epilog="Example: lineside dns zone")
def command() -> None:
    """Show what DNS answers."""


@command.command(epilog="Example: lineside dns zone --json")
@json_option
@config_option
def zone(config: Path, as_json: bool) -> None:
    """Show the records that a running gateway answers now, and what is down."""
    run_command(_zone, settings_of(config, secrets=False), as_json)


async def _zone(reactor: Any, settings: Settings, as_json: bool) -> None:
    view = await RemoteOperations(reactor, settings.journal.control_path).call(ShowZone())
    if as_json:
        print_json(view)
        return
    counts = view.counts
    answers = ", ".join(f"{count} {code}" for code, count in counts.answers.items() if count)
    print_facts(
        [
            ("address", view.address),
            ("serial", str(view.serial)),
            ("answers", f"{answers or 'none'}; {counts.from_cache} of them remembered"),
            ("over the rate", str(counts.limited) if counts.limited else None),
            *(("down", f"{condition}: {why}") for condition, why in view.down.items()),
            *(("all down", name) for name in view.all_down),
        ]
    )
    console().print()
    rows = [(str(one.ttl), one.name, one.type, one.data) for one in view.records]
    print_list(("TTL", "NAME", "TYPE", "DATA"), rows, numbers=1)
