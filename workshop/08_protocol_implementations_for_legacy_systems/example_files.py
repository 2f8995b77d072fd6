"""A file drop: an SFTP server whose inbox takes whole files only.

What stands in the network for the old machines' sake holds no key to the ERP: example_counts.py does the rest.

    python example_files.py --authorized-keys FILE --inbox FOLDER
    sftp -P PORT stocktaking@127.0.0.1
    sftp> put count-2026-11-22.csv /inbox
"""

import argparse
import os
import re
import stat
import sys
from errno import ENOENT
from pathlib import Path
from tempfile import NamedTemporaryFile

from ssh_server import Channel, add_options, listen
from twisted.conch.avatar import ConchUser
from twisted.conch.interfaces import ISFTPFile, ISFTPServer
from twisted.conch.ssh import filetransfer as sftp
from twisted.conch.ssh.session import SSHSession
from twisted.internet.defer import Deferred
from twisted.internet.task import react
from twisted.internet.threads import deferToThread
from zope.interface import implementer

MOST = 1_000_000  # bytes of a file
FOLDERS = {b".": b"/", b"/": b"/", b"/.": b"/", b"inbox": b"/inbox", b"/inbox": b"/inbox", b"/inbox/.": b"/inbox"}
FILE = re.compile(rb"/?inbox/(count-[0-9-]+(\.result)?\.csv)")


def store(path, data):
    """Put a file into its place, whole or not at all. Blocks until the disk has it: for a thread."""
    with NamedTemporaryFile(dir=path.parent, suffix=".part", delete=False) as part:
        part.write(data)
        part.flush()
        os.fsync(part.fileno())
    Path(part.name).replace(path)


def opened(path, flags):
    """Open a file for a machine, to read or to write. Blocks: for a thread."""
    if not flags & sftp.FXF_WRITE:
        with path.open("rb") as file:
            return Opened(file.read(MOST))
    if path.name.endswith(".result.csv") or path.with_suffix(".result.csv").exists():
        raise sftp.SFTPError(sftp.FX_PERMISSION_DENIED, "this count has its result already")
    return Opened(b"", path)


@implementer(ISFTPFile)
class Opened:
    """An open file, in memory: nobody can read half of it. A `path` says where it goes when it is closed."""

    def __init__(self, data, path=None):
        self.data, self.path, self.broken = bytearray(data), path, False

    def writeChunk(self, offset, data):
        if self.path is None or offset != len(self.data) or offset + len(data) > MOST:
            self.broken = True  # the client may well go on, and close it as if nothing had been
            raise sftp.SFTPError(sftp.FX_FAILURE, f"files are written from their beginning, up to {MOST} bytes")
        self.data += data

    def readChunk(self, offset, length):
        return bytes(self.data[offset : offset + length])

    def close(self):
        return None if self.path is None or self.broken else deferToThread(store, self.path, bytes(self.data))

    def getAttrs(self):
        return {"size": len(self.data)}

    def setAttrs(self, attributes): ...  # a client's times and permissions are not ours


class Transfer(sftp.FileTransferServer):
    """conch closes the open files of a lost connection as if the client had done so. Here it does not count."""

    def connectionLost(self, reason):
        for file in self.openFiles.values():
            file.broken = True
        super().connectionLost(reason)


class Files(Channel):
    """A channel for SFTP. A command or a shell stays refused."""

    request_subsystem = SSHSession.request_subsystem


@implementer(ISFTPServer)
class Inbox(ConchUser):
    """What the old machine sees: one folder, and the files in it that are called count-….csv."""

    def __init__(self, folder):
        super().__init__()
        self.folder = folder
        self.channelLookup, self.subsystemLookup = {b"session": Files}, {b"sftp": Transfer}

    def place(self, path):
        """Return where a file lies; no other name reaches the disk, so none leads out of the folder."""
        named = FILE.fullmatch(path)
        if named is None:
            raise OSError(ENOENT, "no such file")
        return self.folder / named[1].decode()

    def openFile(self, path, flags, attributes):
        return deferToThread(opened, self.place(path), flags)

    def realPath(self, path):
        return FOLDERS.get(path, path)

    def getAttrs(self, path, follow):
        if path in FOLDERS:
            return {"permissions": stat.S_IFDIR | 0o700}
        return deferToThread(self.place(path).stat).addCallback(
            lambda found: {"size": found.st_size, "permissions": stat.S_IFREG | 0o600}
        )

    def refused(self, *arguments):
        raise sftp.SFTPError(sftp.FX_PERMISSION_DENIED, "files are put and fetched here, and that is all")

    openDirectory = removeFile = renameFile = makeDirectory = removeDirectory = refused
    setAttrs = readLink = makeLink = extendedRequest = refused

    def gotVersion(self, version, extensions):
        return {}


async def main(reactor, *arguments):
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--inbox", required=True, type=Path, metavar="FOLDER")
    add_options(options)
    given = options.parse_args(arguments)
    port = await listen(reactor, given, b"stocktaking", lambda: Inbox(given.inbox))
    print(f"files: listening on 127.0.0.1:{port}", flush=True)
    await Deferred()  # for ever: the reactor stops us


if __name__ == "__main__":
    react(main, sys.argv[1:])
