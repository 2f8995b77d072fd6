"""How a demonstration looks in a terminal, and as plain lines in a pipe."""

from __future__ import annotations

import sys
from textwrap import fill, indent

from rich.console import Console
from rich.markup import escape

WIDTH = 100
"""Columns at which prose is folded where the output is no terminal."""


class Screen:
    """Prints a demonstration; the words are the same on a terminal and in a pipe.

    Args:
        pauses: whether it waits for Enter before each step; only ever on a terminal.

    """

    def __init__(self, *, pauses: bool) -> None:
        self._pauses = pauses and sys.stdin.isatty() and sys.stdout.isatty()
        width = None if sys.stdout.isatty() else WIDTH
        self._console = Console(highlight=False, width=width, soft_wrap=True)
        self._steps = 0

    def step(self, title: str) -> None:
        """Begin a step, once whoever watches is ready."""
        if self._pauses and self._steps:
            self._console.input("\n[dim]Enter goes on, Ctrl-C ends[/dim] ")
        self._steps += 1
        self._print(f"\n[bold]{self._steps}. {escape(title)}[/bold]")

    def say(self, text: str) -> None:
        """Tell what happens, in prose."""
        self._print(escape(self._folded(text)))

    def notice(self, text: str) -> None:
        """Point at what to look at."""
        self._print(f"[yellow]{escape(self._folded('Notice: ' + text))}[/yellow]")

    def command(self, text: str) -> None:
        """Show a command as it is typed."""
        self._print(f"  [bold cyan]$ {escape(text)}[/bold cyan]")

    def lines(self, who: str, text: str) -> None:
        """Show what a program printed, each line under its name."""
        if text:
            self._print(f"[dim]{escape(indent(text, f'  {who} | ', lambda line: True))}[/dim]")

    def claim(self, text: str, *, held: bool) -> None:
        """Show a claim, and whether it held."""
        mark = "[green]ok[/green]  " if held else "[bold red]NO[/bold red]  "
        self._print(f"  {mark}{escape(text)}")

    def _print(self, text: str) -> None:
        self._console.print(text)
        self._console.file.flush()

    def _folded(self, text: str) -> str:
        return fill(" ".join(text.split()), min(self._console.width, WIDTH))
