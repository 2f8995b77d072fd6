"""Exercise 2 (on your own): whole files only.

An old machine puts files by SFTP. conch speaks the protocol and calls an object of yours for each open file:
``writeChunk(offset, data)`` for each piece, and ``close()``. Give what came to ``keep(name, data)``, but only what
came whole:

- A file is kept once, when the machine closes it: not before, and not when the connection is lost. conch calls
  ``close()`` in both cases, so `Transfer` has to tell the file which one it is; see `FileTransferServer.connectionLost`
  and its ``openFiles``.
- A piece that does not begin where the last one ended, or goes beyond LARGEST bytes, is refused:
  ``raise SFTPError(FX_FAILURE, "…")``. The file is then not kept, even if the machine goes on and closes it.
- Only names such as ``count-7.csv`` are opened, in the folder ``/inbox``. Every other path is refused with SFTPError,
  so that a name never becomes a path of ours.
- An empty file is a file.

``keep`` gets the name without its folder, as text, and the bytes.
"""

from twisted.conch.avatar import ConchUser
from twisted.conch.interfaces import ISFTPFile, ISFTPServer
from twisted.conch.ssh.filetransfer import FX_FAILURE, FileTransferServer, SFTPError
from zope.interface import implementer

LARGEST = 1000


@implementer(ISFTPFile)
class Upload:
    """A file on its way in."""

    def __init__(self, name, keep):
        self.name, self.keep = name, keep
        self.data = bytearray()

    def writeChunk(self, offset, data):
        # TODO
        self.data += data

    def close(self):
        # TODO
        self.keep(self.name, bytes(self.data))


class Transfer(FileTransferServer):
    """A machine's SFTP connection."""

    # TODO


@implementer(ISFTPServer)
class Inbox(ConchUser):
    """What the machine may do."""

    def __init__(self, keep):
        super().__init__()
        self.keep = keep

    def gotVersion(self, version, extensions):
        return {}

    def openFile(self, path, flags, attributes):
        # TODO: path is bytes, as the machine sent it.
        if not path:
            raise SFTPError(FX_FAILURE, "a file has a name")
        return Upload(path.decode(), self.keep)
