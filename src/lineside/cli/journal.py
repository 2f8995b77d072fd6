"""`lineside journal`: look after the journal's file."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TaskProgressColumn, TextColumn, TimeElapsedColumn

from lineside.cli.session import config_option, json_option, print_json, settings_of
from lineside.cli.tables import console
from lineside.journal import copies, soundness
from lineside.journal.soundness import Soundness


@click.group(epilog="Example: lineside journal backup /backup/journal-monday.db")
def command() -> None:
    """Check, back up and restore the journal's file."""


@command.command(epilog="Example: lineside journal check --json")
@click.argument("file", required=False, type=click.Path(dir_okay=False, path_type=Path))
@click.option("--quick", is_flag=True, help="Leave out whether indexes agree with their tables.")
@json_option
@config_option
def check(config: Path, file: Path | None, quick: bool, as_json: bool) -> None:
    """Read the whole journal, or a copy in FILE, and tell what is wrong with it; exit 1 if something is.

    It changes nothing, and may run beside a gateway.
    """
    with _bar() as progress:
        found = soundness.examine(file or _journal(config), quick=quick, progress=progress)
    if as_json:
        print_json({**_facts(found), "sound": found.sound, "problems": found.problems})
    elif found.sound:
        console().print(f"{found.path} is sound: {_summary(found)}", soft_wrap=True)
    else:
        for problem in found.problems:
            print(f"lineside: {found.path}: {problem}", file=sys.stderr)
    sys.exit(0 if found.sound else 1)


@command.command(epilog="Example: lineside journal backup /backup/journal-monday.db")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@json_option
@config_option
def backup(config: Path, file: Path, as_json: bool) -> None:
    """Copy the journal to FILE, as it is at one moment, while the gateway goes on. The copy is read back."""
    with _bar() as progress:
        found = copies.back_up(_journal(config), file, progress=progress)
    if as_json:
        print_json({**_facts(found), "path": str(file)})
    else:
        console().print(f"{file} holds {_summary(found)}", soft_wrap=True)


@command.command(epilog="Example: lineside journal restore /backup/journal-monday.db")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@json_option
@config_option
def restore(config: Path, file: Path, as_json: bool) -> None:
    """Put the copy in FILE in the journal's place, while no gateway runs. The journal before is kept beside it."""
    journal = _journal(config)
    with _bar() as progress:
        found, replaced = copies.put_back(file, journal, progress=progress)
    if as_json:
        print_json({**_facts(found), "path": str(journal), "replaced": None if replaced is None else str(replaced)})
        return
    console().print(f"{journal} holds {_summary(found)}", soft_wrap=True)
    if replaced is not None:
        console().print(f"the one before is {replaced}", soft_wrap=True)


def _journal(config: Path) -> Path:
    return settings_of(config, secrets=False).journal.path


def _facts(found: Soundness) -> dict[str, object]:
    return {
        "path": found.path,
        "events": found.events,
        "last": found.last,
        "routes": found.routes,
        "dead_letters": found.dead_letters,
    }


def _summary(found: Soundness) -> str:
    return f"{found.events} events up to {found.last}, {found.routes} routes, {found.dead_letters} dead letters"


@contextmanager
def _bar() -> Iterator[soundness.Progress]:
    """Show progress on a terminal, on standard error; elsewhere nothing."""
    shown = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn())
    with Progress(*columns, console=shown, transient=True, disable=not shown.is_terminal) as progress:
        tasks: dict[str, TaskID] = {}

        def tell(what: str, done: int, total: int | None) -> None:
            if what not in tasks:
                tasks[what] = progress.add_task(what, total=total)
            progress.update(tasks[what], completed=done, total=total)

        yield tell
