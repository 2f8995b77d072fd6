"""Files that are there whole or not at all, and how conch's SFTP comes to them."""

import os
from pathlib import Path
from tempfile import NamedTemporaryFile

from twisted.conch.interfaces import ISFTPFile
from twisted.conch.ssh import filetransfer as sftp
from twisted.internet.threads import deferToThread
from zope.interface import implementer

MOST = 1_000_000  # bytes of a file


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
