"""Hold the output shown in the course's text to what programs print: ``python -m lineside.workshop.transcripts``.

A comment on the line before a fence says what its lines were seen in::

    <!-- seen in demo.py -->

Each line of the fence is one of the output's, in this order; others may lie between. ``…`` stands for anything,
in a line or as a line of its own. White space at the ends of lines does not count.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from difflib import get_close_matches
from pathlib import Path

from msgspec import Struct

ANYTHING = "…"
PATIENCE = 60.0
"""Seconds that a program may take."""

MARK = re.compile(r"^<!-- seen in (?P<file>\S+?) *-->$", re.MULTILINE)
FENCE = re.compile(r"\n(?P<ticks>`{3,})[^\n`]*\n(?P<seen>.*?)^(?P=ticks)[ \t]*$", re.MULTILINE | re.DOTALL)


class Transcript(Struct, frozen=True):
    """One fence of a page."""

    file: str
    """The program whose output it shows."""
    line: int
    """Where it begins on the page."""
    seen: list[str]
    """Its lines that say something, without white space around them."""


def transcripts(page: str) -> list[Transcript]:
    """Return the transcripts of a Markdown page.

    Raises:
        ValueError: a mark has no fence after it, or a fence nothing that could be missed.

    """
    found = []
    for mark in MARK.finditer(page):
        line = page.count("\n", 0, mark.start()) + 1
        fence = FENCE.match(page, mark.end())
        if fence is None:
            raise ValueError(f"line {line}: a fence (```text) must follow {mark[0]} on the next line")
        seen = [text.strip() for text in fence["seen"].splitlines()]
        seen = [text for text in seen if text.strip(f"{ANYTHING} ")]
        if not seen:
            raise ValueError(f"line {line}: the fence shows nothing")
        found.append(Transcript(mark["file"], line, seen))
    return found


def difference(seen: list[str], output: str) -> str | None:
    """Return what of a transcript an output lacks, in a few lines for whoever mends one of them; or None."""
    printed = [line.strip() for line in output.splitlines()]
    place = 0
    for before, wanted in zip(["", *seen], seen, strict=False):
        pattern = re.compile(".*?".join(re.escape(part) for part in wanted.split(ANYTHING)))
        found = next((at for at in range(place, len(printed)) if pattern.fullmatch(printed[at])), None)
        if found is None:
            return _report(wanted, before, printed, place, pattern)
        place = found + 1
    return None


def _report(wanted: str, before: str, printed: list[str], place: int, pattern: re.Pattern[str]) -> str:
    lines = [f"the output has no line\n    {wanted}"]
    if before:
        lines.append(f"after\n    {before}")
    if any(pattern.fullmatch(line) for line in printed[:place]):
        lines.append("(it has that line, but earlier)")
    elif near := get_close_matches(wanted, printed[place:], 1, 0.4) or get_close_matches(wanted, printed, 1, 0.6):
        lines.append(f"nearest is\n    {near[0]}")
    rest = [line for line in printed[place:] if line][:5]
    lines.append("there it goes on\n    " + "\n    ".join(rest) if rest else "there it ends")
    return "\n".join(lines)


def main() -> None:
    """Run what the pages of chapters name, with ``--fast``, and compare; exit 1 where a page says otherwise."""
    arguments = argparse.ArgumentParser(prog="python -m lineside.workshop.transcripts", description=__doc__)
    arguments.add_argument("chapters", nargs="+", type=Path, metavar="FOLDER", help="folders of chapters")
    failed = False
    for folder in arguments.parse_args().chapters:
        page = folder / "README.md"
        outputs: dict[str, str] = {}
        for transcript in transcripts(page.read_text(encoding="utf-8")):
            if transcript.file not in outputs:
                outputs[transcript.file] = _output(folder / transcript.file)
            if problem := difference(transcript.seen, outputs[transcript.file]):
                failed = True
                print(f"{page}, line {transcript.line}: {problem}", file=sys.stderr)  # noqa: T201 (a command)
    sys.exit(1 if failed else 0)


def _output(program: Path) -> str:
    return subprocess.run(  # noqa: S603 (a program of the course)
        [sys.executable, str(program), "--fast"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="replace",
        timeout=PATIENCE,
        check=False,
    ).stdout


if __name__ == "__main__":
    main()
