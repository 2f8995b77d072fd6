"""`lineside status`: the gateway at a glance."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from lineside.assemble.settings import Settings
from lineside.cli.session import Session, config_option, json_option, print_json, run_command, settings_of
from lineside.cli.tables import console, print_facts, print_list
from lineside.operations.control import RemoteOperations
from lineside.operations.requests import ShowStatus


@click.command(epilog="Example: lineside status --json")
@click.option("--running", is_flag=True, help="Fail unless a gateway runs and answers; for health checks.")
@json_option
@config_option
def command(config: Path, as_json: bool, running: bool) -> None:
    """Show what the gateway's sources and routes are doing, and what hinders them.

    Counts are since the gateway's start. Without a running gateway only the journal is shown.
    """
    run_command(_run, settings_of(config, secrets=False), as_json, running)


async def _run(reactor: Any, settings: Settings, as_json: bool, running: bool) -> None:
    # A health check must not take the journal from a gateway that is about to start.
    gateway = RemoteOperations(reactor, settings.journal.control_path) if running else Session(reactor, settings)
    status = await gateway.call(ShowStatus())
    if as_json:
        print_json(status)
        return
    print_facts(
        [
            ("gateway", "works" if status.sources else "is not running"),
            ("last event", str(status.head)),
            ("dead letters", str(status.dead_letters)),
        ]
    )
    if status.sources:
        console().print()
        rows = [
            (str(one.received), str(one.undecodable), str(one.connections), one.id, one.address)
            for one in status.sources
        ]
        print_list(("RECEIVED", "UNDECODABLE", "CONNECTIONS", "SOURCE", "LISTENS ON"), rows, numbers=3)
    if status.routes:
        console().print()
        routes = [
            (
                str(one.delivered),
                str(one.refused),
                str(one.retried),
                str(one.pending),
                str(one.floor),
                one.id,
                one.target,
                "; ".join(told for told in (one.problem, one.paced, one.warning) if told),
            )
            for one in status.routes
        ]
        headings = ("DELIVERED", "REFUSED", "RETRIED", "PENDING", "SETTLED TO", "ROUTE", "TARGET", "PROBLEM")
        print_list(headings, routes, numbers=5)
