"""What the protocols of device streams share, whatever their framing."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.interfaces import IConsumer, IDelayedCall, IPushProducer, IReactorTime, ITCPTransport
from twisted.protocols.policies import ProtocolWrapper
from zope.interface import implementer

from lineside.edges.lines.session import Session

LINGER = 5.0
"""Seconds that who is turned away gets to take the answer."""
Naming = Callable[[ITCPTransport], str]
"""Tells who is at the other end of a connection."""


def name_peer(transport: ITCPTransport) -> str:
    """Return who is at the other end: its address, where it has one."""
    peer = transport.getPeer()
    host = getattr(peer, "host", None)
    return host if isinstance(host, str) else type(peer).__name__


def end_stream(transport: ITCPTransport, discard: Callable[[], None], *, at_once: bool) -> None:
    """End a stream whose answers are all written.

    Args:
        transport: the stream's.
        discard: called to read on, and throw away what still comes.
        at_once: the device has ended its side, or waits for no answer.

    """
    IConsumer(transport).unregisterProducer()
    if at_once:
        transport.loseConnection()
        return
    if isinstance(transport, ProtocolWrapper):
        # TLS has an end of its own (RFC 8446, section 6.1): the connection stays until the device sends its, too.
        # To end the side of the socket beneath would cut off what TLS has still to send.
        discard()
        transport.loseConnection()
        return
    # Closing a socket with unread bytes resets it, and the device would lose its last answers:
    # end our side, and throw away what still comes until the device ends its own.
    discard()
    transport.loseWriteConnection()


class Farewell:
    """The end of a connection that has no session, and so no time of its own.

    TLS waits for the other end's word (RFC 8446, section 6.1): who never says it would stay, past all limits.
    """

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._late: IDelayedCall | None = None

    def begin(self, transport: ITCPTransport) -> None:
        """Close the connection when what was written is out; cut it after `LINGER` seconds."""
        transport.loseConnection()
        self._late = self._clock.callLater(LINGER, transport.abortConnection)

    def over(self) -> None:
        """The connection is gone."""
        if self._late is not None and self._late.active():
            self._late.cancel()


@implementer(IPushProducer)
class AnswerPressure:
    """Told by the transport when the device does not read its answers, and when it does again."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def pauseProducing(self) -> None:
        """Read nothing more from the device."""
        self._session.hold("answers")

    def resumeProducing(self) -> None:
        """Read on."""
        self._session.let_go("answers")

    def stopProducing(self) -> None:
        """The connection is gone; the protocol is told so itself."""
