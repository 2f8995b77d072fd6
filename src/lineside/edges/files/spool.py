"""Files on the disk: taken into the spool, moved on, and written, each synced. Everything here blocks."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import suppress
from errno import EXDEV
from pathlib import Path
from secrets import token_hex

PIECE = 1 << 20
"""Bytes that are read at a time."""
LONGEST = 200
"""Bytes of a name; most file systems allow 255, and answers have longer ones."""
HIDDEN = "."
"""What begins with it is none of a partner's business: it is being written."""


def digest_of(path: Path) -> tuple[str, int]:
    """Return the BLAKE2b-256 of a file, in hex, and its size."""
    digest = hashlib.blake2b(digest_size=32)
    size = 0
    with path.open("rb") as file:
        while piece := file.read(PIECE):
            digest.update(piece)
            size += len(piece)
    return digest.hexdigest(), size


def place_of(folder: Path, source: str, sender: str, digest: str) -> Path:
    """Return where the spool has a file: the same for the same bytes of the same sender."""
    name = hashlib.blake2b(f"{source}\0{sender}\0{digest}".encode(), digest_size=16).hexdigest()
    return folder / name


def take_in(path: Path, place: Path) -> None:
    """Move a file to its place in the spool, and sync it there.

    Raises:
        OSError: it is at one place or the other, perhaps not synced.

    """
    sync(path)
    _carry(path, place)


def sync(path: Path) -> None:
    """Wait until a file's bytes, or a folder's entries, are on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def remove(path: Path) -> None:
    """Remove a file, where it is there."""
    path.unlink(missing_ok=True)
    sync(path.parent)


def pieces(path: Path) -> Iterator[bytes]:
    """Yield a file's bytes."""
    with path.open("rb") as file:
        while piece := file.read(PIECE):
            yield piece


class Draft:
    """A file that is being written beside its place, under a hidden name."""

    def __init__(self, path: Path) -> None:
        self._path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        self._draft = path.with_name(f"{HIDDEN}{token_hex(8)}.lineside")
        self._file = self._draft.open("xb")

    def write(self, data: bytes) -> None:
        """Add bytes."""
        self._file.write(data)

    def publish(self) -> None:
        """Put it in its place, whole and synced."""
        with self._file:
            self._file.flush()
            os.fsync(self._file.fileno())
        self._draft.replace(self._path)
        sync(self._path.parent)

    def drop(self) -> None:
        """Leave nothing of it; also after `publish`, when there is nothing."""
        self._file.close()
        self._draft.unlink(missing_ok=True)


def write(path: Path, parts: Iterable[bytes]) -> None:
    """Write a file whole and synced, or not at all."""
    draft = Draft(path)
    try:
        for part in parts:
            draft.write(part)
        draft.publish()
    finally:
        draft.drop()


def plain(name: str) -> str:
    """Return a file name of a partner's as one that is safe in any folder of ours."""
    kept = "".join("_" if char in '/\\:*?"<>|' or not char.isprintable() else char for char in name)
    kept = kept.encode("utf-8", "replace")[:LONGEST].decode("utf-8", "ignore")
    return "_" + kept[1:] if not kept or kept.startswith(".") else kept


def move_on(path: Path, folder: Path, name: str) -> Path | None:
    """Move a file from the spool to a folder under a name that is free there; return where it is.

    None where it is not in the spool any more: it was moved before.
    """
    if not path.exists():
        return None
    folder.mkdir(parents=True, exist_ok=True)
    goal = free(folder, name)
    _carry(path, goal)
    return goal


def _carry(path: Path, goal: Path) -> None:
    try:
        path.replace(goal)
    except OSError as failed:
        if failed.errno != EXDEV:
            raise
        # It is there whole before it is gone here.
        draft = goal.with_name(f"{HIDDEN}{token_hex(8)}.lineside")
        try:
            shutil.copyfile(path, draft)
            sync(draft)
            draft.replace(goal)
        finally:
            draft.unlink(missing_ok=True)
        sync(goal.parent)
        path.unlink()
    sync(goal.parent)
    sync(path.parent)


def free(folder: Path, name: str) -> Path:
    """Return the path of a name in a folder, with a number before its suffix where the name is taken."""
    goal = folder / name
    stem, suffix = goal.stem, goal.suffix
    number = 1
    while goal.exists():
        number += 1
        goal = folder / f"{stem}.{number}{suffix}"
    return goal


def sweep(folder: Path, before: float) -> None:
    """Remove drafts that dead processes left: those last changed before a moment (UTC, seconds)."""
    for path in folder.glob(f"{HIDDEN}*.lineside"):
        with suppress(FileNotFoundError):
            if path.stat().st_mtime < before:
                path.unlink()
