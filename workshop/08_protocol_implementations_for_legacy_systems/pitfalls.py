"""What goes wrong with files and names, in a few lines each: ``python pitfalls.py`` shows it."""

from pathlib import Path
from tempfile import TemporaryDirectory

from twisted.conch.avatar import ConchUser
from twisted.conch.interfaces import ISFTPServer
from twisted.conch.ssh.filetransfer import FileTransferServer
from twisted.internet.error import ConnectionLost
from twisted.internet.testing import StringTransport
from twisted.names import dns
from twisted.python.failure import Failure
from zope.interface import implementer


class Trusting:
    """Wrong: takes close() for the machine's word that the file is whole."""

    def close(self):
        print("close() was called: the file is taken in")


def joined(inbox, name):
    """Wrong: a name that comes from outside is made a path."""
    return (inbox / name).resolve()


def too_long(gateways):
    """Return the answer that offers many gateways, as UDP carries it: 512 bytes, and a mark that it was cut."""
    answer = dns.Message(answer=1, maxSize=512)
    for number in range(1, gateways + 1):
        target = b"gateway%d.plant.test" % number
        answer.answers.append(
            dns.RRHeader(b"_scanner._tcp.plant.test", dns.SRV, payload=dns.Record_SRV(1, 0, 7001, target))
        )
    return answer


@implementer(ISFTPServer)
class Nobody(ConchUser):
    """An avatar for what is shown here."""


def main():
    print("The connection of a machine is lost in the middle of a file:")
    server = FileTransferServer(avatar=Nobody())
    server.makeConnection(StringTransport())
    server.openFiles = {b"1": Trusting()}
    server.connectionLost(Failure(ConnectionLost()))

    with TemporaryDirectory() as folder:
        inbox = Path(folder).resolve() / "inbox"
        for name in "count-1.csv", "../host_key", "/etc/passwd":
            inside = joined(inbox, name).is_relative_to(inbox)
            print(f"The name {name!r} leads {'into the inbox' if inside else 'out of the inbox'}")

    for gateways in 2, 20:
        answer = too_long(gateways)
        size = len(answer.toStr())
        print(f"{gateways} gateways: {size} bytes by UDP, {'cut: ask again by TCP' if answer.trunc else 'whole'}")


if __name__ == "__main__":
    main()
