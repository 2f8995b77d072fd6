"""`lineside completion`: what a shell needs to complete commands and options."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from lineside.cli import commands
from lineside.model.errors import LinesideError


@click.command(epilog='Example: eval "$(lineside completion bash)"')
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def command(shell: str) -> None:
    """Print the completion script of SHELL.

    For bash, put the example's line into ~/.bashrc; for zsh, the same with zsh into ~/.zshrc, after compinit. For
    fish: lineside completion fish > ~/.config/fish/completions/lineside.fish
    """
    script = get_completion_class(shell)
    if script is None:
        raise LinesideError(f"this version of click completes nothing in {shell}")
    click.echo(script(commands, {}, "lineside", "_LINESIDE_COMPLETE").source())
