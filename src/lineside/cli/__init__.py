"""The command line: one module per command group, each a thin translation into operations.

Each command is a click command named ``command`` in a module of this package, imported only when it
is used: completion and ``--help`` stay quick, and a wrong configuration hinders nothing else.
"""

from __future__ import annotations

import sys
from importlib import import_module

import click

from lineside.assemble.importing import importing
from lineside.model.errors import ConfigurationError, LinesideError

COMMANDS = {
    "run": "Run the gateway.",
    "check": "Check the configuration and, with --connect, the ERP behind it.",
    "test": "Run the [[tests]] of the configuration.",
    "try": "Show what the gateway would make of bytes on stdin.",
    "init": "Write a commented lineside.toml to start from.",
    "demo": "Watch lines become documents: an ERP, a gateway and devices in one terminal.",
    "status": "Show what the gateway is doing.",
    "top": "Watch sources, devices, routes and targets on one page.",
    "events": "List, show and follow events.",
    "devices": "List connected devices, and send them commands.",
    "deadletters": "List, show, retry and discard dead letters.",
    "files": "List and show the files that partners sent.",
    "consumers": "List, forget and rewind the places of routes in the journal.",
    "dns": "Show the records that DNS answers now.",
    "pause": "Stop a source, a route or a target for a while.",
    "resume": "Let a source, a route or a target work again.",
    "tasks": "List, run, follow, cancel and retry tasks.",
    "journal": "Check, back up and restore the journal's file.",
    "token": "Create, list and revoke API tokens.",
    "sessions": "Show who is logged in to the dashboard, and log people out.",
    "ssh": "Show the fingerprints of the SSH server, and make passwords for partners.",
    "audit": "Show who did what from where, and verify that record.",
    "pki": "Make certificates for the gateway and its devices, and revoke them.",
    "erp": "Prepare an ERP for exactly-once delivery, and call it.",
    "simulate": "Play devices, or a trading partner, against a running gateway.",
    "standin": "Run the Frappe-compatible stand-in.",
    "workshop": "Learn Twisted for ERP applications, chapter by chapter.",
    "completion": "Print the completion script of a shell.",
}
"""Every command and its one line of help, in the order of ``--help``."""


class LazyCommands(click.Group):
    """A group that imports a command's module when the command is used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        with importing():
            module = import_module(f"lineside.cli.{cmd_name}_" if cmd_name == "try" else f"lineside.cli.{cmd_name}")
        command = module.command
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(
    cls=LazyCommands,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Example: lineside demo --seconds 20",
)
@click.version_option(package_name="lineside", message="%(prog)s %(version)s")
def commands() -> None:
    """Lineside: every line from the shop floor becomes exactly one ERP document."""


def main() -> None:
    """Run the command line; exit 0, 1 (it failed) or 2 (wrong use or wrong configuration)."""
    try:
        commands(prog_name="lineside")
    except ConfigurationError as wrong:
        print(*wrong.problems, sep="\n", file=sys.stderr)
        sys.exit(2)
    except LinesideError as failed:
        from lineside.cli.documents import plain_lines  # noqa: PLC0415 (only a failure needs it)

        print(f"lineside: {plain_lines(str(failed))}", file=sys.stderr)
        sys.exit(1)
