"""`lineside status`: the gateway at a glance."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from lineside.assemble.settings import Settings
from lineside.cli.session import Session, config_option, json_option, print_json, run_command, settings_of
from lineside.cli.tables import console, print_facts, print_list
from lineside.model.sizes import size_text
from lineside.operations.control import RemoteOperations
from lineside.operations.requests import ShowStatus
from lineside.operations.results import JournalStatus


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
            *_journal_facts(status.journal),
        ]
    )
    if status.sources:
        console().print()
        rows = [
            (
                str(one.received),
                str(one.undecodable),
                str(one.connections),
                one.id,
                one.address,
                one.last_seen or "",
                "; ".join(filter(None, (one.problem, _silent(one.silent)))),
            )
            for one in status.sources
        ]
        headings = ("RECEIVED", "UNDECODABLE", "CONNECTIONS", "SOURCE", "ADDRESS", "LAST SEEN", "PROBLEM")
        print_list(headings, rows, numbers=3)
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
        columns = ("DELIVERED", "REFUSED", "RETRIED", "PENDING", "SETTLED TO", "ROUTE", "TARGET", "PROBLEM")
        print_list(columns, routes, numbers=5)


def _journal_facts(journal: JournalStatus | None) -> list[tuple[str, str | None]]:
    if journal is None:
        return []
    size = f"{size_text(journal.size)}, {size_text(journal.size - journal.used)} of it free"
    oldest = f"{journal.oldest}, of {journal.oldest_at}" if journal.oldest else None
    kept_by = None
    if journal.kept_by:
        first = journal.kept_by[0]
        gone = "" if first.configured else f", which is gone: lineside consumers forget {first.route}"
        kept_by = f"what is above {first.floor}, by route {first.route}{gone}"
    return [
        ("journal", f"{size}; {size_text(journal.disk_free)} left on its disk"),
        ("oldest event", oldest),
        ("kept", kept_by),
        ("takes no lines", journal.problem),
    ]


def _silent(names: list[str]) -> str:
    devices = [name for name in names if name]
    told = ["silent"] if "" in names else []
    if devices:
        told.append(f"silent devices: {', '.join(devices[:3])}{', ...' if len(devices) > 3 else ''}")
    return "; ".join(told)
