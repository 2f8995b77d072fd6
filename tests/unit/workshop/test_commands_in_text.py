"""Commands that the course tells a reader to type are there, with the options that it gives them."""

from __future__ import annotations

import re
from pathlib import Path

import click
import pytest
from tests.rig.chapters import WORKSHOP

from lineside.cli import commands

PAGES = sorted(WORKSHOP.rglob("*.md"))
FENCE = re.compile(r"^```sh\n(.*?)^```", re.MULTILINE | re.DOTALL)
SPAN = re.compile(r"`(lineside [^`]+)`")


def told(page: str) -> list[list[str]]:
    """Return the words after ``lineside`` of each command in a page: in shell blocks and in the text."""
    lines = [line for block in FENCE.findall(page) for line in block.replace("\\\n", " ").splitlines()]
    spans = SPAN.findall(re.sub(r"^```.*?^```", "", page, flags=re.MULTILINE | re.DOTALL))
    found = []
    for line in [*lines, *spans]:
        # A learner sees the remark behind it, the shell does not.
        for part in re.split(r"&&|\||;", line.partition(" #")[0]):
            words = part.split()
            if "lineside" in words:
                found.append(words[words.index("lineside") + 1 :])
    return found


def problem(words: list[str]) -> str | None:
    """Return what is wrong with a command, as far as its words and options tell."""
    command: click.Command = commands
    context = click.Context(commands)
    for place, word in enumerate(words):
        if isinstance(command, click.Group) and not word.startswith("-"):
            inner = command.get_command(context, word)
            if inner is None:
                if command is commands or not command.invoke_without_command:
                    return f"there is no {' '.join(words[: place + 1])}"
                break
            command = inner
        elif word.startswith("-") and word != "-":
            options = {name for each in command.params for name in (*each.opts, *each.secondary_opts)}
            if word.partition("=")[0] not in {*options, "--help", "-h"}:
                return f"{' '.join(words[:place])} has no {word}"
    return None


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(WORKSHOP)))
def test_every_command_is_there(page: Path) -> None:
    """Whoever types it gets no `No such command` and no `No such option`."""
    wrong = [found for words in told(page.read_text(encoding="utf-8")) if (found := problem(words))]
    assert wrong == []


def test_there_is_something_to_look_at() -> None:
    """The walk of chapter 3 is found, and what is wrong is told."""
    page = (WORKSHOP / "03_real_time_data_processing" / "README.md").read_text(encoding="utf-8")
    first = {words[0] for words in told(page) if words}
    assert {"demo", "top", "events", "try", "run", "status", "simulate", "workshop"} <= first
    assert problem(["topp"]) == "there is no topp"
    assert problem(["top", "--never"]) == "top has no --never"
    assert problem(["events", "list", "--source", "gate"]) is None
