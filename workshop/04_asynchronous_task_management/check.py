"""The checks of the exercises of chapter 4."""

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import AlreadyCancelled
from twisted.internet.task import Clock
from twisted.python.failure import Failure

from lineside.workshop.lessons import Lesson


class Questions:
    """Deferreds that were asked for, by their question."""

    def __init__(self):
        self.asked = {}

    def ask(self, question):
        self.asked[question] = Deferred()
        return self.asked[question]


class WorthOfStock(Lesson):
    """Exercise 1."""

    exercise = 1

    def setUp(self):
        super().setUp()
        questions = Questions()
        self.worth = self.learner.worth(questions.ask, "BOLT-M8")
        self.asked = questions.asked

    def outcome(self):
        """Return what the Deferred has come to: a value, a Failure, or "nothing yet"."""
        self.teach(
            isinstance(self.worth, Deferred),
            f"worth returned {self.worth!r}. It has to return a Deferred: the numbers are not there yet.",
        )
        seen = ["nothing yet"]
        self.worth.addBoth(lambda result: seen.__setitem__(0, result))
        return seen[0]

    def test_both_at_once(self):
        """Both questions are asked before either is answered."""
        expected = ["price of BOLT-M8", "quantity of BOLT-M8"]
        self.teach(
            sorted(self.asked) == expected,
            f"Asked so far: {sorted(self.asked)}; expected are both of {expected}. An `await`, or a question asked in a "
            "callback, waits for one answer before the next is asked.",
        )

    def test_product(self):
        """It is quantity times price."""
        self.asked["price of BOLT-M8"].callback(0.5)
        self.asked["quantity of BOLT-M8"].callback(120)
        worth = self.outcome()
        self.teach(
            worth != [120, 0.5], "You return the list of both numbers. Multiply them in a callback (TODO 2)."
        )
        self.teach(worth == 60, f"120 bolts at 0.5 each came to {worth!r}; expected is 60.")

    def test_no_price(self):
        """An item without a price is worth 0."""
        self.asked["price of BOLT-M8"].errback(LookupError("no price"))
        self.asked["quantity of BOLT-M8"].callback(120)
        worth = self.outcome()
        if isinstance(worth, Failure):
            self.teach(
                False,
                f"The price failed with LookupError, and so did worth, with {worth.type.__name__}. An errback on the "
                "price's own Deferred can return 0 in its place (TODO 1).",
            )
        self.teach(worth == 0, f"120 bolts without a price came to {worth!r}; expected is 0.")

    def test_other_failures(self):
        """Every other failure comes out as it is."""
        for question in "price of BOLT-M8", "quantity of BOLT-M8":
            self.setUp()
            other = next(each for each in self.asked if each != question)
            self.asked[question].errback(ConnectionError("the ERP is away"))
            self.asked[other].callback(1)
            worth = self.outcome()
            self.teach(
                isinstance(worth, Failure),
                f"The {question} failed with ConnectionError, and worth gave {worth!r}. That is a number nobody should "
                "rely on: only LookupError means that there is no price.",
            )
            self.teach(
                worth.check(ConnectionError),
                f"The {question} failed with ConnectionError; out came {worth.type.__name__}. gatherResults wraps a "
                "failure into FirstError; what is inside is in its subFailure.",
            )

    def test_quantity_lookup(self):
        """An item that does not exist is not worth 0."""
        self.asked["quantity of BOLT-M8"].errback(LookupError("no such item"))
        self.asked["price of BOLT-M8"].callback(1)
        worth = self.outcome()
        self.teach(
            isinstance(worth, Failure),
            f"The quantity failed with LookupError and worth gave {worth!r}. Only a price may be missing.",
        )


class SteadyPoller(Lesson):
    """Exercise 2."""

    exercise = 2

    def setUp(self):
        super().setUp()
        self.clock = Clock()
        self.looks, self.failures = [], []
        self.poller = self.learner.Poller(self.clock, 10, self.look, self.failures.append)

    def look(self):
        self.looks.append(Deferred())
        return self.looks[-1]

    def test_first(self):
        """The first look begins at once, the next after its time."""
        self.poller.start()
        self.teach(
            len(self.looks) == 1, f"After start() {len(self.looks)} looks have begun; expected is one, at once."
        )
        self.looks[0].callback(None)
        self.clock.advance(10)
        self.teach(len(self.looks) == 2, f"Ten seconds later {len(self.looks)} looks have begun; expected are two.")

    def test_overlap(self):
        """No look begins while another is under way."""
        self.poller.start()
        self.clock.pump([5] * 7)
        self.teach(
            len(self.looks) == 1,
            f"The first look takes 35 s, and {len(self.looks)} have begun by then. LoopingCall waits for the Deferred "
            "that its function returns; what does `once` return?",
        )
        self.looks[0].callback(None)
        self.clock.advance(5)
        self.teach(len(self.looks) == 2, "After a look that took 35 s, the next should begin at 40 s.")

    def test_failure(self):
        """A look that fails is told, and the loop goes on."""
        self.poller.start()
        self.looks[0].errback(ConnectionError("the ERP is away"))
        self.teach(
            len(self.failures) == 1,
            f"A look failed, and failed() was called {len(self.failures)} times. Where does the Deferred's failure go?",
        )
        self.clock.advance(10)
        self.teach(
            len(self.looks) == 2, "After a look that failed there was no other. A failure ends a LoopingCall."
        )

    def test_raising(self):
        """A look that raises in place of returning a Deferred is told, and the loop goes on."""
        times = []

        def look():
            times.append(self.clock.seconds())
            raise ConnectionError("the ERP is away")

        poller = self.learner.Poller(self.clock, 10, look, self.failures.append)
        try:
            poller.start()
        except ConnectionError:
            self.teach(
                False,
                "look() raised, and so did start(). maybeDeferred calls a function and turns both ways to fail into one.",
            )
        self.clock.pump([10, 10])
        self.teach(
            len(times) == 3 and len(self.failures) == 3,
            f"look() raised each time; in 20 s it was called {len(times)} times and failed() {len(self.failures)} times; "
            "expected are three each. maybeDeferred turns both ways to fail into one.",
        )

    def test_stop_when_idle(self):
        """Stopped between two looks, it has ended at once."""
        self.poller.start()
        self.looks[0].callback(None)
        ended = self.poller.stop()
        self.teach(isinstance(ended, Deferred), f"stop() returned {ended!r}; expected is a Deferred.")
        self.teach(ended.called, "No look was under way, but the Deferred of stop() has not fired.")
        self.clock.advance(60)
        self.teach(len(self.looks) == 1, "After stop() it went on looking.")
        self.teach(not self.clock.getDelayedCalls(), "After stop() a timer is left on the clock.")

    def test_stop_under_way(self):
        """Stopped in the middle of a look, it ends with that look."""
        self.poller.start()
        ended = self.poller.stop()
        self.teach(
            not ended.called,
            "A look is under way, and the Deferred of stop() has fired already. LoopingCall.start returns a Deferred that "
            "fires when the loop has really ended.",
        )
        self.looks[0].callback(None)
        self.teach(ended.called, "The look is done, but the Deferred of stop() has not fired.")


class PatientQuestion(Lesson):
    """Exercise 3."""

    exercise = 3

    def setUp(self):
        super().setUp()
        self.clock = Clock()
        self.asked, self.cancelled = [], []

    def ask(self):
        self.asked.append(Deferred(self.cancelled.append))
        return self.asked[-1]

    def begin(self, pauses=(1, 5), timeout=10):
        self.seen = []
        self.answer = self.learner.patiently(self.clock, self.ask, list(pauses), timeout)
        self.answer.addBoth(self.seen.append)

    def no_timer_left(self):
        left = self.clock.getDelayedCalls()
        self.teach(
            not left, f"It is over, but {len(left)} timers are left on the clock. A timer keeps a program alive."
        )

    def test_answer(self):
        """An answer comes out."""
        self.begin()
        self.asked[0].callback("120")
        self.teach(self.seen == ["120"], f"The first attempt was answered '120'; out came {self.seen}.")
        self.no_timer_left()

    def test_again(self):
        """It asks again after each pause, and no sooner."""
        self.begin()
        self.asked[0].errback(ConnectionError())
        self.teach(
            len(self.asked) == 1, "It asked again without a pause. An ERP that is down needs no more questions."
        )
        self.clock.advance(1)
        self.teach(
            len(self.asked) == 2, f"A second after the first failure it had asked {len(self.asked)} times, not 2."
        )
        self.asked[1].errback(ConnectionError())
        self.clock.advance(4.9)
        self.teach(len(self.asked) == 2, "It asked a third time before the second pause of 5 s was over.")
        self.clock.advance(0.1)
        self.teach(
            len(self.asked) == 3,
            "There are two pauses, so there are three attempts: one before each pause, one at the end.",
        )
        self.asked[2].callback("120")
        self.teach(self.seen == ["120"], f"The third attempt was answered '120'; out came {self.seen}.")
        self.no_timer_left()

    def test_give_up(self):
        """When the pauses are used up, the last failure comes out."""
        self.begin(pauses=[1])
        self.asked[0].errback(ConnectionError("first"))
        self.clock.advance(1)
        self.teach(len(self.asked) == 2, f"With one pause it asked {len(self.asked)} times; expected are two.")
        self.asked[1].errback(ConnectionError("last"))
        self.teach(
            bool(self.seen) and isinstance(self.seen[0], Failure) and str(self.seen[0].value) == "last",
            f"Both attempts failed; out came {self.seen}. Whoever asked has to learn that there is no answer.",
        )
        self.no_timer_left()

    def test_timeout(self):
        """An attempt that takes too long is cancelled, and the next begins after the pause."""
        self.begin(pauses=[1])
        self.clock.advance(10)
        self.teach(
            self.cancelled == [self.asked[0]],
            "After 10 s without an answer the attempt was not cancelled. Deferred.addTimeout does this.",
        )
        self.clock.advance(1)
        self.teach(
            len(self.asked) == 2, "An attempt that took too long counts as failed: after the pause comes the next."
        )
        self.clock.advance(10)
        self.teach(
            bool(self.seen) and isinstance(self.seen[0], Failure),
            "The last attempt took too long as well, and nothing came out. The last one needs its time-out too.",
        )
        self.no_timer_left()

    def test_refused(self):
        """What asking again would not help comes out at once."""
        self.begin()
        self.asked[0].errback(PermissionError("no such key"))
        self.clock.advance(60)
        self.teach(
            len(self.asked) == 1
            and bool(self.seen)
            and isinstance(self.seen[0], Failure)
            and bool(self.seen[0].check(PermissionError)),
            f"PermissionError: it asked {len(self.asked)} times, and out came {self.seen}. A wrong key does not get better; "
            "some systems lock whoever tries it again.",
        )

    def test_cancelled_attempt(self):
        """Cancelled during an attempt, it cancels that attempt and asks no more."""
        self.begin()
        self.answer.cancel()
        self.teach(
            self.cancelled == [self.asked[0]], "The Deferred was cancelled, but the attempt under way was not."
        )
        self.clock.advance(60)
        self.teach(
            len(self.asked) == 1,
            f"Cancelled, it asked {len(self.asked) - 1} times more. Twisted's CancelledError is an Exception: "
            "`except Exception` swallows it.",
        )
        self.teach(
            bool(self.seen) and bool(self.seen[0].check(CancelledError)),
            f"Out came {self.seen}; expected is a CancelledError, so that whoever cancelled can tell.",
        )
        self.no_timer_left()

    def test_cancelled_pause(self):
        """Cancelled during a pause, it leaves no timer and asks no more."""
        self.begin()
        self.asked[0].errback(ConnectionError())
        try:
            self.answer.cancel()
        except AlreadyCancelled:
            self.teach(
                False, "Cancelling during a pause raised AlreadyCancelled: something cancels its timer twice."
            )
        self.clock.advance(60)
        self.teach(len(self.asked) == 1, "Cancelled during a pause, it asked again.")
        self.no_timer_left()
