"""Lists and facts as a person reads them in a terminal."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from lineside.cli.documents import plain

PIPE_WIDTH = 1_000
"""Columns where the output is no terminal: nothing is cut for the program that reads it."""

GAP = 2
"""Columns between two fields."""
LEAST = 10
"""Columns that the last field has in any case."""


def console() -> Console:
    """Return the console of standard output."""
    return Console(highlight=False, width=None if sys.stdout.isatty() else PIPE_WIDTH)


def print_list(headings: Sequence[str], rows: Iterable[Sequence[str | Text]], *, numbers: int) -> None:
    """Print rows; the first ``numbers`` columns are numbers, the last one is cut to what room there is."""
    texts = [[_cell(cell) for cell in row] for row in rows]
    out = console()
    room = out.width
    table = Table(box=None, pad_edge=False, header_style="bold")
    for place, heading in enumerate(headings[:-1]):
        width = max([len(heading), *(row[place].cell_len for row in texts)])
        room -= width + GAP
        table.add_column(heading, justify="right" if place < numbers else "left", no_wrap=True, min_width=width)
    table.add_column(headings[-1], overflow="ellipsis", no_wrap=True, max_width=max(LEAST, room))
    for row in texts:
        table.add_row(*row)
    out.print(table)


def print_facts(facts: Iterable[tuple[str, str | Text | None]]) -> None:
    """Print names and values, one pair a line; pairs without a value are left out."""
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in facts:
        if value is not None:
            table.add_row(name, _cell(value))
    console().print(table)


def _cell(value: str | Text) -> Text:
    # What devices and sites say must not command the terminal. Line breaks are left to the table.
    text, style = (value.plain, value.style) if isinstance(value, Text) else (value, "")
    return Text("\n".join(plain(line) for line in text.split("\n")), style=style)
