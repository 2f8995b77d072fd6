"""`lineside token`: who may use the HTTP API."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from lineside.assemble.settings import Settings
from lineside.assemble.values import seconds_of
from lineside.cli.session import Session, config_option, json_option, print_json, run_command, settings_of
from lineside.cli.tables import console, print_list
from lineside.operations.requests import CreateToken, ListTokens, RevokeToken


class Age(click.ParamType[int]):
    """Text such as ``90d``."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        try:
            return max(1, round(seconds_of(value)))
        except ValueError as wrong:
            self.fail(str(wrong), param, ctx)


@click.group(epilog="Example: lineside token create wall-board --role viewer")
def command() -> None:
    """Create, list and revoke API tokens.

    As long as there is none, whoever is at this machine may look by way of the HTTP API, and nobody else may.
    """


@command.command(epilog="Example: lineside token create gate-terminal --role device --source gate --expires 365d")
@click.argument("name")
@click.option(
    "--role",
    type=click.Choice(["viewer", "operator", "admin", "device"]),
    required=True,
    help="viewer: look. operator: also send events, retry, pause. admin: also tokens. device: only send events.",
)
@click.option(
    "--source", "sources", multiple=True, metavar="SOURCE", help="With device: only this one. Repeatable."
)
@click.option("--expires", type=Age(), metavar="DURATION", help="After so long, such as 90d.  [default: never]")
@json_option
@config_option
def create(
    config: Path, name: str, role: str, sources: tuple[str, ...], expires: int | None, as_json: bool
) -> None:
    """Make a token and print it. It is shown this once: the gateway keeps a hash of it only."""
    request = CreateToken(name=name, role=role, sources=list(sources) or None, seconds=expires)  # type: ignore[arg-type]
    run_command(_create, settings_of(config, secrets=False), request, as_json)


@command.command("list", epilog="Example: lineside token list")
@json_option
@config_option
def list_(config: Path, as_json: bool) -> None:
    """Show the tokens there are, without what makes them worth anything."""
    run_command(_list, settings_of(config, secrets=False), as_json)


@command.command(epilog="Example: lineside token revoke gate-terminal")
@click.argument("token")
@json_option
@config_option
def revoke(config: Path, token: str, as_json: bool) -> None:
    """Make a token worthless at once, by its name or its id."""
    run_command(_revoke, settings_of(config, secrets=False), token, as_json)


async def _create(reactor: Any, settings: Settings, request: CreateToken, as_json: bool) -> None:
    created = await Session(reactor, settings).call(request)
    if as_json:
        print_json(created)
        return
    click.echo(created.text)
    click.echo("Keep it: it is not shown again. It is sent as `Authorization: Bearer …`.", err=True)


async def _list(reactor: Any, settings: Settings, as_json: bool) -> None:
    tokens = (await Session(reactor, settings).call(ListTokens())).tokens
    if as_json:
        for one in tokens:
            print_json(one)
        return
    rows = [
        (
            one.name,
            one.role,
            "all" if one.sources is None else ", ".join(one.sources),
            one.created,
            "expired" if one.expired else one.expires or "never",
            one.id,
        )
        for one in tokens
    ]
    if rows:
        print_list(("NAME", "ROLE", "SOURCES", "CREATED", "EXPIRES", "ID"), rows, numbers=0)
    else:
        console().print("there is no token; whoever is at this machine may look", style="dim")


async def _revoke(reactor: Any, settings: Settings, token: str, as_json: bool) -> None:
    revoked = await Session(reactor, settings).call(RevokeToken(token=token))
    if as_json:
        print_json(revoked)
    else:
        console().print(f"{revoked.name} is worth nothing any more")
