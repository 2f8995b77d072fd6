"""Connections that neither the slow nor the silent can hold for ever."""

from __future__ import annotations

from typing import Any

from twisted.internet.protocol import connectionDone
from twisted.python.failure import Failure
from twisted.web.http import HTTPChannel

SILENCE = 60.0
"""Seconds until the next request's head must be there, whole: from the connection's start or the last answer on."""
LEAST_RATE = 1024
"""Bytes a second that a body must bring, on average over `SILENCE`."""


class PatientChannel(HTTPChannel):
    """A connection whose deadline moves only by what is finished, and by a body that comes at `LEAST_RATE`.

    Twisted's own begins anew with each byte, so that a client with a byte a minute stays as long as it likes.
    """

    site: Any
    totalHeadersSize = 32 * 1024  # noqa: N815 (Twisted's name)
    maxHeaders = 100  # noqa: N815

    _brought = 0

    def connectionMade(self) -> None:
        """Be counted."""
        self.site.connections.add(self)
        super().connectionMade()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Be counted no more."""
        self.site.connections.discard(self)
        super().connectionLost(reason)

    def resetTimeout(self) -> None:
        """Give no more time, for bytes are not progress by themselves."""

    def brought(self, size: int) -> None:
        """Move the deadline when a body's pieces are worth it."""
        self._brought += size
        if self._brought >= LEAST_RATE * SILENCE:
            self._brought = 0
            self.setTimeout(self.timeOut)

    def hold(self) -> None:
        """Read no further; the client is not to blame for the time that takes."""
        self.setTimeout(None)
        self._networkProducer.pauseProducing()

    def go_on(self) -> None:
        """Read on."""
        self.setTimeout(self.timeOut)
        if not self._waitingForTransport:
            self._networkProducer.resumeProducing()
