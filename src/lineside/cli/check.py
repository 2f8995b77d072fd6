"""``lineside check``: tells whether the configuration is right."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from msgspec import Struct

from lineside.assemble.edges import frappe_client
from lineside.assemble.frappetargetsettings import FrappeTargetSettings
from lineside.assemble.settings import Settings
from lineside.cli.session import config_option, json_option, print_json, run_command, settings_of
from lineside.model.errors import ConfigurationError

if TYPE_CHECKING:
    from lineside.assemble.soundings import Sounding
    from lineside.edges.frappe.client import FrappeClient


class Findings(Struct, frozen=True):
    """What the check found, as ``--json`` prints it."""

    ok: bool
    problems: list[str]
    warnings: list[str]


@click.command(epilog="Example: lineside check -c lineside.toml --connect")
@click.option("--connect", is_flag=True, help="Also ask each target, and dial each device that is dialled.")
@click.option("--security", is_flag=True, help="Print what an auditor asks: ways in, tokens, secrets, versions.")
@json_option
@config_option
def command(config: Path, connect: bool, security: bool, as_json: bool) -> None:
    """Check the whole configuration, its secrets and its templates, and print every error at once.

    Exits with 2 if there is one. Warnings are printed to standard error and change nothing. With --connect it
    exits with 1 if a target would take no deliveries; nothing is changed there. A device that cannot be dialled is
    a warning. With --security it prints who can reach the gateway and how they are known.
    """
    if connect and security:
        raise click.UsageError("give --connect or --security, not both")
    try:
        settings = settings_of(config)
        if settings.tasks:
            # Their functions are imported, and told their parameters; nothing is run.
            from lineside.assemble.tasks import compile_tasks  # noqa: PLC0415

            compile_tasks(settings, os.environ)
    except ConfigurationError as wrong:
        if not as_json:
            raise
        print_json(Findings(ok=False, problems=wrong.problems, warnings=[]))
        sys.exit(2)
    if not as_json:
        for warning in settings.warnings:
            click.echo(f"{config}: warning: {warning}", err=True)
        click.echo(f"{config}: ok: {summary(settings)}")
    if security:
        from lineside.cli.security import show  # noqa: PLC0415 (it asks the gateway)

        run_command(show, settings, as_json)
    elif connect:
        run_command(check_targets, config, settings, as_json)
    elif as_json:
        print_json(Findings(ok=True, problems=[], warnings=settings.warnings))


async def check_targets(
    reactor: Any,
    config: Path,
    settings: Settings,
    as_json: bool,
    connect: Callable[[Any, FrappeTargetSettings], FrappeClient] = frappe_client,
) -> None:
    """Ask each target, dial each device, print what they say, and exit with 1 if a target takes no deliveries."""
    # The whole HTTP client comes with them, for which a check without --connect does not wait.
    from lineside.assemble.databasesoundings import sound_database, sound_tables  # noqa: PLC0415
    from lineside.assemble.devicesoundings import sound_device  # noqa: PLC0415
    from lineside.assemble.soundings import sound  # noqa: PLC0415

    soundings: list[Sounding] = []

    def take(sounding: Sounding) -> None:
        soundings.append(sounding)
        if not as_json:
            for found in sounding.found:
                click.echo(f"{config}: ok: {found}")
            for warning in sounding.warnings:
                click.echo(f"{config}: warning: {warning}", err=True)
            for problem in sounding.problems:
                click.echo(f"{config}: {problem}", err=True)

    for name in settings.targets:
        if name not in settings.sites:
            take(await sound_tables(reactor, settings, name))
            continue
        client = connect(reactor, settings.sites[name])
        try:
            take(await sound(client, settings, name))
        finally:
            await client.close()
    for name, source in settings.lines.items():
        take(await sound_device(reactor, name, source))
    if settings.pulls:
        from lineside.assemble.pullsoundings import sound_pull  # noqa: PLC0415 (with them comes all of SSH)

        for name, pull in settings.pulls.items():
            take(await sound_pull(reactor, name, pull))
    if settings.ssh_commands:
        from lineside.assemble.sshcommandsoundings import sound_ssh_command  # noqa: PLC0415 (the same)

        for name, command_there in settings.ssh_commands.items():
            take(await sound_ssh_command(reactor, name, command_there))
    for name in settings.databases:
        take(await sound_database(reactor, settings, name))
    problems = [problem for sounding in soundings for problem in sounding.problems]
    warnings = [warning for sounding in soundings for warning in sounding.warnings]
    if as_json:
        print_json(Findings(ok=not problems, problems=problems, warnings=[*settings.warnings, *warnings]))
    if problems:
        raise SystemExit(1)


def summary(settings: Settings) -> str:
    """Return what the configuration holds, in a line."""
    counts: list[tuple[str, Any]] = [
        ("source", settings.sources),
        ("route", settings.routes),
        ("target", settings.targets),
        ("test", settings.tests),
        *([("task", settings.tasks)] if settings.tasks else []),
    ]
    return ", ".join(f"{len(tables)} {what}{'' if len(tables) == 1 else 's'}" for what, tables in counts)
