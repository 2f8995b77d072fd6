"""Solution of exercise 1: what the stock is worth."""

from twisted.internet.defer import FirstError, gatherResults


def worth(ask, item):
    """Return a Deferred of what the stock of an item is worth."""
    quantity = ask(f"quantity of {item}")
    price = ask(f"price of {item}")
    price.addErrback(none_set)
    both = gatherResults([quantity, price], consumeErrors=True)
    return both.addCallbacks(lambda numbers: numbers[0] * numbers[1], unwrapped)


def none_set(failure):
    failure.trap(LookupError)  # any other failure goes on as it is
    return 0


def unwrapped(failure):
    # gatherResults wraps the first failure to say which one it was; whoever asked for the worth does not care.
    failure.trap(FirstError)
    return failure.value.subFailure
