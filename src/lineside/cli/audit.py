"""`lineside audit`: who did what from where, and whether that record is as it was written."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import click

from lineside.assemble.settings import Settings
from lineside.cli.session import Session, config_option, json_option, print_json, run_command, settings_of
from lineside.cli.tables import console, print_list
from lineside.operations.requests import ListAudit, VerifyAudit

_NOTED = re.compile(r"(\d{1,15}):([0-9a-fA-F]{64})")


class Noted(click.ParamType[tuple[int, str]]):
    """A number and its hash."""

    name = "number:hash"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, str]:
        found = _NOTED.fullmatch(str(value))
        if found is None:
            self.fail("write it as NUMBER:HASH, with the 64 digits of the hash", param, ctx)
        return int(found[1]), found[2]


@click.group(epilog="Example: lineside audit verify")
def command() -> None:
    """Show who did what from where, and verify that record."""


@command.command("list", epilog="Example: lineside audit list --what tokens.create")
@click.option("--who", metavar="NAME", help="Only what this one did: a token's name, or `local user`.")
@click.option("--what", metavar="OPERATION", help="Only this, such as `devices.command` or `login.failed`.")
@click.option("--before", type=click.IntRange(0), metavar="N", help="Go on with older ones.")
@click.option("--limit", type=click.IntRange(1, 1_000), default=50, show_default=True)
@json_option
@config_option
def list_(config: Path, who: str | None, what: str | None, before: int | None, limit: int, as_json: bool) -> None:
    """List what was done, the newest first: as it was asked for, and how it ended."""
    request = ListAudit(who=who, what=what, before=before, limit=limit)
    run_command(_list, settings_of(config, secrets=False), request, as_json)


@command.command(epilog="Example: lineside audit verify --noted 17:9f86…")
@click.option(
    "--noted", type=Noted(), help="What was noted elsewhere: the entry must be there still, with this hash."
)
@json_option
@config_option
def verify(config: Path, noted: tuple[int, str] | None, as_json: bool) -> None:
    """Follow the chain from the first entry to the last; exit 1 where it is broken, and name the first such entry.

    Note the number and the hash that it prints where nobody can reach them who can write the journal: with --noted
    a later one tells whether the record was cut off or made anew since.
    """
    number, digest = (0, None) if noted is None else noted
    request = VerifyAudit(number=number, hash=digest)
    run_command(_verify, settings_of(config, secrets=False), request, as_json)


async def _list(reactor: Any, settings: Settings, request: ListAudit, as_json: bool) -> None:
    found = await Session(reactor, settings).call(request)
    if as_json:
        for each in found.entries:
            print_json(each)
        return
    rows = [
        (
            str(each.number),
            each.at[:19].replace("T", " "),
            each.who,
            each.where,
            each.what,
            each.state,
            ", ".join(f"{name} {value}" for name, value in each.facts.items()),
        )
        for each in found.entries
    ]
    if rows:
        print_list(("NUMBER", "AT", "WHO", "FROM", "WHAT", "STATE", "ABOUT"), rows, numbers=1)
    more = "" if found.next_before is None else f"; older ones: --before {found.next_before}"
    console().print(f"{len(rows)} entries{more}", style="dim")


async def _verify(reactor: Any, settings: Settings, request: VerifyAudit, as_json: bool) -> None:
    found = await Session(reactor, settings).call(request)
    if as_json:
        print_json(found)
    elif found.broken is None:
        told = f"{found.entries} entries from {found.first} to {found.last} follow from one another"
        console().print(f"{told}; the last is {found.last}:{found.hash}", soft_wrap=True)
    else:
        print(f"lineside: the record is broken: entry {found.broken} {found.why}", file=sys.stderr)
    if found.broken is not None:
        raise SystemExit(1)
