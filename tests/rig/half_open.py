"""Connections that are begun and never finished, by the hundred or by the ten thousand, at a gateway of its own."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import socket
from pathlib import Path

from tests.rig.forked import Nursery
from tests.rig.running_plant import CONFIGURATION, DEADLINE, RunningPlant

GOOD = "127.0.0.7"
MIB = 1024 * 1024
BEGINNINGS = {
    "web": b"POST /api/v1/ingest/x HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\nX-A: ",
    "gate": b'{"scan_id": "',
}
"""What comes of a request and of a line."""


class AttackedPlant(RunningPlant):
    """A plant where addresses of this machine have no more rights than others."""

    places = 100
    """Of each listener."""

    def __init__(self, directory: Path, nursery: Nursery) -> None:
        super().__init__(directory, nursery)
        self.configuration = CONFIGURATION + '\n[limits]\ntrusted = ["127.0.0.1/32"]\n'
        for table, key in (
            ("http", f"max_connections = {self.places}"),
            ("sources.gate", f"max_connections = {self.places}"),
            ("live", "compression = true"),
        ):
            self.configuration = self.configuration.replace(f"[{table}]\n", f"[{table}]\n{key}\n")
        self._opened: list[socket.socket] = []

    def port(self, door: str) -> int:
        """Return the port of ``web`` or ``gate``."""
        return int((self.url if door == "web" else self.sources[door]).rpartition(":")[2])

    def connect(self, door: str, host: str) -> socket.socket:
        """Connect from an address."""
        return socket.create_connection(("127.0.0.1", self.port(door)), DEADLINE, source_address=(host, 0))

    def half_open(self, door: str, count: int, host: str) -> list[socket.socket]:
        """Begin so many, and leave each there; `hang_up` closes them."""
        begun = [self.connect(door, host) for _ in range(count)]
        self._opened += begun
        self.drip(begun, BEGINNINGS[door])
        return begun

    @staticmethod
    def drip(begun: list[socket.socket], data: bytes = b"x") -> int:
        """Send a little more on each; returns how many still stand."""
        standing = 0
        for one in begun:
            # One that was refused, or gave way, is closed.
            with contextlib.suppress(OSError):
                one.send(data)
                standing += 1
        return standing

    def hang_up(self) -> None:
        """Close all."""
        while self._opened:
            self._opened.pop().close()

    def resident(self) -> int:
        """Return the gateway's resident bytes."""
        pages = Path(f"/proc/{self.gateway_pid}/statm").read_text().split()[1]
        return int(pages) * os.sysconf("SC_PAGE_SIZE")

    def held(self) -> int:
        """Return how many files and sockets the gateway has open."""
        return len(os.listdir(f"/proc/{self.gateway_pid}/fd"))  # noqa: PTH208 (each would be made a path)


class GoodDevice:
    """A device with one connection for all of its lines."""

    def __init__(self, plant: AttackedPlant) -> None:
        self._connection = plant.connect("gate", GOOD)
        self._answers = self._connection.makefile("rb")
        self._said = 0
        self._name = f"good-{self._connection.getsockname()[1]}"

    def say(self) -> bytes:
        """Send a line, and return its answer's first word."""
        self._said += 1
        line = {"scan_id": f"{self._name}-{self._said}", "employee": "HR-EMP-00001", "direction": "IN"}
        line["at"] = f"2026-03-09T06:{self._said // 60:02}:{self._said % 60:02}+00:00"
        self._connection.sendall(json.dumps(line).encode() + b"\n")
        return self._answers.readline().partition(b" ")[0]

    def close(self) -> None:
        """Hang up."""
        self._answers.close()
        self._connection.close()


def is_served(plant: AttackedPlant) -> bool:
    """Tell whether a browser at a good address is answered, on a connection of its own."""
    connection = http.client.HTTPConnection("127.0.0.1", plant.port("web"), DEADLINE, source_address=(GOOD, 0))
    try:
        connection.request("GET", "/healthz")
        return connection.getresponse().status == 200
    finally:
        connection.close()
