"""One partner's folders on the disk. Everything here blocks.

Each folder is held open, and what is in it is opened by its name alone and without following a link: whatever
stands there by somebody else's doing, nothing outside can be reached through it.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Collection
from pathlib import Path

from msgspec import Struct

from lineside.edges.ssh.dropbox.names import FOLDERS, BadName, check_name

PARTIAL = ".partial"
"""The folder of what is not closed yet; no path of a partner's leads there."""
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY


class Found(Struct, frozen=True):
    """A file as it is listed."""

    name: str
    size: int
    accessed: int
    """Seconds since 1970."""
    changed: int
    """As its sender may have said."""
    since: float = 0.0
    """When it came where it is, or was written to last, which nobody can set."""


class Folders:
    """The folders below ``root``, made where they are missing.

    Raises:
        OSError: one cannot be made or opened, or is a link.

    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._open: dict[str, int] = {}
        root.mkdir(parents=True, exist_ok=True)
        top = os.open(root, _FOLDER)
        try:
            for name in (*FOLDERS, PARTIAL):
                with contextlib.suppress(FileExistsError):
                    os.mkdir(name, 0o750, dir_fd=top)
                self._open[name] = os.open(name, _FOLDER, dir_fd=top)
            os.fsync(top)
        except BaseException:
            self.close()
            raise
        finally:
            os.close(top)

    def close(self) -> None:
        """Let go of the folders."""
        while self._open:
            os.close(self._open.popitem()[1])

    def path(self, folder: str, name: str) -> Path:
        """Return where a file is, for those who need a path."""
        return self.root / folder / name

    def find(self, folder: str, name: str) -> Found | None:
        """Return a file; None where there is none, or something that is no file."""
        try:
            status = os.stat(name, dir_fd=self._open[folder], follow_symlinks=False)
        except FileNotFoundError:
            return None
        return _found(name, status) if stat.S_ISREG(status.st_mode) else None

    def files(self, folder: str) -> list[Found]:
        """Return the files of a folder by name: no links, nothing hidden, nothing that no partner can name."""
        found = []
        for name in self._names(folder):
            try:
                check_name(name)
            except (BadName, UnicodeEncodeError):
                continue
            if (file := self.find(folder, name)) is not None:
                found.append(file)
        return found

    def read(self, folder: str, name: str) -> int:
        """Return the descriptor of a file that is read.

        Raises:
            OSError: it is not there, is a link, or is no file.

        """
        return self._file(os.open(name, os.O_RDONLY | _FILE, dir_fd=self._open[folder]), name)

    def write_partial(self, name: str, *, afresh: bool) -> int:
        """Return the descriptor of a file that is being received; ``afresh`` forgets what there is of it."""
        flags = os.O_RDWR | os.O_CREAT | _FILE | (os.O_TRUNC if afresh else 0)
        return self._file(os.open(name, flags, 0o640, dir_fd=self._open[PARTIAL]), name)

    def move(self, folder: str, name: str, to_folder: str, to_name: str) -> None:
        """Move a file, in place of one that is there, and sync both folders."""
        source, goal = self._open[folder], self._open[to_folder]
        os.rename(name, to_name, src_dir_fd=source, dst_dir_fd=goal)
        os.fsync(goal)
        if source != goal:
            os.fsync(source)

    def remove(self, folder: str, name: str) -> None:
        """Remove a file, or a link to one.

        Raises:
            FileNotFoundError: it is not there.

        """
        os.unlink(name, dir_fd=self._open[folder])
        os.fsync(self._open[folder])

    def used(self) -> int:
        """Return the bytes of all that is here."""
        return sum(file.size for folder in self._open for file in self._files(folder))

    def expire(self, folder: str, before: float, *, keep: Collection[str] = ()) -> list[str]:
        """Remove what has been here since before then, in seconds since 1970; return what it was."""
        old = [file.name for file in self._files(folder) if file.since < before and file.name not in keep]
        for name in old:
            with contextlib.suppress(FileNotFoundError):
                self.remove(folder, name)
        return old

    def make_room(self, folder: str, most: int) -> list[str]:
        """Remove the oldest files of a folder until all that is here has at most so many bytes; return which."""
        over = self.used() - most
        gone = []
        for file in sorted(self._files(folder), key=lambda file: file.since) if over > 0 else ():
            if over <= 0:
                break
            self.remove(folder, file.name)
            gone.append(file.name)
            over -= file.size
        return gone

    def count(self, folder: str) -> int:
        """Return how many entries a folder has."""
        return len(self._names(folder))

    def disk(self) -> os.statvfs_result:
        """Return what its disk says of itself."""
        return os.statvfs(self._open["inbox"])

    def _names(self, folder: str) -> list[str]:
        with os.scandir(self._open[folder]) as entries:
            return sorted(entry.name for entry in entries)

    def _files(self, folder: str) -> list[Found]:
        with os.scandir(self._open[folder]) as entries:
            found = []
            for entry in entries:
                with contextlib.suppress(FileNotFoundError):
                    if entry.is_file(follow_symlinks=False):
                        found.append(_found(entry.name, entry.stat(follow_symlinks=False)))
        return found

    @staticmethod
    def _file(descriptor: int, name: str) -> int:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise FileNotFoundError(f"{name} is no file")
        return descriptor


def _found(name: str, status: os.stat_result) -> Found:
    return Found(name, status.st_size, int(status.st_atime), int(status.st_mtime), status.st_ctime)
