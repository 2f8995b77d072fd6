"""Goes to hosts where commands are run to see whether they let us in."""

from __future__ import annotations

from typing import Any

from lineside.assemble.pulls import host_endpoint
from lineside.assemble.soundings import Sounding
from lineside.assemble.sshcommands import visiting
from lineside.assemble.sshcommandsettings import SshCommandSettings
from lineside.edges.ssh.client.command import ENTERING
from lineside.edges.ssh.client.connecting import enter
from lineside.edges.ssh.client.failures import HostNotKnown, NotReached
from lineside.edges.ssh.client.runs import begin, quoted
from lineside.edges.ssh.client.transport import ClientTransport
from lineside.model.wording import key_path


async def sound_ssh_command(reactor: Any, name: str, settings: SshCommandSettings) -> Sounding:
    """Log in at the host of a source; its command is not run, since what it writes would be lost.

    A host that is not there is a warning: the gateway would try until it is. One that is not the known one is a
    problem. Never raises but for cancellation.
    """
    sounding = Sounding([], [], [])
    path = key_path("sources", name)
    try:
        visit = await visiting(reactor, settings)()
        transport = await enter(
            host_endpoint(reactor, settings),
            visit,
            reactor,
            connecting=settings.address.timeout,
            entering=ENTERING,
        )
        try:
            told = await _shown(reactor, transport, settings)
        finally:
            transport.cut()
    except HostNotKnown as unknown:
        sounding.problems.append(f"{path}: {unknown}; {unknown.remedy}")
    except NotReached as failed:
        sounding.warnings.append(f"{path}: {failed}; {failed.remedy}")
    else:
        sounding.found.append(f"{path}: {visit.host.name} lets {settings.user} in; {told}")
    return sounding


async def _shown(reactor: Any, transport: ClientTransport, settings: SshCommandSettings) -> str:
    if settings.follow is None:
        return "the command was not run"
    output = await begin(transport, f"tail -c 1 {quoted(settings.follow)}", None, reactor)
    while await output.read():
        pass
    if output.ended is None or output.ended.status != 0:
        raise NotReached(
            f"the host does not show {settings.follow}: {output.ended}",
            "see that it is there, and that our user may read it",
        )
    return f"it shows {settings.follow}"
