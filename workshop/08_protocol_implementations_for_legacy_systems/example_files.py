"""A file drop: an SFTP server whose inbox takes whole files only.

What stands in the network for the old machines' sake holds no key to the ERP: example_counts.py does the rest.

    python example_files.py --authorized-keys FILE --inbox FOLDER
    sftp -P PORT stocktaking@127.0.0.1
    sftp> put count-2026-11-22.csv /inbox
"""

import argparse
import re
import stat
import sys
from errno import ENOENT
from pathlib import Path

from ssh_server import Channel, add_options, listen
from twisted.conch.avatar import ConchUser
from twisted.conch.interfaces import ISFTPServer
from twisted.conch.ssh import filetransfer as sftp
from twisted.conch.ssh.session import SSHSession
from twisted.internet.defer import Deferred
from twisted.internet.task import react
from twisted.internet.threads import deferToThread
from whole_files import Transfer, opened
from zope.interface import implementer

FOLDERS = {b".": b"/", b"/": b"/", b"/.": b"/", b"inbox": b"/inbox", b"/inbox": b"/inbox", b"/inbox/.": b"/inbox"}
FILE = re.compile(rb"/?inbox/(count-[0-9-]+(\.result)?\.csv)")


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
