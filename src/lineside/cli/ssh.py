"""`lineside ssh`: what others must know of the SSH server, and what it must know of them."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from lineside.assemble.importing import importing
from lineside.cli.session import config_option, json_option, print_json, settings_of
from lineside.model.errors import LinesideError

LEAST = 12
"""Characters of a password."""


@click.group(epilog="Example: lineside ssh fingerprint")
def command() -> None:
    """Show the fingerprints of the SSH server, and make passwords for partners."""


@command.command(epilog="Example: lineside ssh fingerprint")
@json_option
@config_option
def fingerprint(config: Path, as_json: bool) -> None:
    """Show by what clients know the gateway: whoever logs in first compares it."""
    settings = settings_of(config, secrets=False).ssh
    if settings is None:
        raise LinesideError(f"{config} has no table [ssh]")
    with importing():
        from lineside.edges.ssh.hostkeys import host_keys  # noqa: PLC0415

    for kind, told in host_keys(settings.host_keys, make=False).fingerprints:
        if as_json:
            print_json({"kind": kind, "fingerprint": told})
        else:
            print(f"{kind:12} {told}")


@command.command(epilog="Example: lineside ssh password > acme.argon2")
def password() -> None:
    """Make the argon2id string of a partner's password, for `password` in [ssh.users.NAME].

    It is asked for twice on a terminal, and read as one line from a pipe.
    """
    if sys.stdin.isatty():
        typed = click.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)
    else:
        typed = sys.stdin.readline().rstrip("\n")
    if len(typed) < LEAST:
        raise LinesideError(f"a password has {LEAST} characters at least")
    with importing():
        from lineside.edges.ssh.logins import hashed  # noqa: PLC0415

    print(hashed(typed.encode()))
