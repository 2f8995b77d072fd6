"""Goes to hosts that speak SSH to see whether they let us in."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from lineside.assemble.hosts import host_endpoint, visiting
from lineside.assemble.hostsettings import HostKeys
from lineside.assemble.soundings import Sounding
from lineside.edges.ssh.client.connecting import enter
from lineside.edges.ssh.client.failures import HostNotKnown, NotReached
from lineside.edges.ssh.client.transport import ClientTransport
from lineside.model.wording import key_path


async def sound_host(
    reactor: Any, name: str, settings: HostKeys, look: Callable[[ClientTransport], Awaitable[str]]
) -> Sounding:
    """Log in at the host of a source, and look round there.

    A host that is not there is a warning: the gateway would try until it is. One that is not the known one is a
    problem. Never raises but for cancellation.

    Args:
        reactor: connects.
        name: the source's.
        settings: where the host is, and who we are.
        look: says what was found there; may fail with `NotReached`.

    """
    sounding = Sounding([], [], [])
    path = key_path("sources", name)
    try:
        visit = await visiting(reactor, settings)()
        endpoint = host_endpoint(reactor, settings)
        transport = await enter(endpoint, visit, reactor, connecting=settings.address.timeout)
        try:
            told = await look(transport)
        finally:
            transport.cut()
    except HostNotKnown as unknown:
        sounding.problems.append(f"{path}: {unknown}; {unknown.remedy}")
    except NotReached as failed:
        sounding.warnings.append(f"{path}: {failed}; {failed.remedy}")
    else:
        sounding.found.append(f"{path}: {visit.host.name} lets {settings.user} in; {told}")
    return sounding
