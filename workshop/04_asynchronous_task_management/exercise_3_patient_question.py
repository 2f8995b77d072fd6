"""Exercise 3 (open): ask again, but not for ever.

Write ``patiently(clock, ask, pauses, timeout)``. ``ask()`` returns a Deferred; `patiently` returns one with its result.

- Each attempt gets ``timeout`` seconds. When they are over it is cancelled and counts as failed.
- After the first failure it waits ``pauses[0]`` seconds and asks again, after the second ``pauses[1]``, and so on. When
  the pauses are used up, the last failure comes out.
- A failure with `PermissionError` comes out at once: asking again would not help.
- Whoever cancels the Deferred that `patiently` returned cancels what is under way, be it an attempt or a pause. After
  that, nothing is asked any more.
- It leaves no timer behind in any case.
"""

from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater


def patiently(clock, ask, pauses, timeout):
    """Return a Deferred of what ``ask`` answers in the end."""
    return Deferred.fromCoroutine(_patiently(clock, ask, pauses, timeout))


async def _patiently(clock, ask, pauses, timeout):
    # TODO
    for pause in pauses:
        try:
            return await ask()
        except Exception:
            await deferLater(clock, pause)
    return None
