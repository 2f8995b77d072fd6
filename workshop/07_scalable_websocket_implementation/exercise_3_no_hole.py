"""Exercise 3 (open): come back without a hole.

A screen in a lift loses its connection for five seconds. When it is back it gets the whole stock, and does not know
what it missed: for a stock that is enough, for a list of orders it is not. So every change gets a number, its
*offset*, and the channel keeps the latest ones. Who comes back says which was the last that it has seen, and gets the
rest; or is told that this is no longer possible.

``subscribe(send, since=None)``: ``send`` takes one message, a dict (somebody else makes JSON of it).

- Without ``since``: ``{"epoch": E, "offset": N, "stock": {…}}``, the whole, and which change was the last in it.
- With ``since = {"epoch": E, "offset": N}`` and nothing of it lost: ``{"epoch": E, "offset": M, "recovered": True}``,
  with M as the last change so far; then the missing changes in their order, each as it was first sent.
- Otherwise ``{"epoch": E, "offset": M, "recovered": False, "stock": {…}}``: the whole again, and it is said.
- After that ``send`` gets each change as it comes, none twice, none left out. The function that is returned ends that.

``publish(changes)``: gives the changes the next offset (the first is 1), takes them into the stock, keeps them and sends
``{"offset": N, "changes": {…}}`` to all.

- The latest ``size`` changes are kept, no more.
- The *epoch* says which run of the server an offset belongs to: after a restart the numbers begin again, and an old
  offset says nothing. ``Channel`` gets it as text.
- ``since`` comes from outside, and may be anything: an offset that was never given out, text, a list. Whatever
  it is, it is not recoverable, and not a crash.
- A ``send`` that raises ends its own subscription, also in the middle of what it missed. Nobody else notices.
"""


class Channel:
    """A stock whose changes can be followed without a hole."""

    def __init__(self, epoch, size=100):
        self.epoch, self.size = epoch, size

    def publish(self, changes):
        """Number the changes, take them in, keep them, and send them to all."""
        # TODO

    def subscribe(self, send, since=None):
        """Send what is to be known first, then every change; return a function that ends that."""
        # TODO
        return lambda: None
