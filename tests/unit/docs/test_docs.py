"""The documentation names only what exists."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import unquote

from twisted.trial.unittest import SynchronousTestCase

from lineside.cli import COMMANDS

ROOT = Path(__file__).parents[3]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "changes").glob("*.md"), *(ROOT / "docs").rglob("*.md")])
PAGES = [page for page in PAGES if "_build" not in page.parts]
COURSE = sorted((ROOT / "workshop").rglob("*.md"))
"""Its links are held by its own tests: they may lead to chapters that are still to come."""

FENCE = re.compile(r"^ *(`{3,}|~{3,}).*?^ *\1 *$", re.MULTILINE | re.DOTALL)
INLINE_CODE = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")
LINK = re.compile(r"\[[^\]\n]*\]\(<?([^)\s>]+)>?(?:\s+\"[^\"]*\")?\)|^\[[^\]\n]+\]: +(\S+)", re.MULTILINE)
COMMAND = re.compile(r"(?:^|[\s(/'\"])lineside +([a-z][a-z-]*)", re.MULTILINE)
TARGET = re.compile(r"(?:^|[\s(])make +((?:[a-z][a-z-]* *)+)", re.MULTILINE)


def relative_links(text: str) -> list[str]:
    """Return the links of a Markdown page that lead to files, without their anchors."""
    prose = INLINE_CODE.sub("", FENCE.sub("", text))
    links = [first or second for first, second in LINK.findall(prose)]
    return [unquote(link.split("#")[0]) for link in links if not re.match(r"[a-z][a-z0-9+.-]*:|#", link)]


def code(text: str) -> str:
    """Return the code of a Markdown page, fenced and inline, each piece on lines of its own."""
    fenced = [match.group(0) for match in FENCE.finditer(text)]
    return "\n".join([*fenced, *INLINE_CODE.findall(FENCE.sub("", text))])


def commands(text: str) -> set[str]:
    """Return the commands of `lineside` that a page's code names."""
    return set(COMMAND.findall(code(text)))


def make_targets(text: str) -> set[str]:
    """Return the targets of make that a page's code names."""
    return {target for targets in TARGET.findall(code(text)) for target in targets.split()}


class ReadingPages(SynchronousTestCase):
    """What the other tests look for is found, so that they cannot pass by finding nothing."""

    page = """
See [the guide](guides/set%20up.md#proxy "title") and [the web](https://example.org/x), [here](#top).
Type `lineside events list` or `.venv/bin/lineside check`; `lineside.toml` is a file and `[no](link.md)` is code.

```sh
lineside demo --seconds 5   # [no](link.md)
make lint test ARGS=-x
```

[reference]: other.md
"""

    def test_links(self) -> None:
        """Links to files are found in prose, not in code, without anchors and titles."""
        self.assertEqual(["guides/set up.md", "other.md"], relative_links(self.page))

    def test_commands(self) -> None:
        """Commands are found in inline and fenced code."""
        self.assertEqual({"events", "check", "demo"}, commands(self.page))

    def test_make_targets(self) -> None:
        """All targets of one make command are found."""
        self.assertEqual({"lint", "test"}, make_targets(self.page))


class Documentation(SynchronousTestCase):
    """README, CONTRIBUTING, the fragments and everything under docs/."""

    def test_every_relative_link_leads_to_a_file(self) -> None:
        """A reader who follows a link arrives."""
        broken = [
            f"{page.relative_to(ROOT)}: {link}"
            for page in PAGES
            for link in relative_links(page.read_text(encoding="utf-8"))
            if not (page.parent / link).exists()
        ]
        self.assertEqual([], broken)

    def test_every_command_exists(self) -> None:
        """Whoever types what a page says finds the command."""
        unknown = [
            f"{page.relative_to(ROOT)}: lineside {command}"
            for page in PAGES + COURSE
            for command in sorted(commands(page.read_text(encoding="utf-8")) - COMMANDS.keys())
        ]
        self.assertEqual([], unknown)

    def test_every_make_target_exists(self) -> None:
        """Whoever types `make` and a word from a page builds something."""
        makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
        targets = set(re.findall(r"^([a-z][a-z-]*):(?!=)", makefile, re.MULTILINE))
        unknown = [
            f"{page.relative_to(ROOT)}: make {target}"
            for page in PAGES + COURSE
            for target in sorted(make_targets(page.read_text(encoding="utf-8")) - targets)
        ]
        self.assertEqual([], unknown)

    def test_decisions_are_numbered_without_gaps(self) -> None:
        """A record is never lost, and no two share a number."""
        records = sorted((ROOT / "docs" / "decisions").glob("*.md"))
        numbers = [record.name.split("-")[0] for record in records]
        self.assertEqual([f"{number:04}" for number in range(1, len(records) + 1)], numbers)
