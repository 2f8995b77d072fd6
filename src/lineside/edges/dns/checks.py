"""Looks whether something takes connections, again and again."""

from __future__ import annotations

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.endpoints import connectProtocol
from twisted.internet.interfaces import IReactorTime, IStreamClientEndpoint
from twisted.internet.protocol import Protocol
from twisted.internet.task import LoopingCall

from lineside.background import Background

EVERY = 2.0
"""Seconds between two looks."""
PATIENCE = 1.0
"""Seconds in which a connection must be taken."""
VAIN = 2
"""So many looks in a row must be in vain; one that is not suffices for the contrary."""


class AddressCheck:
    """One address that is looked at. Until the first looks are over it is taken to be there.

    Args:
        endpoint: the address.
        where: the same, for people.
        clock: says when to look.

    """

    def __init__(self, endpoint: IStreamClientEndpoint, where: str, clock: IReactorTime) -> None:
        self.where = where
        self.problem: str | None = None
        """Why it is taken to be away, in a line; None while it is there."""
        self._endpoint = endpoint
        self._clock = clock
        self._vain = 0
        self._background = Background(f"check {where}")
        self._looking = LoopingCall(self._look)
        self._looking.clock = clock

    def start(self) -> None:
        """Begin to look."""
        self._looking.start(EVERY, now=True)

    async def stop(self) -> None:
        """Look no more."""
        self._looking.stop()
        self._background.cancel()
        await self._background.finish()

    def _look(self) -> Deferred[None]:
        # The next look waits for the end of this one.
        return self._background.run("look", self._connect())

    async def _connect(self) -> None:
        connecting = connectProtocol(self._endpoint, Protocol())
        connecting.addTimeout(PATIENCE, self._clock)
        try:
            caller = await connecting
        except CancelledError:
            raise
        except Exception as failed:  # noqa: BLE001 (an endpoint may raise anything)
            self._vain += 1
            if self._vain >= VAIN:
                self.problem = f"takes no connection: {str(failed) or type(failed).__name__}"
            return
        assert caller.transport is not None
        caller.transport.abortConnection()
        self._vain = 0
        self.problem = None
