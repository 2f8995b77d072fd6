"""`lineside pki`: a certificate authority of the plant's own."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

import click

from lineside.assemble.importing import importing
from lineside.cli.session import json_option, print_json
from lineside.cli.tables import print_facts, print_list

with importing():
    from lineside.security.pki import CA_LIFE, LIFE, Paper, Pki
    from lineside.security.x509forms import Purpose

F = TypeVar("F", bound=Callable[..., Any])

folder_option = click.option(
    "--folder",
    metavar="FOLDER",
    type=click.Path(file_okay=False, path_type=Path),
    default="pki",
    show_default=True,
    help="Where the authority is.",
)


def days_option(life: timedelta) -> Callable[[F], F]:
    return click.option(
        "--days", type=click.IntRange(1, 7300), default=life.days, show_default=True, help="How long it is good."
    )


@click.group(epilog="Example: lineside pki issue scanner-3 --source gate")
def command() -> None:
    """Make certificates for the gateway and for devices, and take them back.

    The authority is a folder for its owner alone. Nothing in it is ever overwritten.
    """


@command.command(epilog='Example: lineside pki init --name "Plant North"')
@click.option("--name", default="Lineside CA", show_default=True, help="The authority's name.")
@days_option(CA_LIFE)
@folder_option
@json_option
def init(folder: Path, name: str, days: int, as_json: bool) -> None:
    """Make the authority."""
    pki = Pki(folder)
    made = pki.init(name, timedelta(days=days))
    facts = {
        "name": name,
        "certificate": str(pki.ca),
        "crl": str(pki.crl),
        "expires": f"{made.not_valid_after_utc:%Y-%m-%dT%H:%M:%SZ}",
    }
    if as_json:
        print_json(facts)
        return
    print_facts(facts.items())
    click.echo(f"Keep {folder} to yourself and in a backup: who has ca.key can be any device.", err=True)


@command.command(epilog="Example: lineside pki issue gateway --host gateway.plant.example --host 10.0.0.2")
@click.argument("name")
@click.option(
    "--host", "hosts", multiple=True, metavar="HOST", help="A server's: a name or address of it. Repeatable."
)
@click.option(
    "--source", "sources", multiple=True, metavar="SOURCE", help="A device's: only for this source. Repeatable."
)
@days_option(LIFE)
@folder_option
@json_option
def issue(
    folder: Path, name: str, hosts: tuple[str, ...], sources: tuple[str, ...], days: int, as_json: bool
) -> None:
    """Make a key and sign a certificate for it: with --host a server's, otherwise a device's."""
    _print(Pki(folder).issue(name, Purpose(hosts, sources), timedelta(days=days)), as_json)


@command.command(epilog="Example: lineside pki renew")
@click.argument("names", nargs=-1, metavar="[NAME]...")
@days_option(LIFE)
@folder_option
@json_option
def renew(folder: Path, names: tuple[str, ...], days: int, as_json: bool) -> None:
    """Make new keys and certificates in the place of old ones, and a new list of revoked ones.

    Without NAMEs, what ends within 30 days is renewed: fit for a timer. An old one is good until it expires.
    """
    renewed = 0
    for paper in Pki(folder).renew(names, timedelta(days=days)):
        renewed += 1
        _print(paper, as_json)
    if not renewed and not as_json:
        click.echo("nothing ends within 30 days; the list of revoked certificates is new")


@command.command("list", epilog="Example: lineside pki list --json")
@folder_option
@json_option
def list_(folder: Path, as_json: bool) -> None:
    """Show every certificate that was signed."""
    papers = Pki(folder).papers()
    if as_json:
        for paper in papers:
            print_json(paper)
        return
    rows = [
        (
            paper.name,
            paper.kind,
            paper.state,
            paper.expires[:10],
            paper.serial,
            _for(paper),
        )
        for paper in papers
    ]
    if rows:
        print_list(("NAME", "KIND", "STATE", "EXPIRES", "SERIAL", "FOR"), rows, numbers=0)
    else:
        click.echo("no certificate was signed yet")


@command.command(epilog="Example: lineside pki revoke scanner-3")
@click.argument("certificate", metavar="NAME|SERIAL")
@folder_option
@json_option
def revoke(folder: Path, certificate: str, as_json: bool) -> None:
    """Put certificates on the list of revoked ones: all of a name, or one by its serial number.

    A running gateway reads the list by itself, and turns away who connects with one of them from then on.
    """
    for paper in Pki(folder).revoke(certificate):
        if as_json:
            print_json(paper)
        else:
            click.echo(f"{paper.name} {paper.serial} is revoked")


def _print(paper: Paper, as_json: bool) -> None:
    if as_json:
        print_json(paper)
        return
    print_facts(
        [
            ("name", paper.name),
            ("for", _for(paper)),
            ("certificate", paper.certificate),
            ("key", paper.key),
            ("expires", paper.expires),
        ]
    )


def _for(paper: Paper) -> str:
    return ", ".join(paper.hosts or paper.sources) or "any source"
