"""Goes to partners' hosts to see whether they let us in."""

from __future__ import annotations

from typing import Any

from lineside.assemble.hostsoundings import sound_host
from lineside.assemble.pulls import pulled_of
from lineside.assemble.pullsettings import SftpPullSettings
from lineside.assemble.soundings import Sounding
from lineside.edges.ssh.client.sftp import open_sftp
from lineside.edges.ssh.client.transport import ClientTransport

PATIENCE = 15.0


async def sound_pull(reactor: Any, name: str, settings: SftpPullSettings) -> Sounding:
    """Do what `sound_host` does, and list the folder; nothing is fetched or changed there."""

    async def look(transport: ClientTransport) -> str:
        sftp = await open_sftp(transport.channels, reactor, PATIENCE)
        found = await sftp.files(pulled_of(settings).folder)
        return f"{len(found)} files in its folder"

    return await sound_host(reactor, name, settings, look)
