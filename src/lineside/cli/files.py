"""`lineside files`: what partners sent, and what became of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from lineside.assemble.settings import Settings
from lineside.cli.session import Session, config_option, json_option, print_json, run_command, settings_of
from lineside.cli.tables import console, print_facts, print_list
from lineside.operations.requests import ListFiles, ShowFile


@click.group(epilog="Example: lineside files list")
def command() -> None:
    """List and show the files that partners sent."""


@command.command("list", epilog="Example: lineside files list --source orders")
@click.option("--source", metavar="NAME", help="Of this source alone.")
@click.option("--limit", type=click.IntRange(1, 500), default=50, show_default=True, help="So many, the newest.")
@json_option
@config_option
def list_(config: Path, source: str | None, limit: int, as_json: bool) -> None:
    """Show the newest files first: how many of their rows are events, and whether they are answered."""
    run_command(_list, settings_of(config, secrets=False), ListFiles(source=source, limit=limit), as_json)


@command.command(epilog="Example: lineside files show 17 --after 500")
@click.argument("id", type=click.IntRange(min=1))
@click.option("--after", type=click.IntRange(min=0), default=0, help="Begin after this row.")
@click.option("--limit", type=click.IntRange(1, 500), default=100, show_default=True, help="So many rows.")
@json_option
@config_option
def show(config: Path, id: int, after: int, limit: int, as_json: bool) -> None:  # noqa: A002 (its name there)
    """Show one file, and for its rows their sequences and what became of them."""
    run_command(_show, settings_of(config, secrets=False), ShowFile(id=id, after=after, limit=limit), as_json)


async def _list(reactor: Any, settings: Settings, request: ListFiles, as_json: bool) -> None:
    found = await Session(reactor, settings).call(request)
    if as_json:
        for one in found.files:
            print_json(one)
        return
    rows = [
        (
            str(one.id),
            str(one.size),
            str(one.rows),
            str(one.bad),
            one.taken,
            one.source,
            one.sender,
            one.state,
            ", ".join(f"{each.name} ({_ANSWERS[each.answered]})" for each in one.names),
        )
        for one in found.files
    ]
    if not rows:
        console().print("no file was taken yet", style="dim")
        return
    print_list(("ID", "BYTES", "ROWS", "BAD", "TAKEN", "SOURCE", "SENDER", "STATE", "NAMES"), rows, numbers=4)


async def _show(reactor: Any, settings: Settings, request: ShowFile, as_json: bool) -> None:
    story = await Session(reactor, settings).call(request)
    if as_json:
        print_json(story)
        return
    file = story.file
    print_facts(
        [
            ("file", str(file.id)),
            ("source", file.source),
            ("sender", file.sender),
            ("names", "\n".join(f"{each.name} ({_ANSWERS[each.answered]})" for each in file.names)),
            ("taken", file.taken),
            ("state", file.state),
            ("reason", file.reason),
            ("bytes", str(file.size)),
            ("hash", file.digest),
            ("rows", f"{file.rows}, of which {file.bad} are bad"),
        ]
    )
    if story.rows:
        rows = [
            (str(row.row), str(row.seq), row.status, " ".join([*row.documents, row.error or ""]).strip())
            for row in story.rows
        ]
        print_list(("ROW", "SEQUENCE", "STATUS", "DOCUMENT OR ERROR"), rows, numbers=2)
    if story.next_after is not None:
        console().print(f"more: lineside files show {file.id} --after {story.next_after}", style="dim")


_ANSWERS = {"no": "not answered", "partly": "answered in part", "whole": "answered"}
