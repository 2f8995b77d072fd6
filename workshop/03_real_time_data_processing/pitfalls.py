"""What goes wrong with lines, in a few lines each: ``python pitfalls.py`` shows it."""

import time

from twisted.internet.protocol import Protocol
from twisted.internet.testing import StringTransport
from twisted.protocols.basic import LineReceiver


class Guessing(Protocol):
    """Wrong: takes it for granted that what arrives together was sent together."""

    def dataReceived(self, data):
        for line in data.splitlines():
            print(f"a scan: {line!r}")


class Framed(LineReceiver):
    """Right: LineReceiver keeps the beginning of a line until its end has come."""

    delimiter = b"\n"

    def lineReceived(self, line):
        print(f"a scan: {line!r}")


class Blocking(LineReceiver):
    """Wrong: while this line waits, no other scanner is heard. requests.post would do the same."""

    delimiter = b"\n"

    def lineReceived(self, line):
        time.sleep(0.3)
        self.sendLine(b"OK")


class Raising(LineReceiver):
    """Wrong: an exception that leaves lineReceived ends the connection, and the scans behind it are gone."""

    delimiter = b"\n"

    def lineReceived(self, line):
        _item, quantity = line.split()
        self.sendLine(b"OK %d" % int(quantity))


def main():
    for receiver in Guessing(), Framed():
        print(f"{type(receiver).__name__} is given 'BOLT-M8 1' and, a moment later, '2' and the line's end:")
        receiver.makeConnection(StringTransport())
        receiver.dataReceived(b"BOLT-M8 1")
        receiver.dataReceived(b"2\n")


if __name__ == "__main__":
    main()
