"""One partner's drop box: what is received, what may be, and what of it has been taken in."""

from __future__ import annotations

import os
from collections import OrderedDict, deque
from collections.abc import Callable
from functools import partial
from pathlib import Path
from random import Random

from msgspec import Struct
from twisted.conch.ssh.filetransfer import FX_FAILURE, SFTPError
from twisted.internet.defer import CancelledError, DeferredLock
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger

from lineside.background import Background
from lineside.delivery.backoff import Backoff
from lineside.edges.ssh.dropbox.folders import PARTIAL, Folders, Found
from lineside.edges.ssh.dropbox.names import is_draft
from lineside.edges.ssh.dropbox.threads import Threads
from lineside.edges.ssh.dropbox.uploads import Download, Upload
from lineside.journal.capacity import LEAST_FREE, LEAST_SHARE
from lineside.model.errors import FileNotTaken, LinesideError
from lineside.model.ports import FileIntake
from lineside.model.sizes import size_text
from lineside.security.audit import Act
from lineside.wakeup import Wakeup

log = Logger()

AGAIN = Backoff((1.0, 2.0, 5.0, 15.0, 60.0), jitter=0.2)
"""Seconds between two attempts to have a file taken in."""
LOOK_EVERY = 3_600.0
"""Seconds between two looks for what has grown too old."""
REMEMBERED = 256
"""Files that were taken in lately and can still be asked after: clients compare sizes once they have sent one."""
PARTIALS = 100
"""Files that may be cut off and wait to be gone on with."""
WHOLE = 10_000
"""Files that may lie in the inbox."""


class Limits(Struct, frozen=True):
    """How much a partner may send."""

    quota: int = 1_000_000_000
    """Bytes of all the folders together."""
    largest: int = 200_000_000
    """Bytes of one file."""
    rate: int = 600
    """Files a minute."""
    min_free: int | None = None
    """Bytes of the disk that stay free; None for what the journal leaves free."""
    partial_after: float = 7 * 86_400
    """Seconds after which a file that was never closed is removed."""
    archive_for: float = 30 * 86_400
    """Seconds for which files stay in the archive, and answers in the outbox."""


class DropBox:
    """The folders of one user, and the `Part` that gives what is whole to the source.

    A file that was closed is synced in the inbox before its client is told so. From there it is given to the
    source, again and again until it is taken, also after a crash: the inbox is all the state there is.

    Args:
        user: whose it is; the source's word for the sender.
        root: the folder that becomes the user's ``/``.
        intake: of the source.
        limits: how much may be sent.
        clock: must follow a monotonic clock.
        random: for delays.
        now: the wall clock, in seconds since 1970, which is what files carry.
        threads: for what blocks; started before this and stopped after it.
        record: puts on record what was done.

    """

    def __init__(
        self,
        user: str,
        root: Path,
        intake: FileIntake,
        limits: Limits,
        clock: IReactorTime,
        random: Random,
        now: Callable[[], float],
        *,
        threads: Threads,
        record: Callable[[Act], None] = lambda _: None,
    ) -> None:
        self.user = user
        self.name = f"drop box of {user}"
        self.root = root
        self.limits = limits
        self.threads = threads
        self.record = record
        self.problem: str | None = None
        """Why files wait in the inbox, in a line."""
        self.used = 0
        """Bytes in the folders, as last measured, and what was written since."""
        self._intake = intake
        self._clock = clock
        self._random = random
        self._now = now
        self._folders: Folders | None = None
        self._uploads: dict[str, Upload] = {}
        self._recent: OrderedDict[str, Found] = OrderedDict()
        self._whole: deque[str] = deque()
        self._came = Wakeup()
        self._work = Background(self.name)
        self._leaving = Background(f"cut off files of {user}")
        self._opened: deque[float] = deque()
        self._moves = DeferredLock()
        self._taking: str | None = None

    @property
    def folders(self) -> Folders:
        """The folders; the part has to have been started."""
        assert self._folders is not None
        return self._folders

    async def start(self) -> None:
        """Make the folders, and give the source what lies whole in the inbox.

        Raises:
            LinesideError: they cannot be used.

        """
        try:
            self._folders = await self.threads.run(lambda: Folders(self.root))
            await self._forget_old()
            found = await self.threads.run(lambda: self.folders.files("inbox"))
        except OSError as refused:
            raise LinesideError(f"the folders {self.root} of {self.user} cannot be used: {refused}") from refused
        self._whole.extend(
            file.name for file in sorted(found, key=lambda file: file.since) if not is_draft(file.name)
        )
        self._work.run("take", self._take_all())
        self._work.run("forget", self._look_for_old())

    async def stop(self) -> None:
        """Cut what is being received; what was not taken in is, after the next start."""
        for upload in list(self._uploads.values()):
            await upload.cut("the gateway stops")
        await self._leaving.finish()
        self._work.cancel()
        await self._work.finish()
        if self._folders is not None:
            self._folders.close()
            self._folders = None

    @property
    def receiving(self) -> int:
        """How many files are being received."""
        return len(self._uploads)

    @property
    def waiting(self) -> int:
        """How many files are whole and not yet taken in."""
        return len(self._whole)

    async def look(self, folder: str, name: str) -> Found | None:
        """Return a file as its sender may know it: also one that is not whole, or was taken in lately."""
        found = await self.threads.run(lambda: self.folders.find(folder, name))
        if found is None and folder == "inbox":
            found = await self.threads.run(lambda: self.folders.find(PARTIAL, name)) or self._recent.get(name)
        return found

    async def receive(self, name: str, *, afresh: bool, create: bool, new: bool, append: bool) -> Upload:
        """Begin to receive a file, or go on with one that was cut off.

        Args:
            name: what it is to be called in the inbox.
            afresh: forget what there is of it.
            create: begin where there is nothing of it yet.
            new: there may be nothing of it yet.
            append: all that is written goes to its end.

        Raises:
            SFTPError: it may not be sent now; the text says why.
            FileNotFoundError: there is nothing to go on with.
            OSError: of the disk.

        """
        self._check_pace()
        other = self._uploads.get(name)
        if other is not None:
            # A client that lost its connection comes back long before the old one is known to be dead.
            await other.cut("it is sent again on another connection")
        await self._moves.acquire()
        try:
            return await self._receive(name, afresh=afresh, create=create, new=new, append=append)
        finally:
            self._moves.release()

    async def _receive(self, name: str, *, afresh: bool, create: bool, new: bool, append: bool) -> Upload:
        if name in self._uploads:
            raise SFTPError(FX_FAILURE, f"{name} is being sent on another connection")
        self._check_free(name)
        whole, part = await self.threads.run(
            lambda: (self.folders.find("inbox", name), self.folders.find(PARTIAL, name))
        )
        if new and (whole or part):
            raise SFTPError(FX_FAILURE, f"{name} is there already")
        if whole and not is_draft(name):
            raise SFTPError(FX_FAILURE, f"{name} is whole and waits to be taken in: call it otherwise")
        if not (whole or part or create):
            raise FileNotFoundError(2, f"there is nothing of {name} to go on with")
        await self._check_room(name, anew=part is None)

        def begin() -> tuple[int, int]:
            if whole and not part:
                self.folders.move("inbox", name, PARTIAL, name)
            elif whole:
                self.folders.remove("inbox", name)
            descriptor = self.folders.write_partial(name, afresh=afresh)
            return descriptor, os.fstat(descriptor).st_size

        descriptor, size = await self.threads.run(begin)
        upload = self._uploads[name] = Upload(self, name, descriptor, size, append=append)
        return upload

    async def allow(self, upload: Upload, growth: int) -> None:
        """Let a file grow.

        Raises:
            SFTPError: it may not; the text says why.

        """
        if self.used + growth > self.limits.quota:
            self.used = await self.threads.run(self._make_room)
        if self.used + growth > self.limits.quota:
            self.say_refused(upload.name, "quota", bytes=self.used, allowed=self.limits.quota)
            raise SFTPError(
                FX_FAILURE,
                f"quota exceeded: {size_text(self.limits.quota)} for all your files",
            )
        self.used += growth

    async def publish(self, upload: Upload) -> None:
        """Put a file that was closed into the inbox: it is synced there when this returns.

        Raises:
            OSError: it is where it was, cut off.

        """
        name = upload.name

        def publish() -> Found | None:
            upload.sync()
            self.folders.move(PARTIAL, name, "inbox", name)
            return self.folders.find("inbox", name)

        await self._moves.acquire()
        try:
            found = await self.threads.run(publish)
        finally:
            self._moves.release()
        log.info("dropbox.received", user=self.user, file=name, bytes=upload.size)
        if found is not None and not is_draft(name):
            self._ready(found)

    async def rename(self, folder: str, name: str, to: str, *, replace: bool) -> None:
        """Give a file another name in its folder. One that a draft loses makes it whole.

        Raises:
            SFTPError: the other name is taken, or the file is not whole.
            FileNotFoundError: there is no such file.

        """
        if name in self._uploads or to in self._uploads:
            raise SFTPError(FX_FAILURE, f"{name} is being sent")
        self._check_free(name)

        def rename() -> Found | None:
            if self.folders.find(folder, name) is None:
                if folder == "inbox" and self.folders.find(PARTIAL, name):
                    raise SFTPError(FX_FAILURE, f"{name} was cut off and is not whole: send the rest")
                raise FileNotFoundError(2, f"there is no {name}")
            if self.folders.find(folder, to) and not (replace and (folder != "inbox" or is_draft(to))):
                raise SFTPError(FX_FAILURE, f"there is a {to} already")
            self.folders.move(folder, name, folder, to)
            if folder == "inbox" and self.folders.find(PARTIAL, to):
                self.folders.remove(PARTIAL, to)
            return self.folders.find(folder, to)

        await self._moves.acquire()
        try:
            found = await self.threads.run(rename)
        finally:
            self._moves.release()
        if folder == "inbox":
            if name in self._whole:
                self._whole.remove(name)
            if found is not None and not is_draft(to):
                self._ready(found)

    async def remove(self, folder: str, name: str) -> None:
        """Remove a file, and what there is of one that was cut off.

        Raises:
            FileNotFoundError: there is no such file.

        """

        def remove() -> None:
            if folder == "inbox" and self.folders.find(folder, name) is None and self.folders.find(PARTIAL, name):
                self.folders.remove(PARTIAL, name)
            else:
                self.folders.remove(folder, name)

        if folder == "inbox" and (upload := self._uploads.get(name)) is not None:
            await upload.cut("it was removed")
        self._check_free(name)
        await self._moves.acquire()
        try:
            await self.threads.run(remove)
        except FileNotFoundError:
            # Clients that are about to put another in its place remove the one they saw.
            if folder != "inbox" or self._recent.pop(name, None) is None:
                raise
        finally:
            self._moves.release()

    def leave(self, uploads: list[Upload | Download], reason: str) -> None:
        """Let go of what a client that is gone had open."""
        for upload in uploads:
            self._leaving.run(f"cut {reason}", upload.cut(reason))

    def ended(self, upload: Upload) -> None:
        """Forget a file that is received no more."""
        if self._uploads.get(upload.name) is upload:
            del self._uploads[upload.name]

    def say_refused(self, name: str, limit: str, **facts: object) -> None:
        """Tell the operator that a limit was met."""
        log.warn(
            "dropbox.refused",
            user=self.user,
            file=name,
            limit=limit,
            **facts,
            remedy="see what the partner sends; raise the limit of the source if it is meant",
        )

    def _ready(self, found: Found) -> None:
        self._recent[found.name] = found
        self._recent.move_to_end(found.name)
        while len(self._recent) > REMEMBERED:
            self._recent.popitem(last=False)
        self._whole.append(found.name)
        self._came.set()

    def _check_free(self, name: str) -> None:
        if self._taking == name:
            raise SFTPError(FX_FAILURE, f"{name} is being taken in")

    def _check_pace(self) -> None:
        now = self._clock.seconds()
        while self._opened and self._opened[0] <= now - 60:
            self._opened.popleft()
        if len(self._opened) >= self.limits.rate:
            raise SFTPError(FX_FAILURE, f"more than {self.limits.rate} files in a minute: go on later")
        self._opened.append(now)

    async def _check_room(self, name: str, *, anew: bool) -> None:
        def measure() -> tuple[int, int, int, int]:
            used = self._make_room()
            disk = self.folders.disk()
            least = self.limits.min_free
            if least is None:
                least = min(LEAST_FREE, int(LEAST_SHARE * disk.f_blocks * disk.f_frsize))
            free = disk.f_bavail * disk.f_frsize - least
            return used, free, self.folders.count(PARTIAL), self.folders.count("inbox")

        self.used, free, parts, whole = await self.threads.run(measure)
        if free <= 0:
            self.say_refused(name, "disk")
            raise SFTPError(FX_FAILURE, "no space left here at present: send it later")
        if self.used >= self.limits.quota:
            self.say_refused(name, "quota", bytes=self.used, allowed=self.limits.quota)
            raise SFTPError(FX_FAILURE, f"quota exceeded: {size_text(self.limits.quota)} for all your files")
        if anew and parts >= PARTIALS:
            self.say_refused(name, "cut off files", files=parts, allowed=PARTIALS)
            raise SFTPError(FX_FAILURE, f"{parts} files were cut off: go on with them, or remove them")
        if whole >= WHOLE:
            self.say_refused(name, "files", files=whole, allowed=WHOLE)
            raise SFTPError(FX_FAILURE, f"{whole} files wait in the inbox: send it later")

    def _make_room(self) -> int:
        """Let the oldest of the archive go where a file of the largest size had no room; return what is used."""
        self.folders.make_room("archive", max(0, self.limits.quota - self.limits.largest))
        return self.folders.used()

    async def _take_all(self) -> None:
        failures = 0
        while True:
            if not self._whole:
                await self._came.wait()
                continue
            name = self._taking = self._whole[0]
            try:
                if await self.threads.run(partial(self.folders.find, "inbox", name)) is not None:
                    await self._intake.take(self.folders.path("inbox", name), name, self.user)
            except CancelledError:
                raise
            except Exception as waits:  # noqa: BLE001 (a file that nobody thought of must not end the box)
                if not isinstance(waits, FileNotTaken | OSError):
                    log.failure("dropbox.stumbled", user=self.user, file=name)
                failures += 1
                if self.problem is None:
                    log.warn(
                        "dropbox.waits",
                        user=self.user,
                        file=name,
                        reason=str(waits),
                        remedy="it is whole in the inbox and given again until it is taken",
                    )
                self.problem = str(waits)
                self._taking = None
                await deferLater(self._clock, AGAIN.delay(failures, self._random))
                continue
            finally:
                self._taking = None
            failures = 0
            if self.problem is not None:
                self.problem = None
                log.info("dropbox.works_again", user=self.user)
            if self._whole and self._whole[0] == name:
                self._whole.popleft()

    async def _look_for_old(self) -> None:
        while True:
            await deferLater(self._clock, LOOK_EVERY)
            try:
                await self._forget_old()
            except OSError as failed:
                log.warn("dropbox.not_tidied", user=self.user, reason=str(failed), remedy="it is tried again")

    async def _forget_old(self) -> None:
        now, limits, receiving = self._now(), self.limits, set(self._uploads)

        def forget() -> list[str]:
            for folder in ("archive", "outbox"):
                self.folders.expire(folder, now - limits.archive_for)
            return self.folders.expire(PARTIAL, now - limits.partial_after, keep=receiving)

        for name in await self.threads.run(forget):
            log.warn(
                "dropbox.gave_up",
                user=self.user,
                file=name,
                remedy="it was cut off and nobody went on with it: ask the partner to send it again",
            )
