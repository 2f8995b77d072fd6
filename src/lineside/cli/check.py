"""``lineside check``: tells whether the configuration is right."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click
from msgspec import Struct

from lineside.assemble.settings import Settings
from lineside.cli.session import config_option, json_option, print_json, settings_of
from lineside.model.errors import ConfigurationError


class Findings(Struct, frozen=True):
    """What the check found, as ``--json`` prints it."""

    ok: bool
    problems: list[str]
    warnings: list[str]


@click.command(epilog="Example: lineside check -c lineside.toml")
@json_option
@config_option
def command(config: Path, as_json: bool) -> None:
    """Check the whole configuration, its secrets and its templates, and print every error at once.

    Exits with 2 if there is one. Warnings are printed to standard error and change nothing.
    """
    try:
        settings = settings_of(config)
    except ConfigurationError as wrong:
        if not as_json:
            raise
        print_json(Findings(ok=False, problems=wrong.problems, warnings=[]))
        sys.exit(2)
    if as_json:
        print_json(Findings(ok=True, problems=[], warnings=settings.warnings))
        return
    for warning in settings.warnings:
        click.echo(f"{config}: warning: {warning}", err=True)
    click.echo(f"{config}: ok: {summary(settings)}")


def summary(settings: Settings) -> str:
    """Return what the configuration holds, in a line."""
    counts: list[tuple[str, Any]] = [
        ("source", settings.sources),
        ("route", settings.routes),
        ("target", settings.targets),
        ("test", settings.tests),
    ]
    return ", ".join(f"{len(tables)} {what}{'' if len(tables) == 1 else 's'}" for what, tables in counts)
