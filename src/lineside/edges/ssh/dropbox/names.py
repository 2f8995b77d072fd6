"""What a partner may call a file, and which one a path means. Pure.

There are no links and no folders to make, so that a path is a matter of words alone: of one of three folders, and
of one name in it. What is opened is opened by that one name in a folder that is held open; see `folders`.
"""

from __future__ import annotations

import unicodedata
from typing import Final, Literal, TypeAlias

from msgspec import Struct

FolderName: TypeAlias = Literal["inbox", "outbox", "archive"]

FOLDERS: Final[tuple[FolderName, ...]] = ("inbox", "outbox", "archive")
DRAFTS = (".part", ".filepart", ".tmp")
"""How names end, in any case, that clients give a file until it is whole, and then take from it by a rename."""
LONGEST_PATH = 4096
LONGEST_NAME = 200
"""Bytes: what is made of a name, such as an answer file's, has to fit into 255."""
DEVICES = frozenset(
    {"con", "prn", "aux", "nul", "clock$"} | {f"{port}{number}" for port in ("com", "lpt") for number in range(10)}
)
"""Names that are no files where a folder is shared with Windows."""


class NotHere(Exception):
    """There is nothing by such a path; the text says so to its client."""


class BadName(Exception):
    """No file may be called so; the text says why to its client."""


class Place(Struct, frozen=True):
    """What a path means."""

    folder: FolderName | None = None
    """None for the root."""
    name: str | None = None
    """None for the folder itself."""

    @property
    def path(self) -> str:
        """As its partner sees it."""
        return "/" + "/".join(part for part in (self.folder, self.name) if part is not None)


def place_of(path: bytes) -> Place:
    """Return what a path means, from the root on, whether it is there or not.

    Raises:
        NotHere: it leads to none of the three folders, or deeper than they are.
        BadName: it has a name that no file may have.

    """
    if len(path) > LONGEST_PATH:
        raise BadName(f"the path is longer than {LONGEST_PATH} bytes")
    try:
        text = path.decode()
    except UnicodeDecodeError:
        raise BadName("the path is no UTF-8") from None
    parts: list[str] = []
    for part in text.split("/"):
        if part == "..":
            # Above the root is the root (POSIX, 4.13).
            del parts[-1:]
        elif part not in ("", "."):
            parts.append(part)
    if not parts:
        return Place()
    folder = next((known for known in FOLDERS if known == parts[0]), None)
    if folder is None:
        raise NotHere(f"there are /inbox, /outbox and /archive only, and no {_shown(parts[0])}")
    if len(parts) == 1:
        return Place(folder)
    if len(parts) > 2:
        raise NotHere(f"/{folder} has no folders in it")
    check_name(parts[1])
    return Place(folder, parts[1])


def check_name(name: str) -> None:
    """Check what a file is to be called.

    Raises:
        BadName: it may not be called so.

    """
    if len(name.encode()) > LONGEST_NAME:
        raise BadName(f"the name is longer than {LONGEST_NAME} bytes")
    # Somewhere behind us names may be normalised: none becomes a path then.
    for form in (name, unicodedata.normalize("NFKC", name)):
        if form.startswith("."):
            raise BadName("a name may not begin with a dot")
        if "/" in form or "\\" in form:
            raise BadName("a name may have no slash and no backslash in it")
    if name != name.strip() or name.endswith("."):
        raise BadName("a name may not begin or end with a space, or end with a dot")
    if any(unicodedata.category(character) in ("Cc", "Cf", "Cs", "Co", "Zl", "Zp") for character in name):
        raise BadName("a name may have no control characters in it")
    if name.partition(".")[0].rstrip().casefold() in DEVICES:
        raise BadName("the name is a device's on some systems")


def is_draft(name: str) -> bool:
    """Whether a file of this name waits for another name before it is taken in."""
    return name.casefold().endswith(DRAFTS)


def _shown(part: str) -> str:
    return part if part.isprintable() and len(part) <= LONGEST_NAME else "such a place"
