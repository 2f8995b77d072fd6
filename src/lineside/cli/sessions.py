"""`lineside sessions`: who is logged in to the dashboard."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from lineside.assemble.settings import Settings
from lineside.cli.session import Session, config_option, json_option, print_json, run_command, settings_of
from lineside.cli.tables import console, print_list
from lineside.operations.requests import ListSessions, RevokeSession


@click.group(epilog="Example: lineside sessions list")
def command() -> None:
    """Show who is logged in to the dashboard, and log people out.

    They log in with their account in the ERP; see [http.login].
    """


@command.command("list", epilog="Example: lineside sessions list --json")
@json_option
@config_option
def list_(config: Path, as_json: bool) -> None:
    """Show who is logged in, the newest log-in first."""
    run_command(_list, settings_of(config, secrets=False), as_json)


@command.command(epilog="Example: lineside sessions revoke jane@plant.example")
@click.argument("session")
@json_option
@config_option
def revoke(config: Path, session: str, as_json: bool) -> None:
    """End a session by its id, or all of a user, at once."""
    run_command(_revoke, settings_of(config, secrets=False), session, as_json)


async def _list(reactor: Any, settings: Settings, as_json: bool) -> None:
    sessions = (await Session(reactor, settings).call(ListSessions())).sessions
    if as_json:
        for one in sessions:
            print_json(one)
        return
    rows = [(one.user, one.role, one.where, one.created, one.seen, one.id) for one in sessions]
    if rows:
        print_list(("USER", "ROLE", "FROM", "LOGGED IN", "SEEN", "ID"), rows, numbers=0)
    else:
        console().print("nobody is logged in", style="dim")


async def _revoke(reactor: Any, settings: Settings, session: str, as_json: bool) -> None:
    ended = (await Session(reactor, settings).call(RevokeSession(session=session))).sessions
    for one in ended:
        if as_json:
            print_json(one)
        else:
            console().print(f"{one.user} is logged out ({one.id})")
