"""Clients of the gateway's HTTP edge in memory: requests go in as bytes, answers are read when they are there."""

from __future__ import annotations

import json
from typing import Any

from msgspec import Struct
from twisted.internet.address import IPv4Address
from twisted.internet.error import ConnectionDone
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure

from lineside.edges.http.site import GatewaySite
from lineside.security.identity import Identity


class Holders:
    """Tokens, and who holds them."""

    def __init__(self, **holders: Identity) -> None:
        self._holders = holders

    @property
    def any(self) -> bool:
        return bool(self._holders)

    def identify(self, text: str) -> Identity | None:
        return self._holders.get(text)


class Received(Struct, frozen=True):
    """One answer."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class _Transport(StringTransport):
    def __init__(self, host: str) -> None:
        super().__init__(peerAddress=IPv4Address("TCP", host, 40000))

    def abortConnection(self) -> None:
        self.disconnecting = True


class Asking:
    """One request over a connection of its own."""

    def __init__(self, site: GatewaySite, path: str, *headers: str, host: str = "127.0.0.1") -> None:
        self._connection: Any = site.buildProtocol(IPv4Address("TCP", host, 40000))
        self._transport = _Transport(host)
        self._connection.makeConnection(self._transport)
        lines = [f"GET {path} HTTP/1.1", "Host: localhost:8080", *headers, "", ""]
        self._connection.dataReceived("\r\n".join(lines).encode())

    @property
    def answered(self) -> bool:
        return bool(self._transport.value())

    @property
    def answer(self) -> Received:
        """What came, which must be all of an answer with a length, or without a body."""
        head, _, body = self._transport.value().partition(b"\r\n\r\n")
        first, *lines = head.decode().split("\r\n")
        headers = dict(line.split(": ", 1) for line in lines)
        assert len(body) == int(headers.get("Content-Length", 0)), (head, body)
        return Received(int(first.split()[1]), headers, body)

    def hang_up(self) -> None:
        """Leave, whatever has come."""
        self._connection.connectionLost(Failure(ConnectionDone()))
