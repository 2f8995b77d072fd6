"""`lineside events`: what came in, and what became of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from lineside.assemble.settings import Settings
from lineside.cli.session import Session, config_option, json_option, print_json, run_command, settings_of
from lineside.operations.requests import EventStory, EventSummary, ListEvents, ShowEvent, TailEvents


@click.group()
def command() -> None:
    """List, show and follow events."""


@command.command("list", epilog="Example: lineside events list --source gate --limit 100")
@click.option("--after", type=int, metavar="SEQUENCE", help="Begin after this one; the newest by default.")
@click.option("--source", help="Only this source's.")
@click.option("--limit", type=click.IntRange(1, 1000), default=20, show_default=True)
@json_option
@config_option
def list_(config: Path, after: int | None, source: str | None, limit: int, as_json: bool) -> None:
    """List events, the newest by default."""
    run_command(
        _list, settings_of(config, secrets=False), ListEvents(after=after, source=source, limit=limit), as_json
    )


@command.command(epilog="Example: lineside events show 4711")
@click.argument("sequence", type=int)
@json_option
@config_option
def show(config: Path, sequence: int, as_json: bool) -> None:
    """Show one event's whole story: what was received, and each route's document."""
    run_command(_show, settings_of(config, secrets=False), ShowEvent(seq=sequence), as_json)


@command.command(epilog="Example: lineside events tail --source gate")
@click.option("--source", help="Only this source's.")
@click.option("--last", type=click.IntRange(0, 1000), default=10, show_default=True, help="Begin with so many.")
@json_option
@config_option
def tail(config: Path, source: str | None, last: int, as_json: bool) -> None:
    """Follow events of the running gateway as they are committed, until Ctrl-C."""
    run_command(_tail, settings_of(config, secrets=False), TailEvents(source=source, last=last), as_json)


async def _list(reactor: Any, settings: Settings, request: ListEvents, as_json: bool) -> None:
    found = await Session(reactor, settings).call(request)
    if as_json:
        for event in found.events:
            print_json(event)
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading, justify in (("SEQUENCE", "right"), ("RECEIVED", "left"), ("SOURCE", "left"), ("DEVICE", "left")):
        table.add_column(heading, justify=justify, no_wrap=True)  # type: ignore[arg-type]
    table.add_column("EVENT", overflow="ellipsis", no_wrap=True, ratio=1)
    for event in found.events:
        table.add_row(str(event.seq), event.received, event.source, Text(event.device or ""), _body(event))
    console = Console()
    console.print(table)
    if not found.events:
        console.print("no events", style="dim")


async def _show(reactor: Any, settings: Settings, request: ShowEvent, as_json: bool) -> None:
    story: EventStory = await Session(reactor, settings).call(request)
    if as_json:
        print_json(story)
        return
    event = story.event
    facts = Table(box=None, show_header=False, pad_edge=False)
    facts.add_column(style="bold", no_wrap=True)
    facts.add_column(overflow="fold")
    for name, value in (
        ("event", story.identity),
        ("source", event.source),
        ("device", event.device),
        ("key", event.key),
        ("received", event.received),
        ("error", event.error),
        ("raw", story.raw),
        ("body", None if event.error else event.body),
    ):
        if value is not None:
            facts.add_row(name, Text(value))
    for delivery in story.deliveries:
        line = Text(delivery.state)
        if delivery.name is not None:
            line.append(f" as {delivery.name}" + (" (found there)" if delivery.found else ""))
        if delivery.attempts:
            line.append(f", attempt {delivery.attempts}")
        if delivery.at is not None:
            line.append(f", {delivery.at}")
        if delivery.reason is not None:
            line.append(f"; {delivery.reason} (dead letter {delivery.dead_letter})")
        facts.add_row(delivery.route or "decoding", line)
    Console().print(facts)


async def _tail(reactor: Any, settings: Settings, request: TailEvents, as_json: bool) -> None:
    console = Console(soft_wrap=True, highlight=False)
    async for event in Session(reactor, settings).follow(request):
        if as_json:
            print_json(event)
        else:
            line = Text(f"{event.seq:>10} {event.received} {event.source} ", style="dim")
            line.append(_body(event))
            console.print(line)


def _body(event: EventSummary) -> Text:
    if event.error is not None:
        return Text(f"{event.error}: {event.body}", style="red")
    return Text(event.body)
