"""Goes to hosts where commands are run to see whether they let us in."""

from __future__ import annotations

from typing import Any

from lineside.assemble.hostsoundings import sound_host
from lineside.assemble.soundings import Sounding
from lineside.assemble.sshcommandsettings import SshCommandSettings
from lineside.edges.ssh.client.failures import NotReached
from lineside.edges.ssh.client.runs import begin, quoted
from lineside.edges.ssh.client.transport import ClientTransport


async def sound_ssh_command(reactor: Any, name: str, settings: SshCommandSettings) -> Sounding:
    """Do what `sound_host` does; a command is not run, since what it writes would be lost."""

    async def look(transport: ClientTransport) -> str:
        path = settings.follow
        if path is None:
            return "the command was not run"
        output = await begin(transport, f"tail -c 1 {quoted(path)}", None, reactor)
        while await output.read():
            pass
        if output.ended is None or output.ended.status != 0:
            raise NotReached(
                f"the host does not show {path}: {output.ended}",
                "see that it is there, and that our user may read it",
            )
        return f"it shows {path}"

    return await sound_host(reactor, name, settings, look)
