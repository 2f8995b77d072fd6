"""The checks of the exercises of chapter 3."""

from itertools import permutations

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionLost
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure

from lineside.workshop.lessons import Lesson


def connected(protocol):
    """Connect a protocol to a transport that remembers what was written."""
    protocol.makeConnection(StringTransport())
    return protocol


def answers(protocol):
    """Return the lines that were answered."""
    return [line.rstrip(b"\r") for line in protocol.transport.value().split(b"\n")[:-1]]


class FirstLines(Lesson):
    """Exercise 1."""

    exercise = 1

    def gate(self):
        return connected(self.learner.Gate(self.learner.Counter()))

    def test_answer(self):
        """A line is answered with OK and the count."""
        gate = self.gate()
        gate.dataReceived(b"BOLT-M8 5\n")
        self.teach(
            answers(gate),
            "The line 'BOLT-M8 5', ended by LF alone, got no answer. There are two places to look at: is the delimiter "
            "b'\\n' (TODO 1), and does lineReceived call self.sendLine (TODO 2)?",
        )
        self.teach(
            answers(gate) == [b"OK 5"],
            f"'BOLT-M8 5' was answered {answers(gate)}; expected is [b'OK 5'], one answer for one line.",
        )

    def test_count(self):
        """The count goes on over lines and connections."""
        counter = self.learner.Counter()
        one, other = connected(self.learner.Gate(counter)), connected(self.learner.Gate(counter))
        one.dataReceived(b"BOLT-M8 5\n")
        other.dataReceived(b"BOLT-M8 5\n")
        self.teach(
            answers(other) == [b"OK 10"],
            f"Two scanners scanned five bolts each; the second was answered {answers(other)}, expected is [b'OK 10']. "
            "Twisted makes a protocol for each connection; what they share is what they are given: self.counter.",
        )

    def test_carriage_return(self):
        """A scanner that ends its lines with CR LF counts the same item."""
        counter = self.learner.Counter()
        gate = connected(self.learner.Gate(counter))
        gate.dataReceived(b"BOLT-M8 5\r\nBOLT-M8 5\n")
        self.teach(
            answers(gate) == [b"OK 5", b"OK 10"],
            f"CR LF and LF in one stream were answered {answers(gate)}, expected is [b'OK 5', b'OK 10']. With the "
            r"delimiter b'\n' a line that ended with CR LF still has its b'\r' at the end.",
        )

    def test_pieces(self):
        """A line that comes in pieces is one line."""
        gate = self.gate()
        for byte in b"BOLT-M8 12\nNUT-M8 1\n":
            gate.dataReceived(bytes([byte]))
        self.teach(
            answers(gate) == [b"OK 12", b"OK 1"],
            f"Sent byte by byte, 'BOLT-M8 12' and 'NUT-M8 1' were answered {answers(gate)}. Leave dataReceived to "
            "LineReceiver: it collects the pieces.",
        )

    def test_no_scan(self):
        """A line that is no scan is answered ERR, and the connection lives on."""
        for line in b"BOLT-M8", b"BOLT-M8 many", b"", b"BOLT-M8 1 2", b"\xff\xfe 1":
            gate = self.gate()
            try:
                gate.dataReceived(line + b"\nBOLT-M8 1\n")
            except Exception as error:
                self.teach(
                    False,
                    f"The line {line!r} made lineReceived raise {type(error).__name__}: {error}. Twisted would close "
                    "the connection, and the lines behind it would be lost. Catch it, and answer ERR.",
                )
            said = answers(gate)
            self.teach(
                len(said) == 2 and said[0].startswith(b"ERR") and said[1] == b"OK 1",
                f"The line {line!r}, then a good one, were answered {said}; expected are an ERR and b'OK 1'.",
            )
            self.teach(
                not gate.transport.disconnecting,
                f"After {line!r} the connection was closed. A person who scans a wrong label goes on scanning.",
            )


class AnswersInOrder(Lesson):
    """Exercise 2."""

    exercise = 2

    def setUp(self):
        super().setUp()
        self.booked = []
        self.gate = connected(self.learner.Gate(self.book))

    def book(self, item, quantity):
        deferred = Deferred()
        self.booked.append(deferred)
        return deferred

    def test_at_once(self):
        """Each line is booked when it arrives."""
        self.gate.dataReceived(b"BOLT-M8 1\nNUT-M8 1\nGLOVE-L 1\n")
        self.teach(
            len(self.booked) == 3,
            f"Three lines arrived and {len(self.booked)} were booked. None needs to wait for another: only the answers "
            "have an order.",
        )
        self.teach(not answers(self.gate), f"Nothing is booked yet, but {answers(self.gate)} was answered already.")

    def test_order(self):
        """Whatever the order in which they are booked, the answers come in the order of the lines."""
        for order in permutations(range(3)):
            self.setUp()
            self.gate.dataReceived(b"BOLT-M8 1\nNUT-M8 1\nGLOVE-L 1\n")
            for place in order:
                self.booked[place].callback(f"DOC-{place}")
            self.teach(
                answers(self.gate) == [b"OK DOC-0", b"OK DOC-1", b"OK DOC-2"],
                f"Booked in the order {[place + 1 for place in order]}, the three lines were answered "
                f"{answers(self.gate)}. Keep a place for each line when it arrives, and send from the front only.",
            )

    def test_soon(self):
        """An answer waits for the earlier ones, and for nothing else."""
        self.gate.dataReceived(b"BOLT-M8 1\nNUT-M8 1\nGLOVE-L 1\n")
        self.booked[1].callback("DOC-1")
        self.teach(not answers(self.gate), f"The first line has no answer yet, but {answers(self.gate)} was sent.")
        self.booked[0].callback("DOC-0")
        self.teach(
            answers(self.gate) == [b"OK DOC-0", b"OK DOC-1"],
            f"Lines 1 and 2 are booked, line 3 is not; answered is {answers(self.gate)}. After an answer is sent, look "
            "whether the next in the queue is known already.",
        )

    def test_failure(self):
        """One that failed is answered ERR in its place."""
        self.gate.dataReceived(b"BOLT-M8 1\nNUT-M8 1\n")
        self.booked[1].callback("DOC-1")
        self.booked[0].errback(Failure(RuntimeError("no such item")))
        said = answers(self.gate)
        self.teach(
            len(said) == 2,
            f"The first booking failed, the second worked; answered is {said}. A Deferred that fails takes its errback: "
            "without one, nobody is answered any more.",
        )
        self.teach(
            said[0].startswith(b"ERR") and b"no such item" in said[0] and said[1] == b"OK DOC-1",
            f"Answered is {said}; expected are b'ERR no such item' and b'OK DOC-1'.",
        )


class PhotoInBetween(Lesson):
    """Exercise 3."""

    exercise = 3

    def setUp(self):
        super().setUp()
        self.kept = []
        self.gate = connected(self.learner.CameraGate(lambda item, photo: self.kept.append((item, photo))))

    def test_photo(self):
        """A photo is kept whole, and answered with its size."""
        photo = bytes(range(256)) * 4
        self.gate.dataReceived(b"PHOTO BOLT-M8 1024\n")
        self.gate.dataReceived(photo)
        self.teach(
            self.kept,
            "After PHOTO and its 1,024 bytes nothing was kept. In lineReceived, setRawMode() hands what follows to "
            "rawDataReceived(data), which you write.",
        )
        self.teach(
            self.kept == [("BOLT-M8", photo)],
            f"Kept were {[(item, len(data)) for item, data in self.kept]}; expected is one photo of 'BOLT-M8' (text, "
            "no bytes) with 1,024 bytes, unchanged.",
        )
        self.teach(
            answers(self.gate) == [b"OK 1024"], f"The photo was answered {answers(self.gate)}, not [b'OK 1024']."
        )

    def test_lines_go_on(self):
        """Lines go on right behind the photo's last byte."""
        self.gate.dataReceived(b"GLOVE-L 1\nPHOTO BOLT-M8 4\nab\ncNUT-M8 1\n\n")
        self.teach(
            self.kept == [("BOLT-M8", b"ab\nc")],
            f"All in one piece, a photo of b'ab\\nc' was kept as {self.kept}. What rawDataReceived gets may hold more "
            "than the photo.",
        )
        self.teach(
            answers(self.gate) == [b"OK", b"OK 4", b"OK", b"OK"],
            f"A line, a photo, a line and an empty line were answered {answers(self.gate)}. setLineMode takes what is left over.",
        )

    def test_anywhere(self):
        """The network may cut anywhere."""
        stream = b"GLOVE-L 1\nPHOTO BOLT-M8 4\nab\ncPHOTO NUT-M8 2\n\n\nNUT-M8 2\n"
        for size in range(1, len(stream)):
            self.setUp()
            for start in range(0, len(stream), size):
                self.gate.dataReceived(stream[start : start + size])
            self.teach(
                self.kept == [("BOLT-M8", b"ab\nc"), ("NUT-M8", b"\n\n")]
                and answers(self.gate) == [b"OK", b"OK 4", b"OK 2", b"OK"],
                f"In pieces of {size} bytes, two photos among lines were kept as {self.kept} and answered "
                f"{answers(self.gate)}. Count what is still missing, over as many calls as it takes.",
            )

    def test_too_great(self):
        """A photo that is too great is refused, and the connection closed."""
        for line in b"PHOTO BOLT-M8 100001", b"PHOTO BOLT-M8 -1", b"PHOTO BOLT-M8 huge", b"PHOTO BOLT-M8":
            self.setUp()
            try:
                self.gate.dataReceived(line + b"\n")
            except Exception as error:
                self.teach(False, f"{line!r} made the protocol raise {type(error).__name__}: {error}. Answer ERR.")
            said = answers(self.gate)
            self.teach(
                said and said[0].startswith(b"ERR") and self.gate.transport.disconnecting,
                f"{line!r} was answered {said}, and the connection was "
                f"{'closed' if self.gate.transport.disconnecting else 'left open'}; expected are an ERR and its end.",
            )

    def test_limit_is_allowed(self):
        """A photo of exactly 100,000 bytes is taken."""
        self.gate.dataReceived(b"PHOTO BOLT-M8 100000\n" + b"x" * 100_000)
        self.teach(
            answers(self.gate) == [b"OK 100000"], f"A photo of 100,000 bytes was answered {answers(self.gate)}."
        )

    def test_cut_off(self):
        """A photo that is cut off is not kept."""
        self.gate.dataReceived(b"PHOTO BOLT-M8 10\nhalf")
        self.gate.connectionLost(Failure(ConnectionLost()))
        self.teach(not self.kept, f"The connection ended after 4 of 10 bytes, and {self.kept} was kept.")
