"""A partner's folder as a source: whole files are fetched from it by SFTP."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from contextlib import suppress
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Literal, Protocol, TypeVar

from msgspec import Struct
from twisted.internet.defer import CancelledError
from twisted.internet.interfaces import IReactorTime, IStreamClientEndpoint
from twisted.internet.task import deferLater
from twisted.logger import Logger

from lineside.background import Background
from lineside.edges.ssh.client.connecting import enter
from lineside.edges.ssh.client.failures import HostNotKnown, NotReached
from lineside.edges.ssh.client.sftp import AHEAD, PIECE, RemoteFile, Sftp, open_sftp
from lineside.edges.ssh.client.transport import Visit
from lineside.model.errors import FileNotTaken
from lineside.model.ports import FileIntake

log = Logger()

T = TypeVar("T")

UNFINISHED = (b".part", b".filepart", b".tmp", b".crdownload", b".swp")
"""Ends of names under which programs write what is not whole yet."""
PATIENCE = 60.0
"""Seconds that a host may be silent while it is asked something."""
DOUBTFUL = AHEAD * PIECE
"""Bytes at the end of a part that are fetched again: a crash of the machine may have spoilt them."""
MOST_MOVES = 100
"""Names that are tried for one file in the folder of those that are done."""


class Thread(Protocol):
    """Where blocking work is done."""

    def start(self) -> None:
        """Begin to work."""
        ...

    def stop(self) -> None:
        """Finish what was given."""
        ...

    async def run(self, work: Callable[[], T]) -> T:
        """Run ``work`` there."""
        ...


class Pulled(Struct, frozen=True):
    """What is fetched of a folder, and what becomes of it there."""

    folder: bytes
    """The host's."""
    pattern: str
    """As in a shell."""
    then: Literal["move", "delete", "keep"]
    done: bytes
    """With ``move``: the host's folder for files that were taken."""
    largest: int
    """Bytes of a file."""
    settled: bool
    """A file is fetched when two looks in a row find it unchanged."""


class SftpPull:
    """The `Part` that looks into a partner's folder now and then.

    A file is first fetched beside the spool, synced, and taken; only then it is moved or removed there. What is
    fetched in part goes on where it was cut. Files that stay there are remembered on the disk until the partner's
    folder has them no more, so that they are fetched once; of others the intake knows whether they are repeated.

    Args:
        id: the source's name.
        endpoint: where the host is.
        visit: reads who we are and by what the host is known; it may block, and raise `NotReached`.
        pulled: which files.
        sender: how the partner is called.
        own: a folder of this source alone, on the spool's file system.
        intake: takes the files.
        clock: must follow a monotonic clock.
        every: seconds from one look to the next.
        connecting: seconds until there must be a connection.
        aside: the thread for files.

    """

    def __init__(
        self,
        id: str,  # noqa: A002 (what the configuration calls it)
        endpoint: IStreamClientEndpoint,
        visit: Callable[[], Visit],
        pulled: Pulled,
        sender: str,
        own: Path,
        intake: FileIntake,
        clock: IReactorTime,
        *,
        every: float,
        connecting: float,
        aside: Thread,
    ) -> None:
        self.name = f"sftp of {id}"
        self.problem: str | None = None
        """What hinders it, in a line."""
        self._id = id
        self._endpoint = endpoint
        self._visit = visit
        self._pulled = pulled
        self._sender = sender
        self._own = own
        self._intake = intake
        self._clock = clock
        self._every = every
        self._connecting = connecting
        self._aside = aside
        self._known: dict[bytes, RemoteFile] = {}
        self._taken: set[RemoteFile] = set()
        """Files that are still to be moved or removed there."""
        self._told: str | None = None
        self._work = Background(self.name)

    async def start(self) -> None:
        """Begin to look. A host that is not there keeps nobody waiting."""
        self._aside.start()
        self._work.run("pull", self._look_for_ever())

    async def stop(self) -> None:
        """Look no more; a file that is under way goes on after the next start."""
        self._work.cancel()
        await self._work.finish()
        self._aside.stop()

    async def _look_for_ever(self) -> None:
        while True:
            try:
                await self._look()
            except CancelledError:
                raise
            except NotReached as failed:
                self._failed(str(failed), failed.remedy, alarm=isinstance(failed, HostNotKnown))
            except (OSError, FileNotTaken) as failed:
                self._failed(str(failed), "see the spool and its disk (lineside status); it is tried again")
            except Exception as failed:  # noqa: BLE001 (whatever it is, the source must outlive it)
                log.failure("pull.stumbled", source=self._id)
                self.problem = f"{type(failed).__name__}, see the log"
            else:
                if self.problem is not None:
                    self.problem = self._told = None
                    log.info("pull.works_again", source=self._id)
            await deferLater(self._clock, self._every)

    def _failed(self, reason: str, remedy: str, *, alarm: bool = False) -> None:
        if alarm:
            if self._told != reason:
                log.error("pull.host_not_known", source=self._id, reason=reason, remedy=remedy)
        elif self._told != reason:
            log.warn("pull.failing", source=self._id, reason=reason, remedy=remedy)
        self._told = reason
        self.problem = f"{reason}; {remedy}"

    async def _look(self) -> None:
        visit = await self._aside.run(self._visit)
        transport = await enter(self._endpoint, visit, self._clock, connecting=self._connecting)
        try:
            await self._fetch_all(await open_sftp(transport.channels, self._clock, PATIENCE))
        finally:
            transport.cut()

    async def _fetch_all(self, sftp: Sftp) -> None:
        found = [file for file in await sftp.files(self._pulled.folder) if self._is_meant(file.name)]
        await self._aside.run(lambda: self._tidy(found))
        self._taken &= {*found}
        known, self._known = self._known, {file.name: file for file in found}
        hindered: NotReached | None = None
        for file in sorted(found, key=lambda each: (each.changed, each.name)):
            if self._pulled.settled and known.get(file.name) != file:
                continue
            if file.size > self._pulled.largest:
                hindered = NotReached(
                    f"{_shown(file.name)} has {file.size} bytes, and {self._pulled.largest} are allowed",
                    "raise max_file, or let its sender part it",
                )
                continue
            try:
                await self._take(sftp, file)
            except _Unfinished:
                # It was changed while it was fetched; the next look sees what it is then.
                continue
        if hindered is not None:
            raise hindered

    def _is_meant(self, name: bytes) -> bool:
        if name.startswith(b".") or name.lower().endswith(UNFINISHED):
            return False
        return fnmatchcase(name.decode("utf-8", "replace"), self._pulled.pattern)

    async def _take(self, sftp: Sftp, file: RemoteFile) -> None:
        mark = self._own / f"{_id_of(file)}.taken"
        keep = self._pulled.then == "keep"
        if not (await self._aside.run(mark.exists) if keep else file in self._taken):
            fetched = await self._fetch(sftp, file)
            told = await self._intake.take(fetched, _shown(file.name), self._sender)
            if keep:
                await self._aside.run(lambda: _mark(mark))
            else:
                self._taken.add(file)
            log.info(
                "pull.fetched", source=self._id, file=_shown(file.name), bytes=file.size, repeated=told.repeated
            )
        if not keep:
            await self._let_go(sftp, file)
            # Another file may come there that looks the same.
            self._taken.discard(file)

    async def _fetch(self, sftp: Sftp, file: RemoteFile) -> Path:
        path = self._pulled.folder + b"/" + file.name
        part = self._own / f"{_id_of(file)}.fetching"
        offset = await self._aside.run(lambda: _begin(part, file.size))
        if offset:
            log.info("pull.resumed", source=self._id, file=_shown(file.name), offset=offset)
        if offset < file.size:
            remote = await sftp.open(path)
            while offset < file.size:
                content = await sftp.read(remote, offset, file.size)
                if not content:
                    break
                await self._aside.run(lambda at=offset, new=content: _put(part, at, new))  # type: ignore[misc]
                offset += len(content)
            await sftp.close(remote)
        if offset != file.size or await sftp.look(path, file.name) != file:
            await self._aside.run(lambda: part.unlink(missing_ok=True))
            raise _Unfinished
        await self._aside.run(lambda: _sync(part))
        return part

    async def _let_go(self, sftp: Sftp, file: RemoteFile) -> None:
        """Move or remove a file that was taken, unless another has its name by now."""
        path = self._pulled.folder + b"/" + file.name
        if await sftp.look(path, file.name) != file:
            return
        if self._pulled.then == "delete":
            await sftp.remove(path)
            return
        await sftp.make_folder(self._pulled.done)
        for number in range(1, MOST_MOVES):
            goal = self._pulled.done + b"/" + _numbered(file.name, number)
            if await sftp.look(goal, file.name) is None:
                await sftp.rename(path, goal)
                return
        raise NotReached(
            f"{_shown(self._pulled.done)} has {_shown(file.name)} {MOST_MOVES} times", "clear the folder out"
        )

    def _tidy(self, found: list[RemoteFile]) -> None:
        """Forget files that the partner's folder has no more."""
        self._own.mkdir(parents=True, exist_ok=True)
        there = {_id_of(file) for file in found}
        for path in self._own.iterdir():
            if path.suffix in {".taken", ".fetching"} and path.stem not in there:
                path.unlink(missing_ok=True)


class _Unfinished(Exception):
    """The file is another by now."""


def _id_of(file: RemoteFile) -> str:
    told = b"%d\0%d\0%s" % (file.size, file.changed, file.name)
    return hashlib.blake2b(told, digest_size=16).hexdigest()


def _shown(name: bytes) -> str:
    return name.decode("utf-8", "replace")


def _numbered(name: bytes, number: int) -> bytes:
    if number == 1:
        return name
    stem, dot, suffix = name.rpartition(b".")
    return b"%s.%d%s%s" % (stem, number, dot, suffix) if stem else b"%s.%d" % (name, number)


def _begin(part: Path, size: int) -> int:
    """Return how many bytes of a file are here; what could not be of it is removed."""
    try:
        there = part.stat().st_size
    except FileNotFoundError:
        part.touch(mode=0o600)
        return 0
    if there > size:
        os.truncate(part, 0)
        return 0
    return max(0, there - DOUBTFUL)


def _put(part: Path, offset: int, content: bytes) -> None:
    descriptor = os.open(part, os.O_WRONLY)
    try:
        while content:
            written = os.pwrite(descriptor, content, offset)
            content, offset = content[written:], offset + written
        os.fdatasync(descriptor)
    finally:
        os.close(descriptor)


def _mark(path: Path) -> None:
    path.touch(mode=0o600)
    _sync(path.parent)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        with suppress(OSError):
            os.close(descriptor)
