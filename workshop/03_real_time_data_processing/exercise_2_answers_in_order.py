"""Exercise 2 (on your own): many at once, answers in order.

The example books one line of a scanner after the other. A machine that sends a hundred lines then waits a hundred
times for the ERP. Let the lines of one connection be booked all at the same time, but send their answers in the
order of the lines, for an answer says nothing but ``OK`` and a name: only its place tells which line it is for.

``book(item, quantity)`` is given to you. It returns a Deferred of the document's name at once, and the Deferreds fire
in any order; one may also fail.

- Each line is booked when it arrives, whether or not earlier ones are answered.
- Answers go out in the order of the lines: ``OK <name>``, or ``ERR <reason>`` for the one that failed.
- An answer is sent as soon as every earlier one has been.

There is more than one good way. Chapter 4 says more about Deferreds; here ``addCallbacks`` is enough.
"""

from collections import deque

from twisted.protocols.basic import LineReceiver


class Gate(LineReceiver):
    """One scanner's connection."""

    delimiter = b"\n"

    def __init__(self, book):
        self.book = book
        self.answers = deque()  # one place for each line that was not answered yet

    def lineReceived(self, line):
        item, quantity = line.decode("ascii").split()
        # TODO: book at once; answer in order.
        booked = self.book(item, int(quantity))
        booked.addCallback(lambda name: self.sendLine(f"OK {name}".encode()))
