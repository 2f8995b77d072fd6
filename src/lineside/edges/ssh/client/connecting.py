"""To a host, and in."""

from __future__ import annotations

from typing import cast

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.defer import TimeoutError as TookTooLong
from twisted.internet.endpoints import connectProtocol
from twisted.internet.interfaces import IReactorTime, IStreamClientEndpoint

from lineside.edges.ssh.client.failures import NotReached
from lineside.edges.ssh.client.transport import ClientTransport, Visit

ENTERING = 30.0
"""Seconds that keys and log-in may take."""


async def enter(
    endpoint: IStreamClientEndpoint, visit: Visit, clock: IReactorTime, *, connecting: float
) -> ClientTransport:
    """Return a connection on which we are let in; its ``channels`` may be opened. The caller cuts it.

    Args:
        endpoint: where the host is.
        visit: who we are, and by what the host is known.
        clock: must follow a monotonic clock.
        connecting: seconds until there must be a connection.

    Raises:
        NotReached: there is no host, it is another, or it does not let us in.

    """
    transport = ClientTransport(visit)
    connected = connectProtocol(endpoint, transport)
    connected.addTimeout(connecting, clock)
    try:
        await connected
    except CancelledError:
        raise
    except TookTooLong as late:
        raise NotReached(
            f"{visit.host.name} does not answer", "see that the host is on, and that no firewall is in between"
        ) from late
    except Exception as failed:
        raise NotReached(
            f"{visit.host.name} cannot be reached: {failed}", "see connect, the network and the host's SSH server"
        ) from failed
    entered = cast(Deferred[object], transport.entered)
    entered.addTimeout(ENTERING, clock)
    try:
        await entered
    except TookTooLong as late:
        transport.cut()
        raise NotReached(f"{visit.host.name} did not let us in within {ENTERING:.0f} s", "see its load") from late
    except BaseException:
        transport.cut()
        raise
    return transport
