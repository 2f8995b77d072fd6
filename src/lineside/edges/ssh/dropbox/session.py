"""What one connection of a partner may do with the drop box."""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Iterator, Mapping
from time import gmtime, strftime
from typing import Any, TypeAlias

from twisted.conch.interfaces import ISFTPServer
from twisted.conch.ssh.common import getNS
from twisted.conch.ssh.filetransfer import (
    FX_FAILURE,
    FX_NO_SUCH_FILE,
    FX_OP_UNSUPPORTED,
    FX_PERMISSION_DENIED,
    FXF_APPEND,
    FXF_CREAT,
    FXF_EXCL,
    FXF_TRUNC,
    FXF_WRITE,
    SFTPError,
)
from twisted.internet.defer import Deferred
from zope.interface import implementer

from lineside.edges.ssh.dropbox.box import DropBox
from lineside.edges.ssh.dropbox.folders import Found
from lineside.edges.ssh.dropbox.names import FOLDERS, BadName, FolderName, NotHere, Place, place_of
from lineside.edges.ssh.dropbox.uploads import Download, Upload
from lineside.security.audit import Act

Attributes: TypeAlias = dict[str, Any]

OPEN_AT_ONCE = 64
"""Files and folders a connection may have open."""
RECORDED = 1_000
"""Acts of one connection that are put on record one by one; what follows is counted."""
LONGEST_MESSAGE = 256 << 10
"""Bytes of one request."""
LONGEST_DATA = LONGEST_MESSAGE - 1024
"""Bytes of one piece of a file; as OpenSSH has it."""
EXTENSIONS = {
    b"posix-rename@openssh.com": b"1",
    b"statvfs@openssh.com": b"2",
    b"fsync@openssh.com": b"1",
    b"limits@openssh.com": b"1",
}
MODES: Mapping[FolderName | None, int] = {None: 0o40550, "inbox": 0o40770, "outbox": 0o40770, "archive": 0o40550}
UNIT = 1024


class Answer(bytes):
    """What is told in an SSH_FXP_EXTENDED_REPLY; other requests are answered by a status."""


@implementer(ISFTPServer)
class Session:
    """The `ISFTPServer` of one connection: the SFTP protocol, version 3 (draft-ietf-secsh-filexfer-02).

    There is no link, no folder to make and nothing to set but the times of a file, whatever is asked.
    """

    def __init__(self, box: DropBox, where: str) -> None:
        self.avatar = None
        self.box = box
        self._where = where
        self._recorded = 0
        self._counted: Counter[str] = Counter()

    def gotVersion(self, otherVersion: int, extData: Mapping[bytes, bytes]) -> dict[bytes, bytes]:
        """Return what is offered beyond version 3."""
        return EXTENSIONS

    def openFile(self, filename: bytes, flags: int, attrs: Attributes) -> Deferred[Upload | Download]:
        """Open a file: to send it, in the inbox, or to read it."""
        return Deferred.fromCoroutine(self._open(filename, flags))

    async def _open(self, path: bytes, flags: int) -> Upload | Download:
        place = place_of(path)
        folder, name = _file(place)
        if not flags & (FXF_WRITE | FXF_APPEND):
            descriptor = await self.box.threads.run(lambda: self.box.folders.read(folder, name))
            self.tell("sftp.read", file=place.path)
            return Download(self.box, descriptor)
        if folder != "inbox":
            raise SFTPError(FX_PERMISSION_DENIED, "files are sent to /inbox")
        return await self.box.receive(
            name,
            afresh=bool(flags & FXF_TRUNC),
            create=bool(flags & FXF_CREAT),
            new=bool(flags & FXF_EXCL),
            append=bool(flags & FXF_APPEND),
        )

    def removeFile(self, filename: bytes) -> Deferred[None]:
        """Remove a file that waits in the inbox, or an answer that was read."""
        return Deferred.fromCoroutine(self._remove(filename))

    async def _remove(self, path: bytes) -> None:
        place = place_of(path)
        folder, name = _file(place)
        _check_may_change(folder)
        await self.box.remove(folder, name)
        self.tell("sftp.removed", file=place.path)

    def renameFile(self, oldpath: bytes, newpath: bytes) -> Deferred[None]:
        """Rename a file within its folder; never over another one."""
        return Deferred.fromCoroutine(self._rename(oldpath, newpath, replace=False))

    async def _rename(self, old: bytes, new: bytes, *, replace: bool) -> None:
        place, goal = place_of(old), place_of(new)
        (folder, name), (to_folder, to) = _file(place), _file(goal)
        _check_may_change(folder)
        if folder != to_folder:
            raise SFTPError(FX_PERMISSION_DENIED, "a file stays in its folder")
        await self.box.rename(folder, name, to, replace=replace)
        self.tell("sftp.renamed", file=place.path, to=goal.path)

    def makeDirectory(self, path: bytes, attrs: Attributes) -> None:
        """Refuse."""
        place = place_of(path)
        if place.name is None:
            # Clients make the way to a file before they send it, and take this for "there already".
            raise SFTPError(FX_FAILURE, f"{place.path} is there already")
        raise SFTPError(FX_PERMISSION_DENIED, "there are no other folders than /inbox, /outbox and /archive")

    def removeDirectory(self, path: bytes) -> None:
        """Refuse."""
        raise SFTPError(FX_PERMISSION_DENIED, "the folders stay")

    def openDirectory(self, path: bytes) -> Deferred[Listing]:
        """List a folder."""
        return Deferred.fromCoroutine(self._list(path))

    async def _list(self, path: bytes) -> Listing:
        place = place_of(path)
        if place.name is not None:
            raise NotHere(f"{place.path} is no folder")
        self._counted["listed"] += 1
        folder = place.folder
        own = [(".", _folder_attributes(folder)), ("..", _folder_attributes(None))]
        if folder is None:
            return Listing(self.box.user, [*own, *((name, _folder_attributes(name)) for name in FOLDERS)])
        found = await self.box.threads.run(lambda: self.box.folders.files(folder))
        return Listing(self.box.user, [*own, *((file.name, _attributes(folder, file)) for file in found)])

    def getAttrs(self, path: bytes, followLinks: bool) -> Deferred[Attributes]:
        """Return the attributes of a file or a folder."""
        return Deferred.fromCoroutine(self._look(path))

    async def _look(self, path: bytes) -> Attributes:
        self._counted["looked"] += 1
        place = place_of(path)
        if place.folder is None or place.name is None:
            return _folder_attributes(place.folder)
        found = await self.box.look(place.folder, place.name)
        if found is None:
            raise NotHere(f"there is no {place.path}")
        return _attributes(place.folder, found)

    def setAttrs(self, path: bytes, attrs: Attributes) -> Deferred[None]:
        """Accept times and permissions without effect; a file's times are set while it is sent."""
        return Deferred.fromCoroutine(self._set(path, attrs))

    async def _set(self, path: bytes, attrs: Attributes) -> None:
        found = await self._look(path)
        if attrs.get("size", found.get("size")) != found.get("size"):
            raise SFTPError(FX_PERMISSION_DENIED, "a file is as long as what was sent of it")

    def readLink(self, path: bytes) -> None:
        """Refuse."""
        raise SFTPError(FX_OP_UNSUPPORTED, "there are no links here")

    def makeLink(self, linkPath: bytes, targetPath: bytes) -> None:
        """Refuse."""
        self.refused("sftp.link", "links are not made here")
        raise SFTPError(FX_OP_UNSUPPORTED, "links are not made here")

    def realPath(self, path: bytes) -> bytes:
        """Return a path without ``.`` and ``..``."""
        return place_of(path).path.encode()

    def extendedRequest(self, extendedName: bytes, extendedData: bytes) -> Any:
        """Answer OpenSSH's extensions (its PROTOCOL, section 4): an `Answer`, or None where a status is told."""
        if extendedName == b"posix-rename@openssh.com":
            old, new, _ = getNS(extendedData, 2)
            return Deferred.fromCoroutine(self._rename(old, new, replace=True))
        if extendedName == b"statvfs@openssh.com":
            place_of(getNS(extendedData)[0])
            return Deferred.fromCoroutine(self._room())
        if extendedName == b"limits@openssh.com":
            return Answer(struct.pack("!4Q", LONGEST_MESSAGE, LONGEST_DATA, LONGEST_DATA, OPEN_AT_ONCE))
        raise SFTPError(FX_OP_UNSUPPORTED, "there is no such extension here")

    async def _room(self) -> Answer:
        used = await self.box.threads.run(self.box.folders.used)
        whole = self.box.limits.quota // UNIT
        free = max(0, whole - used // UNIT)
        nosuid = 2
        return Answer(struct.pack("!11Q", UNIT, UNIT, whole, free, free, 0, 0, 0, 0, nosuid, 200))

    def tell(self, what: str, **facts: Any) -> None:
        """Put on record what was done."""
        self._record(what, "noted", facts)

    def refused(self, what: str, reason: str) -> None:
        """Put on record what was asked for and not done."""
        self._counted["refused"] += 1
        self._record(what, "failed", {"reason": reason})

    def _record(self, what: str, state: Any, facts: Mapping[str, Any]) -> None:
        if self._recorded >= RECORDED:
            self._counted["more"] += 1
            return
        self._recorded += 1
        self.box.record(Act(self.box.user, "partner", self._where, what, state, facts))

    def ended(self) -> None:
        """Put on record how much was asked for that was not put there one by one."""
        if self._counted:
            act = Act(self.box.user, "partner", self._where, "sftp.ended", "noted", dict(self._counted))
            self.box.record(act)


class Listing:
    """A folder that is listed, in the form that conch's server asks for."""

    def __init__(self, user: str, entries: list[tuple[str, Attributes]]) -> None:
        self._user = user
        self._entries = entries

    def __iter__(self) -> Iterator[tuple[bytes, bytes, Attributes]]:
        """Yield each file's name, its line for people, and its attributes."""
        for name, attributes in self._entries:
            yield name.encode(), self._line(name, attributes).encode(), attributes

    def close(self) -> None:
        """Nothing is held."""

    def _line(self, name: str, attributes: Attributes) -> str:
        mode = attributes["permissions"]
        letters = "".join(
            letter if mode >> bit & 1 else "-" for bit, letter in zip(range(8, -1, -1), "rwx" * 3, strict=True)
        )
        kind = "d" if mode & 0o40000 else "-"
        when = strftime("%b %d %Y", gmtime(attributes["mtime"]))
        return f"{kind}{letters}    1 {self._user:8.32} {'lineside':8} {attributes['size']:>10} {when} {name}"


def _file(place: Place) -> tuple[FolderName, str]:
    if place.folder is None or place.name is None:
        raise SFTPError(FX_FAILURE, f"{place.path} is a folder")
    return place.folder, place.name


def _check_may_change(folder: FolderName) -> None:
    if folder == "archive":
        raise SFTPError(FX_PERMISSION_DENIED, "the archive is for reading")


def _attributes(folder: FolderName, found: Found) -> Attributes:
    mode = 0o100440 if folder == "archive" else 0o100660
    return {"size": found.size, "permissions": mode, "atime": found.accessed, "mtime": found.changed}


def _folder_attributes(folder: FolderName | None) -> Attributes:
    return {"size": 0, "permissions": MODES[folder], "atime": 0, "mtime": 0}


def status_of(failed: Exception) -> tuple[int, str] | None:
    """Return the status code and the text that tell a client of a failure; None for one that nobody expects."""
    match failed:
        case SFTPError():
            return failed.code, failed.message
        case NotHere() | FileNotFoundError():
            return FX_NO_SUCH_FILE, failed.args[-1] if isinstance(failed, NotHere) else "there is no such file"
        case BadName():
            return FX_FAILURE, str(failed)
        case OSError():
            return FX_FAILURE, f"it failed: {failed.strerror}"
    return None
