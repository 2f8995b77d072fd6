"""`lineside test`: the examples that a configuration carries."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from lineside.assemble.examples import Verdict, judge
from lineside.assemble.rehearsal import zone_of
from lineside.assemble.settings import Settings
from lineside.cli.documents import difference_lines, document_lines
from lineside.cli.session import config_option, json_option, print_json, settings_of
from lineside.model.wording import plain


@click.command(epilog="Example: lineside test -c lineside.toml")
@json_option
@config_option
def command(config: Path, as_json: bool) -> None:
    """Run the [[tests]] of the configuration: each input through the routes, against the documents expected.

    Nothing else is touched: no journal, no network, and no secret is needed. Site times are in the target's
    time_zone, or UTC without; events are received at 2025-01-01T00:00:00.000000Z. Exits with 1 if one fails.
    """
    settings = settings_of(config, secrets=False)
    if not settings.tests:
        click.echo(f"{config} has no [[tests]]; `lineside init` shows how they look", err=as_json)
    verdicts = []
    for verdict in judge(settings):
        verdicts.append(verdict)
        if as_json:
            print_json(verdict)
        else:
            _show(verdict)
    failed = [verdict for verdict in verdicts if verdict.problem is not None]
    if verdicts and not as_json:
        click.echo(f"{len(verdicts) - len(failed)} of {len(verdicts)} documents as expected")
    if failed:
        for line in _zones(settings, failed):
            click.echo(line, err=True)
        sys.exit(1)


def _show(verdict: Verdict) -> None:
    subject = f"{plain(verdict.test)}: {verdict.route}"
    if verdict.problem is None:
        click.echo(f"{click.style('ok', fg='green')}    {subject}")
        return
    click.echo(f"{click.style('FAIL', fg='red')}  {subject}: {verdict.problem}")
    if verdict.got is None:
        return
    if isinstance(verdict.expected, dict) and isinstance(verdict.got, dict):
        lines = difference_lines(verdict.expected, verdict.got)
    elif isinstance(verdict.got, dict):
        lines = [f"+ {line}" for line in document_lines(verdict.got)]
    else:
        lines = [f"- {line}" for line in document_lines(verdict.expected)]
    for line in lines:
        click.echo("      " + click.style(line, fg={"-": "red", "+": "green"}.get(line[0])))


def _zones(settings: Settings, failed: list[Verdict]) -> list[str]:
    routes = [settings.routes[verdict.route] for verdict in failed]
    targets = dict.fromkeys(settings.target_of(route) for route in routes if "site_time" in str(route.document))
    return [
        f"note: targets.{target} sets no time_zone, so its site times are in UTC here"
        for target in targets
        if not zone_of(settings, target).configured
    ]
