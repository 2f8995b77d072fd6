"""A simulated partner's way to a drop box: by SFTP, to a gateway whose key is known."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from lineside.assemble.hosts import host_endpoint, visit_of
from lineside.assemble.hostsettings import HostKeys, address_of
from lineside.edges.ssh.client.connecting import enter
from lineside.edges.ssh.client.failures import HostNotKnown, NotLetIn
from lineside.edges.ssh.client.sftp import Sftp, open_sftp
from lineside.edges.ssh.client.transport import ClientTransport
from lineside.model.errors import ConfigurationError
from lineside.testing.partner import Hopeless

PATIENCE = 60.0
"""Seconds that the gateway may be silent while it is asked something."""
LARGEST = 64_000_000
"""Bytes of an answer."""


class SftpBox:
    """A drop box at the other end of a connection: a `lineside.testing.partner.Box`."""

    def __init__(self, transport: ClientTransport, sftp: Sftp) -> None:
        self._transport = transport
        self._sftp = sftp

    async def put(self, name: str, content: bytes) -> None:
        """Send a file into the inbox."""
        await self._sftp.put(f"/inbox/{name}".encode(), content)

    async def answers(self) -> list[str]:
        """Return the names of the outbox."""
        return [file.name.decode("utf-8", "replace") for file in await self._sftp.files(b"/outbox")]

    async def fetch(self, name: str) -> bytes:
        """Return an answer."""
        return await self._sftp.fetch(f"/outbox/{name}".encode(), LARGEST)

    async def remove(self, name: str) -> None:
        """Remove an answer."""
        await self._sftp.remove(f"/outbox/{name}".encode())

    def leave(self) -> None:
        """Cut the connection."""
        self._transport.cut()


def connector(
    reactor: Any, connect: str, user: str, key: Path, *, known_hosts: Path | None, fingerprint: str | None
) -> Callable[[], Awaitable[SftpBox]]:
    """Return what opens a connection.

    Raises:
        ConfigurationError: ``connect`` says no place.

    """
    try:
        address = address_of(connect)
    except ValueError as wrong:
        raise ConfigurationError([f"lineside: --connect {connect}: {wrong}"]) from wrong
    # Whoever types it has no configuration; what is wrong with the files is told when they are read.
    host = HostKeys.model_construct(
        connect=connect,
        user=user,
        key=key,
        passphrase=None,
        password=None,
        known_hosts=known_hosts,
        host_key=fingerprint,
        legacy=False,
    )
    endpoint = host_endpoint(reactor, host)

    async def opened() -> SftpBox:
        visit = visit_of(host)
        try:
            transport = await enter(endpoint, visit, reactor, connecting=address.timeout)
        except (HostNotKnown, NotLetIn) as refused:
            raise Hopeless(f"{refused}; {refused.remedy}") from refused
        try:
            return SftpBox(transport, await open_sftp(transport.channels, reactor, PATIENCE))
        except BaseException:
            transport.cut()
            raise

    return opened
