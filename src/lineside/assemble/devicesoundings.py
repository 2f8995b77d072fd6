"""Dials devices to see whether they are there."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.endpoints import connectProtocol
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure

from lineside.assemble.dialling import client_endpoint
from lineside.assemble.linessettings import LinesSourceSettings
from lineside.assemble.soundings import Sounding
from lineside.edges.lines.unreachable import why_unreachable


class _Caller(Protocol):
    """Says nothing, and tells when the call is over."""

    def __init__(self) -> None:
        self.over: Deferred[None] = Deferred()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.over.callback(None)


async def sound_device(reactor: Any, name: str, settings: LinesSourceSettings) -> Sounding:
    """Connect to the device of a source that dials, and hang up; what it says meanwhile is lost.

    A device that is not there is a warning: the gateway would dial until it is. Never raises but for cancellation.
    """
    sounding = Sounding([], [], [])
    dial = settings.dial
    if dial is None or settings.connect is None:
        return sounding
    path = f"sources.{name}.connect"
    caller = _Caller()
    try:
        endpoint = client_endpoint(reactor, settings.connect, dial, settings.ca, settings.name_servers)
        await connectProtocol(endpoint, caller).addTimeout(dial.timeout, reactor)
    except CancelledError:
        raise
    except Exception as failed:  # noqa: BLE001 (an endpoint may raise anything)
        why = why_unreachable(failed)
        sounding.warnings.append(f"{path}: {settings.connect}: {why.reason}; {why.remedy}")
        return sounding
    transport: Any = caller.transport
    transport.abortConnection()
    await caller.over
    sounding.found.append(f"{path}: {settings.connect} takes the connection")
    return sounding
