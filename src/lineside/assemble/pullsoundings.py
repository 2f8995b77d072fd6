"""Goes to partners' hosts to see whether they let us in."""

from __future__ import annotations

from typing import Any

from twisted.internet.threads import deferToThreadPool

from lineside.assemble.hosts import visit_of
from lineside.assemble.pulls import host_endpoint, pulled_of
from lineside.assemble.pullsettings import SftpPullSettings
from lineside.assemble.soundings import Sounding
from lineside.edges.ssh.client.connecting import enter
from lineside.edges.ssh.client.failures import HostNotKnown, NotReached
from lineside.edges.ssh.client.pull import ENTERING
from lineside.edges.ssh.client.sftp import open_sftp
from lineside.model.wording import key_path

PATIENCE = 15.0


async def sound_pull(reactor: Any, name: str, settings: SftpPullSettings) -> Sounding:
    """Log in at the host of a source, and list its folder; nothing is fetched or changed there.

    A host that is not there is a warning: the gateway would try until it is. One that is not the known one is a
    problem. Never raises but for cancellation.
    """
    sounding = Sounding([], [], [])
    path = key_path("sources", name)
    pulled = pulled_of(settings)
    try:
        visit = await deferToThreadPool(reactor, reactor.getThreadPool(), visit_of, settings)
        transport = await enter(
            host_endpoint(reactor, settings),
            visit,
            reactor,
            connecting=settings.address.timeout,
            entering=ENTERING,
        )
        try:
            found = await (await open_sftp(transport.channels, reactor, PATIENCE)).files(pulled.folder)
        finally:
            transport.cut()
    except HostNotKnown as unknown:
        sounding.problems.append(f"{path}: {unknown}; {unknown.remedy}")
    except NotReached as failed:
        sounding.warnings.append(f"{path}: {failed}; {failed.remedy}")
    else:
        sounding.found.append(
            f"{path}: {visit.host.name} lets {settings.user} in; {len(found)} files in its folder"
        )
    return sounding
