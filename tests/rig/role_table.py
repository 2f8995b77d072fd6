"""The tables of docs/reference/roles.md, as the tests that hold them read them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from msgspec import Struct

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "roles.md"
LOCAL = "local user"
ROLES = ("nobody", "device", "viewer", "operator", "admin", LOCAL)
_CELL = re.compile(r"`([^`]+)`")


class Row(Struct, frozen=True):
    """One line: what is asked for, what else is said of it, and a word for each role."""

    what: str
    more: str
    may: Mapping[str, str]


def table(title: str) -> dict[tuple[str, str], Row]:
    """Return the lines of the table below a title, by what they are about.

    Raises:
        ValueError: two lines are about the same, or one is not as long as the others.

    """
    found: dict[tuple[str, str], Row] = {}
    for row in _rows(title):
        key = row.what, row.more
        if key in found:
            raise ValueError(f"{title}: two lines for {key}")
        found[key] = row
    return found


def commands() -> dict[str, set[str]]:
    """Return for each command the operations that it asks."""
    return {
        cells[0].strip("`").removeprefix("lineside "): set(_CELL.findall(cells[1])) for cells in _cells("Commands")
    }


def _rows(title: str) -> Iterator[Row]:
    for cells in _cells(title):
        what, *more = cells[: -len(ROLES)]
        yield Row(
            what.strip("`"), more[0].strip("`") if more else "", dict(zip(ROLES, cells[-len(ROLES) :], strict=True))
        )


def _cells(title: str) -> Iterator[list[str]]:
    section = PAGE.read_text(encoding="utf-8").split(f"\n## {title}\n")[1].split("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("|")]
    for line in lines[2:]:
        yield [cell.strip() for cell in line.strip("|").split("|")]
