"""Lists and facts as a person reads them in a terminal, and a program in a pipe."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Sequence

from rich.console import Console
from rich.text import Text

from lineside.cli.documents import plain_lines
from lineside.model.wording import plain

PIPE_WIDTH = 1_000_000
"""Columns where the output is no terminal: nothing is cut or folded for the program that reads it."""
GAP = "  "
LEAST = 10
"""Columns that the last field has in any case."""


def console() -> Console:
    """Return the console of standard output."""
    return Console(highlight=False, width=None if sys.stdout.isatty() else PIPE_WIDTH)


def print_list(headings: Sequence[str], rows: Iterable[Sequence[str | Text]], *, numbers: int) -> None:
    """Print rows; the first ``numbers`` columns are numbers, the last one is cut to what room there is."""
    lines = [[Text(heading, "bold") for heading in headings]]
    lines += [[_cell(cell, plain) for cell in row] for row in rows]
    widths = [max(line[place].cell_len for line in lines) for place in range(len(headings) - 1)]
    out = console()
    room = max(LEAST, out.width - sum(widths) - len(GAP) * len(widths))
    for line in lines:
        for place, width in enumerate(widths):
            line[place].align("right" if place < numbers else "left", width)
        line[-1].truncate(room, overflow="ellipsis")
        out.print(Text(GAP).join(line), soft_wrap=True)


def print_facts(facts: Iterable[tuple[str, str | Text | None]]) -> None:
    """Print names and values, one pair a line; pairs without a value are left out."""
    pairs = [(name, value) for name, value in facts if value is not None]
    width = max(len(name) for name, _ in pairs)
    out = console()
    for name, value in pairs:
        for place, part in enumerate(_cell(value, plain_lines).split("\n", allow_blank=True)):
            shown = name if place == 0 else ""
            out.print(Text(GAP).join([Text(f"{shown:{width}}", "bold"), part]), soft_wrap=True)


def _cell(value: str | Text, shown: Callable[[str], str]) -> Text:
    # What devices and sites say must not command the terminal, nor look like another row.
    text, style = (value.plain, value.style) if isinstance(value, Text) else (value, "")
    return Text(shown(text), style=style)
