"""Solution of exercise 1: the first lines."""

from twisted.protocols.basic import LineReceiver


class Counter:
    """How many of each item came in."""

    def __init__(self):
        self.counts = {}

    def add(self, item, quantity):
        """Add a quantity, and return how many there are now."""
        self.counts[item] = self.counts.get(item, 0) + quantity
        return self.counts[item]


class Gate(LineReceiver):
    """One scanner's connection."""

    # Both kinds of line end with LF; what is left of a CR LF is a CR at the end of the line.
    delimiter = b"\n"

    def __init__(self, counter):
        self.counter = counter

    def lineReceived(self, line):
        try:
            # split() without an argument splits at any white space, and CR is white space.
            item, quantity = line.decode("ascii").split()
            count = self.counter.add(item, int(quantity))
        except ValueError:  # too many parts, too few, no ASCII, no number: UnicodeDecodeError is one too
            self.sendLine(b"ERR a scan is an item and a number")
        else:
            self.sendLine(f"OK {count}".encode())
