"""Exercise 2 (on your own): a loop that neither dies nor overlaps, and ends in order.

``look()`` is given to you: it returns a Deferred that fires when a look at the stock is done, or fails.
Write `Poller`:

- ``start()`` begins: the first look at once, then one every ``every`` seconds by the clock.
- No look begins while another is under way.
- A look that fails, with a Deferred or by raising, is told to ``failed(failure)``, and the loop goes on.
- ``stop()`` ends the loop and returns a Deferred that fires when no look is under way any more; only then may whoever
  stops the program close the connections that the look uses.
"""

from twisted.internet.task import LoopingCall


class Poller:
    """Looks again and again."""

    def __init__(self, clock, every, look, failed):
        self.every, self.look, self.failed = every, look, failed
        self.loop = LoopingCall(self.once)
        self.loop.clock = clock

    def start(self):
        # TODO
        self.loop.start(self.every)

    def once(self):
        # TODO
        self.look()

    def stop(self):
        # TODO
        self.loop.stop()
