"""A chapter's Markdown away from GitHub: in a learner's folder and in a terminal."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

FENCED = re.compile(r"^(?P<ticks>`{3,}|~{3,}).*?^(?P=ticks)[ \t]*$\n?", re.MULTILINE | re.DOTALL)
COMMENT = re.compile(r"^<!--.*?-->[ \t]*\n?", re.MULTILINE | re.DOTALL)
PICTURE = re.compile(r"^!\[(?P<says>[^\]]*)\]\((?P<file>[^)\s]+)\)[ \t]*$", re.MULTILINE)
LINK = re.compile(r"(?<!!)\[(?P<text>(?:[^\[\]]|\[[^\]]*\])*)\]\((?P<to>[^)\s]+)\)")


def standing_alone(text: str) -> str:
    """Return a page for a folder outside of the repository: links out of the course become names of files."""

    def named(link: re.Match[str]) -> str:
        path = re.sub(r"^(?:\.\./)+", "", link["to"])
        leaves = path.startswith(("src/", "docs/", "tests/", "README.md", "CONTRIBUTING.md")) and path != link["to"]
        return f"{link['text']} (`{path.partition('#')[0]}` in Lineside's repository)" if leaves else link[0]

    return outside_fences(text, lambda prose: LINK.sub(named, prose))


def for_terminal(text: str, folder: Path) -> str:
    """Return a page as a terminal can show it.

    Comments are left out, a picture's sentence stands above its drawing in characters (``diagram.txt`` for
    ``diagram.svg``), and links within the course are their text: nothing could follow them.

    Args:
        text: the page.
        folder: where it is, and its drawings.

    """

    def drawn(picture: re.Match[str]) -> str:
        drawing = (folder / picture["file"]).with_suffix(".txt")
        says = f"*{picture['says']}*"
        return (
            f"{says}\n\n```text\n{drawing.read_text(encoding='utf-8').rstrip()}\n```" if drawing.exists() else says
        )

    def bare(link: re.Match[str]) -> str:
        return link[0] if re.match(r"[a-z]+:", link["to"]) else link["text"]

    def shown(prose: str) -> str:
        return PICTURE.sub(drawn, LINK.sub(bare, COMMENT.sub("", prose)))

    return outside_fences(standing_alone(text), shown)


def outside_fences(text: str, change: Callable[[str], str]) -> str:
    """Return a page with what is not fenced code changed."""
    done, place = "", 0
    for fence in FENCED.finditer(text):
        done += change(text[place : fence.start()]) + fence[0]
        place = fence.end()
    return done + change(text[place:])
