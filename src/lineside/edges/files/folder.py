"""A local folder as a source: whole files that appear in it are taken."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable
from fnmatch import translate
from pathlib import Path

from msgspec import Struct
from twisted.internet.defer import CancelledError
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger

from lineside.background import Background
from lineside.edges.files import spool
from lineside.edges.files.aside import Aside
from lineside.model.errors import FileNotTaken
from lineside.model.ports import FileIntake

log = Logger()

UNFINISHED = (".part", ".filepart", ".tmp", ".crdownload", ".swp")
"""Ends of names under which programs write what is not whole yet."""


class Seen(Struct, frozen=True):
    """A file in the folder, as it was when it was looked at."""

    path: Path
    size: int
    changed_ns: int
    inode: int


class Watched(Struct, frozen=True):
    """Which files of a folder are whole."""

    path: Path
    pattern: str = "*"
    """As in a shell; letters count in either case as they stand."""
    done: str = ""
    """The suffix of a file that says that the one without it is whole, such as ``.done``; empty for none."""


class Folder:
    """The `Part` that watches one folder.

    Files are to be renamed into it, or to be marked as whole. One without a mark is taken when two looks in a row
    find it with the same size and time of change.

    Args:
        id: the source's name.
        watched: which files.
        sender: how who puts them there is called.
        intake: takes them.
        clock: must follow a monotonic clock.
        every: seconds from one look to the next.
        aside: the thread for looking.

    """

    def __init__(
        self,
        id: str,  # noqa: A002 (what the configuration calls it)
        watched: Watched,
        sender: str,
        intake: FileIntake,
        clock: IReactorTime,
        *,
        every: float,
        aside: Aside,
    ) -> None:
        self.name = f"folder of {id}"
        self.problem: str | None = None
        """What hinders it, in a line."""
        self._id = id
        self._watched = watched
        self._sender = sender
        self._intake = intake
        self._clock = clock
        self._every = every
        self._aside = aside
        self._known: dict[Path, Seen] = {}
        self._work = Background(self.name)
        self._matches: Callable[[str], object] = re.compile(translate(watched.pattern)).match

    async def start(self) -> None:
        """Begin to look; a folder that is not there is made."""
        self._aside.start()
        self._work.run("look", self._look_for_ever())

    async def stop(self) -> None:
        """Look no more."""
        self._work.cancel()
        await self._work.finish()
        self._aside.stop()

    async def _look_for_ever(self) -> None:
        while True:
            try:
                await self._look()
            except CancelledError:
                raise
            except (OSError, FileNotTaken) as failed:
                if self.problem is None:
                    log.warn(
                        "folder.failing",
                        source=self._id,
                        folder=str(self._watched.path),
                        reason=str(failed),
                        remedy="see that the gateway may read and write the folder; it is tried again",
                    )
                self.problem = str(failed)
            except Exception as failed:  # noqa: BLE001 (whatever it is, the source must outlive it)
                log.failure("folder.stumbled", source=self._id)
                self.problem = f"{type(failed).__name__}, see the log"
            else:
                if self.problem is not None:
                    self.problem = None
                    log.info("folder.works_again", source=self._id)
            await deferLater(self._clock, self._every)

    async def _look(self) -> None:
        found = await self._aside.run(self._scan)
        known, self._known = self._known, {seen.path: seen for seen in found}
        hindered: OSError | FileNotTaken | None = None
        for seen in found:
            if self._watched.done or known.get(seen.path) == seen:
                try:
                    await self._take(seen.path)
                except FileNotFoundError:
                    # Who put it there took it away again.
                    continue
                except (OSError, FileNotTaken) as failed:
                    # One that cannot be read keeps no other waiting.
                    hindered = failed
        if hindered is not None:
            raise hindered

    async def _take(self, path: Path) -> None:
        await self._intake.take(path, path.name, self._sender)
        if self._watched.done:
            mark = _mark_of(path, self._watched.done)
            await self._aside.run(lambda: spool.remove(mark))

    def _scan(self) -> list[Seen]:
        folder = self._watched.path
        folder.mkdir(parents=True, exist_ok=True)
        found = []
        with os.scandir(folder) as entries:
            for entry in entries:
                name = entry.name
                if name.startswith(spool.HIDDEN) or name.lower().endswith(UNFINISHED):
                    continue
                if not self._matches(name) or not entry.is_file(follow_symlinks=False):
                    continue
                if self._watched.done:
                    if name.endswith(self._watched.done):
                        continue
                    if not _mark_of(folder / name, self._watched.done).exists():
                        continue
                told = entry.stat(follow_symlinks=False)
                if stat.S_ISREG(told.st_mode):
                    found.append(Seen(folder / name, told.st_size, told.st_mtime_ns, told.st_ino))
        return sorted(found, key=lambda seen: (seen.changed_ns, seen.path))


def _mark_of(path: Path, suffix: str) -> Path:
    return path.with_name(path.name + suffix)
