"""Solution of exercise 2: whole files only."""

import re

from twisted.conch.avatar import ConchUser
from twisted.conch.interfaces import ISFTPFile, ISFTPServer
from twisted.conch.ssh.filetransfer import FX_FAILURE, FileTransferServer, SFTPError
from zope.interface import implementer

LARGEST = 1000
NAME = re.compile(rb"/inbox/(count-[0-9]+\.csv)")


@implementer(ISFTPFile)
class Upload:
    """A file on its way in."""

    def __init__(self, name, keep):
        self.name, self.keep = name, keep
        self.data = bytearray()
        self.broken = False

    def writeChunk(self, offset, data):
        # After one refusal nothing can be right any more: a client may have sent the next pieces already.
        if self.broken or offset != len(self.data) or offset + len(data) > LARGEST:
            self.broken = True
            raise SFTPError(FX_FAILURE, f"files are written from their beginning, up to {LARGEST} bytes")
        self.data += data

    def close(self):
        if not self.broken:
            self.keep(self.name, bytes(self.data))


class Transfer(FileTransferServer):
    """A machine's SFTP connection."""

    def connectionLost(self, reason):
        # Before conch's own part, which closes what is open.
        for upload in self.openFiles.values():
            upload.broken = True
        super().connectionLost(reason)


@implementer(ISFTPServer)
class Inbox(ConchUser):
    """What the machine may do."""

    def __init__(self, keep):
        super().__init__()
        self.keep = keep

    def gotVersion(self, version, extensions):
        return {}

    def openFile(self, path, flags, attributes):
        # The names that are right are described, not the ones that are wrong: nobody knows all of those.
        named = NAME.fullmatch(path)
        if named is None:
            raise SFTPError(FX_FAILURE, "files are called /inbox/count-NUMBER.csv")
        return Upload(named[1].decode("ascii"), self.keep)
