"""`lineside events`: what came in, and what became of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
from rich.text import Text

from lineside.assemble.settings import Settings
from lineside.cli.session import Session, config_option, json_option, print_json, run_command, settings_of
from lineside.cli.tables import console, print_facts, print_list
from lineside.model.errors import LinesideError
from lineside.model.wording import plain
from lineside.operations.requests import ListEvents, ShowEvent, TailEvents
from lineside.operations.results import DeliveryStory, EventStory, EventSummary, FollowedEvent


@click.group(epilog="Example: lineside events tail --source gate")
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


@command.command(epilog="Example: lineside events tail --source gate --since 4711")
@click.option("--source", help="Only this source's.")
@click.option("--device", help="Only this device's.")
@click.option(
    "-n", "--last", type=click.IntRange(0, 1000), default=10, show_default=True, help="Begin with so many."
)
@click.option("--since", type=click.IntRange(min=0), metavar="SEQUENCE", help="Begin after this one instead.")
@json_option
@config_option
def tail(config: Path, source: str | None, device: str | None, last: int, since: int | None, as_json: bool) -> None:
    """Follow events of the running gateway as they are committed, until Ctrl-C.

    Each has its sequence, time, source and device. What became of it stands behind it, or comes as a line of its
    own once every route has decided. Exits with 1 when the gateway stops.
    """
    request = TailEvents(source=source, device=device, last=last, after=since)
    run_command(_tail, settings_of(config, secrets=False), request, as_json)


async def _list(reactor: Any, settings: Settings, request: ListEvents, as_json: bool) -> None:
    found = await Session(reactor, settings).call(request)
    if as_json:
        for event in found.events:
            print_json(event)
        return
    rows = [
        (str(event.seq), event.received, event.source, event.device or "", _body(event)) for event in found.events
    ]
    if rows:
        print_list(("SEQUENCE", "RECEIVED", "SOURCE", "DEVICE", "EVENT"), rows, numbers=1)
    else:
        console().print("no events", style="dim")


async def _show(reactor: Any, settings: Settings, request: ShowEvent, as_json: bool) -> None:
    story: EventStory = await Session(reactor, settings).call(request)
    if as_json:
        print_json(story)
        return
    event = story.event
    facts: list[tuple[str, str | Text | None]] = [
        ("event", story.identity),
        ("source", event.source),
        ("device", event.device),
        ("key", event.key),
        ("received", event.received),
        ("error", event.error),
        ("raw", story.raw),
        ("body", None if event.error else event.body),
    ]
    print_facts(facts + [(delivery.route or "decoding", _told(delivery)) for delivery in story.deliveries])


async def _tail(reactor: Any, settings: Settings, request: TailEvents, as_json: bool) -> None:
    out = console()
    interrupted: list[bool] = []
    reactor.addSystemEventTrigger("before", "shutdown", interrupted.append, True)
    async for told in Session(reactor, settings).follow(request):
        if as_json:
            print_json(told)
        else:
            out.print(_line(told), soft_wrap=True)
    # Ctrl-C ends the stream from our side.
    if not interrupted:
        raise LinesideError("the gateway has stopped")


def _line(told: FollowedEvent) -> Text:
    event = told.event
    line = Text(f"{event.seq:>10} {event.received} {plain(event.source)} ", style="dim")
    if event.device is not None:
        line.append(f"{plain(event.device)} ")
    if not told.again:
        line.append(_body(event))
    for delivery in told.deliveries:
        if delivery.state in _WORTH_TELLING and (told.again or delivery.state != "pending"):
            line.append(" → ")
            line.append(plain(_outcome(delivery)), style=_WORTH_TELLING[delivery.state])
    return line


_WORTH_TELLING = {"delivered": "green", "dead": "red", "retrying": "yellow", "discarded": "yellow"}
"""States that a line names, and their colours; what a route skips, or what is older, is not its business."""


def _outcome(delivery: DeliveryStory) -> str:
    name = delivery.route or "decoding"
    if delivery.name is not None:
        return f"{name}: {delivery.name}"
    reason = f", {delivery.reason}" if delivery.reason and delivery.route else ""
    letter = "" if delivery.dead_letter is None else f" (dead letter {delivery.dead_letter})"
    return f"{name}: {delivery.state}{reason}{letter}"


def _told(delivery: DeliveryStory) -> str:
    words = [delivery.state if delivery.name is None else f"{delivery.state} as {delivery.name}"]
    if delivery.found:
        words[0] += " (an earlier attempt had made it)"
    if delivery.attempts:
        words.append(f"attempt {delivery.attempts}")
    if delivery.at is not None:
        words.append(delivery.at)
    if delivery.reason is not None:
        letter = "" if delivery.dead_letter is None else f" (dead letter {delivery.dead_letter})"
        words.append(delivery.reason + letter)
    if delivery.altered:
        words.append(f"not as sent: {', '.join(delivery.altered)}")
    return ", ".join(words)


def _body(event: EventSummary) -> Text:
    if event.error is not None:
        return Text(plain(f"{event.error}: {event.body}"), style="red")
    return Text(plain(event.body))
