"""A listening port that can be shut for a while, as if the machine behind it were down."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, cast

from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import (
    IDelayedCall,
    IListeningPort,
    IProtocolFactory,
    IReactorTime,
    IStreamServerEndpoint,
    ITCPTransport,
)
from twisted.logger import Logger
from twisted.protocols.policies import WrappingFactory

log = Logger()

REOPEN_SECONDS = 0.25
"""Somebody else may have taken the port meanwhile: it is tried again so often."""


class Doors:
    """One listening port and its connections.

    Args:
        reactor: its clock counts how long the port stays shut.
        endpoint: makes the server endpoint for a port number.
        factory: of the connections' protocols.

    """

    def __init__(
        self, reactor: IReactorTime, endpoint: Callable[[int], IStreamServerEndpoint], factory: IProtocolFactory
    ) -> None:
        self._reactor = reactor
        self._endpoint = endpoint
        self._connections = WrappingFactory(cast(Any, factory))
        self._listening: IListeningPort | None = None
        self._reopening: IDelayedCall | None = None
        self._closed = False
        self.port = 0
        """The port's number, the same after every reopening."""

    async def open(self, port: int) -> None:
        """Listen; on any free port when ``port`` is 0.

        Raises:
            CannotListenError: the port is taken or not allowed.

        """
        self._listening = await self._endpoint(port).listen(self._connections)
        self.port = cast(IPv4Address, self._listening.getHost()).port

    def shut_for(self, seconds: float) -> None:
        """Stop listening at once, abort every connection, and listen again after ``seconds``.

        When it is shut already, the later of both ends counts anew from now.
        """
        if self._closed:
            return
        if self._reopening is not None:
            self._reopening.cancel()
        self._reopening = self._reactor.callLater(seconds, self._reopen)
        log.info("standin.down", seconds=seconds)
        Deferred.fromCoroutine(self._shut()).addErrback(partial(log.failure, "standin.port.failed"))

    async def close(self) -> None:
        """Stop listening for good and abort every connection."""
        self._closed = True
        if self._reopening is not None:
            self._reopening.cancel()
            self._reopening = None
        await self._shut()

    async def _shut(self) -> None:
        listening, self._listening = self._listening, None
        for connection in list(self._connections.protocols):
            transport: Any = connection.transport
            # One that is closing after its last answer may say that answer first.
            if self._closed or not transport.disconnecting:
                cast(ITCPTransport, transport).abortConnection()
        if listening is not None:
            await maybeDeferred(listening.stopListening)

    def _reopen(self) -> None:
        self._reopening = None
        Deferred.fromCoroutine(self.open(self.port)).addErrback(self._try_again)

    def _try_again(self, failure: Any) -> None:
        failure.trap(CannotListenError)
        if not self._closed:
            log.warn("standin.port.taken", port=self.port, remedy="end the program that listens there")
            self._reopening = self._reactor.callLater(REOPEN_SECONDS, self._reopen)
