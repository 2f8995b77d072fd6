"""Exercise 1 (guided): what the stock is worth.

``ask(question)`` is given to you. It returns a Deferred of a number at once, and the ERP's answer fires it later.
Write ``worth(ask, item)``: it returns a Deferred of quantity times price.

- Both questions, ``"quantity of BOLT-M8"`` and ``"price of BOLT-M8"``, are asked at the same time.
- An item without a price makes the second one fail with `LookupError`. It counts as 0 then.
- Every other failure comes out of the Deferred that you return: whoever asks deals with it.

You may write it with ``addCallback`` and ``addErrback``, or as a coroutine in ``Deferred.fromCoroutine``.
"""

from twisted.internet.defer import gatherResults


def worth(ask, item):
    """Return a Deferred of what the stock of an item is worth."""
    quantity = ask(f"quantity of {item}")
    price = ask(f"price of {item}")
    # TODO 1: where the price fails with LookupError, go on with 0. See Failure.trap.
    # TODO 2: multiply when both are there. gatherResults returns a Deferred of a list.
    return gatherResults([quantity, price], consumeErrors=True)
