"""`lineside try`: what the gateway would make of bytes, without a gateway."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from io import BufferedIOBase
from pathlib import Path
from typing import Any, cast

import click

from lineside.assemble.rehearsal import Rehearsal, Rehearsed, Rendered, zone_of
from lineside.assemble.settings import Settings
from lineside.cli.documents import document_lines, plain
from lineside.cli.session import config_option, json_option, print_json, settings_of
from lineside.model.errors import ConfigurationError
from lineside.model.outcome import Refused, Skipped
from lineside.model.wording import did_you_mean


@click.command(epilog="""Example: echo '{"kind": "checkin", "employee": "HR-EMP-00017"}' | lineside try gate""")
@click.argument("source")
@json_option
@config_option
def command(source: str, config: Path, as_json: bool) -> None:
    """Show what SOURCE and its routes would make of the lines on standard input.

    For each line its answer, its key and its device; then for each route that it is skipped, the document, or why
    it is refused. Nothing else is touched: no journal, no network, and no secret is needed.
    """
    settings = settings_of(config, secrets=False)
    if source not in settings.sources:
        raise ConfigurationError(
            [f'{config}: there is no source "{source}"{did_you_mean(source, settings.sources)}']
        )
    stdin = cast(BufferedIOBase, sys.stdin.buffer)
    if stdin.isatty():
        click.echo("reading lines from the terminal; Ctrl-D ends them", err=True)
    if not as_json:
        for text in _circumstances(settings, source):
            click.echo(text)
    line = None
    for line in Rehearsal(settings, source, time.time_ns).lines(_chunks(stdin)):
        if as_json:
            print_json(_facts(settings, line))
        else:
            _show(settings, line)
    if line is None:
        click.echo("there was no line on standard input", err=True)


def _chunks(stream: BufferedIOBase) -> Iterator[bytes]:
    # Whatever is there, at once: lines that come slowly are shown as they come.
    while chunk := stream.read1(65_536):
        yield chunk


def _circumstances(settings: Settings, source: str) -> list[str]:
    targets = dict.fromkeys(
        settings.target_of(route) for route in settings.routes.values() if source in settings.sources_of(route)
    )
    lines = []
    for target in targets:
        zone = zone_of(settings, target)
        origin = (
            "as configured" if zone.configured else "since the target sets no time_zone; a gateway asks the site"
        )
        lines.append(f"site times of targets.{target} are in {zone.name}, {origin}")
    if not lines:
        lines.append(f"no route takes the events of {source}")
    if not settings.sources[source].ack:
        lines.append(f"{source} has ack = false: its devices get no answers")
    return lines


def _show(settings: Settings, line: Rehearsed) -> None:
    event = line.event
    words = [click.style(f"line {line.line}", bold=True), _answer(line)]
    words += [f"{name} {plain(value)}" for name, value in (("key", event.key), ("device", event.device)) if value]
    click.echo("  ".join(words))
    if not line.ended:
        click.echo("  its line end is missing: a gateway waits for it before it takes the line")
    for name, rendered in line.routes.items():
        _show_route(name, rendered)


def _answer(line: Rehearsed) -> str:
    if line.event.error is not None:
        return click.style(f"ERR {line.event.error}", fg="red") + " (kept as a dead letter)"
    if line.repeats is not None:
        return click.style("OK", fg="green") + f" (a repeat of line {line.repeats}: not stored again)"
    return click.style("OK", fg="green")


def _show_route(name: str, rendered: Rendered) -> None:
    match rendered:
        case Skipped():
            click.echo(f"  {name}: skipped, its condition is false")
        case Refused(reason=reason):
            click.echo(f"  {name}: {click.style('refused', fg='red')}, {reason}")
        case _:
            done = "insert and submit" if rendered.submit and rendered.action == "insert" else rendered.action
            click.echo(f"  {name}: {done} {plain(rendered.doctype or rendered.method)}")
            if rendered.match:
                click.echo("    where")
                for text in document_lines(rendered.match):
                    click.echo(f"      {text}")
            for text in document_lines(rendered.document):
                click.echo(f"    {text}")


def _facts(settings: Settings, line: Rehearsed) -> dict[str, Any]:
    event = line.event
    return {
        "line": line.line,
        "ended": line.ended,
        "answer": "OK" if event.error is None else "ERR",
        "error": event.error,
        "repeats": line.repeats,
        "key": event.key,
        "device": event.device,
        "routes": {name: _outcome(settings, name, rendered) for name, rendered in line.routes.items()},
    }


def _outcome(settings: Settings, name: str, rendered: Rendered) -> dict[str, Any]:
    match rendered:
        case Skipped():
            return {"outcome": "skipped"}
        case Refused():
            return {"outcome": "refused", "reason": rendered.reason}
        case _:
            zone = zone_of(settings, settings.target_of(settings.routes[name])).name
            facts = ("action", "doctype", "method", "match", "submit", "document")
            told = {fact: getattr(rendered, fact) for fact in facts if getattr(rendered, fact)}
            return {"outcome": "document", **told, "time_zone": zone}
