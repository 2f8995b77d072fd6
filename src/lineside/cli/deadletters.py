"""`lineside deadletters`: what waits for a person."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
from rich.text import Text

from lineside.assemble.settings import Settings
from lineside.cli.session import Session, config_option, json_option, print_json, run_command, settings_of
from lineside.cli.tables import console, print_facts, print_list
from lineside.model.wording import plain
from lineside.operations.requests import DiscardDeadLetters, ListDeadLetters, RetryDeadLetters, ShowDeadLetter
from lineside.operations.results import DeadLetterList, DeadLetterSummary

route_option = click.option(
    "--route", metavar="ROUTE", help='Only this route\'s; "" for what could not be decoded.'
)


@click.group(epilog="Example: lineside deadletters list")
def command() -> None:
    """List, show, retry and discard dead letters."""


@command.command("list", epilog="Example: lineside deadletters list --route checkin")
@click.option("--after", type=int, default=0, metavar="ID", help="Begin after this one.")
@route_option
@click.option("--limit", type=click.IntRange(1, 1000), default=50, show_default=True)
@json_option
@config_option
def list_(config: Path, after: int, route: str | None, limit: int, as_json: bool) -> None:
    """List dead letters, the oldest first."""
    run_command(
        _list, settings_of(config, secrets=False), ListDeadLetters(after=after, route=route, limit=limit), as_json
    )


@command.command(epilog="Example: lineside deadletters show 3")
@click.argument("id", type=int)
@json_option
@config_option
def show(config: Path, id: int, as_json: bool) -> None:  # noqa: A002 (the argument's name on the command line)
    """Show one dead letter with the ERP's own words."""
    run_command(_show, settings_of(config, secrets=False), ShowDeadLetter(id=id), as_json)


@command.command(epilog="Example: lineside deadletters retry 3 4 5")
@click.argument("ids", type=int, nargs=-1, metavar="[ID]...")
@click.option("--all", "everything", is_flag=True, help="All of them, or all of the route's.")
@route_option
@json_option
@config_option
def retry(config: Path, ids: tuple[int, ...], everything: bool, route: str | None, as_json: bool) -> None:
    """Deliver again, or decode again with today's configuration."""
    chosen = _choose(ids, everything, route)
    run_command(
        _reach,
        settings_of(config, secrets=False),
        RetryDeadLetters(ids=chosen, route=route),
        "given another try",
        as_json,
    )


@command.command(epilog="Example: lineside deadletters discard 3")
@click.argument("ids", type=int, nargs=-1, metavar="[ID]...")
@click.option("--all", "everything", is_flag=True, help="All of them, or all of the route's.")
@route_option
@json_option
@config_option
def discard(config: Path, ids: tuple[int, ...], everything: bool, route: str | None, as_json: bool) -> None:
    """Remove for good."""
    chosen = _choose(ids, everything, route)
    run_command(
        _reach,
        settings_of(config, secrets=False),
        DiscardDeadLetters(ids=chosen, route=route),
        "discarded",
        as_json,
    )


def _choose(ids: tuple[int, ...], everything: bool, route: str | None) -> list[int] | None:
    if bool(ids) == (everything or route is not None):
        raise click.UsageError("name the dead letters by their ids, or say --all or --route")
    return list(ids) or None


async def _list(reactor: Any, settings: Settings, request: ListDeadLetters, as_json: bool) -> None:
    found: DeadLetterList = await Session(reactor, settings).call(request)
    if as_json:
        for letter in found.dead_letters:
            print_json(letter)
        return
    rows = [
        (
            str(letter.id),
            str(letter.seq),
            letter.route or "-",
            letter.code,
            f"{letter.reason} (being retried)" if letter.retrying else letter.reason,
        )
        for letter in found.dead_letters
    ]
    if rows:
        print_list(("ID", "SEQUENCE", "ROUTE", "CODE", "REASON"), rows, numbers=2)
    console().print(f"{len(rows)} of {found.total} dead letters", style="dim")


async def _show(reactor: Any, settings: Settings, request: ShowDeadLetter, as_json: bool) -> None:
    letter: DeadLetterSummary = await Session(reactor, settings).call(request)
    if as_json:
        print_json(letter)
        return
    print_facts(
        [
            ("dead letter", str(letter.id)),
            ("event", str(letter.seq)),
            ("source", letter.source),
            ("route", letter.route or "- (could not be decoded)"),
            ("reason", f"{letter.code}: {letter.reason}"),
            ("attempts", str(letter.attempts)),
            ("at", letter.at),
            ("body", letter.body),
            ("reply", letter.reply),
        ]
    )


async def _reach(
    reactor: Any, settings: Settings, request: RetryDeadLetters | DiscardDeadLetters, what: str, as_json: bool
) -> None:
    reached = await Session(reactor, settings).call(request)
    if as_json:
        print_json(reached)
    else:
        out = console()
        out.print(f"{reached.done} {what}")
        for why in reached.skipped:
            out.print(Text(plain(f"left as it is: {why}")), soft_wrap=True)
    if reached.skipped and not reached.done:
        raise SystemExit(1)
