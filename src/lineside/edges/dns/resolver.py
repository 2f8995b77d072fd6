"""Asks name servers where a service is, by ``twisted.names``."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.names import client, dns
from twisted.names.error import DNSNameError

from lineside.edges.dns.lookups import Unresolved
from lineside.edges.dns.services import Answer, Service

Server = tuple[str, int]
TIMEOUTS = (1, 2)
"""Seconds for a server's answer, at the first and the second time."""
OVERALL = 5.0
"""Seconds for one question with all that belongs to it, at one server."""
NO_SERVICE_TTL = 30
"""Seconds until a service is asked for again that is not there."""
PORT = 53
MOST = 32
"""Servers of one service that are tried; a name server that tells of more is not trusted to mean it."""


class ServerResolver:
    """A `lineside.edges.dns.lookups.Resolver`: each server is asked in turn, until one says something of use.

    Args:
        reactor: sends and receives.
        servers: are called for each question, since the machine's own may change.

    """

    def __init__(self, reactor: Any, servers: Callable[[], Iterable[Server]]) -> None:
        self._reactor = reactor
        self._servers = servers

    async def services(self, name: str) -> Answer:
        """Return where a service is.

        Raises:
            Unresolved: no server gave an answer of use.

        """
        why = "there is none to ask"
        for server in self._servers():
            asking = Deferred.fromCoroutine(self._asked(server, name)).addTimeout(OVERALL, self._reactor)
            try:
                return await asking
            except CancelledError:
                raise
            except Exception as failed:  # noqa: BLE001 (what a server sends may make twisted.names raise anything)
                why = f"{server[0]}:{server[1]}: {str(failed) or type(failed).__name__}"
        raise Unresolved(why)

    async def _asked(self, server: Server, name: str) -> Answer:
        resolver = client.Resolver(servers=[server], timeout=TIMEOUTS, reactor=self._reactor)
        try:
            return await self._answered(resolver, name)
        finally:
            # What came over TCP leaves its connection open.
            for connection in resolver.connections:
                connection.transport.loseConnection()

    async def _answered(self, resolver: client.Resolver, name: str) -> Answer:
        try:
            answers, _, additional = await resolver.lookupService(name)
        except DNSNameError:
            return Answer((), NO_SERVICE_TTL)
        found = [one for one in answers if one.type == dns.SRV][:MOST]
        told: dict[str, list[str]] = {}
        for one in [*answers, *additional]:
            if one.type in {dns.A, dns.AAAA}:
                told.setdefault(_text(one.name), []).append(_address(one.payload))
        services = []
        for one in found:
            payload = one.payload
            host = _text(payload.target)
            if not host:
                # A dot: decidedly not here.
                continue
            addresses = told.get(host) or await self._addresses(resolver, host)
            if addresses:
                services.append(Service(payload.priority, payload.weight, host, payload.port, tuple(addresses)))
        if found and not services and any(_text(one.payload.target) for one in found):
            raise Unresolved(f"it has no address of {_text(found[0].payload.target)}")
        return Answer(tuple(services), min((one.ttl for one in found), default=NO_SERVICE_TTL))

    async def _addresses(self, resolver: client.Resolver, host: str) -> list[str]:
        found: list[str] = []
        for look, kind in ((resolver.lookupAddress, dns.A), (resolver.lookupIPV6Address, dns.AAAA)):
            try:
                answers, _, _ = await look(host)
            except DNSNameError:
                break
            found += [_address(one.payload) for one in answers if one.type == kind]
        return found


def _text(name: dns.Name) -> str:
    return name.name.decode("ascii", "backslashreplace").lower().rstrip(".")


def _address(payload: Any) -> str:
    packed: bytes = payload.address
    return str(ip_address(packed))


def system_servers(path: Path = Path("/etc/resolv.conf")) -> list[Server]:
    """Return the machine's own name servers; that on this machine where the file names none (resolv.conf(5))."""
    servers = []
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    for words in map(str.split, lines):
        if len(words) >= 2 and words[0] == "nameserver":
            try:
                servers.append((str(ip_address(words[1].partition("%")[0])), PORT))
            except ValueError:
                continue
    return servers[:3] or [("127.0.0.1", PORT)]
