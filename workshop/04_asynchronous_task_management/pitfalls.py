"""What goes wrong with Deferreds and loops, in false time: ``python pitfalls.py`` shows it in a moment."""

from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock, LoopingCall


def later(clock, seconds, value=None):
    """Return a Deferred that fires after so many seconds of the clock."""
    deferred = Deferred()
    clock.callLater(seconds, deferred.callback, value)
    return deferred


def run(clock, function, *, every, seconds):
    """Call a function again and again for a while; returns what became of the loop."""
    loop = LoopingCall(function)
    loop.clock = clock
    ended = loop.start(every)
    clock.pump([1] * seconds)
    return loop, ended


def overlapping(clock, under_way):
    """Wrong: the Deferred is not returned, so the loop takes the look for done when it has begun."""

    def look():
        under_way.append("look")
        later(clock, 25).addCallback(lambda _: under_way.pop())

    run(clock, look, every=10, seconds=60)


def waiting(clock, under_way):
    """Right: the loop waits for the Deferred, and leaves out the ticks that have passed meanwhile."""

    def look():
        under_way.append("look")
        return later(clock, 25).addCallback(lambda _: under_way.pop())

    run(clock, look, every=10, seconds=60)


class Watched(list):
    """A list that remembers how long it was at most."""

    most = 0

    def append(self, value):
        super().append(value)
        self.most = max(self.most, len(self))


def dying():
    """Wrong: an error that leaves the function ends the loop for ever."""
    looks = []

    def look():
        looks.append("look")
        raise ConnectionError("the ERP was away for a second")

    loop, ended = run(Clock(), look, every=10, seconds=3600)
    ended.addErrback(lambda failure: None)  # without this, a line in the log is all that is left of the loop
    return len(looks), loop.running


def surviving():
    """Right: the error is dealt with inside, and the loop goes on."""
    looks = []

    def look():
        looks.append("look")
        return succeed(None).addCallback(ask).addErrback(lambda failure: None)

    def ask(_):
        raise ConnectionError("the ERP was away for a second")

    loop, _ended = run(Clock(), look, every=10, seconds=3600)
    return len(looks), loop.running


def drifting():
    """Wrong: the next call is set after the work, so each round is as much later as the work took."""
    clock, times = Clock(), []

    def look():
        times.append(clock.seconds())
        later(clock, 2).addCallback(lambda _: clock.callLater(10, look))

    look()
    clock.pump([1] * 60)
    return times


def keeping_time():
    """Right: LoopingCall keeps to its grid, however long the work took."""
    clock, times = Clock(), []

    def look():
        times.append(clock.seconds())
        return later(clock, 2)

    run(clock, look, every=10, seconds=60)
    return times


def main():
    for way in overlapping, waiting:
        looks = Watched()
        way(Clock(), looks)
        print(f"{way.__name__}: a look takes 25 s, every 10 s: at most {looks.most} at the same time")
    for way in dying, surviving:
        count, running = way()
        print(f"{way.__name__}: an hour of a loop whose call fails: looks begun {count}, running: {running}")
    for way in drifting, keeping_time:
        print(f"{way.__name__}: began at {', '.join(f'{at:g}' for at in way())} s")


if __name__ == "__main__":
    main()
