"""The reactor of a gateway: Twisted's own on epoll, without what it does around each event.

Twisted calls each readable socket in a logging context that says whose event it is, for `twisted.python.log`: nine
calls and four objects, a third of what a lone line cost. `twisted.logger`, with which we log, does not look at it.

This looks into Twisted's reactor, at what `WHAT_WE_KNOW` names; tests hold it to the versions that are allowed.
It can be imported only where there is epoll.
"""

from __future__ import annotations

from twisted.internet.epollreactor import EPollReactor
from twisted.python import log

WHAT_WE_KNOW = ("_doReadOrWrite", "_poller", "_selectables")
"""What of `EPollReactor` is relied on."""


class DirectReactor(EPollReactor):
    """An `EPollReactor` that calls what is ready itself."""

    def doPoll(self, timeout: float | None) -> None:
        """Wait up to ``timeout`` seconds, for ever if None, and serve what is ready.

        What raises is logged, and keeps nothing else from its turn.
        """
        ready = self._poller.poll(-1 if timeout is None else timeout, len(self._selectables))
        for descriptor, event in ready:
            # One that was ready may have been closed by another.
            selectable = self._selectables.get(descriptor)
            if selectable is not None:
                try:
                    self._doReadOrWrite(selectable, descriptor, event)
                except Exception:  # noqa: BLE001 (it goes to the log)
                    log.err()

    doIteration = doPoll  # noqa: N815 (as Twisted calls it)
