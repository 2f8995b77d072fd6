"""Solution of exercise 3: ask again, but not for ever."""

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import deferLater


def patiently(clock, ask, pauses, timeout):
    """Return a Deferred of what ``ask`` answers in the end."""
    return Deferred.fromCoroutine(_patiently(clock, ask, pauses, timeout))


async def _patiently(clock, ask, pauses, timeout):
    for pause in pauses:
        try:
            # addTimeout cancels the attempt, and makes a TimeoutError of the CancelledError that follows. A
            # cancellation from outside stays a CancelledError, so the two can be told apart.
            return await ask().addTimeout(timeout, clock)
        except (CancelledError, PermissionError):
            raise  # CancelledError is an Exception: the next line would swallow it
        except Exception:
            await deferLater(clock, pause)
    return await ask().addTimeout(timeout, clock)
