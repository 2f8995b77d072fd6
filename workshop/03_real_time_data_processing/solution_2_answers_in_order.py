"""Solution of exercise 2: many at once, answers in order."""

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
        # The place in the queue is taken now, in the order of the lines; it is filled whenever the answer is known.
        place = []
        self.answers.append(place)
        booked = self.book(item, int(quantity))
        # Both paths end in an answer: a failure that nobody answers would hold up every later line for ever.
        booked.addCallbacks(lambda name: f"OK {name}", lambda failure: f"ERR {failure.getErrorMessage()}")
        booked.addCallback(self.answered, place)

    def answered(self, answer, place):
        place.append(answer)
        while self.answers and self.answers[0]:
            self.sendLine(self.answers.popleft()[0].encode())
