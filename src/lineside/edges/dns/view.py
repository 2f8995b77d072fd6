"""The part that serves the plant's zones over UDP and TCP."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from twisted.internet.defer import maybeDeferred
from twisted.internet.endpoints import TCP4ServerEndpoint, TCP6ServerEndpoint
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IListeningPort, IStreamServerEndpoint
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from lineside.edges.dns.datagrams import DatagramDoor, door_of, open_socket
from lineside.edges.dns.health import Health, fallen_texts
from lineside.edges.dns.responder import RCODES, Responder
from lineside.edges.dns.streams import StreamDoor
from lineside.edges.dns.visitors import Visitors
from lineside.edges.dns.zone import Plant
from lineside.model.errors import LinesideError
from lineside.operations.zoneresults import CountedAnswers, ZoneRecord, ZoneView
from lineside.wire.dnsnames import name_text
from lineside.wire.dnsrecords import TYPE_NAMES, data_text

log = Logger()

BACKLOG = 128
ATTEMPTS = 16
"""So many ports are tried where any will do: TCP's may be another one's over UDP."""
SECOND = 1.0


class DnsView:
    """The `Part` that answers questions about the plant's names.

    Args:
        reactor: reads, listens and counts seconds.
        port: 0 for any that is free.
        interface: the address to listen on, empty for all of IPv4.
        where: the same as the configuration has it, for messages.
        plant: the zones.
        responder: answers from them.
        health: changes them.
        visitors: may ask.

    """

    name = "dns"

    def __init__(
        self,
        reactor: Any,
        port: int,
        interface: str,
        where: str,
        plant: Plant,
        responder: Responder,
        health: Health,
        visitors: Visitors,
    ) -> None:
        self._reactor = reactor
        self._number = port
        self._interface = interface
        self._where = where
        self._plant = plant
        self._responder = responder
        self._health = health
        self._visitors = visitors
        self._streams = StreamDoor(responder, visitors, reactor)
        self._datagrams: DatagramDoor | None = None
        self._port: IListeningPort | None = None
        self._seconds = LoopingCall(self._next_second)
        self._seconds.clock = reactor
        self._limited = 0
        self._telling = False

    @property
    def address(self) -> str:
        """Where it listens: ``host:port`` once started, before that as configured."""
        if self._port is None:
            return self._where
        host: Any = self._port.getHost()
        return f"[{host.host}]:{host.port}" if ":" in host.host else f"{host.host}:{host.port}"

    async def start(self) -> None:
        """Look at what is down, then listen over UDP and TCP at one port.

        Raises:
            LinesideError: the port is in use, or not ours.

        """
        await self._health.start()
        try:
            await self._listen()
        except BaseException:
            await self._health.stop()
            raise
        self._seconds.start(SECOND, now=False)

    async def stop(self) -> None:
        """Answer no more."""
        if self._seconds.running:
            self._seconds.stop()
        if self._datagrams is not None:
            self._reactor.removeReader(self._datagrams)
            self._datagrams.connectionLost()
            self._datagrams = None
        if self._port is not None:
            port, self._port = self._port, None
            await maybeDeferred(port.stopListening)
        self._streams.close()
        await self._health.stop()

    async def _listen(self) -> None:
        for attempt in range(1, ATTEMPTS + 1):
            try:
                port = await self._endpoint().listen(self._streams)
            except CannotListenError as busy:
                raise self._cannot_listen(busy.socketError) from busy
            host: Any = port.getHost()
            try:
                handle = open_socket(host.port, self._interface)
            except OSError as busy:
                await maybeDeferred(port.stopListening)
                if self._number or attempt == ATTEMPTS:
                    raise self._cannot_listen(busy) from busy
                continue
            self._port = port
            self._datagrams = door_of(handle, self._responder, self._visitors)
            self._reactor.addReader(self._datagrams)
            return

    def _endpoint(self) -> IStreamServerEndpoint:
        kind = TCP6ServerEndpoint if ":" in self._interface else TCP4ServerEndpoint
        endpoint: IStreamServerEndpoint = kind(self._reactor, self._number, BACKLOG, self._interface)
        return endpoint

    def _cannot_listen(self, cause: object) -> LinesideError:
        why = getattr(cause, "strerror", None) or cause
        advice = "is another DNS server using it? systemd-resolved and dnsmasq do"
        if isinstance(cause, PermissionError):
            advice = "a port below 1024 needs AmbientCapabilities=CAP_NET_BIND_SERVICE in the unit"
        return LinesideError(f"dns: cannot listen on {self._where}: {why}; {advice}")

    def _next_second(self) -> None:
        self._visitors.begin()
        if self._datagrams is None:
            return
        limited = self._datagrams.limited - self._limited
        if limited and not self._telling:
            log.warn(
                "dns.limited",
                dropped=limited,
                remedy="one network asks more often than rate_limit in [dns] allows; raise it, or look who does: "
                "addresses may be forged",
            )
        self._telling = bool(limited)
        self._limited = self._datagrams.limited

    def counts(self) -> CountedAnswers:
        """Return what was counted since the start."""
        datagrams = self._datagrams
        return CountedAnswers(
            answers={name: self._responder.answered[code] for code, name in RCODES.items()},
            from_cache=self._responder.hits,
            limited=0 if datagrams is None else datagrams.limited,
            ignored=self._responder.silent,
            unsent=0 if datagrams is None else datagrams.unsent,
            turned_away=self._streams.turned_away,
            connections=self._streams.open,
        )

    def view(self) -> ZoneView:
        """Return the zones as they are answered now."""
        records = [
            ZoneRecord(name_text(one.name), one.ttl, TYPE_NAMES[one.type], data_text(one.type, data))
            for one in self._plant.records()
            for data in one.data
        ]
        down: Mapping[str, str] = self._health.down
        return ZoneView(
            self.address, self._plant.serial, records, dict(down), fallen_texts(self._plant.fallen), self.counts()
        )
