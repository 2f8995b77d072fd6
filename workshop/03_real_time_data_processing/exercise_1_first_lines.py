"""Exercise 1 (guided): the first lines.

A counter at the gate counts what comes in. Make it answer each line of its scanners:

- ``BOLT-M8 5`` adds 5 to the count of BOLT-M8 and is answered ``OK`` and the new count: ``OK 5``;
- the same line again is answered ``OK 10``;
- a line that is no scan is answered ``ERR`` and a reason, and the scanner stays connected;
- scanners end a line with CR LF or with LF alone.

`Counter` is given to you; what is missing is marked TODO. See what you have: ``lineside workshop check 3``.
"""

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

    # TODO 1: by default a line ends with b"\r\n". Choose a delimiter that suits both kinds of scanner.

    def __init__(self, counter):
        self.counter = counter

    def lineReceived(self, line):
        # TODO 2: `line` is bytes. Take it apart, add it to self.counter, and answer with self.sendLine(…).
        # TODO 3: answer a line that is no scan with ERR, and do not let an exception leave this method.
        pass
